"""pcapng files (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces, every kind of packet block.

1. The file is a chain of blocks, each with its length in front and behind. Where the chain breaks, reading ends:
   nothing is guessed. Where only the contents of one block are damaged, the rest of its section is passed over.
2. Interfaces count through all sections: `PacketExtra.interface` is an index into `metadata.interfaces`.
3. Every other block is kept as it is, so that an export can put it back, within KEPT_BYTES.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from msgspec import Struct

from kubeshark.core_capture._records import (
    MAX_CAPTURED,
    Interface,
    PacketExtra,
    RawBlock,
    RecordBatch,
    SourceMetadata,
)
from kubeshark.core_capture.files._options import (
    ENHANCED_PACKET,
    INTERFACE_DESCRIPTION,
    OBSOLETE_PACKET,
    OPT_DROP_COUNT,
    OPT_NAME,
    OPT_TIME_OFFSET,
    OPT_TIME_RESOLUTION,
    SECTION_HEADER,
    SIMPLE_PACKET,
    join_options,
    little_endian_body,
    little_endian_options,
    padded,
    split_options,
)
from kubeshark.core_capture.files._reader import FileReader, Source
from kubeshark.core_capture.files._stream import read_exactly
from kubeshark.errors import Malformed

__all__ = ["SECTION_MAGIC", "PcapngReader", "open_pcapng"]

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
BLOCK_FRAME = 12  # type and length in front, length behind
SECTION_FIXED = 16  # byte-order magic, version, section length
SECTION_START = 8 + 4  # type, length, byte-order magic: what it takes to read a section's first block
MAX_BLOCK = 16 << 20  # Wireshark's limit too; secrets and names are the largest blocks seen
MAX_INTERFACES = 1 << 16
MAX_LINK_TYPES = 64  # each becomes a segment of its own; captures of every adapter of a machine have a handful
KEPT_BYTES = 64 << 20  # of blocks that are not packets, held in memory until the file is read
KEPT_OVERHEAD = 128  # what Python adds to each
MAX_PROBLEMS = 100  # a file made of nothing but damaged sections ends here

NS_PER_SECOND = 1_000_000_000
MAX_SECONDS = 0xFFFF_FFFF
MIN_TIME_NS, MAX_TIME_NS = -(1 << 63), (1 << 63) - 1  # years 1677 to 2262: beyond, a time is nonsense
NO_DROP_COUNT = 0xFFFF
RECORD_HEADER = struct.Struct("<IIII")


def open_pcapng(source: Source, start: bytes, batch_bytes: int) -> PcapngReader:
    """Check that `start`, the first bytes of the file, begins a section; raise Malformed if not."""
    start += read_exactly(source.stream, SECTION_START - len(start))
    layout = LAYOUTS.get(start[8:SECTION_START])
    if layout is None:
        raise Malformed("looks like pcapng, but has no byte-order mark", file=source.name, offset=8)
    metadata = SourceMetadata("pcapng", "little" if layout.order == "<" else "big")
    return PcapngReader(source, metadata, layout, start, batch_bytes)


class _Layout:
    """The fixed parts of blocks in one byte order."""

    def __init__(self, order: str) -> None:
        self.order = order  # "<" or ">"
        self.word = struct.Struct(order + "I")
        self.frame = struct.Struct(order + "II")  # type, length
        self.version = struct.Struct(order + "4xHH")  # magic, major, minor
        self.interface = struct.Struct(order + "HHI")  # link type, reserved, snaplen
        self.enhanced = struct.Struct(order + "IIIII")  # interface, time (high, low), captured, original
        self.obsolete = struct.Struct(order + "HHIIII")  # interface, drops, time (high, low), captured, original


LAYOUTS = {b"\x4d\x3c\x2b\x1a": _Layout("<"), b"\x1a\x2b\x3c\x4d": _Layout(">")}
"""By the byte-order magic of a section header."""


class _Clock(Struct):
    """What each packet of an interface needs to know about it."""

    link_type: int
    snaplen: int
    units_per_second: int
    offset_ns: int
    extra: PacketExtra  # of its ordinary packets; they share it


class _Pending(Struct):
    """Packets of one link type on their way into a batch."""

    pieces: list[bytes] = []
    ordinals: list[int] = []
    extras: dict[int, PacketExtra] = {}

    def batch(self, link_type: int) -> RecordBatch:
        first, last = self.ordinals[0], self.ordinals[-1]
        ordinals = range(first, last + 1) if last - first + 1 == len(self.ordinals) else self.ordinals
        return RecordBatch(link_type, b"".join(self.pieces), ordinals, self.extras)


class PcapngReader(FileReader[bytes]):
    def __init__(
        self, source: Source, metadata: SourceMetadata, layout: _Layout, start: bytes, batch_bytes: int
    ) -> None:
        super().__init__(source, metadata, start=start, base=0, batch_bytes=batch_bytes)
        self._layout = layout
        self._section = -1
        self._clocks: list[_Clock] = []  # of this section's interfaces
        self._link_types = set[int]()  # of all
        self._is_skipping = True  # until a section begins
        self._is_over = False  # the chain of blocks broke
        self._needed = 0  # bytes of the block that the window begins with
        self._packets = 0
        self._kept_bytes = 0
        self._pending: dict[int, _Pending] = {}
        self._readers: dict[int, Callable[[int, int], None]] = {
            ENHANCED_PACKET: self._enhanced_packet,
            SIMPLE_PACKET: self._simple_packet,
            OBSOLETE_PACKET: self._obsolete_packet,
            INTERFACE_DESCRIPTION: self._interface,
            SECTION_HEADER: self._section_header,
        }

    def __iter__(self) -> Iterator[RecordBatch]:
        parsed = 0
        while not self._is_over and self._slide(parsed, needed=self._needed):
            parsed = self._read_blocks()
            for link_type, pending in self._pending.items():
                yield pending.batch(link_type)
            self._pending = {}
        if self._data and not self.problems:
            self._report("the file ends inside a block", 0)

    def _read_behind(self, kept: bytes, size: int) -> tuple[bytes, int]:
        more = self._source.stream.read(size)
        return kept + more, len(more)

    def _read_blocks(self) -> int:
        """Read all whole blocks of the window; return where they end."""
        data, size = self._data, len(self._data)
        position = 0
        self._needed = 0
        while position + SECTION_START <= size:
            block_type, length = self._layout.frame.unpack_from(data, position)
            if block_type == SECTION_HEADER:  # reads the same in both byte orders, its length does not
                layout = LAYOUTS.get(data[position + 8 : position + SECTION_START])
                if layout is None:
                    self._end("a section has no byte-order mark", position)
                    break
                self._layout = layout
                _, length = layout.frame.unpack_from(data, position)
            if length < BLOCK_FRAME or length % 4 or length > MAX_BLOCK:
                self._end(f"a block claims {length:,} bytes", position)
                break
            end = position + length
            if end > size:
                self._needed = length
                break
            if self._layout.word.unpack_from(data, end - 4)[0] != length:
                self._end("the two lengths of a block differ", position)
                break
            self._read_block(block_type, position + 8, end - 4)
            position = end
            if self._is_over:
                break
        return position

    def _end(self, message: str, position: int) -> None:
        self._is_over = True
        self._report(f"{message}: the rest cannot be read", position)

    def _read_block(self, block_type: int, start: int, end: int) -> None:
        """Read the block whose body lies from `start` to `end`. Damage inside it ends its section."""
        if block_type == SECTION_HEADER:
            self._is_skipping = False
        elif self._is_skipping:
            return
        try:
            read = self._readers.get(block_type)
            if read is None:
                self._keep(block_type, little_endian_body(block_type, self._data[start:end], self._layout.order))
            else:
                read(start, end)
        except Malformed as damage:
            self._is_skipping = True
            self._report(f"{damage.message}: the rest of this section cannot be read", start - 8)
            self._is_over = len(self.problems) >= MAX_PROBLEMS

    def _section_header(self, start: int, end: int) -> None:
        self._section += 1
        self._clocks = []
        if end - start < SECTION_FIXED:
            raise Malformed("a section header cut short")
        major, minor = self._layout.version.unpack_from(self._data, start)
        if major != 1:
            raise Malformed(f"pcapng version {major}.{minor}, known is 1")
        self._keep(SECTION_HEADER, self._options(SECTION_HEADER, start + SECTION_FIXED, end))

    def _interface(self, start: int, end: int) -> None:
        fixed = self._layout.interface
        if end - start < fixed.size:
            raise Malformed("an interface description cut short")
        index = len(self.metadata.interfaces)
        if index >= MAX_INTERFACES:
            raise Malformed(f"more than {MAX_INTERFACES:,} interfaces")
        link_type, _, snaplen = fixed.unpack_from(self._data, start)
        if link_type not in self._link_types and len(self._link_types) == MAX_LINK_TYPES:
            raise Malformed(f"more than {MAX_LINK_TYPES:,} link types")
        self._link_types.add(link_type)
        raw = self._options(INTERFACE_DESCRIPTION, start + fixed.size, end)
        options = dict(reversed(split_options(raw)[0]))  # of repeated ones the first counts
        units = _units_per_second(options.get(OPT_TIME_RESOLUTION, b"\x06"))
        offset_s = int.from_bytes(options.get(OPT_TIME_OFFSET, b"")[:8], "little", signed=True)
        name = options.get(OPT_NAME, b"").rstrip(b"\0").decode(errors="replace")
        self.metadata.interfaces.append(Interface(link_type, snaplen, units, offset_s, self._section, name, raw))
        self._clocks.append(_Clock(link_type, snaplen, units, offset_s * NS_PER_SECOND, PacketExtra(index)))

    def _enhanced_packet(self, start: int, end: int) -> None:
        fixed = self._layout.enhanced
        if end - start < fixed.size:
            raise Malformed("a packet block cut short")
        interface, high, low, captured, original = fixed.unpack_from(self._data, start)
        self._packet(ENHANCED_PACKET, interface, high << 32 | low, captured, original, start + fixed.size, end)

    def _obsolete_packet(self, start: int, end: int) -> None:
        fixed = self._layout.obsolete
        if end - start < fixed.size:
            raise Malformed("a packet block cut short")
        interface, drops, high, low, captured, original = fixed.unpack_from(self._data, start)
        # Its drop count goes where an enhanced packet block has it.
        more = b"" if drops == NO_DROP_COUNT else join_options([(OPT_DROP_COUNT, drops.to_bytes(8, "little"))])
        self._packet(OBSOLETE_PACKET, interface, high << 32 | low, captured, original, start + fixed.size, end, more)

    def _simple_packet(self, start: int, end: int) -> None:
        fixed = self._layout.word
        if end - start < fixed.size:
            raise Malformed("a packet block cut short")
        (original,) = fixed.unpack_from(self._data, start)
        snaplen = self._clocks[0].snaplen if self._clocks else 0
        captured = min(original, snaplen) if snaplen else original
        self._packet(SIMPLE_PACKET, 0, None, captured, original, start + fixed.size, end)

    def _packet(
        self,
        block_type: int,
        interface: int,
        units: int | None,
        captured: int,
        original: int,
        start: int,
        end: int,
        more_options: bytes = b"",
    ) -> None:
        """Add the packet at `start`, its options behind it up to `end`; `units` is its time by the interface."""
        if interface >= len(self._clocks):
            raise Malformed(f"a packet on interface {interface:,}, which is not described")
        if captured > end - start or captured > MAX_CAPTURED:
            raise Malformed(f"a packet claims {captured:,} bytes, its block has {end - start:,}")
        clock = self._clocks[interface]
        options = more_options + self._options(block_type, start + padded(captured), end)
        time_ns = 0 if units is None else units * NS_PER_SECOND // clock.units_per_second + clock.offset_ns
        seconds, nanoseconds = divmod(time_ns, NS_PER_SECOND)
        extra = clock.extra
        if not 0 <= seconds <= MAX_SECONDS:
            seconds = nanoseconds = 0
            extra = PacketExtra(extra.interface, options, min(max(time_ns, MIN_TIME_NS), MAX_TIME_NS), block_type)
        elif options or block_type != ENHANCED_PACKET:
            extra = PacketExtra(extra.interface, options, None, block_type)
        pending = self._pending.get(clock.link_type)
        if pending is None:
            pending = self._pending[clock.link_type] = _Pending()
        if extra is not clock.extra or extra.interface:
            pending.extras[len(pending.ordinals)] = extra
        pending.ordinals.append(self._packets)
        pending.pieces.append(RECORD_HEADER.pack(seconds, nanoseconds, captured, original))
        pending.pieces.append(self._data[start : start + captured])
        self._packets += 1

    def _options(self, block_type: int, start: int, end: int) -> bytes:
        return little_endian_options(block_type, self._data[start:end], self._layout.order) if start < end else b""

    def _keep(self, block_type: int, body: bytes) -> None:
        self._kept_bytes += len(body) + KEPT_OVERHEAD
        if self._kept_bytes > KEPT_BYTES:
            raise Malformed(f"more than {KEPT_BYTES:,} bytes of blocks that are not packets")
        self.metadata.blocks.append(RawBlock(block_type, body, self._packets, self._section))


def _units_per_second(resolution: bytes) -> int:
    """Read if_tsresol: a negative power of 10, or of 2 if the highest bit is set."""
    value = resolution[0] if resolution else 6
    return 1 << (value & 0x7F) if value & 0x80 else 10**value
