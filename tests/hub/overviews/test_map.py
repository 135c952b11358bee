"""The service map adds up to the entries."""

from __future__ import annotations

import pytest

from tests.hub._serving import Hub, entries, path


@pytest.mark.parametrize("group", ["host", "pod", "service", "workload", "node", "namespace"])
def test_the_map_adds_up_the_entries(hub: Hub, group: str) -> None:
    found = entries(hub, "http")
    answer = hub.json(path("map", kfl="http", group=group))
    assert sum(edge["calls"] for edge in answer["edges"]) == answer["entries"] == len(found)
    assert sum(edge["bytes"] for edge in answer["edges"]) == sum(entry["size"] for entry in found)
    failed = [entry for entry in found if entry["error"] or (entry["response"] or {"status": 0})["status"] >= 400]
    assert sum(edge["errors"] for edge in answer["edges"]) == len(failed)
    for edge in answer["edges"]:
        of_edge = entries(hub, f"http && {edge['kfl']}")
        assert len(of_edge) == edge["calls"]
        assert edge["latency_us"]["p50"] <= edge["latency_us"]["p99"] <= edge["latency_us"]["max"]
    assert hub.json(path("map", kfl="http", group="host", limit=1))["hidden_edges"] >= 0


def test_the_map_compares_two_times(hub: Hub) -> None:
    times = sorted(round(entry["timestamp"] * 1_000_000) for entry in entries(hub, "http"))
    first, middle, last = times[0], times[len(times) // 2], times[-1] + 10**9
    answer = hub.json(
        path("map", kfl="http", since=middle, until=last, against_since=first, against_until=middle, group="host")
    )
    assert (answer["entries"] + answer["before_entries"]) == len(times)
    assert sum(edge["before"]["calls"] for edge in answer["edges"]) == answer["before_entries"] > 0
    for edge in answer["edges"]:
        expected = {(True, False): "new", (False, True): "gone"}.get((edge["calls"] > 0, edge["before"]["calls"] > 0))
        assert edge["change"] == expected or (expected is None and edge["change"] in ("changed", "same"))
    backwards = path("map", since=last, until=first, against_since=first, against_until=middle)
    assert hub.get(backwards).status == 400


def test_the_map_of_layer_4_adds_up_connections(hub: Hub) -> None:
    answer = hub.json(path("map", layer=4))
    assert answer["entries"] == len(entries(hub, "conn"))
