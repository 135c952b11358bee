"""Sees a deployment become ready, and says what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kubeshark.cluster._client import Cluster
from kubeshark.cluster._names import FRONT, HUB, LABEL_RELEASE, WORKER
from kubeshark.errors import ClusterError, UsageError

__all__ = ["seconds_of", "wait_until_ready"]

LOOK_S = 1.0
WORKLOADS = (("DaemonSet", WORKER), ("Deployment", HUB), ("Deployment", FRONT))


def wait_until_ready(
    cluster: Cluster, namespace: str, release: str, seconds: float, say: Callable[[str], None]
) -> None:
    """Return when workers, hub and front are ready; raise ClusterError, with what pods say, when time is up."""
    end = time.monotonic() + seconds
    told: dict[str, str] = {}
    while True:
        waits = []
        for kind, name in WORKLOADS:
            is_ready, state = _state(kind, cluster.get(kind, namespace, name))
            if told.get(name) != state:
                told[name] = state
                say(f"{'ready' if is_ready else 'waiting':<9}  {kind} {name}: {state}")
            if not is_ready:
                waits.append(name)
        if not waits:
            return
        if time.monotonic() >= end:
            why = "; ".join(_reasons(cluster, namespace, release)[:3]) or "no pod says why"
            raise ClusterError(
                f"{', '.join(waits)} not ready after {seconds:g} s: {why}",
                hint='what was made stays: "kubeshark tap" goes on, "kubeshark clean" removes it',
            )
        time.sleep(max(0.0, min(LOOK_S, end - time.monotonic())))


def _state(kind: str, obj: dict[str, Any] | None) -> tuple[bool, str]:
    if obj is None:
        return False, "is gone"
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
        return False, "not seen by its controller yet"
    if kind == "DaemonSet":
        wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
        ready = status.get("numberReady", 0)
        if not wanted:
            return False, "no node is chosen by tap.nodeSelectorTerms.workers"
        return ready >= wanted and updated >= wanted, f"{min(ready, updated)} of {wanted} nodes"
    wanted = obj["spec"].get("replicas", 1)
    ready = min(status.get("availableReplicas", 0), status.get("updatedReplicas", 0))
    return ready >= wanted, f"{ready} of {wanted}"


def _reasons(cluster: Cluster, namespace: str, release: str) -> list[str]:
    """Return what keeps pods from running, a text each."""
    found = []
    for pod in cluster.list("Pod", namespace, selector=f"{LABEL_RELEASE}={release}"):
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                said = " ".join(str(waiting.get("message") or "").split())[:200]
                found.append(f"pod {pod['metadata']['name']}: {waiting['reason']}{f' ({said})' if said else ''}")
        found += (
            f"pod {pod['metadata']['name']}: {each.get('message') or each.get('reason')}"
            for each in status.get("conditions") or ()
            if each["type"] == "PodScheduled" and each["status"] == "False"
        )
    return found


def seconds_of(text: str) -> float:
    """Read a duration of an option; raise UsageError."""
    from kubeshark.settings import Duration

    try:
        return Duration(text).seconds
    except ValueError as error:
        raise UsageError(str(error)) from None
