"""Sides carved out of other sides: where their bytes came from, and when."""

from __future__ import annotations

import pytest

from kubeshark.extension_api import carved, rest_of
from tests.pipeline.dissectors._streams import Side

BASE = Side(memoryview(b"0123456789"), ((4, 6, 100),), True, ((0, 1000), (3, 2000), (8, 3000)))


def test_the_rest_begins_at_its_offset() -> None:
    side = rest_of(BASE, 3)
    assert bytes(side.data) == b"3456789"
    assert side.gaps == [(1, 3, 100)]
    assert not side.starts_midway
    assert [side.time_at(offset) for offset in range(7)] == [2000] * 5 + [3000] * 2
    assert [side.packet_at(offset) for offset in (0, 4, 5, 99)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("at", "gaps"), [(0, [(4, 6, 100)]), (4, [(0, 2, 100)]), (5, [(0, 1, 100)]), (6, []), (-1, [(4, 6, 100)]), (99, [])]
)
def test_gaps_of_the_rest(at: int, gaps: list[tuple[int, int, int]]) -> None:
    assert rest_of(BASE, at).gaps == gaps


def test_the_rest_from_the_first_byte_on_may_start_midway() -> None:
    assert rest_of(BASE, 0).starts_midway


def test_the_rest_of_a_rest() -> None:
    side = rest_of(rest_of(BASE, 3), 2)
    assert bytes(side.data) == b"56789"
    assert side.time_at(3) == 3000


def test_a_piece_of_other_length_arrives_with_its_last_byte() -> None:
    side = carved(BASE, b"abcdef", [(0, 0, 4), (3, 5, 10)])
    assert [side.origin(offset) for offset in range(6)] == [3, 3, 3, 9, 9, 9]
    assert [side.time_at(offset) for offset in (0, 3)] == [2000, 3000]


def test_a_piece_of_equal_length_keeps_its_bytes_apart() -> None:
    side = carved(BASE, b"abcdef", [(0, 1, 4), (3, 7, 10)])
    assert [side.origin(offset) for offset in range(-1, 8)] == [1, 1, 2, 3, 7, 8, 9, 9, 9]


def test_nothing_at_all() -> None:
    side = carved(BASE, b"", [])
    assert (side.origin(5), side.time_at(5)) == (0, 1000)
