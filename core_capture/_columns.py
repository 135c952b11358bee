"""The interface of the core: records in, packet columns, flow table and reassembled streams out.

Two implementations, held together by differential tests: `kubeshark.core_capture.reference` (plain Python, to
be read) and `kubeshark.core_capture.native` (C through cffi, to be fast). Both give exactly the same arrays.

Definitions both follow:

1. A flow is one 5-tuple of the *innermost* decodable IP packet, with its start: a TCP SYN without ACK on a tuple that
   was already used, with another initial sequence number than its sender had, begins a new flow; if that was not seen,
   it does so after data, FIN or RST.
2. Endpoint `a` is the lower one (address bytes, then port, compared as big-endian numbers); direction 0 is a → b.
3. `client` says which end opened the flow: the sender of SYN, else the receiver of SYN+ACK, else the end whose peer has
   the lower port if exactly one port is below 1024 or listed in SERVER_PORTS, else the sender of the first packet.
4. Transports other than TCP, UDP and SCTP that carry IP (ICMP, ESP, …) make a flow per host pair and protocol, ports 0.
5. A packet inside a tunnel over UDP (VXLAN, Geneve, GTP-U, Teredo) belongs to its inner flow. The outer UDP flow gets a
   row of its own marked CARRIER, with its packet and byte counts and times, but no packets point to it. If the inner
   packet cannot be decoded the packet belongs to the outer flow, which then is an ordinary one.
6. IP fragments belong to the flow of their datagram; a datagram that became whole is the payload of the fragment that
   completed it (ARENA), the others have payload_length 0 and FRAGMENT set. Incomplete datagrams: the first fragment's
   bytes are dissected as a cut packet.
7. A packet that has no IP flow (ARP, LLDP, unknown link types, damage) has flow NO_FLOW.

What these leave open, decided (the code of `kubeshark.core_capture.reference` is the text where this is silent):

Records
8.  A record is whole if its 16-byte header and its captured bytes are there and captured length <= MAX_CAPTURED
    (_records.py); at the first that is not, the walk ends. time_ns = seconds * 10**9 + nanoseconds, unchecked.
9.  Every layer has two ends: where the captured bytes end, and where it ended on the wire: record start +
    max(captured, min(original, MAX_CAPTURED)). A length field (IPv4, IPv6, UDP) that lies within the wire end moves
    both ends down; one that points behind it sets BAD_LENGTH and moves nothing. 802.3, PPPoE and GTP lengths move
    the ends down or do nothing. CUT is set where the captured end of the payload lies before its wire end.
    FLOW.bytes counts wire payload.
10. A NO_FLOW row is zero except time_ns, offset and flow.

Walk
11. Link types are those of `LINK_TYPES` in reference/_link.py; any other has no flows. The walk goes inwards header by
    header. Each readable IP packet with a readable layer-4 header *replaces* what the packet is (addresses, ports,
    offsets, bits, tunnel, carriers as of that point); where the walk stops, the last one stays. So a GRE packet
    whose inside is ARP is a packet of the host pair's flow with transport 47, a VXLAN one of the outer UDP flow.
12. Readable: IPv4 with version 4, IHL >= 5, all header bytes captured, total length 0 (to the end, TSO) or >= the
    header; IPv6 with version 6 and 40 bytes, payload length 0 means to the end; TCP with 20 captured bytes (options
    may be cut: the payload is empty; a header behind the wire end sets BAD_LENGTH); UDP with 8 captured bytes,
    length 0 means to the end; SCTP with 12 captured bytes, its payload follows them; any other protocol always. A
    TCP data offset below 5 and a UDP length of 1 to 7 set BAD_LENGTH and leave the ports alone: both ends move to
    the end of the 20- or 8-byte header, seq and flags are 0, no tunnel is tried. Checksums are never verified. The
    9th IP header of a packet (MAX_IP_DEPTH = 8) is not readable, nor is a layer-4 header or payload whose offset
    does not fit u2.
13. Extension headers 0, 43, 60 (IPv6 only) and 51 (AH, both) are skipped; FLOW.transport is what follows. ESP,
    no-next-header and all others are opaque transports. Addresses are those of the IP header, also with a routing
    header.
14. `vlan` is the first non-zero VLAN id met on the walk; `tunnel` the first tunnel entered before the flow's IP
    header, and TUNNELLED says that there was one (MPLS and PPPoE count).
15. UDP is tried as a tunnel if its destination port, else its source port, is 4789 or 8472 (VXLAN: flag I set, last
    byte 0), 4790 (VXLAN-GPE), 6081 (Geneve: version 0), 3544 (Teredo), 2152 (GTP-U: version 1, PT set, message 255)
    or 1701 (L2TPv2 data).

Flows
16. Rows are keyed by (IP version, transport, a, port a, b, port b, is carrier): a CARRIER row is apart from an
    ordinary row of the same 5-tuple. Rows are numbered by first packet; within one packet the outermost carrier
    comes first, its own flow last. `carrier`, `vlan` and `tunnel` are those of the row's first packet; `carrier` of
    a CARRIER row is the next one outwards. A carrier's bits and counts come from the packets inside it: packets 1
    each, bytes = the UDP payload on the wire.
17. SYN means SYN set, ACK and RST clear; SYN+ACK means both set, RST clear. Definition 1 in full: such a SYN begins
    a new flow if the tuple's newest flow has payload bytes, FIN or RST (either direction) and (no SYN or SYN+ACK
    from this direction was seen, or its isn differs); not where none was seen and this one is older than the flow, by
    1 s at most: then it is the flow's own, written late (capture on several interfaces or queues). isn[d] is that of
    the first SYN or SYN+ACK from d; another one replaces it only while the flow has no payload, FIN or RST. The
    packet that decides is judged before its own payload is counted.
18. Definition 3: first SYN's sender; else first SYN+ACK's receiver; else, if exactly one of the two ports is below
    1024 or in SERVER_PORTS, that end is the server; else the first packet's sender. Equal ends: direction 0, client
    0.

IP fragments (reference/_fragments.py)
19. Keyed by (version, addresses, identification, IPv4 protocol), in record order. Bytes that came first stay. A
    fragment that is cut, or ends behind 65,535, adds no bytes and no end. The first last-fragment fixes the length;
    whole means that each byte below it is there. A datagram is given up when a fragment comes > 60 s after its
    first one (and then begins a new one), or when a 1,025th is begun (the oldest goes). A whole one is forgotten: a
    duplicate begins anew. A packet that completed 8 datagrams, one inside the other, adds to no further one. IPv6:
    the next header is that of the first offset-0 fragment; an "atomic" fragment (offset 0, no more) is an ordinary
    packet.
20. A given-up datagram is represented by its first offset-0 fragment, walked on from there with CUT and FRAGMENT,
    without BAD_LENGTH from that point inwards; inside it offset-0 fragments are read the same way and others stop
    the walk. Its other fragments belong to that flow; without an offset-0 fragment, or if it is not readable, each
    of its packets is what it was before the fragment (mostly NO_FLOW).
21. A fragment that does not represent its datagram takes flow, carriers, direction, vlan, tunnel, transport and
    TUNNELLED from the packet that does (or, if that one waits for a datagram inside, from the one at the chain's
    end); FRAGMENT is its only other bit; its offsets, seq, flags and lengths (carriers' bytes too) are 0. FRAGMENTS
    is set on its carriers too.

Streams (reference/_streams.py)
22. Packets are taken in time order (time_ns, then index), per direction. Data of a segment begins at seq, at seq +
    1 if SYN is set. Segments without payload, with RST (a reset's cause is no data), or with SYN and another seq
    than isn are not data.
23. Position = last + s32(seq - base - last), last being the end of the data segment before (0 at first, also if it
    was dropped or a probe); base = isn + 1 with a SYN, else the seq of the first data segment, where leading
    one-byte segments without PSH and FIN (keep-alive probes) are skipped. With a SYN, bytes below position 0 are
    dropped; without, the stream begins at the lowest position. `high` below is the highest end so far, 0 at first.
24. A segment of one byte, at high - 1, whose contents differ from what is there, is a keep-alive probe: ignored and
    not counted. `retransmissions` counts segments that bring no new byte (after dropping), `out_of_order` those
    that bring a new byte below high.
25. A gap is filled with min(missing, 1 MiB, what is left of 64 KiB + 64 * the direction's data bytes placed) zeros;
    start == end is possible. A gap before the first chunk belongs to it (chunk_starts[0] == 0). The first FIN
    (within 1 GiB of high) tells where the side ends: what is missing before it is a last gap, if there is any
    chunk. A cut tail without successor is no gap: see CUT. `data` ends at 1 GiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Any, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

__all__ = [
    "ARENA",
    "FLOW",
    "NO_FLOW",
    "PACKET",
    "SERVER_PORTS",
    "Core",
    "Decoded",
    "Direction",
    "FlowBit",
    "FlowStreams",
    "Gap",
    "PacketBit",
    "Tunnel",
]

Buffer = bytes | bytearray | memoryview

NO_FLOW = 0xFFFF_FFFF

SERVER_PORTS = frozenset(
    {1433, 1521, 1812, 1813, 1883, 2049, 3128, 3260, 3306, 3389, 3868, 4222, 4789, 5060, 5353, 5355, 5432, 5671, 5672}
    | {6081, 6379, 8000, 8080, 8081, 8443, 8888, 8883, 9000, 9042, 9092, 9200, 11211, 11300, 15672, 27017, 50051, 61613}
)
"""Server ports at or above 1024, for flows seen from the middle (definition 3)."""


class PacketBit(IntFlag):
    ARENA = 1  # layer 4 lies in Decoded.arena (a reassembled IP datagram), see ARENA
    FRAGMENT = 2  # part of a fragmented datagram
    CUT = 4  # captured shorter than it was: the payload's tail is missing
    TUNNELLED = 8
    BAD_LENGTH = 16  # header lengths contradict the packet; payload clipped to what is there


class FlowBit(IntFlag):
    CARRIER = 1
    FRAGMENTS = 2
    SYN_SEEN = 4  # SYN without ACK
    SYN_ACK_SEEN = 8
    FIN_A = 16  # a sent FIN
    FIN_B = 32
    RST_A = 64
    RST_B = 128


class Tunnel(IntEnum):
    """Outermost tunnel of a flow's first packet."""

    NONE = 0
    GRE = 1
    ERSPAN = 2
    VXLAN = 3
    GENEVE = 4
    IPIP = 5
    TEREDO = 6
    GTP = 7
    MPLS = 8
    PPPOE = 9
    L2TP = 10
    ETHERIP = 11
    LISP = 12


PACKET = np.dtype(
    [
        ("time_ns", "<u8"),
        ("offset", "<u4"),  # of the record header in the data
        ("flow", "<u4"),  # row of the flow table, or NO_FLOW
        ("seq", "<u4"),  # TCP sequence number; 0 otherwise
        ("payload_length", "<u4"),  # captured bytes of the transport payload (whole IP payload for ICMP and others)
        ("payload_offset", "<u2"),  # from `offset` (record header included); with ARENA from the arena entry's start
        ("transport_offset", "<u2"),  # of the layer-4 header, counted the same way
        ("flags", "u1"),  # TCP flags
        ("direction", "u1"),  # 0: from endpoint a, 1: from b
        ("transport", "u1"),  # IP protocol number, 0 without a flow
        ("bits", "u1"),  # PacketBit
    ]
)
"""One row a packet, in record order."""

FLOW = np.dtype(
    [
        ("a", "u1", (16,)),  # address, network order, IPv4 in the first 4 bytes
        ("b", "u1", (16,)),
        ("port_a", "<u2"),
        ("port_b", "<u2"),
        ("transport", "u1"),
        ("ip_version", "u1"),
        ("client", "u1"),  # 0: a is the client, 1: b
        ("tunnel", "u1"),  # Tunnel
        ("vlan", "<u2"),  # outermost VLAN id of the first packet, 0 without
        ("bits", "<u2"),  # FlowBit
        ("carrier", "<u4"),  # row of the enclosing UDP flow, or NO_FLOW
        ("first_packet", "<u4"),  # index of its first packet
        ("reserved", "<u4"),
        ("first_ns", "<u8"),  # earliest and latest time stamp
        ("last_ns", "<u8"),
        ("packets", "<u4", (2,)),  # per direction
        ("bytes", "<u8", (2,)),  # transport payload on the wire (not only captured), per direction
        ("isn", "<u4", (2,)),  # initial sequence number per direction where a SYN was seen, else 0
    ]
)
"""One row a flow, in order of first packet."""

ARENA = np.dtype([("packet", "<u4"), ("offset", "<u4"), ("length", "<u4")])
"""Reassembled IP datagrams: packet index, and where its layer-4 header and payload lie in Decoded.arena; by packet."""


class Decoded(Struct):
    """What `decode` made of some records; valid as long as `data` is."""

    data: Buffer
    packets: NDArray[Any]  # PACKET
    flows: NDArray[Any]  # FLOW
    arena: bytes
    arena_index: NDArray[Any]  # ARENA
    end: int  # bytes of whole records; less than len(data) if the last one is cut

    def payload(self, packet: int) -> memoryview:
        """Return the transport payload of one packet: a view, no copy."""
        row = self.packets[packet]
        if row["bits"] & PacketBit.ARENA:
            at = int(np.searchsorted(self.arena_index["packet"], packet))
            start = int(self.arena_index["offset"][at]) + int(row["payload_offset"])
            return memoryview(self.arena)[start : start + int(row["payload_length"])]
        start = int(row["offset"]) + int(row["payload_offset"])
        return memoryview(self.data)[start : start + int(row["payload_length"])]


class Gap(Struct, frozen=True):
    """Bytes never captured: zeros at data[start:end], standing for `missing` bytes (more than end-start if capped)."""

    start: int
    end: int
    missing: int


class Direction(Struct):
    """One side of a TCP flow, in order.

    `data[chunk_starts[i] : chunk_starts[i+1]]` was first carried by packet `chunk_packets[i]` (gaps belong to the chunk
    before them). Overlap policy: the byte that came first stays (as tshark does).
    """

    data: memoryview
    gaps: tuple[Gap, ...]
    chunk_starts: NDArray[Any]  # u8, ascending, empty for an empty side
    chunk_packets: NDArray[Any]  # u4, index into Decoded.packets
    retransmissions: int
    out_of_order: int
    overlaps: int  # bytes that arrived again with other contents
    starts_midway: bool  # no SYN seen: bytes may be missing before data[0]


class FlowStreams(Struct):
    """The payload of one flow: two directions for TCP, packets in order for everything else."""

    flow: int
    directions: tuple[Direction, Direction] | None  # by FLOW direction (a → b first); None unless TCP
    packets: NDArray[Any]  # u4 indices into Decoded.packets, all packets of the flow in time order


class Core(Protocol):
    """Both implementations. Stateless; may be called from several threads."""

    name: str

    def offsets(self, data: Buffer) -> tuple[NDArray[Any], int]:
        """Return the offsets (u8) of all whole records and where they end."""
        ...

    def decode(self, data: Buffer, link_type: int) -> Decoded:
        """Decode whole records of one link type into packet columns and a flow table of their own."""
        ...

    def assemble(self, decoded: Decoded, flows: Sequence[int] | NDArray[Any]) -> Sequence[FlowStreams]:
        """Reassemble these flows, in the given order. Memory is bounded: see the limits in each implementation.

        What the C core returns is an `Assembled` (_messages), whose streams can be scanned.
        """
        ...

    def gather(
        self, data: Buffer, offsets: NDArray[Any], order: NDArray[Any], size: int | None = None
    ) -> bytearray | memoryview:
        """Return the records at offsets[order[0]], offsets[order[1]], … one behind the other, `size` bytes in all."""
        ...

    def by_time(self, pieces: Sequence[Buffer], ties: NDArray[Any] | None) -> tuple[Buffer, NDArray[Any], NDArray[Any]]:
        """Return the records of all pieces sorted by time, then tie, then place: (records, their offsets, times); u8.

        Raises IndexError unless the pieces are whole records only, one for each of `ties` (u2, by place).
        """
        ...

    def runs(self, chosen: NDArray[np.bool_], lengths: NDArray[Any], start: int) -> list[tuple[int, int]]:
        """Lay `lengths` (u8) one behind the other from `start` on; return the stretches of those chosen, merged."""
        ...

    def may_hold(self, filters: Buffer, ends: NDArray[Any], key: int, probes: int) -> NDArray[np.bool_]:
        """Look up a key (u64) in Bloom filters that lie one behind the other up to `ends` (u8), powers of two bytes.

        Probe n is bit key + n * (key >> 32 | 1), modulo the filter's bits, the highest bit of a byte first.
        Raises IndexError for a filter of another size, or one that is not there.
        """
        ...

    def unplane(self, planes: Buffer, dtype: str, shape: tuple[int, ...], *, delta: bool) -> NDArray[Any]:
        """Return the numbers whose first bytes, second bytes, … `planes` holds; `delta`: as sums along the first axis.

        Raises IndexError unless `planes` has the bytes of `shape`.
        """
        ...
