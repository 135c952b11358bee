"""What tests of the hub share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub._serving import Hub, serving


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
