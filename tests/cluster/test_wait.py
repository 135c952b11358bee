"""Ready, by the statuses that controllers write; the tests write them."""

from __future__ import annotations

import threading
import time

import pytest

from kubeshark.cluster import Cluster, Deployment, wait_until_ready
from kubeshark.cluster._wait import seconds_of
from kubeshark.errors import ClusterError, UsageError
from tests.cluster._server import make_pod, set_status
from tests.cluster._settings import objects


def become_ready(cluster: Cluster, namespace: str) -> None:
    set_status(
        cluster, "DaemonSet", namespace, "kubeshark-worker", observedGeneration=1, desiredNumberScheduled=2,
        currentNumberScheduled=2, numberMisscheduled=0, numberReady=2, updatedNumberScheduled=2,
    )  # fmt: skip
    for name in ("kubeshark-hub", "kubeshark-front"):
        set_status(
            cluster, "Deployment", namespace, name, observedGeneration=1, replicas=1, updatedReplicas=1,
            readyReplicas=1, availableReplicas=1,
        )  # fmt: skip


@pytest.fixture
def deployed(cluster: Cluster, namespace: str) -> str:
    Deployment(cluster, "kubeshark", namespace, lambda _: None).apply(objects(namespace=namespace))
    return namespace


def test_waits_until_all_are_ready(cluster: Cluster, deployed: str) -> None:
    lines: list[str] = []
    waiting = threading.Thread(
        target=wait_until_ready, args=(cluster, deployed, "kubeshark", 60.0, lines.append), daemon=True
    )
    waiting.start()
    end = time.monotonic() + 30
    while len(lines) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    assert waiting.is_alive()
    become_ready(cluster, deployed)
    waiting.join(30)
    assert not waiting.is_alive()
    assert lines[-3:] == [
        "ready      DaemonSet kubeshark-worker: 2 of 2 nodes",
        "ready      Deployment kubeshark-hub: 1 of 1",
        "ready      Deployment kubeshark-front: 1 of 1",
    ]


def test_what_keeps_it_is_said(cluster: Cluster, deployed: str) -> None:
    make_pod(cluster, deployed, "kubeshark-hub-x", metadata={"labels": {"kubeshark.io/release": "kubeshark"}})
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such\nimage"}}
    state = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    set_status(cluster, "Pod", deployed, "kubeshark-hub-x", containerStatuses=[state])
    with pytest.raises(
        ClusterError, match=r"not ready after 0\.1 s: pod kubeshark-hub-x: ImagePullBackOff \(no such image\)"
    ):
        wait_until_ready(cluster, deployed, "kubeshark", 0.1, lambda _: None)


def test_durations() -> None:
    assert seconds_of("5m") == 300
    with pytest.raises(UsageError, match="no duration"):
        seconds_of("soon")
