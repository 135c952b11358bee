"""What `kubeshark check` says of a real API server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.cluster import Check, Cluster, run_checks
from kubeshark.cluster._client import KINDS
from tests.cli._command import kubeshark
from tests.cluster._server import ApiServer, make
from tests.cluster._settings import settings
from tests.core_capture.store._servers import ACCESS, BUCKET, SECRET, moto

NODES = ("nodes", "kernels", "architectures", "clocks")
"""Of this server there are none, or what other tests made: see test_node_checks.py."""


def states(cluster: Cluster, namespace: str, *overrides: str) -> dict[str, Check]:
    return {each.name: each for each in run_checks(cluster, settings(*overrides, namespace=namespace))}


def test_all_is_well(cluster: Cluster, namespace: str) -> None:
    found = states(cluster, namespace)
    assert {each.state for name, each in found.items() if name not in NODES} == {"ok"}
    assert found["namespace"].said == f"{namespace} will be made"
    assert cluster.get("Namespace", "", namespace) is None


def test_who_may_not_is_told_each_right(api: ApiServer, namespace: str) -> None:
    found = states(api.open("viewer"), namespace)
    rights = [each for name, each in found.items() if name.startswith("may ")]
    assert len(rights) == 12
    assert {each.state for each in rights} == {"fail"}
    assert found["may daemonsets"].remedy.endswith("get, list, create, patch, delete on daemonsets.apps")


def test_a_namespace_that_admits_no_workers(cluster: Cluster, namespace: str) -> None:
    make(cluster, "Namespace", namespace, metadata={"labels": {"pod-security.kubernetes.io/enforce": "baseline"}})
    found = states(cluster, namespace)["namespace"]
    assert (found.state, "baseline" in found.said) == ("fail", True)
    assert "kubectl label namespace" in found.remedy


def test_storage_and_secrets(cluster: Cluster, made_namespace: str) -> None:
    wanted = ("tap.persistentStorage=true", "tap.storageClass=fast-x", "tap.secrets=keys")
    found = states(cluster, made_namespace, *wanted)
    assert (found["storage class"].state, found["secret keys"].state) == ("fail", "fail")
    make(cluster, "StorageClass", "fast-x", provisioner="none")
    make(cluster, "Secret", "keys", made_namespace)
    found = states(cluster, made_namespace, *wanted)
    assert (found["storage class"].state, found["secret keys"].state) == ("ok", "ok")


@pytest.mark.parametrize("user", ["admin", "viewer"])
def test_the_command(api: ApiServer, namespace: str, user: str) -> None:
    words = ("check", "--pre-tap", "-s", namespace, "--output", "json")
    done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig(user)))
    rows = json.loads(done.stdout)
    assert done.returncode == any(each["state"] == "fail" for each in rows), done.stderr
    assert {each["state"] for each in rows if each["name"] not in NODES} == {"ok" if user == "admin" else "fail", "ok"}
    assert rows[0]["name"] == "cluster"
    assert {"name", "state", "said", "remedy"} == rows[0].keys()


def test_images_are_pulled_by_pods_that_go(api: ApiServer, cluster: Cluster, made_namespace: str) -> None:
    words = ("check", "--pre-tap", "--image-pull", "--wait", "0", "-s", made_namespace, "--output", "json")
    done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig()))
    rows = [each for each in json.loads(done.stdout) if each["name"].startswith("image of")]
    assert [each["state"] for each in rows] == ["warn", "warn", "warn"]
    assert list(cluster.list("Pod", made_namespace)) == []


def test_the_archive_is_tried_with_the_credentials_of_pods(
    api: ApiServer, cluster: Cluster, made_namespace: str, tmp_path: Path
) -> None:
    with moto() as server:
        keys = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ALLOW_HTTP": "true"}
        make(cluster, "Secret", "captures-s3", made_namespace, stringData=keys)
        s3 = {"bucket": BUCKET, "region": "us-east-1", "endpoint": server.endpoint}
        cloud = {"provider": "s3", "prefix": "lab/", "s3": s3, "secrets": ["captures-s3"]}
        document = {"tap": {"release": {"namespace": made_namespace}, "snapshots": {"cloud": cloud}}}
        (tmp_path / "kubeshark.yaml").write_text(json.dumps(document))
        words = ("check", "--pre-tap", "--store", "--output", "json", "--config-path", tmp_path / "kubeshark.yaml")
        done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig()))
        [row] = [each for each in json.loads(done.stdout) if each["name"] == "archive"]
        assert row["state"] == "ok", row
        assert row["said"].endswith("written, read and deleted")
        assert SECRET not in done.stdout + done.stderr
        cluster.json(
            "PATCH",
            KINDS["Secret"].path(made_namespace, "captures-s3"),
            body={"data": {"AWS_ACCESS_KEY_ID": "//8="}},
            content="application/merge-patch+json",
        )
        done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig()))
        [row] = [each for each in json.loads(done.stdout) if each["name"] == "archive"]
        assert (row["state"], "has an entry that is no text" in row["said"]) == ("fail", True)


def test_without_a_cluster() -> None:
    done = kubeshark("check", KUBECONFIG="/absent/config")
    assert "warn  cluster" in done.stdout
    assert kubeshark("check", "--pre-tap", KUBECONFIG="/absent/config").returncode == 1
