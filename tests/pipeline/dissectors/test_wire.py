"""Arithmetic of gaps."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.dissectors._wire import Wire

from ._streams import Side


def wire(data: bytes, *gaps: tuple[int, int, int]) -> Wire:
    return Wire(Side(memoryview(data), gaps))


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [(0, 3, 3), (0, 5, 5), (2, 8, 10), (5, 2, 7), (10, 4, 14)],
)
def test_gap_of_its_own_size_changes_nothing(start: int, count: int, expected: int) -> None:
    assert wire(bytes(20), (4, 6, 2)).after(start, count) == expected


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [(0, 4, 4), (0, 5, 6), (0, 104, 6), (0, 105, 7), (6, 5, 11)],
)
def test_capped_gap_counts_for_all_it_stands_for(start: int, count: int, expected: int) -> None:
    assert wire(bytes(20), (4, 6, 100)).after(start, count) == expected


def test_captured_leaves_gaps_out() -> None:
    pieces = wire(b"ab\0\0cd\0ef", (2, 4, 2), (6, 7, 1))
    assert pieces.captured(0, 9) == b"abcdef"
    assert pieces.captured(1, 5) == b"bc"
    assert pieces.captured(3, 6) == b"cd"
    assert pieces.captured(2, 4) == b""


def test_gap_in_finds_the_first_overlap() -> None:
    gaps = wire(bytes(20), (2, 4, 2), (6, 7, 1))
    assert gaps.gap_in(0, 2) is None
    assert gaps.gap_in(3, 9) == (2, 4, 2)
    assert gaps.gap_in(4, 9) == (6, 7, 1)
