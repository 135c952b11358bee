"""Packets as they travel from a reader to the store: batches of nanosecond-pcap records.

Every reader (pcap in any byte order and precision, pcapng, live) turns what it reads into one form, and nothing behind
it knows another: a bytes-like object of consecutive little-endian records

    u32 seconds | u32 nanoseconds | u32 captured length | u32 original length | captured bytes

which is also, byte for byte, what lies in a segment (docs/adr/0002-segment-format.md). What that form cannot hold
(interface, options, times before 1970 or after 2106) travels beside it in sparse extras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct, field

__all__ = [
    "LINKTYPE_IPV4",
    "LINKTYPE_IPV6",
    "MAX_CAPTURED",
    "PCAP_HEADER_BYTES",
    "PROBED",
    "RECORD_HEADER_BYTES",
    "CaptureReader",
    "Interface",
    "PacketExtra",
    "Problem",
    "RawBlock",
    "RecordBatch",
    "Room",
    "SourceMetadata",
]

PCAP_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
MAX_CAPTURED = 1 << 20
"""A record that claims more than this is damage, not a packet: GSO frames reach 64 KiB, USB captures 256 KiB."""

Room = Callable[[int, int], memoryview | None]
"""Memory for at least so many bytes of records of a link type, where they will stay; None: there is none now."""

LINKTYPE_IPV4, LINKTYPE_IPV6 = 228, 229
PROBED = frozenset({LINKTYPE_IPV4, LINKTYPE_IPV6})
"""Link types of clear text that probes took from processes (ADR 35): no interface of Linux gives them, files may."""


class PacketExtra(Struct, frozen=True):
    """What one packet has beyond a pcap record."""

    interface: int = 0  # index into SourceMetadata.interfaces
    options: bytes = b""  # pcapng options of its block, raw, in little-endian option framing
    time_ns: int | None = None  # the true time where seconds do not fit u32 (then the record holds 0)
    block_type: int = 6  # pcapng: 6 EPB, 3 SPB, 2 obsolete PB


class RecordBatch(Struct):
    """Consecutive packets of one link type.

    `ordinals` are the packets' positions in their source, ascending: a `range`, or a list where link types interleave.
    `extras` is keyed by index within the batch; a packet without one is on interface 0 with no options.
    """

    link_type: int  # LINKTYPE_* of the tcpdump.org registry
    data: bytes | bytearray | memoryview
    ordinals: Sequence[int]
    extras: dict[int, PacketExtra] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.ordinals)


class Interface(Struct, frozen=True):
    """A pcapng interface description, or the one interface a pcap header implies."""

    link_type: int
    snaplen: int
    units_per_second: int = 1_000_000  # time resolution; 10**9 for nanoseconds, may be a power of two
    time_offset_s: int = 0  # if_tsoffset
    section: int = 0
    name: str = ""
    options: bytes = b""  # raw options, little-endian option framing


class RawBlock(Struct, frozen=True):
    """A pcapng block that is neither packet nor interface: section header, names, statistics, secrets, custom.

    Kept so that an export can put it back. `before_ordinal` is the ordinal of the next packet in the source.
    """

    block_type: int
    body: bytes  # little-endian; a section header keeps only its options
    before_ordinal: int
    section: int = 0


class SourceMetadata(Struct):
    """What a source says about itself; grows while it is read."""

    format: str = "pcap"  # "pcap" or "pcapng"
    byte_order: str = "little"
    interfaces: list[Interface] = field(default_factory=list)
    blocks: list[RawBlock] = field(default_factory=list)


class Problem(Struct, frozen=True):
    """Something a reader could not read: said to the user, never raised after the first packet."""

    message: str
    offset: int  # in the decompressed source

    def __str__(self) -> str:
        return f"{self.message} at byte {self.offset:,}"


class CaptureReader(Protocol):
    """A source of packets: iterate it once, then read `problems`. Memory is bounded by the batch size.

    Given a `room`, a reader may put records there: such a batch must be added before the next one is asked for.
    """

    name: str
    metadata: SourceMetadata
    problems: list[Problem]
    bytes_read: int  # of the source as stored (compressed), for progress
    bytes_total: int | None  # None for a stream
    room: Room | None

    def __iter__(self) -> CaptureIterator: ...
    def __enter__(self) -> CaptureReader: ...
    def __exit__(self, *_: object) -> None: ...


class CaptureIterator(Protocol):
    def __iter__(self) -> CaptureIterator: ...
    def __next__(self) -> RecordBatch: ...
