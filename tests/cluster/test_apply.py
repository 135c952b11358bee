"""Against a real API server: made, left alone, changed, pruned, refused, and removed."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.cluster import Cluster, Deployment
from kubeshark.cluster._apply import is_ours
from kubeshark.cluster._client import KINDS
from kubeshark.errors import ClusterError
from tests.cluster._server import ApiServer, make
from tests.cluster._settings import MANY, objects

ALL = (
    *("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Secret", "ConfigMap", "Service"),
    *("PersistentVolumeClaim", "NetworkPolicy", "DaemonSet", "Deployment", "Ingress"),
)


class Lines(list[str]):
    def __call__(self, line: str) -> None:
        self.append(line)


def deployment(cluster: Cluster, namespace: str) -> tuple[Deployment, Lines]:
    lines = Lines()
    return Deployment(cluster, "kubeshark", namespace, lines), lines


def versions(cluster: Cluster, made: list[dict[str, Any]]) -> list[str]:
    found = [
        cluster.get(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in made
    ]
    return [each["metadata"]["resourceVersion"] for each in found if each]


@pytest.mark.parametrize("overrides", [(), MANY, ("tap.tls=true", "firewall.enabled=true")])
def test_made_then_left_as_it_is(cluster: Cluster, namespace: str, overrides: tuple[str, ...]) -> None:
    made = objects(*overrides, namespace=namespace)
    run, lines = deployment(cluster, namespace)
    assert run.apply(made) == len(made)
    assert [line.split()[0] for line in lines] == ["created"] * len(made)
    before = versions(cluster, made)
    lines.clear()
    assert run.apply(made) == 0
    assert {line.split()[0] for line in lines} == {"unchanged"}
    assert versions(cluster, made) == before


def test_what_changed_is_changed_and_what_is_not_wanted_goes(cluster: Cluster, namespace: str) -> None:
    run, lines = deployment(cluster, namespace)
    run.apply(objects(*MANY, namespace=namespace))
    lines.clear()
    run.apply(objects(namespace=namespace))
    assert "deleted    Ingress kubeshark-front" in lines
    assert "changed    DaemonSet kubeshark-worker" in lines
    claims = [each["metadata"]["name"] for each in cluster.list("PersistentVolumeClaim", namespace)]
    assert sorted(claims) == ["kubeshark-captures", "kubeshark-hub"], "claims hold captures: they stay"


def test_fields_of_others_stay_theirs(cluster: Cluster, namespace: str) -> None:
    """Somebody annotates a Deployment and scales it: ours is taken back, theirs is left."""
    run, _ = deployment(cluster, namespace)
    run.apply(objects(namespace=namespace))
    path = KINDS["Deployment"].path(namespace, "kubeshark-front")
    patch = {"metadata": {"annotations": {"theirs": "yes"}}, "spec": {"replicas": 4, "minReadySeconds": 7}}
    cluster.json("PATCH", path, body=patch, content="application/merge-patch+json")
    assert run.apply(objects(namespace=namespace)) == 1
    found = cluster.json("GET", path)
    assert found["metadata"]["annotations"]["theirs"] == "yes"
    assert found["spec"]["minReadySeconds"] == 7
    assert found["spec"]["replicas"] == 1


def test_an_object_of_somebody_else_is_never_touched(cluster: Cluster, made_namespace: str) -> None:
    make(cluster, "ConfigMap", "kubeshark-config", made_namespace, data={"a": "b"})
    run, lines = deployment(cluster, made_namespace)
    with pytest.raises(ClusterError, match="ConfigMap kubeshark-config is there already and was not made by"):
        run.apply(objects(namespace=made_namespace))
    assert f"there      Namespace {made_namespace}" in lines
    run.clean(keep_captures=False)
    found = cluster.get("ConfigMap", made_namespace, "kubeshark-config")
    assert found is not None
    assert found["data"] == {"a": "b"}


def test_clean_leaves_nothing_of_ours_and_all_of_others(cluster: Cluster, namespace: str) -> None:
    others = f"{namespace}-other"
    run, _ = deployment(cluster, namespace)
    second, _ = deployment(cluster, others)
    run.apply(objects(*MANY, namespace=namespace))
    second.apply(objects(namespace=others))
    kept = versions(cluster, objects(namespace=others))
    assert run.clean(keep_captures=False) > 20
    left = [
        f"{kind} {each['metadata']['name']}"
        for kind in ALL
        for each in cluster.list(kind, namespace if KINDS[kind].is_namespaced else "")
        if is_ours(each, "kubeshark", namespace)
        and not each["metadata"].get("deletionTimestamp")  # nobody is here to end what has finalizers
    ]
    assert left == []
    assert versions(cluster, objects(namespace=others)) == kept
    assert run.clean(keep_captures=False) == 0


def test_a_namespace_with_things_of_others_stays(cluster: Cluster, namespace: str) -> None:
    run, lines = deployment(cluster, namespace)
    run.apply(objects(namespace=namespace))
    make(cluster, "ConfigMap", "precious", namespace)
    run.clean(keep_captures=False)
    assert f"Namespace {namespace} stays: ConfigMap precious is not ours" in lines
    found = cluster.get("Namespace", "", namespace)
    assert found is not None
    assert "deletionTimestamp" not in found["metadata"]


def test_a_namespace_that_was_there_stays(cluster: Cluster, made_namespace: str) -> None:
    run, _ = deployment(cluster, made_namespace)
    run.apply(objects(namespace=made_namespace))
    run.clean(keep_captures=False)
    found = cluster.get("Namespace", "", made_namespace)
    assert found is not None
    assert found["status"]["phase"] == "Active"


def test_captures_are_kept_where_that_is_asked(cluster: Cluster, namespace: str) -> None:
    run, _ = deployment(cluster, namespace)
    run.apply(objects("tap.persistentStorage=true", namespace=namespace))
    run.clean(keep_captures=True)
    assert len([*cluster.list("PersistentVolumeClaim", namespace)]) == 2
    assert cluster.get("Namespace", "", namespace)["status"]["phase"] == "Active"  # type: ignore[index]
    assert [*cluster.list("Secret", namespace)] == []


def test_a_refusal_names_the_field(cluster: Cluster, namespace: str) -> None:
    made = objects("tap.resources.hub.limits.memory=much", namespace=namespace)
    run, lines = deployment(cluster, namespace)
    with pytest.raises(ClusterError) as caught:
        run.apply(made)
    assert str(caught.value).startswith("Deployment kubeshark-hub: ")
    assert "much" in str(caught.value) or "quantit" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert lines[-1] == "created    DaemonSet kubeshark-worker"  # what came before stays, and the next run goes on
    assert run.apply(objects(namespace=namespace)) == 4  # the configuration, whose pods, and what was missing


def test_a_value_that_is_not_allowed(cluster: Cluster, namespace: str) -> None:
    run, _ = deployment(cluster, namespace)
    with pytest.raises(ClusterError) as caught:
        run.apply(objects("tap.priorityClass=Not A Name!", namespace=namespace))
    assert caught.value.status == 422
    assert "spec.template.spec.priorityClassName" in str(caught.value)


def test_who_may_not_is_told_so(api: ApiServer, cluster: Cluster, namespace: str) -> None:
    run, _ = deployment(api.open("viewer"), namespace)
    with pytest.raises(ClusterError, match="cannot get resource") as caught:
        run.apply(objects(namespace=namespace))
    assert caught.value.status == 403
    assert cluster.get("Namespace", "", namespace) is None
