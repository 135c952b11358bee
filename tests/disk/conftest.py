"""The shim, keys, and a capture whose packets tell each other apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.core_capture.store import NodeKey, create_identity
from kubeshark.core_capture.store.segments._segment import pcap_header
from tests.core_capture.store._bench import frames, records
from tests.disk._act import Hands
from tests.disk._commands import Commands
from tests.disk._shim import build_shim


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def commands(shim: Path, root: Path) -> Iterator[Commands]:
    with Commands(shim, root) as commands:
        yield commands


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys, for _act.py."""
    folder = tmp_path_factory.mktemp("secrets")
    create_identity(folder / "me.age")
    create_identity(folder / "other.age")
    NodeKey.load_or_create(folder / "node.key")
    return folder


@pytest.fixture(scope="session")
def hands(secrets: Path) -> Hands:
    return Hands(secrets)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nanosecond pcap of some 6 KB: four segments of _act.py."""
    path = tmp_path_factory.mktemp("source") / "source.pcap"
    path.write_bytes(pcap_header(1) + b"".join(records(frames())))
    return path
