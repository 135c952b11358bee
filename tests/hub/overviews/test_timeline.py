"""The timeline's lanes: every entry in one bar, where and when it was."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from kubeshark.hub.answers._sums import Counted
from kubeshark.hub.overviews import _timeline
from kubeshark.hub.overviews._timeline import LaneGroup, Lanes, Timeline
from kubeshark.pipeline import Run
from kubeshark.pipeline.kfl import compile_filter
from tests.hub._serving import Hub, entries, path

NUMBERS = ("src.port", "dst.port", "elapsed_time", "error", "status_code")

WHOLE = Counted(stopped="")


class Rows:
    """A run of entries that are given as columns; what is not given is empty."""

    def __init__(self, starts: list[int], **columns: list[Any]) -> None:
        self.start_ns = np.array(starts, dtype=np.int64)
        self.columns = {name.replace("__", "."): column for name, column in columns.items()}

    def __len__(self) -> int:
        return len(self.start_ns)

    def column(self, name: str) -> list[Any]:
        return self.columns.get(name, [0 if name in NUMBERS else ""] * len(self))

    def only(self, places: list[int]) -> Rows:
        of = {name: [column[at] for at in places] for name, column in self.columns.items()}
        return Rows(self.start_ns[places].tolist(), **of)


def added(group: LaneGroup, *runs: Rows, low: int = 0, high: int = 999, buckets: int = 10) -> Lanes:
    lanes = Lanes(group, low, high, buckets)
    for run in runs:
        lanes.add(cast("Run", run))
    return lanes


def rows(starts: list[int], **more: list[Any]) -> Rows:
    count = len(starts)
    usual: dict[str, list[Any]] = {
        "id": [f"s-{start}-0" for start in starts],
        "protocol": ["HTTP"] * count,
        "src__ip": ["10.0.0.1"] * count,
        "dst__ip": ["10.0.0.2"] * count,
    }
    return Rows(starts, **{**usual, **more})


def test_entries_of_a_bucket_are_one_bar() -> None:
    run = rows(
        [5, 20, 99, 100, 950],
        elapsed_time=[0, 3, 0, 0, 1],
        status_code=[200, 500, 200, 404, 0],
        error=[False, False, False, False, True],
        protocol=["HTTP", "DNS", "DNS", "HTTP", "HTTP"],
    )
    answer = added("peers", run).answer(10, WHOLE)
    (lane,) = answer.lanes
    assert (answer.start, answer.span, answer.entries, answer.hidden_lanes) == ("0", 1000, 5, 0)
    assert [(bar.first, bar.last, bar.entries, bar.errors, bar.protocol, bar.id) for bar in lane.bars] == [
        (5, 3_020, 3, 1, "DNS", "s-5-0"),  # what is answered later than its bucket reaches further
        (100, 100, 1, 1, "HTTP", "s-100-0"),
        (950, 1_950, 1, 1, "HTTP", "s-950-0"),
    ]
    assert (lane.first, lane.last, lane.entries, lane.errors) == (5, 3_020, 5, 3)
    assert lane.name == "10.0.0.1 → 10.0.0.2"
    assert lane.kfl == 'src.ip == "10.0.0.1" && dst.ip == "10.0.0.2"'


def test_runs_go_on_with_the_bars_of_those_before() -> None:
    starts = [1, 50, 120, 130, 420, 421]
    whole = added("peers", rows(starts)).answer(10, WHOLE)
    assert added("peers", rows(starts[:2]), rows(starts[2:3]), rows(starts[3:])).answer(10, WHOLE) == whole


def test_what_begins_before_the_time_is_in_the_first_bar() -> None:
    (lane,) = added("peers", rows([90, 150, 5_000]), low=100, high=199).answer(10, WHOLE).lanes
    assert [bar.first for bar in lane.bars] == [-10, 50, 4_900]


def test_lanes_are_the_busiest_connections_by_time() -> None:
    run = rows([1, 2, 3, 4, 5, 6], stream=["c", "b", "b", "a", "c", "d"], src__ip=["::1"] * 6, src__port=[7] * 6)
    answer = added("stream", run).answer(2, WHOLE)
    assert [(lane.kfl, lane.entries) for lane in answer.lanes] == [('stream == "c"', 2), ('stream == "b"', 2)]
    assert answer.lanes[0].name == "[::1]:7 → 10.0.0.2:0"
    assert (answer.hidden_lanes, answer.hidden_entries) == (2, 2)


def test_a_service_has_one_lane_whoever_asks_it() -> None:
    run = rows([1, 2], dst__service__name=["db", "db"], dst__service__namespace=["data"] * 2, src__ip=["::1", "::2"])
    (lane,) = added("service", run).answer(9, WHOLE).lanes
    assert (lane.name, lane.entries) == ("data/db", 2)
    compile_filter(lane.kfl, now_ns=0)


def test_a_hostile_name_stays_a_text_in_the_filter() -> None:
    hostile = 'a" || true || "\n'
    for group, names in (("service", {"dst__service__name": [hostile]}), ("stream", {"stream": [hostile]})):
        (lane,) = added(cast("LaneGroup", group), rows([1], **names)).answer(9, WHOLE).lanes
        assert r'"a\" || true || \"\n"' in lane.kfl
        compile_filter(lane.kfl, now_ns=0)


def test_lanes_and_bars_are_bounded_and_what_has_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_timeline, "MAX_KEPT", 3)
    monkeypatch.setattr(_timeline, "MAX_BARS", 2)
    run = rows([1, 2, 3, 4, 5], stream=["a", "b", "c", "d", "a"])
    answer = added("stream", run).answer(9, WHOLE)
    assert [lane.entries for lane in answer.lanes] == [2, 1, 1]
    assert sum(len(lane.bars) for lane in answer.lanes) == 2
    assert (answer.entries, answer.hidden_entries) == (5, 1)


@pytest.mark.parametrize("group", ["peers", "service", "stream"])
def test_every_entry_of_a_store_is_in_one_bar(hub: Hub, group: str) -> None:
    found = entries(hub, "http || dns")
    answer = Timeline.model_validate(hub.json(path("timeline", kfl="http || dns", group=group, limit=500)))
    assert answer.entries == len(found) == sum(bar.entries for lane in answer.lanes for bar in lane.bars)
    ids = {entry["id"]: round(entry["timestamp"] * 1_000_000) for entry in found}
    for lane in answer.lanes:
        assert len(entries(hub, f"(http || dns) && {lane.kfl}")) == lane.entries
        assert all(abs(int(answer.start) + bar.first - ids[bar.id]) < 1_000_000 for bar in lane.bars)


def test_a_time_that_ends_before_it_begins_is_refused(hub: Hub) -> None:
    assert hub.get(path("timeline", since=2, until=1)).status == 400
    assert hub.json(path("timeline", since=1, until=1))["lanes"] == []


def test_times_as_far_as_numbers_go_are_times(hub: Hub) -> None:
    found = hub.json(path("timeline", kfl="http", since=-(2**63) + 1, until=2**63 - 1))
    assert found["start"] == "0"
    assert sum(bar["entries"] for lane in found["lanes"] for bar in lane["bars"]) == len(entries(hub, "http"))


def test_what_was_told_in_between_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lanes, "_called", lambda *_: ("one", "true"))  # two keys by one name, as names that changed
    run = rows([1, 2, 30, 40], src__ip=["::1", "::2", "::1", "::2"])
    lanes = added("peers", run)
    first, again = lanes.answer(9, WHOLE), lanes.answer(9, WHOLE)
    assert first == again
    assert [(lane.entries, [bar.entries for bar in lane.bars]) for lane in first.lanes] == [(4, [4])]
    lanes.add(cast("Run", run))
    assert [bar.entries for bar in lanes.answer(9, WHOLE).lanes[0].bars] == [8]
