"""kubeshark logs against a real API server; kubelets, which have the logs, are not there, and that is said."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from kubeshark.cluster import Cluster, Deployment
from kubeshark.cluster._logs import _masked
from tests.cli._command import kubeshark
from tests.cluster._server import ApiServer, make, make_pod
from tests.cluster._settings import objects


@pytest.fixture
def deployed(cluster: Cluster, namespace: str) -> str:
    Deployment(cluster, "kubeshark", namespace, lambda _: None).apply(objects(namespace=namespace))
    labels = {"kubeshark.io/release": "kubeshark"}
    make_pod(cluster, namespace, "kubeshark-hub-1", metadata={"labels": labels}, spec={"nodeName": "away"})
    about = {"kind": "Pod", "name": "kubeshark-hub-1", "namespace": namespace}
    make(cluster, "Event", "e1", namespace, involvedObject=about, reason="Failed", message="a\nb", type="Warning")
    return namespace


def test_what_is_in_it_and_what_is_not(api: ApiServer, deployed: str, tmp_path: Path) -> None:
    out = tmp_path / "logs.zip"
    done = kubeshark("logs", "-s", deployed, "-f", out, KUBECONFIG=str(api.kubeconfig()))
    assert done.returncode == 3, done.stderr
    assert "no log of kubeshark-hub-1, main: " in done.stderr
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name).decode() for name in names}
    assert "Warning Pod/kubeshark-hub-1 Failed: a b" in texts["events.txt"]
    assert "kubeshark-hub-1" in texts["pods.json"]
    assert "kubeshark.yaml" in texts["objects/ConfigMap.json"]
    assert not any("Secret" in name for name in names)
    assert "QQ==" not in "".join(texts.values())


def test_nothing_is_replaced(api: ApiServer, deployed: str, tmp_path: Path) -> None:
    (tmp_path / "logs.zip").write_text("mine")
    done = kubeshark("logs", "-s", deployed, "-f", tmp_path / "logs.zip", KUBECONFIG=str(api.kubeconfig()))
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert (tmp_path / "logs.zip").read_text() == "mine"


def test_what_is_no_expression(api: ApiServer, deployed: str, tmp_path: Path) -> None:
    words = ("logs", "-s", deployed, "-g", "(", "-f", tmp_path / "logs.zip")
    done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig()))
    assert done.returncode == 2
    assert not (tmp_path / "logs.zip").exists()


def test_what_looks_like_a_key_is_hidden() -> None:
    text = "identity AGE-SECRET-KEY-1QQQ and http://x/?token=abc_DEF-1 end"
    assert _masked(text) == "identity *** and http://x/?token=*** end"
