"""pcap files (draft-ietf-opsawg-pcap): every byte order, precision, and the 24-byte record headers of "kuznetzov".

The C core converts records where it was built. Without it, the loop over record headers is the only work done packet by
packet; times and byte order are then changed in all headers of a window at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._records import (
    MAX_CAPTURED,
    PCAP_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Interface,
    PacketExtra,
    RecordBatch,
    SourceMetadata,
)
from kubeshark.core_capture.files._reader import FileReader, Source
from kubeshark.core_capture.files._stream import read_exactly
from kubeshark.errors import Truncated

__all__ = ["MAGICS", "PcapLayout", "PcapReader", "open_pcap", "walk_records"]

NS_PER_SECOND = 1_000_000_000
MAX_SECONDS = 0xFFFF_FFFF
LINK_TYPE_MASK = 0xFFFF  # the upper half of the field holds the length of the frame check sequence
KUZNETZOV_HEADER_BYTES = 24  # interface index, protocol and packet type follow the usual 16
CAPTURED_AT = 8  # of the captured length in a record header


class PcapLayout(Struct, frozen=True):
    """How a magic number says that records are laid out."""

    order: str  # "<" or ">", for struct and numpy
    ns_per_unit: int  # of the fraction field
    header_bytes: int = RECORD_HEADER_BYTES


MAGICS = {
    b"\xd4\xc3\xb2\xa1": PcapLayout("<", 1000),
    b"\xa1\xb2\xc3\xd4": PcapLayout(">", 1000),
    b"\x4d\x3c\xb2\xa1": PcapLayout("<", 1),
    b"\xa1\xb2\x3c\x4d": PcapLayout(">", 1),
    b"\x34\xcd\xb2\xa1": PcapLayout("<", 1000, KUZNETZOV_HEADER_BYTES),
    b"\xa1\xb2\xcd\x34": PcapLayout(">", 1000, KUZNETZOV_HEADER_BYTES),
}


@runtime_checkable
class RecordConverter(Protocol):
    """What the C core adds to `Core`; NativeCore.convert says what it promises."""

    def convert(self, records: memoryview, *, swapped: bool, multiplier: int) -> tuple[int, int]: ...


def open_pcap(source: Source, layout: PcapLayout, start: bytes, batch_bytes: int) -> PcapReader:
    """Read the file header, of which `start` is the magic number; raise Truncated if it is not all there."""
    header = start + read_exactly(source.stream, PCAP_HEADER_BYTES - len(start))
    if len(header) < PCAP_HEADER_BYTES:
        raise Truncated("a pcap file that ends inside its header", file=source.name, offset=len(header))
    snaplen, network = struct.unpack_from(layout.order + "II", header, 16)
    interface = Interface(network & LINK_TYPE_MASK, snaplen, units_per_second=NS_PER_SECOND // layout.ns_per_unit)
    metadata = SourceMetadata("pcap", "little" if layout.order == "<" else "big", [interface])
    return PcapReader(source, metadata, layout, batch_bytes)


class PcapReader(FileReader[bytes | memoryview]):
    def __init__(self, source: Source, metadata: SourceMetadata, layout: PcapLayout, batch_bytes: int) -> None:
        super().__init__(source, metadata, start=b"", base=PCAP_HEADER_BYTES, batch_bytes=batch_bytes)
        self._layout = layout
        core = load_core()
        self._core = core if isinstance(core, RecordConverter) and layout.header_bytes == RECORD_HEADER_BYTES else None

    def __iter__(self) -> Iterator[RecordBatch]:
        link_type = self.metadata.interfaces[0].link_type
        parsed = 0
        packets = 0
        while self._slide(parsed):
            parsed = 0
            while batch := self._next_batch(parsed):
                records, count, extras, parsed = batch
                yield RecordBatch(link_type, records, range(packets, packets + count), extras)
                packets += count
            claimed = _captured_length(self._data, parsed, self._layout)
            if claimed > MAX_CAPTURED:
                self._report(f"packet {packets + 1:,} claims {claimed:,} bytes: the rest cannot be read", parsed)
                return
        if self._data and not self.problems:
            self._report(f"the file ends inside packet {packets + 1:,}", 0)

    def _read_behind(self, kept: bytes | memoryview, size: int) -> tuple[bytes | memoryview, int]:
        """Read to where the records shall lie, if that is known: what is kept of the window before lies there."""
        room = None
        if self.room is not None and self._core is not None:
            room = self.room(self.metadata.interfaces[0].link_type, len(kept) + size)
        if room is None:
            more = self._source.stream.read(size)
            return b"".join((kept, more)), len(more)
        room[: len(kept)] = kept
        came = self._source.stream.readinto(room[len(kept) : len(kept) + size])
        return room[: len(kept) + came], came

    def _next_batch(self, start: int) -> tuple[bytes | memoryview, int, dict[int, PacketExtra], int] | None:
        """Convert the whole records from `start` of the window on; return them, their number, extras and their end."""
        layout = self._layout
        if self._core is not None:
            rest = memoryview(self._data)[start:]
            records = memoryview(bytearray(rest)) if rest.readonly else rest
            end, count = self._core.convert(records, swapped=layout.order == ">", multiplier=layout.ns_per_unit)
            if count:  # else there is none, or one whose time only the way below can hold
                return records[:end], count, {}, start + end
        offsets, parsed = walk_records(self._data, layout, start)
        if not offsets:
            return None
        converted, extras = _to_nanoseconds(self._data, offsets, parsed, layout)
        return converted, len(offsets), extras, parsed


def walk_records(data: bytes | bytearray | memoryview, layout: PcapLayout, start: int = 0) -> tuple[list[int], int]:
    """Return where each whole record from `start` on begins, and where the last one ends.

    Stops at a length above MAX_CAPTURED.
    """
    captured_at = struct.Struct(layout.order + "I").unpack_from
    header_bytes = layout.header_bytes
    size = len(data)
    offsets: list[int] = []
    position = start
    while position + header_bytes <= size:
        (captured,) = captured_at(data, position + CAPTURED_AT)
        end = position + header_bytes + captured
        if end > size or captured > MAX_CAPTURED:
            break
        offsets.append(position)
        position = end
    return offsets, position


def _captured_length(data: bytes | memoryview, position: int, layout: PcapLayout) -> int:
    """Return what the record at `position` claims to hold, 0 if its header is not whole."""
    if position + layout.header_bytes > len(data):
        return 0
    (captured,) = struct.unpack_from(layout.order + "I", data, position + CAPTURED_AT)
    return int(captured)


def _to_nanoseconds(
    data: bytes | memoryview, offsets: list[int], end: int, layout: PcapLayout
) -> tuple[bytes, dict[int, PacketExtra]]:
    """Return the records at `offsets`, which end at `end`, in the form of _records.py, and extras for odd times."""
    if layout.header_bytes == RECORD_HEADER_BYTES:
        records = np.frombuffer(data, np.uint8, end - offsets[0], offsets[0]).copy()
        starts = np.array(offsets, np.int64) - offsets[0]
    else:
        records, starts = _with_short_headers(data, [*offsets, end])
    # Little-endian files need only their times changed, which is half the gathering.
    changed = 8 if layout.order == "<" else RECORD_HEADER_BYTES
    index = starts[:, None] + np.arange(changed)
    headers = records[index].view(layout.order + "u4")
    # A fraction of a second or more is odd, but tools write it: carried, not refused.
    carry, rest = np.divmod(headers[:, 1].astype(np.uint64) * np.uint64(layout.ns_per_unit), np.uint64(NS_PER_SECOND))
    seconds = headers[:, 0] + carry
    late = seconds > MAX_SECONDS
    headers = headers.astype("<u4")
    headers[:, 0] = np.where(late, 0, seconds)
    headers[:, 1] = np.where(late, 0, rest)
    records[index] = headers.view(np.uint8)
    return records.tobytes(), _late_times(seconds, rest, np.flatnonzero(late))


def _with_short_headers(data: bytes | memoryview, bounds: list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cut the kuznetzov fields out of the records between consecutive `bounds`; return them and where they start."""
    pieces = [
        b"".join((data[start : start + RECORD_HEADER_BYTES], data[start + KUZNETZOV_HEADER_BYTES : end]))
        for start, end in pairwise(bounds)
    ]
    ends = np.cumsum([len(piece) for piece in pieces])
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    return np.frombuffer(bytearray(b"".join(pieces)), np.uint8), starts


def _late_times(seconds: NDArray[Any], nanoseconds: NDArray[Any], late: NDArray[Any]) -> dict[int, PacketExtra]:
    """Keep the times that a carry pushed beyond what 32 bits of seconds hold."""
    return {int(at): PacketExtra(time_ns=int(seconds[at]) * NS_PER_SECOND + int(nanoseconds[at])) for at in late}
