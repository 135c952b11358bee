"""Packets that were not written in the order of their times: several interfaces, or several queues of one.

Each is read when it is full, or some time has gone by; what they saw lies behind each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline import Entry, Pipeline
from tests.pipeline._stores import long_talk, make_store
from tests.pipeline._traffic import MS, SECOND, Capture, Connection, find


def time_of(record: bytes) -> int:
    seconds, rest = unpack_from("<II", record)
    return int(seconds) * SECOND + int(rest)


def moved(record: bytes, later_ns: int) -> bytes:
    seconds, rest = divmod(time_of(record) + later_ns, SECOND)
    return seconds.to_bytes(4, "little") + rest.to_bytes(4, "little") + record[8:]


SHOWN = ("protocol", "src", "dst", "timestamp", "request", "response", "data", "elapsedTime", "error")


def told(entries: Sequence[Entry]) -> list[str]:
    """Return what entries say, whatever they are called."""
    documents = [entry.to_dict() for entry in entries]
    return sorted(json.dumps([document[name] for name in SHOWN], default=str) for document in documents)


def seen_by(count: int) -> Capture:
    """Return a talk as so many interfaces saw it, a microsecond later each; the latest was read first."""
    capture = Capture()
    connection = Connection(capture).open()
    for _ in range(3):
        connection.ask().answer()
    connection.end(0).end(1)
    once = capture.records
    capture.records = [moved(record, number * 1000) for number in range(count)[::-1] for record in once]
    return capture


@pytest.mark.parametrize("count", [2, 3])
def test_what_several_interfaces_saw(count: int) -> None:
    assert told(find(seen_by(count), "http")) == told(find(seen_by(1), "http"))


def test_a_segment_that_ends_between_two_interfaces() -> None:
    """The next one begins with the same SYN again: what it holds is whole, too, and no half of anything."""
    found = find(seen_by(3), "http", cuts=[12])
    assert {entry.error for entry in found} == {None}
    assert {entry.start_ns // MS for entry in found} == {entry.start_ns // MS for entry in find(seen_by(1), "http")}


def test_a_store_has_the_same_entries(tmp_path: Path) -> None:
    with Pipeline.open(make_store(tmp_path / "store", seen_by(3))) as pipeline:
        found = list(pipeline.query("http"))
        again = [pipeline.entry(entry.id) for entry in found]
    assert told(found) == told(find(seen_by(1), "http"))
    assert [each.id if each else "" for each in again] == [entry.id for entry in found]


TALK = long_talk(rounds=3)


@given(delays=st.lists(st.integers(0, 20), min_size=len(TALK.records), max_size=len(TALK.records)))
def test_packets_that_are_written_late(delays: list[int]) -> None:
    late = sorted(zip(TALK.records, delays, strict=True), key=lambda one: time_of(one[0]) + one[1] * MS)
    shuffled = Capture(records=[record for record, _ in late])
    assert told(find(shuffled)) == told(find(TALK))
