"""TCP reassembly: what arrives in any order comes out in stream order, and nothing hostile gets far."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._columns import Direction, Gap
from kubeshark.core_capture.reference import _limits
from kubeshark.core_capture.reference._streams import Segment, assemble_direction
from tests.core_capture.reference._packets import FLAGS

ISN = 0xFFFF_FFF0  # positions from 15 on lie behind the wrap
TEXT = bytes(random.Random(1).randbytes(400))


def segment(at: int, payload: bytes = b"", flags: str = "A", packet: int = 0) -> Segment:
    """A segment whose payload begins at a position of the stream."""
    sequence = (ISN + 1 + at - ("S" in flags)) & 0xFFFF_FFFF
    return Segment(packet, sequence, sum(FLAGS[flag] for flag in flags), payload)


def assemble(*segments: Segment, isn: int | None = ISN) -> Direction:
    numbered = [Segment(index, one.sequence, one.flags, one.payload) for index, one in enumerate(segments)]
    return assemble_direction(numbered, isn)


def chunks(side: Direction) -> list[tuple[int, int]]:
    return list(zip(side.chunk_starts.tolist(), side.chunk_packets.tolist(), strict=True))


def test_in_order_and_over_the_wrap() -> None:
    side = assemble(segment(0, flags="S"), segment(0, TEXT[:10]), segment(10, TEXT[10:200]), segment(200, TEXT[200:]))
    assert bytes(side.data) == TEXT
    assert chunks(side) == [(0, 1), (10, 2), (200, 3)]
    assert (side.gaps, side.retransmissions, side.out_of_order, side.overlaps) == ((), 0, 0, 0)
    assert not side.starts_midway


def test_out_of_order() -> None:
    side = assemble(segment(200, TEXT[200:]), segment(0, TEXT[:100]), segment(100, TEXT[100:200]))
    assert bytes(side.data) == TEXT
    assert chunks(side) == [(0, 1), (100, 2), (200, 0)]
    assert (side.out_of_order, side.retransmissions) == (2, 0)


def test_retransmission() -> None:
    side = assemble(segment(0, TEXT[:100]), segment(0, TEXT[:100]), segment(50, TEXT[50:100]), segment(50, TEXT[50:]))
    assert bytes(side.data) == TEXT
    assert chunks(side) == [(0, 0), (100, 3)]
    assert (side.retransmissions, side.overlaps, side.out_of_order) == (2, 0, 0)


def test_the_byte_that_came_first_stays() -> None:
    side = assemble(segment(4, b"EFGH"), segment(0, b"abcdefghijkl"))
    assert bytes(side.data) == b"abcdEFGHijkl"
    assert chunks(side) == [(0, 1), (4, 0), (8, 1)]
    assert (side.overlaps, side.out_of_order) == (4, 1)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 390), st.integers(1, 60)), max_size=20),
    st.booleans(),
)
def test_pieces_of_a_text_give_the_text(isn: int, pieces: list[tuple[int, int]], has_syn: bool) -> None:
    segments = [
        Segment(index, (isn + 1 + at) & 0xFFFF_FFFF, FLAGS["A"] | FLAGS["P"], TEXT[at : at + size])
        for index, (at, size) in enumerate(pieces)
    ]
    side = assemble_direction(segments, isn if has_syn else None)
    there = {place for at, size in pieces for place in range(at, min(at + size, len(TEXT)))}
    if not there:
        assert len(side.data) == 0
        return
    first = 0 if has_syn else min(there)
    expected = bytes(TEXT[place] if place in there else 0 for place in range(first, max(there) + 1))
    assert bytes(side.data) == expected
    assert sum(gap.missing for gap in side.gaps) == len(expected) - len(there)
    assert all(gap.missing == gap.end - gap.start for gap in side.gaps)
    assert side.overlaps == 0
    owner = {}
    for (start, packet), end in zip(chunks(side), [*side.chunk_starts.tolist()[1:], len(expected)], strict=True):
        owner.update(dict.fromkeys(range(start, end), packet))
    for place in there:
        at, size = pieces[owner[place - first]]
        assert at <= place < at + size
        assert not any(a <= place < a + s for a, s in pieces[: owner[place - first]])


def test_data_with_syn_and_fin() -> None:
    side = assemble(segment(0, b"early ", "S"), segment(0, b"early data", "A"), segment(10, b", last", "FPA"))
    assert bytes(side.data) == b"early data, last"


def test_data_with_another_syn_is_none() -> None:
    side = assemble(segment(300, b"other attempt", "S"), segment(0, b"data"))
    assert bytes(side.data) == b"data"


def test_the_cause_of_a_reset_is_no_data() -> None:
    side = assemble(segment(0, b"data"), segment(4, b"connection refused by policy", "R"))
    assert bytes(side.data) == b"data"


def test_keep_alive_probes_leave_no_trace() -> None:
    side = assemble(segment(-1, b"\0"), segment(0, b"data"), segment(3, b"\0"), segment(4, b" and more"))
    assert bytes(side.data) == b"data and more"
    assert (side.overlaps, side.retransmissions) == (0, 0)


def test_keep_alive_probes_before_a_stream_seen_from_the_middle() -> None:
    side = assemble(segment(99, b"\0"), segment(99, b"\0"), segment(100, b"data"), isn=None)
    assert bytes(side.data) == b"data"
    side = assemble(segment(99, b"x", "PA"), segment(100, b"data"), isn=None)
    assert bytes(side.data) == b"xdata"


def test_zero_window_probes_are_data() -> None:
    side = assemble(segment(0, b"data"), segment(4, b" "), segment(4, b" and more"))
    assert bytes(side.data) == b"data and more"


def test_a_start_in_the_middle() -> None:
    side = assemble(segment(1000, TEXT[100:]), segment(900, TEXT[:100]), isn=None)
    assert bytes(side.data) == TEXT
    assert side.starts_midway
    assert side.gaps == ()


def test_an_empty_side() -> None:
    for side in (assemble(), assemble(segment(0, flags="S"), segment(5, flags="FA")), assemble(isn=None)):
        assert (bytes(side.data), side.gaps, chunks(side)) == (b"", (), [])


def test_gaps() -> None:
    side = assemble(segment(10, b"abc"), segment(20, b"def"), segment(30, flags="FA"))
    assert bytes(side.data) == bytes(10) + b"abc" + bytes(7) + b"def" + bytes(7)
    assert side.gaps == (Gap(0, 10, 10), Gap(13, 20, 7), Gap(23, 30, 7))
    assert chunks(side) == [(0, 0), (20, 1)]


def test_a_large_gap_is_capped() -> None:
    text = b"x" * 100_000
    side = assemble(segment(0, text), segment(len(text) + 5_000_000, b"end"))
    assert side.gaps == (Gap(len(text), len(text) + _limits.MAX_GAP_FILL, 5_000_000),)
    assert chunks(side) == [(0, 0), (len(text) + _limits.MAX_GAP_FILL, 1)]


def test_zeros_are_bounded_by_what_was_captured() -> None:
    side = assemble(*(segment(number * 10_000_000, b"x") for number in range(100)))
    assert len(side.data) == 100 + _limits.GAP_FILL_BASE + 100 * _limits.GAP_FILL_PER_BYTE
    assert sum(gap.missing for gap in side.gaps) == 99 * 9_999_999
    assert side.gaps[-1].start == side.gaps[-1].end == len(side.data) - 1


def test_forged_sequence_numbers_mislead_nobody_but_themselves() -> None:
    forged = [segment(at, b"evil") for at in ((1 << 31) - 1, (1 << 30), 3 << 29, (1 << 31) - 9)]
    pieces = [segment(at, TEXT[at : at + 50]) for at in range(0, 400, 50)]
    mixed = [one for pair in zip(pieces, forged * 2, strict=True) for one in pair]
    side = assemble(*mixed)
    assert bytes(side.data[:400]) == TEXT
    assert side.gaps[0].missing == (1 << 30) - 400
    side = assemble(*mixed, isn=None)
    assert bytes(side.data[:400]) == TEXT


def test_what_is_behind_the_stream_is_dropped() -> None:
    side = assemble(segment(-(1 << 31), b"evil"), segment(0, TEXT[:100]), segment(-(1 << 30), b"evil"))
    assert bytes(side.data) == TEXT[:100]
    assert side.retransmissions == 0


def test_below_the_start_is_dropped() -> None:
    side = assemble(segment(-4, b"evildata"))
    assert bytes(side.data) == b"data"


def test_a_stream_ends_at_its_limit(monkeypatch: Any) -> None:
    monkeypatch.setattr("kubeshark.core_capture.reference._streams.MAX_STREAM_BYTES", 150)
    side = assemble(segment(0, TEXT[:100]), segment(100, TEXT[100:200]), segment(200, TEXT[200:]), segment(900, b"x"))
    assert bytes(side.data) == TEXT[:150]
    assert chunks(side) == [(0, 0), (100, 1)]
    side = assemble(segment(0, TEXT[:100]), segment(200, TEXT[200:300]))
    assert bytes(side.data) == TEXT[:100] + bytes(50)
    assert side.gaps == (Gap(100, 150, 100),)


def test_data_behind_four_gigabytes() -> None:
    step = 1 << 29
    side = assemble(*(segment(number * step, b"x") for number in range(10)))
    assert len(side.chunk_starts) == 10
    assert sum(gap.missing for gap in side.gaps) == 9 * (step - 1)
