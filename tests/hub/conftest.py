"""What tests of the hub share."""

from __future__ import annotations

import sys
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


@pytest.fixture(scope="session")
def large(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose store takes many seconds to go through; nobody changes it."""
    sys.path.insert(0, str(root))
    from benchmarks._workload import make_capture  # the benches are no package that is installed

    home = tmp_path_factory.mktemp("large")
    capture = home / "large.pcap"
    make_capture(root / "examples/captures/sample.pcapng", capture, 48_000_000)
    with serving(home / "store", root, home, capture=str(capture)) as found:
        yield found
