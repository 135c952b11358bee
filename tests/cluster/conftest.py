"""One API server for the tests of this folder, started when the first of them asks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from kubeshark.cluster import Cluster
from kubeshark.cluster._client import KINDS
from tests.cluster._server import ApiServer, api_server


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api")) as server:
        yield server


@pytest.fixture
def cluster(api: ApiServer) -> Cluster:
    return api.open()


@pytest.fixture
def namespace() -> str:
    """A name of this test's own: a namespace never goes, where no controller empties it."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def made_namespace(cluster: Cluster, namespace: str) -> str:
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    cluster.json("POST", KINDS["Namespace"].path(), body=document)
    return namespace
