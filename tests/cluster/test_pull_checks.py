"""Whether nodes get images: a real API server, and what kubelets would write."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.cluster import Check, Cluster, pull_checks
from tests.cluster._server import ApiServer, set_status
from tests.cluster._settings import settings

OVERRIDES = ("tap.docker.registry=registry.example.test/x", "tap.docker.tag=7", "tap.docker.imagePullSecrets=pull")


class Kubelet:
    """Says of each pod that tries an image what it was told to say of that image."""

    def __init__(self, cluster: Cluster, namespace: str, **states: dict[str, Any]) -> None:
        self.cluster, self.namespace, self.states = cluster, namespace, states
        self.pods: dict[str, dict[str, Any]] = {}

    def __call__(self, _: float) -> None:
        """Work a moment: in place of waiting."""
        for pod in self.cluster.list("Pod", self.namespace):
            name = pod["metadata"]["name"]
            part = name.split("-")[2]
            self.pods[part] = pod
            if part in self.states:
                image = pod["spec"]["containers"][0]["image"]
                status = {"name": "check", "image": image, "imageID": "", "ready": False, "restartCount": 0}
                status["state"] = self.states[part]
                set_status(self.cluster, "Pod", self.namespace, name, containerStatuses=[status])


def checked(cluster: Cluster, namespace: str, kubelet: Kubelet, wait_s: float = 20) -> dict[str, Check]:
    chosen = settings(*OVERRIDES, namespace=namespace)
    return {each.name: each for each in pull_checks(cluster, chosen, wait_s, sleep=kubelet)}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_each_image_and_nothing_is_left(cluster: Cluster, made_namespace: str) -> None:
    kubelet = Kubelet(
        cluster,
        made_namespace,
        hub={"running": {}},
        worker=waiting("ErrImagePull", 'pull "registry.example.test/x/worker:7":\n unauthorized'),
        front=waiting("CreateContainerError", 'exec: "true": not found'),
    )
    found = checked(cluster, made_namespace, kubelet)
    assert [(name, each.state) for name, each in found.items()] == [
        ("image of hub", "ok"),
        ("image of worker", "fail"),
        ("image of front", "ok"),
    ]
    assert found["image of worker"].said == (
        'registry.example.test/x/worker:7: pull "registry.example.test/x/worker:7": unauthorized'
    )
    assert "imagePullSecrets" in found["image of worker"].remedy
    assert list(cluster.list("Pod", made_namespace)) == []
    pod = kubelet.pods["hub"]
    assert pod["spec"]["containers"][0]["image"] == "registry.example.test/x/hub:7"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert "kubeshark.io/release" not in pod["metadata"]["labels"]


def test_what_takes_too_long(cluster: Cluster, made_namespace: str) -> None:
    kubelet = Kubelet(cluster, made_namespace, hub=waiting("ContainerCreating"))
    found = checked(cluster, made_namespace, kubelet, 0)
    assert {each.state for each in found.values()} == {"warn"}
    assert found["image of hub"].said == "registry.example.test/x/hub:7 is not there yet: no node has begun"
    assert list(cluster.list("Pod", made_namespace)) == []


def test_who_may_not_make_pods_and_where_there_is_no_namespace(
    api: ApiServer, cluster: Cluster, made_namespace: str
) -> None:
    viewer = api.open("viewer")
    found = checked(viewer, made_namespace, Kubelet(viewer, made_namespace))
    assert [each.state for each in found.values()] == ["fail"]
    found = checked(cluster, f"{made_namespace}-x", Kubelet(cluster, made_namespace))
    assert "not found" in found["image of hub"].said


def test_pods_go_also_when_somebody_ends_it(cluster: Cluster, made_namespace: str) -> None:
    def interrupt(_: float) -> None:
        assert len(list(cluster.list("Pod", made_namespace))) == 3
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(pull_checks(cluster, settings(namespace=made_namespace), 20, sleep=interrupt))
    assert list(cluster.list("Pod", made_namespace)) == []
