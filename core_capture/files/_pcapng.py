"""pcapng files (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces, every kind of packet block.

1. The file is a chain of blocks, each with its length in front and behind. Where the chain breaks, reading ends:
   nothing is guessed. Where only the contents of one block are damaged, the rest of its section is passed over.
2. Interfaces count through all sections: `PacketExtra.interface` is an index into `metadata.interfaces`.
3. Every other block is kept as it is, so that an export can put it back, within KEPT_BYTES.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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
from kubeshark.errors import Malformed

__all__ = ["SECTION_MAGIC", "PcapngReader", "open_pcapng"]

SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
BLOCK_FRAME = 12  # type and length in front, length behind
SECTION_FIXED = 16  # byte-order magic, version, section length
SECTION_START = 8 + 4  # type, length, byte-order magic: what it takes to read a section's first block
MAX_BLOCK = 16 << 20  # Wireshark's limit too; secrets and names are the largest blocks seen
MAX_INTERFACES = 1 << 16
KEPT_BYTES = 64 << 20  # of blocks that are not packets, held in memory until the file is read
KEPT_OVERHEAD = 128  # what Python adds to each
MAX_PROBLEMS = 100  # a file made of nothing but damaged sections ends here

NS_PER_SECOND = 1_000_000_000
MAX_SECONDS = 0xFFFF_FFFF
NO_DROP_COUNT = 0xFFFF
RECORD_HEADER = struct.Struct("<IIII")


def open_pcapng(source: Source, start: bytes, batch_bytes: int) -> PcapngReader:
    """Check that `start`, the first bytes of the file, begins a section; raise Malformed if not."""
    start += source.stream.read(SECTION_START - len(start))
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
        self.enhanced = struct.Struct(order + "IIIII")  # interface, time (high, low), captured, original
        self.obsolete = struct.Struct(order + "HHIIII")  # interface, drops, time (high, low), captured, original


LAYOUTS = {b"\x4d\x3c\x2b\x1a": _Layout("<"), b"\x1a\x2b\x3c\x4d": _Layout(">")}
"""By the byte-order magic of a section header."""


@dataclass(slots=True)
class _Clock:
    """What each packet of an interface needs to know about it."""

    index: int  # in metadata.interfaces
    link_type: int
    snaplen: int
    units_per_second: int
    offset_ns: int


@dataclass(slots=True)
class _Pending:
    """Packets of one link type on their way into a batch."""

    pieces: list[bytes] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    extras: dict[int, PacketExtra] = field(default_factory=dict)

    def batch(self, link_type: int) -> RecordBatch:
        first, last = self.ordinals[0], self.ordinals[-1]
        ordinals = range(first, last + 1) if last - first + 1 == len(self.ordinals) else self.ordinals
        return RecordBatch(link_type, b"".join(self.pieces), ordinals, self.extras)


class PcapngReader(FileReader):
    def __init__(
        self, source: Source, metadata: SourceMetadata, layout: _Layout, start: bytes, batch_bytes: int
    ) -> None:
        super().__init__(source, metadata, start=start, base=0, batch_bytes=batch_bytes)
        self._layout = layout
        self._section = -1
        self._clocks: list[_Clock] = []  # of this section's interfaces
        self._is_skipping = True  # until a section begins
        self._is_over = False  # the chain of blocks broke
        self._needed = 0  # bytes of the block that the window begins with
        self._packets = 0
        self._kept_bytes = 0
        self._pending: dict[int, _Pending] = {}
        self._readers: dict[int, Callable[[bytes], None]] = {
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

    def _read_blocks(self) -> int:
        """Read all whole blocks of the window; return where they end."""
        data = self._data
        position = 0
        while not self._is_over and position + SECTION_START <= len(data):
            length = self._block_length(position)
            end = position + length
            if self._is_over or end > len(data):
                self._needed = length
                break
            if data[end - 4 : end] != data[position + 4 : position + 8]:
                self._end("the two lengths of a block differ", position)
                break
            (block_type,) = self._layout.word.unpack_from(data, position)
            self._read_block(block_type, position, data[position + 8 : end - 4])
            position = end
        return position

    def _block_length(self, position: int) -> int:
        """Return the length of the block at `position`; a section's first block says in which byte order it is."""
        data = self._data
        if data[position : position + 4] == SECTION_MAGIC:
            layout = LAYOUTS.get(data[position + 8 : position + SECTION_START])
            if layout is None:
                self._end("a section has no byte-order mark", position)
                return 0
            self._layout = layout
        (length,) = self._layout.word.unpack_from(data, position + 4)
        if length < BLOCK_FRAME or length % 4 or length > MAX_BLOCK:
            self._end(f"a block claims {length:,} bytes", position)
            return 0
        return int(length)

    def _end(self, message: str, position: int) -> None:
        self._is_over = True
        self._report(f"{message}: the rest cannot be read", position)

    def _read_block(self, block_type: int, position: int, body: bytes) -> None:
        """Read one block. Damage inside it ends its section."""
        if block_type == SECTION_HEADER:
            self._is_skipping = False
        elif self._is_skipping:
            return
        try:
            read = self._readers.get(block_type)
            if read is None:
                self._keep(block_type, little_endian_body(block_type, body, self._layout.order))
            else:
                read(body)
        except Malformed as damage:
            self._is_skipping = True
            self._report(f"{damage.message}: the rest of this section cannot be read", position)
            self._is_over = len(self.problems) >= MAX_PROBLEMS

    def _section_header(self, body: bytes) -> None:
        self._section += 1
        self._clocks = []
        if len(body) < SECTION_FIXED:
            raise Malformed("a section header cut short")
        major, minor = struct.unpack_from(self._layout.order + "HH", body, 4)
        if major != 1:
            raise Malformed(f"pcapng version {major}.{minor}, known is 1")
        options = little_endian_options(SECTION_HEADER, body[SECTION_FIXED:], self._layout.order)
        self._keep(SECTION_HEADER, options)

    def _interface(self, body: bytes) -> None:
        if len(body) < 8:
            raise Malformed("an interface description cut short")
        if len(self.metadata.interfaces) >= MAX_INTERFACES:
            raise Malformed(f"more than {MAX_INTERFACES:,} interfaces")
        link_type, _, snaplen = struct.unpack_from(self._layout.order + "HHI", body)
        raw = little_endian_options(INTERFACE_DESCRIPTION, body[8:], self._layout.order)
        options = dict(reversed(split_options(raw)[0]))  # of repeated ones the first counts
        units = _units_per_second(options.get(OPT_TIME_RESOLUTION, b"\x06"))
        offset_s = int.from_bytes(options.get(OPT_TIME_OFFSET, b"")[:8], "little", signed=True)
        self._clocks.append(_Clock(len(self.metadata.interfaces), link_type, snaplen, units, offset_s * NS_PER_SECOND))
        name = options.get(OPT_NAME, b"").rstrip(b"\0").decode(errors="replace")
        self.metadata.interfaces.append(Interface(link_type, snaplen, units, offset_s, self._section, name, raw))

    def _enhanced_packet(self, body: bytes) -> None:
        fixed = self._layout.enhanced
        if len(body) < fixed.size:
            raise Malformed("a packet block cut short")
        interface, high, low, captured, original = fixed.unpack_from(body)
        self._packet(ENHANCED_PACKET, interface, high << 32 | low, captured, original, body, fixed.size)

    def _obsolete_packet(self, body: bytes) -> None:
        fixed = self._layout.obsolete
        if len(body) < fixed.size:
            raise Malformed("a packet block cut short")
        interface, drops, high, low, captured, original = fixed.unpack_from(body)
        # Its drop count goes where an enhanced packet block has it.
        more = b"" if drops == NO_DROP_COUNT else join_options([(OPT_DROP_COUNT, drops.to_bytes(8, "little"))])
        self._packet(OBSOLETE_PACKET, interface, high << 32 | low, captured, original, body, fixed.size, more)

    def _simple_packet(self, body: bytes) -> None:
        if len(body) < 4:
            raise Malformed("a packet block cut short")
        (original,) = struct.unpack_from(self._layout.order + "I", body)
        snaplen = self._clocks[0].snaplen if self._clocks else 0
        captured = min(original, snaplen) if snaplen else original
        self._packet(SIMPLE_PACKET, 0, None, captured, original, body, 4)

    def _packet(
        self,
        block_type: int,
        interface: int,
        units: int | None,
        captured: int,
        original: int,
        body: bytes,
        start: int,
        more_options: bytes = b"",
    ) -> None:
        """Add the packet whose bytes lie at `start` of `body`; `units` is its time in the interface's clock."""
        if interface >= len(self._clocks):
            raise Malformed(f"a packet on interface {interface:,}, which is not described")
        if captured > len(body) - start or captured > MAX_CAPTURED:
            raise Malformed(f"a packet claims {captured:,} bytes, its block has {len(body) - start:,}")
        clock = self._clocks[interface]
        options = more_options
        options_at = start + padded(captured)
        if options_at < len(body):
            options += little_endian_options(block_type, body[options_at:], self._layout.order)
        time_ns = 0 if units is None else units * NS_PER_SECOND // clock.units_per_second + clock.offset_ns
        seconds, nanoseconds = divmod(time_ns, NS_PER_SECOND)
        is_odd = not 0 <= seconds <= MAX_SECONDS
        if is_odd:
            seconds = nanoseconds = 0
        pending = self._pending.get(clock.link_type)
        if pending is None:
            pending = self._pending[clock.link_type] = _Pending()
        if clock.index or options or is_odd or block_type != ENHANCED_PACKET:
            pending.extras[len(pending.ordinals)] = PacketExtra(
                clock.index, options, time_ns if is_odd else None, block_type
            )
        pending.ordinals.append(self._packets)
        pending.pieces.append(RECORD_HEADER.pack(seconds, nanoseconds, captured, original))
        pending.pieces.append(body[start : start + captured])
        self._packets += 1

    def _keep(self, block_type: int, body: bytes) -> None:
        self._kept_bytes += len(body) + KEPT_OVERHEAD
        if self._kept_bytes > KEPT_BYTES:
            raise Malformed(f"more than {KEPT_BYTES:,} bytes of blocks that are not packets")
        self.metadata.blocks.append(RawBlock(block_type, body, self._packets, self._section))


def _units_per_second(resolution: bytes) -> int:
    """Read if_tsresol: a negative power of 10, or of 2 if the highest bit is set."""
    value = resolution[0] if resolution else 6
    return 1 << (value & 0x7F) if value & 0x80 else 10**value
