"""Where a capture is cut into segments must not matter: same entries, whatever the cuts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import RecordBatch, load_core
from kubeshark.core_capture.files import open_capture
from kubeshark.pipeline import Entry, Plugins
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._query import Query
from kubeshark.pipeline.reading import _segments
from kubeshark.pipeline.reading._segments import MemorySegment
from tests.pipeline._traffic import OK, Capture, Connection, dns, find

ETHERNET = 1


SAMPLE = Path(__file__).resolve().parents[3] / "examples" / "captures" / "sample.pcapng"


@functools.cache
def records() -> tuple[bytes, list[int]]:
    """Some of the sample's Ethernet records, and where each begins."""
    with open_capture(SAMPLE) as reader:
        data = b"".join(batch.data for batch in reader if batch.link_type == ETHERNET)[: 600 << 10]
    offsets, end = load_core().offsets(data)
    return data[:end], [*offsets.tolist(), end]


def query(data: bytes, offsets: Sequence[int], cuts: Sequence[int]) -> list[Entry]:
    core, plugins = load_core(), Plugins()
    bounds = sorted({0, len(offsets) - 1, *cuts})
    segments = [
        MemorySegment.of(
            f"s{number}", [RecordBatch(ETHERNET, data[offsets[low] : offsets[high]], range(low, high))], core
        )
        for number, (low, high) in enumerate(pairwise(bounds))
    ]
    entry_filter = EntryFilter("", plugins, now_ns=0)
    dissector = Dissector(core, plugins, [], Origin())
    return list(Query(segments, dissector, entry_filter, entry_filter.predicate))


def contents(entry: Entry) -> str:
    document = entry.to_dict()
    for name in ("id", "index", "entryFile"):  # these say where it lies
        del document[name]
    return repr(document)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(st.floats(0.01, 0.99), max_size=4))
def test_cuts_between_segments_do_not_matter(parts: list[float]) -> None:
    data, offsets = records()
    whole = query(data, offsets, [])
    cut = query(data, offsets, [int(part * (len(offsets) - 1)) for part in parts])
    assert sorted(map(contents, cut)) == sorted(map(contents, whole))


def test_entries_come_in_time_order_and_ids_are_unique() -> None:
    data, offsets = records()
    entries = query(data, offsets, [len(offsets) // 3, len(offsets) // 2])
    times = [entry.start_ns for entry in entries]
    assert times == sorted(times)
    assert len({entry.id for entry in entries}) == len(entries)


def test_an_id_names_the_segment_of_the_first_byte() -> None:
    data, offsets = records()
    cut = len(offsets) // 2
    times = np.array([int.from_bytes(data[at : at + 4], "little") * 10**9 for at in offsets[:-1]])
    for entry in query(data, offsets, [cut]):
        if entry.entry_id.number == "conn":
            continue
        first_of_second = int(times[cut])
        if entry.entry_id.segment == "s1":
            assert entry.start_ns >= first_of_second


def test_a_segment_without_chosen_flows_among_others_is_passed_over() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    capture.add(dns(1))
    assert [entry.id for entry in find(capture, "dns", cuts=[2, 4])] == ["s2-0-0"]


def test_a_connection_too_long_to_be_read_together_begins_a_new_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture()
    Connection(capture).open().ask().answer(OK[:20]).answer(OK[20:])
    (whole,) = find(capture, "http", cuts=[4])
    assert whole.error is None
    monkeypatch.setattr(_segments, "MAX_CHAIN_BYTES", 40)
    found = find(capture, "", cuts=[4])
    assert {entry.entry_id.segment for entry in found} == {"s0", "s1"}


def test_a_port_used_again_in_the_next_segment_is_another_connection() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    Connection(capture, sequence=[900_000, 700_000]).open().ask().answer()
    first, second = find(capture, "http", cuts=[4])
    assert (first.id, second.id) == ("s0-0-0", "s1-0-0")
    assert first.facts.stream != second.facts.stream
