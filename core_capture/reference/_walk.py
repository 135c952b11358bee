"""One packet while it is walked inwards, and what was found in it so far.

1. A layer is a function that looks at the bytes at `at`, moves `at`, and names the next layer or None.
2. `end` is where the captured bytes of this layer end, `wire_end` (never below it) where it ended on the wire.
3. `found` is replaced by each readable layer-4 header, so where the walk stops the innermost one stays.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from msgspec import Struct

from kubeshark.core_capture._columns import PacketBit, Tunnel
from kubeshark.core_capture.reference._limits import MAX_OFFSET

if TYPE_CHECKING:
    from kubeshark.core_capture.reference._fragments import Datagram, Datagrams

__all__ = ["Found", "Layer", "Walk"]


class Layer(Enum):
    """What lies at `Walk.at`."""

    ETHERNET = auto()
    VLAN = auto()
    LLC = auto()
    MPLS = auto()
    PPPOE = auto()
    PPP = auto()
    PBB = auto()
    TAG_OF_4 = auto()  # so many bytes, then an EtherType
    TAG_OF_6 = auto()
    MACSEC = auto()
    NSH = auto()
    PPI = auto()
    CISCO_HDLC = auto()
    PKTAP = auto()
    IP = auto()  # IPv4 or IPv6, by its first four bits
    IPV4 = auto()
    IPV6 = auto()
    TRANSPORT = auto()  # the header whose number is `Walk.protocol`
    GRE = auto()
    ETHERIP = auto()


class Found(Struct, frozen=True):
    """One readable IP packet with a readable layer-4 header."""

    version: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    transport: int
    transport_offset: int
    payload_offset: int
    payload_length: int  # captured
    wire_length: int  # of the payload
    sequence: int
    flags: int  # of TCP
    bits: int  # PacketBit
    tunnel: Tunnel
    vlan: int
    carriers: tuple[Found, ...]  # enclosing UDP packets, outermost first
    datagram: bytes | None  # what the offsets count from, if it is not the record


class Walk:
    """The state of a walk; see the module."""

    __slots__ = (
        "at",
        "base",
        "bits",
        "buffer",
        "carriers",
        "completed",
        "datagrams",
        "destination",
        "end",
        "found",
        "ip_depth",
        "is_head",
        "protocol",
        "source",
        "time_ns",
        "tunnel",
        "version",
        "vlan",
        "waits_for",
        "wire_end",
    )

    def __init__(self, buffer: bytes, base: int, end: int, wire_end: int, time_ns: int, datagrams: Datagrams) -> None:
        self.buffer = buffer
        self.base = base  # offsets in PACKET count from here
        self.at = base
        self.end = end
        self.wire_end = wire_end
        self.time_ns = time_ns
        self.datagrams = datagrams
        self.bits = 0
        self.vlan = 0
        self.tunnel = Tunnel.NONE
        self.carriers: tuple[Found, ...] = ()
        self.ip_depth = 0
        self.version = 0
        self.source = b""
        self.destination = b""
        self.protocol = 0
        self.found: Found | None = None
        self.is_head = False  # inside the first fragment of a datagram that never became whole
        self.completed: list[tuple[Datagram, Found | None]] = []  # with what was found outside
        self.waits_for: Datagram | None = None

    def has(self, count: int) -> bool:
        return self.at + count <= self.end

    def u8(self, offset: int) -> int:
        return self.buffer[self.at + offset]

    def u16(self, offset: int) -> int:
        start = self.at + offset
        return int.from_bytes(self.buffer[start : start + 2], "big")

    def u32(self, offset: int) -> int:
        start = self.at + offset
        return int.from_bytes(self.buffer[start : start + 4], "big")

    def clip(self, length: int) -> bool:
        """End the layer `length` bytes after `at`; return False, and leave it, where the wire ended before that."""
        claimed = self.at + length
        if claimed > self.wire_end:
            return False
        self.wire_end = claimed
        self.end = min(self.end, claimed)
        return True

    def believe(self, length: int) -> None:
        """Clip to the length an IP or UDP header claims; one that is longer than the packet is a contradiction."""
        if not self.clip(length) and not self.is_head:
            self.bits |= PacketBit.BAD_LENGTH

    def enter(self, tunnel: Tunnel) -> None:
        if self.tunnel is Tunnel.NONE:
            self.tunnel = tunnel

    def find(self, header_bytes: int, *, ports: tuple[int, int] = (0, 0), sequence: int = 0, flags: int = 0) -> bool:
        """Take the layer-4 header at `at` for what the packet is; False if its offsets do not fit."""
        payload = min(self.at + header_bytes, self.end)
        if payload - self.base > MAX_OFFSET:
            return False
        bits = self.bits
        if self.end < self.wire_end or self.is_head:
            bits |= PacketBit.CUT
        if self.tunnel is not Tunnel.NONE:
            bits |= PacketBit.TUNNELLED
        self.found = Found(
            version=self.version,
            source=self.source,
            destination=self.destination,
            source_port=ports[0],
            destination_port=ports[1],
            transport=self.protocol,
            transport_offset=self.at - self.base,
            payload_offset=payload - self.base,
            payload_length=self.end - payload,
            wire_length=max(self.wire_end - self.at - header_bytes, 0),
            sequence=sequence,
            flags=flags,
            bits=bits,
            tunnel=self.tunnel,
            vlan=self.vlan,
            carriers=self.carriers,
            datagram=self.buffer if bits & PacketBit.ARENA else None,
        )
        return True
