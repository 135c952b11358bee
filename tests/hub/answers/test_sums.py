"""Sums that are told as they grow: the last line is the whole answer, and what ends early says how far it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub import _large
from tests.hub._serving import Hub, path

large = _large.large  # the fixture
SUMS: list[tuple[str, dict[str, Any]]] = [
    ("timeline", {"group": "stream"}),
    ("map", {"group": "host"}),
    ("map", {"layer": 4}),
    ("query/histogram", {"by": "status"}),
]


def lines(hub: Hub, name: str, **wishes: Any) -> list[dict[str, Any]]:
    answer = hub.get(path(name, progress="true", **wishes))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/jsonl")
    return [json.loads(line) for line in answer.body.splitlines()]


@pytest.mark.parametrize(("name", "wishes"), SUMS)
def test_the_last_line_is_what_is_answered_without_progress(hub: Hub, name: str, wishes: dict[str, Any]) -> None:
    told = lines(hub, name, kfl="http || dns", **wishes)
    assert told[0]["op"] == "progress"
    assert [line["op"] for line in told if line["op"] == "done"] == ["done"]
    assert told[-1]["answer"] == hub.json(path(name, kfl="http || dns", **wishes))
    assert told[-1]["bytes_read"] == told[-1]["bytes_total"]
    assert (told[-1]["answer"]["stopped"], told[-1]["counted_until"]) == ("", "")


def test_sums_so_far_grow_and_hold_what_begins_before_they_end(large: Hub) -> None:
    told = lines(large, "timeline", kfl="http || dns || redis")
    partial = [line for line in told if line["op"] == "partial"]
    assert partial
    counts = [line["answer"]["entries"] for line in told if "answer" in line]
    assert counts == sorted(counts)
    assert [line["bytes_read"] for line in told] == sorted(line["bytes_read"] for line in told)
    some = partial[len(partial) // 2]["answer"]
    before = int(some["counted_until"]) - 1
    assert (
        some["entries"]
        == large.json(path("query/count", kfl="http || dns || redis", until=before, seconds=600))["entries"]
    )


@pytest.mark.parametrize(("name", "wishes"), SUMS[:2])
def test_what_stops_at_its_time_says_how_far_it_came(large: Hub, name: str, wishes: dict[str, Any]) -> None:
    found = large.json(path(name, seconds=0.5, **wishes))
    assert found["stopped"] == "stopped after 0.5 s"
    until = int(found["counted_until"])
    before, with_it = (large.json(path("query/count", until=at, seconds=600))["entries"] for at in (until - 1, until))
    assert 0 < before <= found["entries"] <= with_it
    count = large.json(path("query/count", kfl='path != "x"', seconds=0.2))
    assert count["stopped"]
    assert count["counted_until"]


def test_a_comparison_tells_no_half_of_it(large: Hub) -> None:
    histogram = large.json(path("query/histogram", kfl="dns", buckets=1))
    first, last = histogram["start"], histogram["start"] + histogram["width"]
    half = (first + last) // 2
    told = lines(large, "map", since=half, until=last, against_since=first, against_until=half, kfl="dns")
    done = told[-1]["answer"]
    assert done["before_entries"]
    assert {line["answer"]["before_entries"] for line in told if "answer" in line} == {done["before_entries"]}


def test_a_wrong_filter_is_refused_before_the_first_line(hub: Hub) -> None:
    for name, wishes in SUMS:
        answer = hub.get(path(name, kfl="http &&", progress="true", **wishes))
        assert answer.status == 400
        assert json.loads(answer.body)["column"]


def test_a_time_is_no_longer_than_a_day(hub: Hub) -> None:
    assert hub.get(path("map", seconds=0)).status == 422
    assert hub.get(path("map", seconds=90_000)).status == 422
