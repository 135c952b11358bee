"""A window never changes an entry: connections that reach into it are read with their parts outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import Predicate
from kubeshark.pipeline.reading._segments import IDLE_NS, LINGER_NS, MemorySegment
from tests.pipeline._stores import long_talk, mixed
from tests.pipeline._traffic import SECOND, START_NS, Capture, Connection, dns, make_query


@dataclass
class Aside:
    """Segments in memory that a query has to ask for."""

    segments: Sequence[MemorySegment]
    opened: list[str] = field(default_factory=list)

    def spans(self) -> list[tuple[str, int, int]]:
        return [(segment.name, *times(segment)) for segment in self.segments]

    def holding(self, predicate: Predicate) -> set[str]:
        return {segment.name for segment in self.segments}

    def open(self, name: str) -> MemorySegment:
        self.opened += [name] if name not in self.opened else []
        return next(segment for segment in self.segments if segment.name == name)


def times(segment: MemorySegment) -> tuple[int, int]:
    return int(segment.flows["first_ns"].min()), int(segment.flows["last_ns"].max())


def looked(
    capture: Capture, cuts: list[int], since_ns: int, until_ns: int, kfl: str
) -> tuple[list[dict[str, Any]], Aside]:
    """Query a window; only segments that lie in it are given."""
    inside, outside = [], []
    for segment in capture.segments(*cuts):
        first, last = times(segment)
        (inside if last >= since_ns and first <= until_ns else outside).append(segment)
    aside = Aside(outside)
    query = make_query(inside, kfl, since_ns=since_ns, until_ns=until_ns, elsewhere=aside if outside else None)
    return [entry.to_dict() for entry in query], aside


@settings(max_examples=25)
@given(
    capture=st.sampled_from([long_talk(), mixed()]),
    cuts=st.lists(st.integers(1, 35), max_size=5, unique=True).map(sorted),
    window=st.tuples(st.integers(-1, 5_000), st.integers(0, 5_000)),
    kfl=st.sampled_from(["", "http", "dns"]),
)
def test_windows_choose_among_the_entries_that_there_are(
    capture: Capture, cuts: list[int], window: tuple[int, int], kfl: str
) -> None:
    since_ns = START_NS + window[0] * SECOND // 1000
    until_ns = since_ns + window[1] * SECOND // 1000
    everything = [(entry.start_ns, entry.to_dict()) for entry in make_query(capture.segments(*cuts), kfl)]
    expected = [document for start_ns, document in everything if since_ns <= start_ns <= until_ns]
    assert looked(capture, cuts, since_ns, until_ns, kfl)[0] == expected


def test_a_time_in_the_filter_is_no_other() -> None:
    capture = long_talk(4)
    cuts = [15, 30]
    at = capture.now_ns - 2 * SECOND
    everything = [(entry.start_ns, entry.id) for entry in make_query(capture.segments(*cuts), "http")]
    seconds = f'timestamp("2023-11-14T22:13:{20 + (at - START_NS) // SECOND:02}Z")'
    found = make_query(capture.segments(*cuts), f"http && timestamp >= {seconds}")
    low = START_NS + (at - START_NS) // SECOND * SECOND
    assert [entry.id for entry in found] == [number for start_ns, number in everything if start_ns >= low]


def test_only_segments_that_may_hold_parts_are_opened() -> None:
    capture = Capture()
    capture.add(dns(1))
    capture.wait(2 * IDLE_NS / SECOND)
    long = Connection(capture).open().ask()
    capture.wait(10)
    capture.add(dns(2))
    capture.wait(10)
    long.answer()
    capture.add(dns(3))
    found, aside = looked(capture, [1, 4, 5], capture.now_ns - 5 * SECOND, capture.now_ns, "")
    assert aside.opened == ["s2", "s1"]  # not where the datagrams had been quiet for long, nor before the SYN
    assert [document["id"] for document in found if document["protocol"]["macro"] == "dns"] == ["s3-1-0"]


def test_connections_that_begin_in_the_window_need_no_other_segment() -> None:
    capture = Capture()
    Connection(capture, client_port=41_000).open().ask().answer()
    capture.wait(5_000)
    Connection(capture).open().ask().answer()
    _, aside = looked(capture, [4], capture.now_ns - SECOND, capture.now_ns, "")
    assert aside.opened == []


@pytest.mark.parametrize(("seconds", "joined"), [(30, True), (2 * LINGER_NS / SECOND, False)])
def test_a_connection_that_has_ended_goes_on_for_a_moment(seconds: float, joined: bool) -> None:
    capture = Capture()
    connection = Connection(capture).open().ask().answer().end(0).end(1)
    capture.wait(seconds)
    connection.answer(b"")
    found = list(make_query(capture.segments(6), "conn"))
    assert len(found) == (1 if joined else 2)


@pytest.mark.parametrize(("seconds", "joined"), [(600, True), (2 * IDLE_NS / SECOND, False)])
def test_datagrams_belong_together_until_they_are_quiet_for_long(seconds: float, joined: bool) -> None:
    capture = Capture()
    capture.add(dns(1))
    capture.wait(seconds)
    capture.add(dns(2))
    assert len(list(make_query(capture.segments(1), "conn"))) == (1 if joined else 2)


def test_a_part_that_cannot_be_opened_is_done_without() -> None:
    class Gone(Aside):
        def open(self, name: str) -> None:  # type: ignore[override]
            return None

    capture = long_talk(3)
    first, second = capture.segments(14)
    query = make_query([second], "http", since_ns=START_NS + SECOND, elsewhere=Gone([first]))
    assert list(query)
