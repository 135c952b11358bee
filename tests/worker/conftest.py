"""A node with a small store, certificates for it, and who may read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.core_capture.store import Identity
from tests.worker._cluster import Pki, Running, in_thread, make_store


@pytest.fixture(scope="session")
def identity() -> Identity:
    return Identity.generate()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki") / "pki", "localhost,127.0.0.1", "node-2")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, root: Path, identity: Identity) -> Path:
    folder = tmp_path_factory.mktemp("node") / "store"
    return make_store(folder, root / "examples" / "captures" / "sample.pcapng", identity)


@pytest.fixture
def worker(store: Path, pki: Pki) -> Iterator[Running]:
    with in_thread(store, pki.files("localhost")) as running:
        yield running
