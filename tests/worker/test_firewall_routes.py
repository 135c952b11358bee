"""The firewall of a worker over its mutual TLS: not there, not for this hub, not so large, and as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.core_capture.store import Store
from kubeshark.core_capture.store.places._worker_client import WorkerClient
from kubeshark.errors import UsageError
from kubeshark.worker._firewall_routes import MAX_SET_BYTES
from tests.worker._cluster import Pki, Running, in_thread


class Said:
    """In place of the process that enforces."""

    asked: list[dict[str, Any]]

    def __init__(self) -> None:
        self.asked = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if request["do"] == "confirm":
            raise UsageError("nothing is waiting")
        return {"generation": 1}

    def status(self) -> dict[str, Any]:
        return {"node": "node-1", "issue": 0}


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[Running, WorkerClient]]:
    pki = Pki(tmp_path / "pki", "localhost")
    Store.open(tmp_path / "store", identities=(), create=True)
    with in_thread(tmp_path / "store", pki.files("localhost")) as running:
        client = WorkerClient(running.url, pki.files("hub"))
        yield running, client
        client.close()


def test_a_worker_that_enforces_nothing(worker: tuple[Running, WorkerClient]) -> None:
    status, said = worker[1].exchange("GET", "firewall")
    assert status == 404 and "start it with --firewall" in said["error"]


def test_only_hubs_that_may(worker: tuple[Running, WorkerClient]) -> None:
    running, client = worker
    running.service.firewall = Said()  # type: ignore[assignment]
    running.service.enforcers = frozenset({"another-hub"})
    for method, path in (("GET", ""), ("PUT", ""), ("POST", "/confirm"), ("GET", "/events")):
        assert client.exchange(method, f"firewall{path}", b"{}" if method == "PUT" else None)[0] == 403
    assert running.service.firewall.asked == []  # type: ignore[attr-defined, union-attr]
    assert client.exchange("GET", "files")[0] == 200


def test_what_is_asked_is_handed_on(worker: tuple[Running, WorkerClient]) -> None:
    running, client = worker
    made = Said()
    running.service.firewall = made  # type: ignore[assignment]
    running.service.enforcers = frozenset({"kubeshark-hub"})
    assert client.exchange("GET", "firewall") == (200, {"node": "node-1", "issue": 0})
    assert client.exchange("PUT", "firewall", json.dumps({"body": "x"}).encode())[0] == 200
    assert client.exchange("GET", "firewall/events?after=3&limit=9999999")[0] == 200
    assert client.exchange("POST", "firewall/confirm?issue=5") == (409, {"error": "nothing is waiting"})
    assert made.asked == [
        {"do": "put", "envelope": {"body": "x"}},
        {"do": "events", "after": 3, "limit": 1000},
        {"do": "confirm", "issue": 5},
    ]
    assert client.exchange("PUT", "firewall", b"[")[0] == 400
    assert client.exchange("GET", "firewall/events?after=-1")[0] == 400
    assert client.exchange("PUT", "firewall", bytes(MAX_SET_BYTES + 1))[0] == 400
    assert client.exchange("PUT", "files", b"{}")[0] == 400
