"""Chunks: how connections are cut into them never changes an entry, and each stays within its bound."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import And
from kubeshark.pipeline.entries._order import Order, Window
from kubeshark.pipeline.query import _plan
from kubeshark.pipeline.query._plan import make_plan
from tests.pipeline._stores import long_talk, mixed
from tests.pipeline._traffic import Capture, make_query

EVERYTHING = And(())
CAPTURES = (long_talk(), mixed())


def documents(capture: Capture, cuts: list[int], **options: Any) -> list[dict[str, Any]]:
    return [entry.to_dict() for entry in make_query(capture.segments(*cuts), **options)]


def by_id(found: list[dict[str, Any]]) -> dict[str, Any]:
    result = {document["id"]: document for document in found}
    assert len(result) == len(found)
    return result


@settings(max_examples=30)
@given(
    capture=st.sampled_from(CAPTURES),
    cuts=st.lists(st.integers(1, 35), max_size=3, unique=True).map(sorted),
    chunk_bytes=st.integers(1, 4_000),
    order=st.sampled_from(["asc", "desc"]),
)
def test_chunks_never_change_entries(capture: Capture, cuts: list[int], chunk_bytes: int, order: Order) -> None:
    whole = documents(capture, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "CHUNK_BYTES", chunk_bytes)
        found = documents(capture, cuts, order=order)
    assert found == (whole if order == "asc" else whole[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_chunks_are_bounded_and_sorted(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "CHUNK_BYTES", 1_000)
    segments = mixed(12).segments(40, 80)
    plan = make_plan(segments, EVERYTHING, Window(), order)
    chunks = [chunk for task in plan.tasks for chunk in task.chunks]
    assert len(chunks) > 10
    assert all(chunk.size <= 1_000 or len(chunk.begins.rows) == 1 for chunk in chunks)
    spots = [task.spot(order, Window()) for task in plan.tasks]
    assert spots == sorted(spots)
    for task in plan.tasks:
        inside = [chunk.spot(order, Window()) for chunk in task.chunks]
        assert inside == sorted(inside)
    assert sum(len(chunk.begins.rows) for chunk in chunks) == sum(len(begins.rows) for begins in plan.joined)


def test_a_query_that_may_stop_early_begins_with_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "FIRST_CHUNK_BYTES", 700)
    segments = mixed(12).segments()
    (whole,) = make_plan(segments, EVERYTHING, Window(), "asc").tasks
    (task,) = make_plan(segments, EVERYTHING, Window(), "asc", stops_early=True).tasks
    assert len(whole.chunks) == 1
    sizes = [chunk.size for chunk in task.chunks]
    assert sizes[0] <= 700
    assert sizes[0] < sizes[-2]


def test_a_chunk_has_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "CHUNK_FLOWS", 5)
    segments = mixed(12).segments()
    chunks = make_plan(segments, EVERYTHING, Window(), "asc").tasks[0].chunks
    rows = [row for chunk in chunks for row in chunk.begins.rows.tolist()]
    assert {len(chunk.begins.rows) for chunk in chunks[:-1]} == {5}
    assert sorted(rows) == list(range(len(segments[0].flows)))


def test_under_a_budget_chunks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plan, "FIRST_CHUNK_BYTES", 700)
    monkeypatch.setattr(_plan, "BUDGET_CHUNK_BYTES", 1_400)
    (task,) = make_plan(mixed(12).segments(), EVERYTHING, Window(), "asc", has_budget=True, keeps_columns=True).tasks
    sizes = [chunk.size for chunk in task.chunks]
    assert sizes[0] <= 700 < max(sizes) <= 1_400
    bounds = [chunk.first_ns for chunk in task.chunks]
    assert bounds == sorted(bounds)  # by time, so that what was found can be handed out when it ends


def test_the_newest_need_not_wait_for_the_first_segment() -> None:
    segments = long_talk(6).segments(20, 50)
    plan = make_plan(segments, EVERYTHING, Window(), "desc")
    newest = plan.tasks[0]
    early = [chunk for chunk in newest.chunks if chunk.begins.segment.name == "s0"]
    assert [chunk.begins.rows.tolist() for chunk in early] == [[0, 2]]  # the long connection and its datagrams
    assert sum(len(begins.rows) for begins in plan.joined[:1]) > 2


def test_connections_that_reach_into_the_window_are_planned_whole() -> None:
    capture = long_talk(6)
    plan = make_plan(capture.segments(30), EVERYTHING, Window(since_ns=capture.now_ns - 1_100_000_000), "asc")
    assert plan.flows_selected < plan.flows
    assert {row for begins in plan.joined for row in begins.chained} == {0, 2}
