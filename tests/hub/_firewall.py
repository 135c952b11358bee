"""A hub with policies of its own, and the example that is kept in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub._serving import Answer, Hub, serving

__all__ = ["ask", "example", "hub"]


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub of its own: policies are kept in it."""
    home = tmp_path_factory.mktemp("own")
    with serving(home / "store", root, home) as found:
        yield found


@pytest.fixture(scope="module")
def example(root: Path) -> dict[str, str]:
    folder = root / "examples" / "firewall"
    return {"policy": (folder / "web.yaml").read_text(), "inventory": (folder / "inventory.yaml").read_text()}


def ask(hub: Hub, method: str, name: str, body: Any = None, **more: Any) -> tuple[Answer, Any]:
    answer = hub.ask(method, f"/api/v1/firewall/{name}", body, **more)
    return answer, json.loads(answer.body) if answer.body else None
