"""A hub with much to go through: for tests of what is ended in the middle, and of what is told meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub._serving import Hub, serving


@pytest.fixture(scope="module")
def large(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose store takes many seconds to go through; nobody changes it."""
    sys.path.insert(0, str(root))
    from benchmarks._workload import make_capture  # the benches are no package that is installed

    home = tmp_path_factory.mktemp("large")
    capture = home / "large.pcap"
    make_capture(root / "examples/captures/sample.pcapng", capture, 48_000_000)
    with serving(home / "store", root, home, capture=str(capture)) as found:
        yield found
