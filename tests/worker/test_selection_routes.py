"""What hubs say of pods, over the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeshark.core_capture.store.places._worker_client import WorkerClient
from kubeshark.worker._choosing import MAX_SELECTION_BYTES, Choosing
from kubeshark.worker._governor import Governor
from tests.cluster._hearing import wait_until
from tests.worker._cluster import Pki, Running

GOOD = {"node": "node-1", "addresses": ["10.0.0.2"], "pods": 1}


def put(worker: Running, pki: Pki, body: bytes) -> tuple[int, Any]:
    client = WorkerClient(worker.url, pki.files("hub"))
    try:
        return client.exchange("PUT", "selection", body)
    finally:
        client.close()


def test_a_hub_names_pods(worker: Running, pki: Pki) -> None:
    status, said = put(worker, pki, json.dumps(GOOD).encode())
    assert (status, "--hub-selects has a hub choose pods" in said["error"]) == (404, True)
    choosing = worker.service.choosing = Choosing("node-1", selects=True)
    client = WorkerClient(worker.url, pki.files("hub"))
    status, said = client.exchange("GET", "selection")
    assert (status, said["node"], said["chosen"]["why"]) == (200, "node-1", "no hub has named pods yet")
    status, said = put(worker, pki, json.dumps(GOOD).encode())
    assert (status, said["chosen"]["pods"]) == (200, 1)
    assert choosing.now().addresses == ["10.0.0.2"]
    worker.service.governor = Governor(memory_bytes=1)
    wait_until(lambda: worker.service.governor.refuses())
    assert client.exchange("GET", "selection")[0] == 200  # however busy the node is
    client.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b"[" * 5_000, 400),
        (b"{}", 400),
        (json.dumps(GOOD | {"addresses": ["x" * 46]}).encode(), 400),
        (json.dumps(GOOD | {"addresses": ["10.0.0.1"] * 10_001}).encode(), 400),
        (json.dumps(GOOD | {"pods": "many"}).encode(), 400),
        (json.dumps(GOOD | {"node": "node-2"}).encode(), 409),
        (json.dumps(GOOD | {"addresses": ["nowhere"]}).encode(), 409),
        (b" " * (MAX_SELECTION_BYTES + 1), 400),
    ],
)
def test_what_is_no_selection(worker: Running, pki: Pki, body: bytes, status: int) -> None:
    choosing = worker.service.choosing = Choosing("node-1", selects=True)
    assert put(worker, pki, body)[0] == status
    assert choosing.now().addresses == []
