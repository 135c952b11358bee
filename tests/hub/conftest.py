"""What tests of the hub share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub._serving import Hub, entries, serving


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a hub of this process keeps what is its own."""
    monkeypatch.setenv("KUBESHARK_HUB", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture(scope="session")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose store nobody changes."""
    home = tmp_path_factory.mktemp("hub")
    with serving(home / "store", root, home) as found:
        yield found


@pytest.fixture(scope="session")
def posted(hub: Hub) -> dict[str, Any]:
    """A POST of that store that was answered."""
    return next(entry for entry in entries(hub, 'http && method == "POST"') if entry["response"])


@pytest.fixture(scope="module")
def own_hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose store is changed."""
    home = tmp_path_factory.mktemp("own")
    with serving(home / "store", root, home) as found:
        yield found
