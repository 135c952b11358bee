"""Names begin and end with the events about them."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.core_capture.store import NameRecord
from kubeshark.pipeline.names._watched_names import WatchedNames

S = 1_000_000_000
NOON = 1_773_500_000 * S  # 2026-03-14T14:53:20Z


def pod(name: str, address: str = "10.0.0.4", phase: str = "Running", **labels: str) -> dict[str, Any]:
    status = {"phase": phase, "podIPs": [{"ip": address}] if address else [], "startTime": "2026-03-14T14:50:00Z"}
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": {}, "status": status}


def times(records: list[NameRecord]) -> list[tuple[str, int, int | None]]:
    return [(each.name, (each.since_ns - NOON) // S, each.until_ns and (each.until_ns - NOON) // S) for each in records]


def test_an_address_that_goes_from_pod_to_pod() -> None:
    names = WatchedNames()
    names.take("Pod", "1", pod("cart-1"), NOON, is_late=True)  # it was there before: since it began
    names.take("Pod", "1", pod("cart-1"), NOON + S, is_late=False)  # nothing of its name changed
    names.take("Pod", "2", pod("mail-1", ""), NOON + 2 * S, is_late=False)
    names.take("Pod", "1", pod("cart-1", phase="Succeeded"), NOON + 3 * S, is_late=False)
    names.take("Pod", "2", pod("mail-1"), NOON + 4 * S, is_late=False)
    names.take("Pod", "1", None, NOON + 5 * S, is_late=False)
    assert names.changes == 3
    first = names.to_write().merged([], NOON + 9 * S)
    assert times(first) == [("cart-1", -200, 3), ("mail-1", 4, None)]

    names.take("Pod", "2", pod("mail-1", app="mail"), NOON + 10 * S, is_late=False)
    second = names.to_write().merged(first, NOON + 19 * S)
    assert times(second) == [("cart-1", -200, 3), ("mail-1", 4, 10), ("mail-1", 10, None)]
    assert names.to_write().merged(second, NOON + 29 * S) == second


def test_the_same_pod_again_between_two_writes() -> None:
    names = WatchedNames()
    names.take("Pod", "1", pod("db-0"), NOON, is_late=False)
    known = names.to_write().merged([], NOON)
    names.take("Pod", "1", None, NOON + S, is_late=False)
    names.take("Pod", "2", pod("db-0"), NOON + 2 * S, is_late=False)
    assert times(names.to_write().merged(known, NOON + 3 * S)) == [("db-0", 0, 1), ("db-0", 2, None)]


def test_who_went_while_nobody_watched_ended_when_it_was_seen() -> None:
    old = NameRecord(kind="pod", name="old", namespace="shop", addresses=("10.0.0.9",), since_ns=NOON)
    host = NameRecord(kind="host", name="db.example.com", addresses=("192.0.2.1",), since_ns=NOON)
    assert times(WatchedNames().to_write().merged([old, host], NOON + S)) == [
        *(("old", 0, 1), ("db.example.com", 0, None)),
    ]


def test_what_could_not_be_written_is_not_lost() -> None:
    names = WatchedNames()
    names.take("Pod", "1", pod("cart-1"), NOON, is_late=False)
    names.take("Pod", "1", None, NOON + S, is_late=False)
    names.put_back(names.to_write())
    assert times(names.to_write().merged([], NOON + 2 * S)) == [("cart-1", 0, 1)]


def test_what_is_no_object() -> None:
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        WatchedNames().take("Pod", "1", {"status": 5}, NOON, is_late=False)
