"""Keys, tools and an empty store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kubeshark.core_capture.store import Identity, NodeKey
from tests.core_capture.store._bench import Bench
from tests.core_capture.store._servers import BUCKET, Server, moto, versitygw


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


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(params=["moto", "versitygw"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Each S3 server in turn, with the environment that reaches it."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def moto_s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """One S3 server, for what does not depend on which."""
    for name, value in moto_server.environment().items():
        monkeypatch.setenv(name, value)
    return moto_server


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A place in the bucket that nobody else uses."""
    return f"s3://{BUCKET}/{tmp_path.name}-{os.urandom(4).hex()}"


@pytest.fixture
def bench(tmp_path: Path, me: Identity, node_key: NodeKey) -> Bench:
    return Bench(tmp_path / "store", me, node_key)
