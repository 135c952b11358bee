"""The Core protocol as a whole: columns, assembling, gathering."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kubeshark.core_capture._columns import ARENA, FLOW, NO_FLOW, PACKET, Core
from kubeshark.core_capture._records import MAX_CAPTURED
from kubeshark.core_capture.reference import ReferenceCore
from tests.core_capture.reference._packets import RAW, A, B, record, records, run, tcp, udp

CORE = ReferenceCore()
CLIENT: dict[str, Any] = {"ports": (40000, 80), "ends": (A, B)}
SERVER: dict[str, Any] = {"ports": (80, 40000), "ends": (B, A)}


def test_it_is_a_core() -> None:
    core: Core = CORE
    assert core.name == "reference"


def test_nothing() -> None:
    decoded, streams = run(CORE, b"", RAW)
    assert (decoded.end, len(decoded.packets), len(decoded.flows), streams) == (0, 0, 0, [])
    assert decoded.packets.dtype == PACKET
    assert decoded.flows.dtype == FLOW
    assert decoded.arena_index.dtype == ARENA
    offsets, end = CORE.offsets(b"")
    assert (offsets.tolist(), offsets.dtype, end) == ([], np.uint64, 0)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: Callable[[bytes], Any]) -> None:
    decoded, streams = run(CORE, kind(records(udp())), RAW)
    assert bytes(decoded.payload(0)) == b"hello"
    assert len(streams) == 1


def test_offsets_end_where_records_do() -> None:
    data = records(udp(), b"", udp())
    offsets, end = CORE.offsets(data)
    assert (offsets.tolist(), end) == ([0, 49, 65], 114)
    for cut in range(65, len(data)):
        offsets, end = CORE.offsets(data[:cut])
        assert (offsets.tolist(), end) == ([0, 49], 65)
        assert CORE.decode(data[:cut], RAW).end == 65


def test_a_record_that_claims_too_much_ends_the_walk() -> None:
    damaged = struct.pack("<4I", 0, 0, MAX_CAPTURED + 1, 0) + bytes(MAX_CAPTURED + 1)
    offsets, end = CORE.offsets(records(udp()) + damaged)
    assert (len(offsets), end) == (1, 49)


def test_times_are_nanoseconds() -> None:
    latest = (2**32 - 1) * 10**9 + 999_999_999
    decoded, _ = run(CORE, record(udp(), latest) + record(udp(), 1), RAW)
    assert decoded.packets["time_ns"].tolist() == [latest, 1]


def test_assemble_gives_the_flows_asked_for_in_their_order() -> None:
    data = records(
        udp(b"question", (50000, 53)),
        tcp(sequence=99, flags="S", **CLIENT),
        tcp(sequence=499, flags="SA", **SERVER),
        tcp(b"GET / ", 100, **CLIENT),
        udp(b"answer", (53, 50000), (B, A)),
        tcp(b"200 OK", 500, **SERVER),
        tcp(b"HTTP/1.1", 106, **CLIENT),
    )
    decoded, _ = run(CORE, data, RAW)
    web, names = CORE.assemble(decoded, np.array([1, 0], dtype=np.uint32))
    assert (web.flow, names.flow) == (1, 0)
    assert web.directions is not None
    assert [bytes(side.data) for side in web.directions] == [b"GET / HTTP/1.1", b"200 OK"]
    assert web.directions[0].chunk_packets.tolist() == [3, 6]
    assert web.packets.tolist() == [1, 2, 3, 5, 6]
    assert names.directions is None
    assert [bytes(decoded.payload(packet)) for packet in names.packets] == [b"question", b"answer"]
    assert (web.packets.dtype, web.directions[0].chunk_starts.dtype) == (np.uint32, np.uint64)


def test_assemble_takes_packets_in_time_order() -> None:
    data = record(tcp(b"second", 100, **CLIENT), 20) + record(tcp(b"first!", 100, **CLIENT), 10)
    _, (stream,) = run(CORE, data, RAW)
    assert stream.packets.tolist() == [1, 0]
    assert stream.directions is not None
    assert bytes(stream.directions[0].data) == b"first!"


def test_an_initial_sequence_number_of_zero_is_one() -> None:
    data = records(tcp(sequence=0, flags="S", **CLIENT), tcp(b"data", 5, **CLIENT))
    _, (stream,) = run(CORE, data, RAW)
    assert stream.directions is not None
    assert bytes(stream.directions[0].data) == bytes(4) + b"data"
    assert not stream.directions[0].starts_midway
    assert stream.directions[1].starts_midway


def test_a_payload_cut_by_the_snap_length_leaves_a_gap() -> None:
    first, second = tcp(b"x" * 100, 100, **CLIENT), tcp(b"y", 200, **CLIENT)
    _, (stream,) = run(CORE, record(first[:60], 0, len(first)) + record(second, 1), RAW)
    assert stream.directions is not None
    assert bytes(stream.directions[0].data) == b"x" * 20 + bytes(80) + b"y"


def test_gather() -> None:
    data = records(udp(b"one"), udp(b"two"), udp(b"three"))
    offsets, end = CORE.offsets(data)
    whole = CORE.gather(data, offsets, np.arange(3))
    assert isinstance(whole, bytearray)
    assert whole == data
    turned = CORE.gather(data, offsets, np.array([2, 0], dtype=np.uint32))
    assert turned == data[int(offsets[2]) : end] + data[: int(offsets[1])]
    assert CORE.gather(data, offsets, np.array([], dtype=np.uint32)) == b""


def test_gather_refuses_what_is_not_there() -> None:
    data = records(udp())
    offsets, _ = CORE.offsets(data)
    with pytest.raises(IndexError):
        CORE.gather(data, offsets, np.array([1]))
    with pytest.raises(IndexError):
        CORE.gather(data, offsets, np.array([-1]))
    with pytest.raises(ValueError, match="no whole record at 40"):
        CORE.gather(data, np.array([40], dtype=np.uint64), np.array([0]))
    with pytest.raises(ValueError, match="no whole record at 0"):
        CORE.gather(data[:-1], offsets, np.array([0]))


def test_by_time_sorts_by_time_then_tie_then_place() -> None:
    late, first, second, third = (record(name, time_ns=at) for name, at in ((b"d", 9), (b"b", 5), (b"c", 5), (b"a", 5)))
    found, offsets, times = CORE.by_time([late + first, second + third], np.array([0, 1, 1, 0], dtype=np.uint16))
    assert bytes(found) == third + first + second + late
    assert offsets.tolist() == [0, 17, 34, 51]
    assert times.tolist() == [5, 5, 5, 9]


def test_unplane_puts_bytes_together() -> None:
    assert CORE.unplane(bytes([1, 2, 0, 1]), "<u2", (2,), delta=False).tolist() == [1, 258]
    assert CORE.unplane(bytes([1, 255]), "|u1", (2,), delta=True).tolist() == [1, 0]
    assert CORE.unplane(bytes([1, 2, 3, 4]), "|u1", (2, 2), delta=False).tolist() == [[1, 3], [2, 4]]


def test_runs_are_merged() -> None:
    chosen, lengths = np.array([1, 0, 1, 1, 1], dtype=np.bool_), np.array([0, 5, 2, 0, 3], dtype=np.uint64)
    assert CORE.runs(chosen, lengths, 24) == [(29, 34)]


def test_an_unknown_link_type_has_packets_without_flows() -> None:
    decoded, _ = run(CORE, records(udp(), udp()), 60000)
    assert decoded.packets["flow"].tolist() == [NO_FLOW] * 2
