"""Whether nodes get the images: a pod that does nothing is made for each, looked at until it is there, and deleted.

It is the one check that makes something in a cluster: nobody but a node knows what a node can pull, by its network and
with the Secrets of the namespace.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from kubeshark.cluster._check import Check
from kubeshark.cluster._client import KINDS, Cluster
from kubeshark.cluster._pods import IMAGES, USER, image_of
from kubeshark.errors import ClusterError
from kubeshark.settings import Settings

__all__ = ["pull_checks"]

LOOK_S = 0.5
FAILED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
PULLED = ("CreateContainerError", "RunContainerError")  # it is there, and has no such command
LABEL = "kubeshark.io/check"


def pull_checks(
    cluster: Cluster,
    settings: Settings,
    wait_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Check]:
    """Give a check for each image. All pods that were made are gone at the end, whatever happens."""
    namespace = settings.tap.release.namespace
    mark = secrets.token_hex(4)
    made: dict[str, tuple[str, str]] = {}  # part → name, uid
    try:
        for part in IMAGES:
            name = f"kubeshark-check-{part}-{mark}"
            try:
                pod = _pod(name, image_of(part, settings), settings)
                found = cluster.json("POST", KINDS["Pod"].path(namespace), body=pod)
            except ClusterError as error:
                yield Check(f"image of {part}", "fail", f"no pod can try: {error.message}", error.hint)
                return
            made[part] = name, found["metadata"]["uid"]
        ends = time.monotonic() + wait_s
        for part, (name, _) in made.items():
            yield _pulled(cluster, namespace, name, f"image of {part}", ends, sleep)
    finally:
        for name, uid in made.values():
            cluster.delete("Pod", namespace, name, uid=uid, grace_s=0)


def _pod(name: str, image: str, settings: Settings) -> dict[str, Any]:
    tap = settings.tap
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: "image"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": [{"name": each} for each in tap.docker.image_pull_secrets],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "check",
                    "image": image,
                    "imagePullPolicy": tap.docker.image_pull_policy,
                    "command": ["true"],
                    "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _pulled(
    cluster: Cluster, namespace: str, name: str, row: str, ends: float, sleep: Callable[[float], None]
) -> Check:
    said = "no node has begun"
    while True:
        try:
            pod = cluster.get("Pod", namespace, name)
        except ClusterError as error:
            return Check(row, "warn", f"cannot be looked at: {error.message}", error.hint)
        if pod is None:
            return Check(row, "warn", "somebody deleted the pod that tries")
        image = pod["spec"]["containers"][0]["image"]
        status = pod.get("status") or {}
        containers: list[dict[str, Any]] = status.get("containerStatuses") or [{}]
        state = containers[0].get("state") or {}
        waiting = state.get("waiting") or {}
        if not {"running", "terminated"}.isdisjoint(state) or waiting.get("reason") in PULLED:
            return Check(row, "ok", f"{image} on node {pod['spec'].get('nodeName', '?')}")
        if waiting.get("reason") in FAILED:
            message = " ".join(str(waiting.get("message") or waiting["reason"]).split())[:300]
            return Check(row, "fail", f"{image}: {message}", "see tap.docker.registry, tag and imagePullSecrets")
        said = _waits(status) or (f"node {pod['spec']['nodeName']} pulls it" if pod["spec"].get("nodeName") else said)
        if time.monotonic() >= ends:
            return Check(row, "warn", f"{image} is not there yet: {said}", "look again later")
        sleep(LOOK_S)


def _waits(status: dict[str, Any]) -> str:
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return " ".join(str(each.get("message") or "no node takes the pod").split())[:300]
    return ""
