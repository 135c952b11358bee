"""Counts, histograms and values add up to the entries."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.hub._serving import Hub, entries, path


def test_counts_and_histograms_add_up(hub: Hub) -> None:
    found = entries(hub, "http || dns")
    assert hub.json(path("query/count", kfl="http || dns"))["entries"] == len(found) > 0
    histogram = hub.json(path("query/histogram", kfl="http || dns", buckets=7))
    expected = Counter(entry["protocol"]["abbr"].partition("/")[0] for entry in found)  # HTTP/2 is HTTP
    assert {name: sum(counts) for name, counts in histogram["series"].items()} == dict(expected)
    assert {len(counts) for counts in histogram["series"].values()} == {7}
    by_status = hub.json(path("query/histogram", kfl="http", by="status"))["series"]
    ok = entries(hub, "http && status_code >= 200 && status_code < 300 && !error")
    assert sum(by_status["2xx"]) == len(ok)


def test_a_histogram_of_a_window_counts_what_the_window_holds(hub: Hub) -> None:
    times = sorted(entry["startTime"] for entry in entries(hub))
    since, until = times[len(times) // 4], times[len(times) // 2]
    histogram = hub.json(path("query/histogram", since=since, until=until, buckets=3))
    assert histogram["entries"] == sum(since <= each <= until for each in times)
    assert sum(map(sum, histogram["series"].values())) == histogram["entries"]


@pytest.mark.parametrize("name", ["query/histogram", "timeline", "map", "query/count", "query"])
def test_a_time_that_is_far_away_is_a_time(hub: Hub, name: str) -> None:
    expected = hub.json(path("query/count"))["entries"]
    for far in (
        {"since": "0001-01-01T00:00:00Z"},
        {"until": "9999-12-31T23:59:59Z"},
        {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"},
        {"since": f"-{2**63 - 1}", "until": f"{2**63 - 1}"},
        {"since": "-999999999d"},
    ):
        answer = hub.get(path(name, limit=60, **far) if name != "query" else path(name, limit=100_000, **far))
        assert answer.status == 200, (far, answer.body)
        if name == "query":
            assert len(answer.body.splitlines()) == expected
        else:
            assert json.loads(answer.body)["entries"] == expected
    assert hub.get(path(name, since="9999-12-31T23:59:59Z")).status == 200
    assert hub.get(path(name, until="0001-01-01T00:00:00Z")).status == 200


def test_values_are_the_most_frequent_ones(hub: Hub) -> None:
    expected = Counter(entry["request"]["method"] for entry in entries(hub, "http && !error"))
    found = hub.json(path("query/values", variable="method", kfl="http && !error"))
    assert {each["value"]: each["entries"] for each in found["values"]} == dict(expected)
    assert hub.get(path("query/values", variable="nonsense")).status == 404
