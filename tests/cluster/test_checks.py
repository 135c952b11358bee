"""What `kubeshark check` says of a real API server."""

from __future__ import annotations

import json

import pytest

from kubeshark.cluster import Check, Cluster, run_checks
from tests.cli._command import kubeshark
from tests.cluster._server import ApiServer, make
from tests.cluster._settings import settings


def states(cluster: Cluster, namespace: str, *overrides: str) -> dict[str, Check]:
    return {each.name: each for each in run_checks(cluster, settings(*overrides, namespace=namespace))}


def test_all_is_well(cluster: Cluster, namespace: str) -> None:
    found = states(cluster, namespace)
    assert {each.state for each in found.values()} == {"ok"}
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


@pytest.mark.parametrize(("user", "code"), [("admin", 0), ("viewer", 1)])
def test_the_command(api: ApiServer, namespace: str, user: str, code: int) -> None:
    words = ("check", "--pre-tap", "-s", namespace, "--output", "json")
    done = kubeshark(*words, KUBECONFIG=str(api.kubeconfig(user)))
    assert done.returncode == code, done.stderr
    rows = json.loads(done.stdout)
    assert rows[0]["name"] == "cluster"
    assert {"name", "state", "said", "remedy"} == rows[0].keys()


def test_without_a_cluster() -> None:
    done = kubeshark("check", KUBECONFIG="/absent/config")
    assert "warn  cluster" in done.stdout
    assert kubeshark("check", "--pre-tap", KUBECONFIG="/absent/config").returncode == 1
