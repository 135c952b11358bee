"""Keys, tools and an empty store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kubeshark.core_capture.store import Identity, NodeKey
from tests.core_capture.store._bench import Bench


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Give the path of a command, or skip."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            package = {"age-keygen": "age", "capinfos": "wireshark-common"}.get(name, name)
            pytest.skip(f"{name} is not installed: apt-get install {package}")
        return found

    return find


@pytest.fixture(scope="session")
def me() -> Identity:
    return Identity.from_key(X25519PrivateKey.generate())


@pytest.fixture(scope="session")
def node_key() -> NodeKey:
    return NodeKey.from_key(Ed25519PrivateKey.generate())


@pytest.fixture
def bench(tmp_path: Path, me: Identity, node_key: NodeKey) -> Bench:
    return Bench(tmp_path / "store", me, node_key)
