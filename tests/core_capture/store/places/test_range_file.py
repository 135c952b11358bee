"""Ranges of an object: as few requests as it takes, and always the right bytes."""

from __future__ import annotations

import os
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.core_capture.store.places._range_file import GAP_BYTES, MAX_REQUEST_BYTES, RangedFile, coalesce

MIB = 1 << 20
CONTENT = os.urandom(MIB) * 12
CLIENT = ObjectClient(f"memory://{os.urandom(8).hex()}")
CLIENT.put("a", CONTENT)
PLACES = st.integers(0, len(CONTENT))


def opened(*, first_bytes: int = 100, size: int | None = None) -> RangedFile:
    return RangedFile(CLIENT, "a", size=size, version="", first_bytes=first_bytes, start=None)


def test_neighbours_are_asked_for_together() -> None:
    assert coalesce([]) == []
    assert coalesce([(10, 0), (10, 10), (5, 20 + GAP_BYTES)]) == [(25 + GAP_BYTES, 0)]
    assert coalesce([(10, 0), (5, 11 + GAP_BYTES)]) == [(10, 0), (5, 11 + GAP_BYTES)]
    half = MAX_REQUEST_BYTES // 2
    assert coalesce([(half, 0), (half, half), (1, 2 * half)]) == [(2 * half, 0), (1, 2 * half)]
    assert coalesce([(100, 0), (10, 50)]) == [(100, 0)]


@given(st.lists(st.tuples(PLACES, st.integers(0, MIB)), max_size=6), st.booleans(), st.sampled_from([1, 5000, MIB]))
def test_every_read_returns_its_bytes(wanted: list[tuple[int, int]], knows_size: bool, first_bytes: int) -> None:
    with closing(opened(first_bytes=first_bytes, size=len(CONTENT) if knows_size else None)) as file:
        for offset, length in wanted:
            assert file.pread(length, offset) == CONTENT[offset : offset + length]
        assert file.size() == len(CONTENT)


@given(st.lists(st.tuples(PLACES, st.integers(1, MIB)), max_size=12))
def test_many_ranges_return_their_bytes(wanted: list[tuple[int, int]]) -> None:
    ranges = sorted((offset, min(length, len(CONTENT) - offset)) for offset, length in wanted if offset < len(CONTENT))
    with closing(opened(size=len(CONTENT))) as file:
        before = CLIENT.requests.reads
        found = file.preads([(length, offset) for offset, length in ranges])
        assert found == [CONTENT[offset : offset + length] for offset, length in ranges]
        assert CLIENT.requests.reads - before <= len(ranges)


def test_who_reads_on_gets_more_at_once() -> None:
    before = CLIENT.requests.reads
    with closing(opened(size=len(CONTENT))) as file:
        read = b"".join(file.pread(64 << 10, at) for at in range(0, len(CONTENT), 64 << 10))
    assert read == CONTENT
    assert CLIENT.requests.reads - before <= 5
