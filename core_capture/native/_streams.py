"""Reassembled flows as the C core leaves them, in arrays: what scanners read, and streams on demand.

The bytes of a direction stay in their packets until somebody reads them next to each other: copying them all took a
seventh of a query of summaries, which looks at none of the bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Decoded, Direction, FlowStreams, Gap
from kubeshark.core_capture._core_native import ffi, lib
from kubeshark.core_capture._messages import EXCHANGE, MESSAGE, SCANNERS, Assembled, Scanned

__all__ = ["Streams", "check"]

TCP = 6

SIDE = np.dtype(
    [
        *((name, "<u8") for name in ("data_start", "data_length", "first_chunk", "chunks", "first_gap", "gaps")),
        *((name, "<u8") for name in ("retransmissions", "out_of_order", "overlaps")),
        ("starts_midway", "u1"),
        ("has_place", "u1"),  # in the common array
        ("is_laid_out", "u1"),  # its bytes are there
    ],
    align=True,
)
"""kc_side."""

_SIDE = Struct("<9Q3B5x")  # one of them: read at a quarter of what numpy takes for a row


class Streams:
    """Arrays of reassembled flows, filled by the core, and what is made of them on demand."""

    def __init__(self, decoded: Decoded, wanted: NDArray[Any]) -> None:
        self._decoded = decoded
        self._wanted = wanted
        self._plan_and_take()
        self._is_tcp = decoded.flows["transport"][wanted] == TCP
        self._first_side = (2 * (np.cumsum(self._is_tcp) - self._is_tcp)).astype(np.uint32)

    def _source(self) -> tuple[Any, tuple[Any, ...]]:
        """Return a kc_decoded and what must live as long as it.

        Made for each call: kept in an attribute, cffi's views of memoryviews crash the garbage collector of
        CPython 3.11 when it meets both in one cycle.
        """
        decoded = self._decoded
        arrays = (
            ffi.from_buffer("uint8_t[]", decoded.data),
            ffi.from_buffer("uint8_t[]", decoded.arena),
            ffi.from_buffer("kc_arena_entry[]", decoded.arena_index),
            ffi.from_buffer("kc_packet[]", decoded.packets),
            ffi.from_buffer("kc_flow[]", decoded.flows),
        )
        return ffi.new("kc_decoded *", [field for array in arrays for field in (array, len(array))]), arrays

    def _plan_and_take(self) -> None:
        streams = ffi.gc(lib.kc_streams_new(), lib.kc_streams_free)
        if streams == ffi.NULL:
            raise MemoryError
        source, _alive = self._source()
        wanted = self._wanted
        check(lib.kc_streams_plan(streams, source, ffi.from_buffer("uint64_t[]", wanted), len(wanted)))
        self._take(streams, source)

    def _take(self, streams: Any, source: Any) -> None:
        counts = ffi.new("kc_stream_counts *")
        lib.kc_streams_counts(streams, counts)
        self._packet_starts = np.empty(len(self._wanted) + 1, dtype=np.uint64)
        self._packets = np.empty(counts.packets, dtype=np.uint32)
        self._sides: Any = np.empty(counts.sides, dtype=SIDE)
        self._chunk_starts = np.empty(counts.chunks, dtype=np.uint64)
        self._chunk_packets = np.empty(counts.chunks, dtype=np.uint32)
        self._chunk_skips = np.empty(counts.chunks, dtype=np.uint32)
        self._gaps = np.empty((counts.gaps, 3), dtype=np.uint64)
        self._data = np.empty(counts.data_bytes, dtype=np.uint8)  # its pages are touched as they are used
        self._data_used = np.empty(1, dtype=np.uint64)
        check(
            lib.kc_streams_take(
                *(streams, source, ffi.from_buffer("uint64_t[]", self._packet_starts)),
                *(ffi.from_buffer("uint32_t[]", self._packets), ffi.from_buffer("kc_side[]", self._sides)),
                ffi.from_buffer("uint64_t[]", self._chunk_starts),
                ffi.from_buffer("uint32_t[]", self._chunk_packets),
                ffi.from_buffer("uint32_t[]", self._chunk_skips),
                *(ffi.from_buffer("kc_gap[]", self._gaps), ffi.from_buffer("uint8_t[]", self._data)),
                ffi.from_buffer("uint64_t[]", self._data_used),
            )
        )
        self._view = self._data.data.toreadonly()

    def assembled(self) -> Assembled:
        has_payload = np.ones(len(self._wanted), dtype=np.bool_)  # a datagram may be empty and still be one
        lengths = self._sides["data_length"]
        has_payload[self._is_tcp] = (lengths[0::2] + lengths[1::2]) > 0
        return Assembled(self._decoded, self._wanted, self._flow, self._scan, self._heads, has_payload)

    def _flow(self, at: int) -> FlowStreams:
        directions = None
        if self._is_tcp.item(at):
            first = self._first_side.item(at)
            self._lay_out(first)
            directions = self._direction(first), self._direction(first + 1)
        start, end = self._packet_starts.item(at), self._packet_starts.item(at + 1)
        return FlowStreams(self._wanted.item(at), directions, self._packets[start:end])

    def _lay_out(self, first: int) -> None:
        """Copy the bytes of a flow's two directions next to each other."""
        assembled, _alive = self._for_core()
        source, _records = self._source()
        check(lib.kc_lay_out(source, assembled, first, 2))

    def _direction(self, number: int) -> Direction:
        start, length, chunk, chunks, gap, gaps, retransmissions, out_of_order, overlaps, midway, _, _ = (
            _SIDE.unpack_from(self._sides, number * _SIDE.size)
        )
        chosen = slice(chunk, chunk + chunks)
        return Direction(
            data=self._view[start : start + length],
            gaps=tuple(Gap(*each) for each in self._gaps[gap : gap + gaps].tolist()) if gaps else (),
            chunk_starts=self._chunk_starts[chosen],
            chunk_packets=self._chunk_packets[chosen],
            retransmissions=retransmissions,
            out_of_order=out_of_order,
            overlaps=overlaps,
            starts_midway=bool(midway),
        )

    def _for_core(self) -> tuple[Any, tuple[Any, ...]]:
        """Return a kc_assembled and what must live as long as it."""
        wanted = ffi.from_buffer("uint64_t[]", self._wanted)
        packets = ffi.from_buffer("uint32_t[]", self._packets)
        sides = ffi.from_buffer("kc_side[]", self._sides)
        starts = ffi.from_buffer("uint64_t[]", self._packet_starts)
        first_side = ffi.from_buffer("uint32_t[]", self._first_side)
        chunk_starts = ffi.from_buffer("uint64_t[]", self._chunk_starts)
        chunk_packets = ffi.from_buffer("uint32_t[]", self._chunk_packets)
        chunk_skips = ffi.from_buffer("uint32_t[]", self._chunk_skips)
        data, used = ffi.from_buffer("uint8_t[]", self._data), ffi.from_buffer("uint64_t[]", self._data_used)
        alive = (wanted, packets, sides, starts, first_side, chunk_starts, chunk_packets, chunk_skips, data, used)
        fields = [
            *(wanted, len(wanted), starts, packets, len(packets), first_side, sides, len(sides)),
            *(chunk_starts, chunk_packets, chunk_skips, len(chunk_packets), data, len(data), used),
        ]
        return ffi.new("kc_assembled *", fields), alive

    def _heads(self, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
        heads = np.empty((len(self._wanted), 2, width), dtype=np.uint8)
        lengths = np.empty((len(self._wanted), 2), dtype=np.uint8)
        assembled, _alive = self._for_core()
        source, _records = self._source()
        out, sizes = ffi.from_buffer("uint8_t[]", heads), ffi.from_buffer("uint8_t[]", lengths)
        check(lib.kc_heads(source, assembled, out, sizes, width))
        return heads, lengths

    def _scan(self, chosen: Sequence[tuple[str, NDArray[Any]]]) -> Scanned:
        scan = ffi.gc(lib.kc_scan_new(), lib.kc_scan_free)
        if scan == ffi.NULL:
            raise MemoryError
        assembled, _alive = self._for_core()
        source, _records = self._source()
        taken = np.zeros(len(self._wanted), dtype=np.bool_)
        counts, ends = ffi.new("kc_scan_counts *"), []
        for name, streams in chosen:
            numbers = np.ascontiguousarray(streams[~taken[streams]], dtype=np.uint32)
            marks = np.zeros(len(numbers), dtype=np.bool_)
            check(
                lib.kc_scan_streams(
                    *(scan, SCANNERS.index(name), source, assembled, ffi.from_buffer("uint32_t[]", numbers)),
                    *(len(numbers), ffi.from_buffer("uint8_t[]", marks)),
                )
            )
            taken[numbers] = marks
            lib.kc_scan_count(scan, counts)
            ends.append(counts.exchanges)
        messages = np.empty(counts.messages, dtype=MESSAGE)
        exchanges = np.empty(counts.exchanges, dtype=EXCHANGE)
        text = np.empty(counts.text_bytes, dtype=np.uint8)
        lib.kc_scan_take(
            *(scan, ffi.from_buffer("kc_message[]", messages), ffi.from_buffer("kc_exchange[]", exchanges)),
            ffi.from_buffer("uint8_t[]", text),
        )
        owner = np.searchsorted(np.array(ends, dtype=np.int64), np.arange(len(exchanges)), side="right")
        return Scanned(messages, exchanges, text.tobytes(), owner, taken)


def check(status: int) -> int:
    """Return a status that is no error."""
    if status == lib.KC_NO_MEMORY:
        raise MemoryError
    if status == lib.KC_BAD_INPUT:
        raise IndexError("an index does not lie within the data")
    return status
