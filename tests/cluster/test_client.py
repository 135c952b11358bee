"""Errors of an API server in one line, and what is no API server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.cluster import Cluster
from kubeshark.cluster import _client as client
from kubeshark.errors import ClusterError
from tests.cluster._server import ApiServer, make
from tests.core_capture.store._servers import free_port


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ClusterError, match="no cluster is configured"):
        Cluster.open()
    with pytest.raises(ClusterError, match=r"there is no .*absent"):
        Cluster.open(str(tmp_path / "absent"))
    (tmp_path / "broken").write_text("clusters: [")
    with pytest.raises(ClusterError, match="no cluster is configured") as caught:
        Cluster.open(str(tmp_path / "broken"))
    assert "\n" not in str(caught.value)


def test_nobody_listens(tmp_path: Path) -> None:
    path = ApiServer(free_port(), tmp_path).kubeconfig()
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/apiserver.crt").write_text("")
    cluster = Cluster.open(str(path))
    cluster.api.configuration.verify_ssl = False
    with pytest.raises(ClusterError, match=r"https://127\.0\.0\.1:\d+ cannot be reached") as caught:
        cluster.get("Namespace", "", "default")
    assert "\n" not in str(caught.value)


def test_a_status_becomes_a_line() -> None:
    causes = [{"field": "spec.replicas", "message": "must be\ngreater"}]
    body = {"message": "long", "details": {"kind": "deployments", "name": "x", "causes": causes}}
    error = client.explain(422, json.dumps(body).encode(), "PATCH /x")
    assert error.message == "deployments x is refused: spec.replicas: must be greater"
    assert client.explain(500, b"<html>", "GET /x").message == "GET /x failed with status 500"
    assert client.explain(500, b"[]", "GET /x").status == 500


def test_pages(cluster: Cluster, made_namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        make(cluster, "ConfigMap", f"c{number}", made_namespace)
    monkeypatch.setattr(client, "PAGE", 2)
    assert [each["metadata"]["name"] for each in cluster.list("ConfigMap", made_namespace)] == [
        f"c{n}" for n in range(5)
    ]


def test_who_may_what(api: ApiServer) -> None:
    assert api.open().may("create", "apps", "daemonsets", "default")
    assert not api.open("viewer").may("create", "apps", "daemonsets", "default")


def test_deleting_another_one_by_that_name(cluster: Cluster, made_namespace: str) -> None:
    make(cluster, "ConfigMap", "here", made_namespace)
    assert not cluster.delete("ConfigMap", made_namespace, "here", uid="00000000-0000-0000-0000-000000000000")
    assert cluster.get("ConfigMap", made_namespace, "here") is not None


def test_a_dry_run_makes_nothing(cluster: Cluster, made_namespace: str) -> None:
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry", "namespace": made_namespace}}
    cluster.apply(wanted, dry_run=True)
    assert cluster.get("ConfigMap", made_namespace, "dry") is None
