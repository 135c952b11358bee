"""The C core behind the `Core` protocol: allocates the arrays, calls, and turns statuses into exceptions.

1. Memory belongs to numpy or bytearray; C fills it during a call and keeps no pointer to it afterwards.
2. cffi's API mode releases the GIL during each call.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import (
    ARENA,
    FLOW,
    PACKET,
    Buffer,
    Decoded,
)
from kubeshark.core_capture._core_native import ffi, lib
from kubeshark.core_capture._messages import Assembled
from kubeshark.core_capture._records import RECORD_HEADER_BYTES
from kubeshark.core_capture.native._streams import Streams, check

__all__ = ["NativeCore"]

ABI = 5
SEED_BYTES = 32
MAX_DATA = 0xFFFF_FFFF
SAMPLE_BYTES = 64 * 1024  # of records, looked at to guess how many there are in all
SPARE_ROWS = 64
FIRST_ROWS = 1 << 20  # at most, before it is known that there are so many: 32 MiB of packets


if lib.kubeshark_core_abi() != ABI:
    raise ImportError("kubeshark.core_capture._core_native was built from other sources: build it again")


class NativeCore:
    """The `Core` protocol in C. Stateless; safe to call from several threads."""

    name = "native"

    def offsets(self, data: Buffer) -> tuple[NDArray[Any], int]:
        """Return the offsets (u8) of all whole records and where they end."""
        view = ffi.from_buffer("uint8_t[]", data)
        position, count = ffi.new("size_t *"), ffi.new("size_t *")
        out = np.empty(_guess_rows(view), dtype=np.uint64)
        while (
            lib.kc_offsets(view, len(view), position, ffi.from_buffer("uint64_t[]", out), len(out), count)
            == lib.KC_FULL
        ):
            out.resize(_more_rows(len(out), position[0], len(view)), refcheck=False)
        out.resize(count[0], refcheck=False)
        return out, int(position[0])

    def decode(self, data: Buffer, link_type: int) -> Decoded:
        """Decode whole records of one link type. Raises ValueError for 4 GiB or more: PACKET counts offsets in u4."""
        view = ffi.from_buffer("uint8_t[]", data)
        if len(view) > MAX_DATA:
            raise ValueError("records of 4 GiB or more at once")
        decoder = ffi.gc(lib.kc_decoder_new(os.urandom(SEED_BYTES), link_type), lib.kc_decoder_free)
        if decoder == ffi.NULL:
            raise MemoryError
        counts = ffi.new("kc_counts *")
        packets = np.empty(_guess_rows(view), dtype=PACKET)
        while (
            check(lib.kc_decode(decoder, view, len(view), ffi.from_buffer("kc_packet[]", packets), len(packets)))
            == lib.KC_FULL
        ):
            lib.kc_decoder_counts(decoder, counts)
            packets.resize(_more_rows(len(packets), counts.end, len(view)), refcheck=False)
        lib.kc_decoder_counts(decoder, counts)
        packets.resize(counts.packets, refcheck=False)
        flows = np.empty(counts.flows, dtype=FLOW)
        arena = np.empty(counts.arena_bytes, dtype=np.uint8)
        arena_index = np.empty(counts.arena_entries, dtype=ARENA)
        lib.kc_decoder_take(
            decoder,
            ffi.from_buffer("kc_flow[]", flows),
            ffi.from_buffer("uint8_t[]", arena),
            ffi.from_buffer("kc_arena_entry[]", arena_index),
        )
        return Decoded(data, packets, flows, arena.tobytes(), arena_index, int(counts.end))

    def assemble(self, decoded: Decoded, flows: Sequence[int] | NDArray[Any]) -> Assembled:
        """Reassemble these flows, in the given order. Raises IndexError for one that is not in the table.

        All directions of one call are views of one buffer: ask for no more flows at once than you want in memory.
        """
        wanted = np.ascontiguousarray(flows, dtype=np.int64)
        if wanted.size and wanted.min() < 0:
            raise IndexError("a flow is a row number, not negative")
        return Streams(decoded, wanted).assembled()

    def convert(self, records: memoryview | bytearray, *, swapped: bool, multiplier: int) -> tuple[int, int]:
        """Turn classic pcap records into nanosecond little-endian ones, where they lie.

        `records` starts with one; `multiplier` is 1000 for microseconds, 1 for nanoseconds. Returns where the whole
        ones end, and their number. It stops at a record that is incomplete, claims more than MAX_CAPTURED, or has so
        many nanoseconds that its seconds no longer fit 32 bits; what lies behind stays as it is.
        """
        end, count = ffi.new("size_t *"), ffi.new("size_t *")
        with ffi.from_buffer("uint8_t[]", records, require_writable=True) as view:
            lib.kc_convert(view, len(records), swapped, multiplier, end, count)
        return int(end[0]), int(count[0])

    def gather(self, data: Buffer, offsets: NDArray[Any], order: NDArray[Any], size: int | None = None) -> memoryview:
        """Return the records at offsets[order[0]], offsets[order[1]], … one behind the other.

        `size` is their bytes, where the caller knows. Raises IndexError if an order or offset does not name a whole
        record, or the size is another.
        """
        view = ffi.from_buffer("uint8_t[]", data)
        offsets = np.ascontiguousarray(offsets, dtype=np.uint64)
        order = np.ascontiguousarray(order, dtype=np.uint64)
        arguments = (
            *(view, len(view)),
            *(ffi.from_buffer("uint64_t[]", offsets), len(offsets)),
            *(ffi.from_buffer("uint64_t[]", order), len(order)),
        )
        if size is None:
            found = ffi.new("size_t *")
            check(lib.kc_gather_size(*arguments, found))
            size = int(found[0])
        out = np.empty(size, dtype=np.uint8)  # not zeroed, and of large pages: see SegmentReader.select
        with ffi.from_buffer("uint8_t[]", out, require_writable=True) as target:
            check(lib.kc_gather(*arguments, target, len(out)))
        return out.data

    def by_time(
        self, pieces: Sequence[Buffer], ties: NDArray[Any] | None
    ) -> tuple[memoryview, NDArray[Any], NDArray[Any]]:
        """Return the records of all pieces sorted by time, then tie, then place: (records, their offsets, times); u8.

        Raises IndexError unless the pieces are whole records only, one for each of `ties` (u2, by place).
        """
        views = [ffi.from_buffer("uint8_t[]", piece) for piece in pieces]
        listed = ffi.new("kc_piece[]", [(view, len(view)) for view in views])
        length = sum(map(len, views))
        capacity, tied = (sum(map(_guess_rows, views)), ()) if ties is None else (len(ties), ties)
        given = ffi.NULL if ties is None else ffi.from_buffer("uint16_t[]", ties)
        out = np.empty(length, dtype=np.uint8)  # not zeroed, and of large pages: see SegmentReader.select
        count = ffi.new("size_t *")
        while True:
            rows = np.empty(2 * capacity * TIMED_BYTES, dtype=np.uint8)
            offsets, times = np.empty((2, capacity), dtype=np.uint64)
            status = check(
                lib.kc_by_time(
                    *(listed, len(views), given, len(tied)),
                    *(ffi.from_buffer("kc_timed[]", rows), 2 * capacity, ffi.from_buffer("uint8_t[]", out)),
                    *(ffi.from_buffer("uint64_t[]", offsets), ffi.from_buffer("uint64_t[]", times), count),
                )
            )
            if status == lib.KC_OK:
                return out.data, offsets[: count[0]], times[: count[0]]
            if ties is not None:
                raise IndexError("more records than ties")
            capacity = min(2 * capacity, length // RECORD_HEADER_BYTES)

    def runs(self, chosen: NDArray[np.bool_], lengths: NDArray[Any], start: int) -> list[tuple[int, int]]:
        """Lay `lengths` (u8) one behind the other from `start` on; return the stretches of those chosen, merged."""
        if len(chosen) != len(lengths):
            raise IndexError("not one choice for each length")
        bounds = np.empty((2, len(chosen)), dtype=np.uint64)
        starts, ends = (ffi.from_buffer("uint64_t[]", half) for half in bounds)
        arguments = (ffi.from_buffer("uint8_t[]", chosen), ffi.from_buffer("uint64_t[]", lengths), len(chosen))
        count = lib.kc_runs(*arguments, start, starts, ends)
        return list(zip(*bounds[:, :count].tolist(), strict=True))

    def may_hold(self, filters: Buffer, ends: NDArray[Any], key: int, probes: int) -> NDArray[np.bool_]:
        """Look up a key (u64) in Bloom filters that lie one behind the other up to `ends` (u8), powers of two bytes.

        Probe n is bit key + n * (key >> 32 | 1), modulo the filter's bits, the highest bit of a byte first.
        Raises IndexError for a filter of another size, or one that is not there.
        """
        view = ffi.from_buffer("uint8_t[]", filters)
        answers = np.empty(len(ends), dtype=np.bool_)
        arguments = (ffi.from_buffer("uint64_t[]", ends), len(ends), key, probes, ffi.from_buffer("uint8_t[]", answers))
        check(lib.kc_may_hold(view, len(view), *arguments))
        return answers

    def unplane(self, planes: Buffer, dtype: str, shape: tuple[int, ...], *, delta: bool) -> NDArray[Any]:
        """Return the numbers whose first bytes, second bytes, … `planes` holds; `delta`: as sums along the first axis.

        Raises IndexError unless `planes` has the bytes of `shape`.
        """
        out = np.empty(shape, dtype=dtype)
        view = ffi.from_buffer("uint8_t[]", planes)
        rows, *columns = shape
        arguments = (rows, *(columns or [1]), out.itemsize, delta, ffi.from_buffer(out))
        check(lib.kc_unplane(view, len(view), *arguments))
        return out


TIMED_BYTES = ffi.sizeof("kc_timed")


def _guess_rows(view: Any) -> int:
    """Estimate how many records there are from the first ones, a little high."""
    position, count = ffi.new("size_t *"), ffi.new("size_t *")
    sample = ffi.new("uint64_t[]", SAMPLE_BYTES // 16)
    lib.kc_offsets(view, min(len(view), SAMPLE_BYTES), position, sample, len(sample), count)
    return _more_rows(int(count[0]), int(position[0]), len(view))


def _more_rows(rows: int, position: int, length: int) -> int:
    """Return room for all records if the rest are as long as the `rows` up to `position`, but not for many times more.

    A sender may begin with tiny packets: what those suggest must not allocate gigabytes.
    """
    expected = (rows + rows // 16) * length // max(position, 1)
    return SPARE_ROWS + min(expected, max(2 * rows, FIRST_ROWS))
