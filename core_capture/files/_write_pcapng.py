"""Writes pcapng files: packets, and with them what their source said about itself.

Everything is written little-endian; an obsolete packet block becomes an enhanced one, as the draft asks (§4.6, App. A).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Self

from msgspec.structs import replace

from kubeshark.core_capture._records import Interface, PacketExtra, RawBlock, SourceMetadata
from kubeshark.core_capture.files._options import (
    ENHANCED_PACKET,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    OPT_NAME,
    OPT_TIME_OFFSET,
    OPT_TIME_RESOLUTION,
    SECTION_HEADER,
    SIMPLE_PACKET,
    join_options,
    split_options,
)

__all__ = ["PcapngWriter", "make_statistics", "merge_sources"]

NS_PER_SECOND = 1_000_000_000
MAX_UNITS = (1 << 64) - 1
DEFAULT_UNITS = 1_000_000  # per second, without if_tsresol
RECORD_HEADER = struct.Struct("<IIII")
FRAME, WORD = struct.Struct("<II"), struct.Struct("<I")  # of a block: type and length; length
PACKET = struct.Struct("<IIIII")  # interface, time (high, low), captured, original
END_OF_OPTIONS = bytes(4)
UNKNOWN_LENGTH = -1
OPT_APPLICATION = 4  # shb_userappl
LAST = (1 << 63) - 1  # before_ordinal of a block that follows all packets
PLAIN = PacketExtra()
# isb_ifrecv, isb_ifdrop, isb_filteraccept, isb_osdrop, isb_usrdeliv
STATISTICS = {"received": 4, "interface_dropped": 5, "accepted": 6, "system_dropped": 7, "delivered": 8}


class PcapngWriter:
    """Writes one pcapng file; `close`, or the end of `with`, writes the blocks that follow the last packet.

    Packets come in the order in which they shall stand. Those of one section stand together: to mix sections or
    sources, merge_sources makes one section of them. `metadata` may still grow while packets are written.
    """

    def __init__(self, out: BinaryIO, metadata: SourceMetadata, *, application: str = "kubeshark") -> None:
        self._out = out
        self._metadata = metadata
        self._application = application
        self._section = -1
        self._first_interface = 0  # of this section, in metadata.interfaces
        self._next_interface = 0  # to be described
        self._next_block = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self.close()

    def write_packet(self, record: bytes, extra: PacketExtra = PLAIN, *, ordinal: int = 0) -> None:
        """Write one packet, given as a record of _records.py.

        `ordinal`, its position in the source, brings the blocks that stood before it. Raise ValueError if its section
        is over.
        """
        interface = self._metadata.interfaces[extra.interface]
        if interface.section != self._section or self._next_block < len(self._metadata.blocks):
            self._advance(interface.section, ordinal)
        if extra.interface >= self._next_interface:
            self._describe_interfaces(extra.interface + 1)
        seconds, nanoseconds, captured, original = RECORD_HEADER.unpack_from(record)
        local = extra.interface - self._first_interface
        padding = bytes(-captured % 4)
        is_simple = extra.block_type == SIMPLE_PACKET and local == 0
        if is_simple and captured == min(original, interface.snaplen or original):
            self._block(SIMPLE_PACKET, WORD.pack(original), record[RECORD_HEADER.size :], padding)
            return
        time_ns = seconds * NS_PER_SECOND + nanoseconds if extra.time_ns is None else extra.time_ns
        units = _clock_units(interface, time_ns)
        fixed = PACKET.pack(local, units >> 32, units & 0xFFFF_FFFF, captured, original)
        self._block(ENHANCED_PACKET, fixed, record[RECORD_HEADER.size :], padding, _ended(extra.options))

    def close(self) -> None:
        """Write what remains of the metadata; `out` stays open."""
        sections = [interface.section for interface in self._metadata.interfaces]
        self._advance(max(sections, default=0), LAST)
        self._describe_interfaces(len(self._metadata.interfaces))

    def _advance(self, section: int, ordinal: int) -> None:
        """Go to `section`, and write all blocks that stand before the packet `ordinal` there."""
        if section < self._section:
            raise ValueError(f"section {section} is over, {self._section} has begun: use merge_sources")
        blocks = self._metadata.blocks
        while self._next_block < len(blocks):
            block = blocks[self._next_block]
            if block.section > section or (block.section == section and block.before_ordinal > ordinal):
                break
            self._next_block += 1
            if block.block_type == SECTION_HEADER:
                self._begin_section(block.section, block.body)
            else:
                self._begin_missing_section(block.section)
                self._block(block.block_type, block.body)
        self._begin_missing_section(section)

    def _begin_missing_section(self, section: int) -> None:
        """Begin a section whose header the metadata does not have: packets from a pcap file, or live."""
        if section > self._section:
            self._begin_section(section, join_options([(OPT_APPLICATION, self._application.encode())]))

    def _begin_section(self, section: int, options: bytes) -> None:
        self._describe_interfaces(self._end_of_section(self._section))
        self._section = section
        self._first_interface = self._next_interface
        self._block(SECTION_HEADER, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, UNKNOWN_LENGTH), _ended(options))
        self._describe_interfaces(self._end_of_section(section))

    def _end_of_section(self, section: int) -> int:
        """Return the index behind the last interface known of this section."""
        end = self._next_interface
        while end < len(self._metadata.interfaces) and self._metadata.interfaces[end].section <= section:
            end += 1
        return end

    def _describe_interfaces(self, end: int) -> None:
        for interface in self._metadata.interfaces[self._next_interface : end]:
            fixed = struct.pack("<HHI", interface.link_type, 0, interface.snaplen)
            self._block(INTERFACE_DESCRIPTION, fixed, _ended(_interface_options(interface)))
        self._next_interface = max(self._next_interface, end)

    def _block(self, block_type: int, *parts: bytes) -> None:
        """Write a block whose body is `parts`, padded together."""
        body = b"".join(parts)
        padding = bytes(-len(body) % 4)
        length = len(body) + len(padding) + 12
        self._out.write(b"".join((FRAME.pack(block_type, length), body, padding, WORD.pack(length))))


def merge_sources(sources: Sequence[SourceMetadata]) -> tuple[SourceMetadata, list[int]]:
    """Make one section of all sections of several sources, so that their packets can be mixed.

    Return it with a number for each source, to be added to `PacketExtra.interface` of its packets. Names, secrets and
    custom blocks come first, statistics last; section headers, which speak of one recording, are left out.
    """
    merged = SourceMetadata("pcapng")
    shifts = []
    for source in sources:
        shifts.append(len(merged.interfaces))
        for block in source.blocks:
            if block.block_type == INTERFACE_STATISTICS:
                merged.blocks.append(_shifted_statistics(block, source, shifts[-1]))
            elif block.block_type != SECTION_HEADER:
                merged.blocks.append(replace(block, before_ordinal=0, section=0))
        merged.interfaces += [replace(interface, section=0) for interface in source.interfaces]
    merged.blocks.sort(key=lambda block: block.before_ordinal)
    return merged, shifts


def _shifted_statistics(block: RawBlock, source: SourceMetadata, shift: int) -> RawBlock:
    """Have an interface statistics block name its interface by its place in the merged section."""
    earlier = sum(interface.section < block.section for interface in source.interfaces)
    local = int.from_bytes(block.body[:4], "little")
    body = (local + earlier + shift).to_bytes(4, "little") + block.body[4:]
    return RawBlock(block.block_type, body, LAST, 0)


def make_statistics(number: int, interface: Interface, time_ns: int, counts: Mapping[str, int]) -> RawBlock:
    """Return the statistics (§4.6) of interface `number` of section 0 as of a time, to stand behind all packets.

    `counts` are those of STATISTICS that are known.
    """
    units = _clock_units(interface, time_ns)
    options = join_options([(STATISTICS[name], count.to_bytes(8, "little")) for name, count in counts.items()])
    body = struct.pack("<III", number, units >> 32, units & 0xFFFF_FFFF) + options + END_OF_OPTIONS
    return RawBlock(INTERFACE_STATISTICS, body, before_ordinal=LAST)


def _interface_options(interface: Interface) -> bytes:
    """Return the kept options, and those that say what only our fields know (a live interface, a pcap file)."""
    present = {code for code, _ in split_options(interface.options)[0]}
    own = []
    if interface.name:
        own.append((OPT_NAME, interface.name.encode()))
    if interface.units_per_second != DEFAULT_UNITS:
        own.append((OPT_TIME_RESOLUTION, bytes([_resolution(interface.units_per_second)])))
    if interface.time_offset_s:
        own.append((OPT_TIME_OFFSET, struct.pack("<q", interface.time_offset_s)))
    return interface.options + join_options([option for option in own if option[0] not in present])


def _resolution(units_per_second: int) -> int:
    """Return the value of if_tsresol: the exponent of 10, or that of 2 with the highest bit set."""
    power_of_two = units_per_second.bit_length() - 1
    if units_per_second == 1 << power_of_two:
        return 0x80 | power_of_two
    return len(str(units_per_second)) - 1


def _clock_units(interface: Interface, time_ns: int) -> int:
    """Return a time in the units of an interface: rounded up, which undoes that the reader rounds down.

    A time that its clock cannot show becomes the nearest it can.
    """
    since_offset = time_ns - interface.time_offset_s * NS_PER_SECOND
    units = -(-since_offset * interface.units_per_second // NS_PER_SECOND)
    return min(max(units, 0), MAX_UNITS)


def _ended(options: bytes) -> bytes:
    return options + END_OF_OPTIONS if options else b""
