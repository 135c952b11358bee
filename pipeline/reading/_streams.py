"""The core's reassembled flows as dissectors see them: the `Stream` of `kubeshark.extension_api`.

Directions change here: the core counts them by endpoint order (a → b), plugins by who opened the flow (client first).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import islice, starmap
from struct import Struct
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import Decoded, Direction, FlowStreams, PacketBit
from kubeshark.extension_api import CarvedSide, Datagram, Ending, Endpoint, Handover, StreamSide

__all__ = ["TRANSPORT_NAMES", "FlowSide", "FlowStream", "InnerStream", "address_text", "endpoints"]

TRANSPORT_NAMES = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmp"}
"""IP protocol number → KFL `transport`; everything else is "ip"."""


ENDINGS: tuple[Ending, ...] = ("closed", "reset", "refused")
"""Of several the first counts: who closed a connection is often told by a RST that nobody reads any more."""
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
ACKNOWLEDGED = 8  # where a TCP header has what it acknowledges
ARENA, CUT, FRAGMENT = int(PacketBit.ARENA), int(PacketBit.CUT), int(PacketBit.FRAGMENT)  # flags as fast as numbers


@functools.lru_cache(maxsize=65_536)  # the same few addresses, over and over
def address_text(raw: bytes, version: int) -> str:
    return str(IPv4Address(raw[:4]) if version == 4 else IPv6Address(raw))


_ENDS = Struct("<16s16sHHBBB65x")  # of a FLOW row, the rest left out: one read for what would be seven of columns
_PACKET = Struct("<QIIIIHHBBBB")  # PACKET


class Ends(msgspec.Struct, frozen=True):
    """Who talks in a flow, and how."""

    client: Endpoint
    server: Endpoint
    transport: str  # KFL
    opener: int  # who is the client: 0 a, 1 b


def _ends(a: bytes, b: bytes, port_a: int, port_b: int, transport: int, version: int, opener: int) -> Ends:
    first, second = Endpoint(address_text(a, version), port_a), Endpoint(address_text(b, version), port_b)
    name = TRANSPORT_NAMES.get(transport, "ip")
    return Ends(first, second, name, opener) if opener == 0 else Ends(second, first, name, opener)


def endpoints(row: Any) -> tuple[Endpoint, Endpoint]:
    """Return (client, server) of a FLOW row."""
    ends = _ends(*_ENDS.unpack(row))
    return ends.client, ends.server


def _distance(start: int, end: int) -> int:
    """Return how far a sequence number lies behind another one."""
    return (end - start + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


class FlowSide:
    """One side of a TCP stream, with times looked up by offset."""

    __slots__ = ("_decoded", "_flow", "_packets", "_starts", "_times", "data", "direction", "gaps", "starts_midway")

    def __init__(self, direction: Direction, times: NDArray[Any], decoded: Decoded, flow: NDArray[Any]) -> None:
        self.direction = direction
        self.data = direction.data
        gaps = direction.gaps
        self.gaps: Sequence[tuple[int, int, int]] = [(g.start, g.end, g.missing) for g in gaps] if gaps else []
        self.starts_midway = direction.starts_midway
        self._times = times  # of the decoded packets
        self._decoded = decoded
        self._flow = flow  # all packets of both sides
        self._starts: list[int] | None = None
        self._packets: list[int] = []

    @property
    def ended(self) -> Ending:
        """How the connection ended right behind the last byte. Worked out anew each time: few ask."""
        owners = self.direction.chunk_packets
        if not len(owners):
            return ""
        packets: Any = self._decoded.packets
        data = memoryview(self._decoded.data)
        _, _, _, seq, length, _, _, flags, sender, _, _ = _PACKET.unpack_from(packets, int(owners[-1]) * _PACKET.size)
        end = seq + bool(flags & SYN) + length
        found: set[Ending] = set()
        for packet in self._flow[packets["flags"][self._flow] & (FIN | RST) != 0].tolist():
            row = _PACKET.unpack_from(packets, packet * _PACKET.size)
            _, offset, _, seq, length, _, header, flags, direction, _, bits = row
            if bits & (ARENA | CUT):  # what it says is elsewhere, or ends elsewhere
                continue
            if direction == sender and flags & RST:
                found.add("reset" if _distance(end, seq) == 0 else "")
            elif direction == sender:
                found.add("closed" if _distance(end, seq + bool(flags & SYN) + length) == 0 else "")
            elif flags & RST and flags & ACK:
                at = offset + header + ACKNOWLEDGED
                found.add("refused" if _distance(end, int.from_bytes(data[at : at + 4], "big")) <= 0 else "")
        for ending in ENDINGS:
            if ending in found:
                return ending
        return ""

    def packet_at(self, offset: int) -> int:
        """Return the index of the packet that first carried the byte at `offset`; the nearest one outside the data."""
        starts = self._starts
        if starts is None:
            starts = self._chunks()
        return self._packets[(bisect_right(starts, offset) or 1) - 1]

    def time_at(self, offset: int) -> int:
        return int(self._times.item(self.packet_at(offset))) if self._chunks() else 0

    def _chunks(self) -> list[int]:
        """Return the chunks' starts. Made when first asked for: most sides of a query are never read."""
        starts = self._starts
        if starts is None:
            starts = self._starts = self.direction.chunk_starts.tolist()
            self._packets = self.direction.chunk_packets.tolist()
        return starts

    def arrivals(self) -> list[tuple[int, int, int]]:
        """(packet, start, end) of each chunk; the packet never goes back, so that late data stays where it belongs."""
        starts = self._chunks()
        result, latest = [], 0
        for at, (start, packet) in enumerate(zip(starts, self._packets, strict=True)):
            latest = max(latest, packet)
            end = starts[at + 1] if at + 1 < len(starts) else len(self.data)
            result.append((latest, start, end))
        return result


class FlowStream:
    """One flow's payload. Valid while the decoded records are held."""

    __slots__ = (
        "_datagram_packets",
        "_datagrams",
        "client",
        "decoded",
        "ends",
        "flow",
        "flow_sides",
        "is_decrypted",
        "is_probed",
        "row",
        "server",
        "sides",
        "streams",
        "times",
        "transport",
    )

    def __init__(self, decoded: Decoded, streams: FlowStreams, row: Any, times: NDArray[Any], ends: Ends) -> None:
        self.decoded = decoded
        self.streams = streams
        self.row = row
        self.flow = streams.flow
        self.is_decrypted = self.is_probed = False
        self.ends = ends
        self.client, self.server, self.transport = ends.client, ends.server, ends.transport
        self.times = times
        self.flow_sides: tuple[FlowSide, ...] = ()
        if streams.directions is not None:
            a, b = (FlowSide(direction, times, decoded, streams.packets) for direction in streams.directions)
            self.flow_sides = (a, b) if ends.opener == 0 else (b, a)
        self.sides: Any = self.flow_sides
        self._datagrams: list[Datagram] | None = None
        self._datagram_packets: list[int] = []

    @classmethod
    def all_of(cls, decoded: Decoded, assembled: Sequence[FlowStreams]) -> list[Self]:
        """Return the streams of assembled flows."""
        times = decoded.packets["time_ns"]
        if len(assembled) == 1:
            row = decoded.flows[assembled[0].flow]
            return [cls(decoded, assembled[0], row, times, _ends(*_ENDS.unpack(row)))]
        rows = decoded.flows[[streams.flow for streams in assembled]]
        joined = zip(assembled, rows, starmap(_ends, _ENDS.iter_unpack(rows.tobytes())), strict=True)
        return [cls(decoded, streams, row, times, ends) for streams, row, ends in joined]

    def packet_of(self, order: int) -> int:
        """Return the packet of a place in capture order: of a datagram's number, or for TCP the packet itself."""
        return order if self.sides else self._datagram_packets[order]

    def had_read(self, packet: int) -> int:
        """Return the sequence number that a TCP packet acknowledges; -1 if it cannot be told."""
        packets: Any = self.decoded.packets
        _, offset, _, _, _, _, header, flags, _, _, bits = _PACKET.unpack_from(packets, packet * _PACKET.size)
        if bits & (ARENA | CUT) or not flags & ACK:
            return -1
        at = offset + header + ACKNOWLEDGED
        return int.from_bytes(self.decoded.data[at : at + 4], "big")

    def packets_of(self, datagrams: NDArray[Any]) -> NDArray[Any]:
        """Return the packets that brought these datagrams, by their numbers."""
        packets: NDArray[Any] = np.asarray(self._datagram_packets, dtype=np.int64)[datagrams]
        return packets

    @property
    def datagrams(self) -> Sequence[Datagram]:
        if self._datagrams is None:
            self._datagrams = [] if self.sides else self._read_datagrams()
        return self._datagrams

    def _read_datagrams(self) -> list[Datagram]:
        decoded, opener = self.decoded, self.ends.opener
        packets: Any = decoded.packets
        data, datagrams, read = memoryview(decoded.data), [], _PACKET.unpack_from
        for packet in self.streams.packets.tolist():  # mostly a few: their rows one by one cost less than columns
            time_ns, offset, _, _, length, payload_at, _, _, direction, _, bits = read(packets, packet * _PACKET.size)
            if bits & ARENA:
                payload = decoded.payload(packet)
            elif bits & FRAGMENT and not bits & CUT:
                continue  # its payload came with the fragment that completed the datagram; a cut one's head is all
            else:
                start = offset + payload_at
                payload = data[start : start + length]
            self._datagram_packets.append(packet)
            datagrams.append(Datagram(direction ^ opener, time_ns, payload, bool(bits & CUT)))
        return datagrams

    def turns(self) -> Sequence[tuple[int, int, int]]:
        """(direction, start, end) of the alternating runs of a TCP stream, by arrival."""
        chunks = sorted(
            (packet, side, start, end)
            for side, flow_side in enumerate(self.sides)
            for packet, start, end in _arrivals(flow_side)
        )
        runs: list[tuple[int, int, int]] = []
        for _, side, start, end in chunks:
            if runs and runs[-1][0] == side:
                runs[-1] = (side, runs[-1][1], end)
            else:
                runs.append((side, start, end))
        return runs


class InnerStream(FlowStream):
    """A stream that a dissector handed over: the same ends and packets, other bytes."""

    __slots__ = ()

    def __init__(self, outer: FlowStream, handover: Handover) -> None:
        super().__init__(outer.decoded, outer.streams, outer.row, outer.times, outer.ends)
        self.sides = handover.sides
        self.is_decrypted = outer.is_decrypted or handover.is_decrypted
        self.is_probed = outer.is_probed


def _arrivals(side: StreamSide) -> list[tuple[int, int, int]]:
    """(packet, start, end) of each chunk of a side, also of one carved out of another."""
    if isinstance(side, FlowSide):
        return side.arrivals()
    if not isinstance(side, CarvedSide):
        return [(side.packet_at(0), 0, len(side.data))]
    outer = _arrivals(side.base)
    ends = [end for _, _, end in outer]
    result: list[tuple[int, int, int]] = []
    latest = 0
    for at, (start, origin, end) in enumerate(side.pieces):
        stop = side.ends(at)
        if stop - start != end - origin:  # arrived as a whole
            latest = max(latest, side.packet_at(start))
            result.append((latest, start, stop))
            continue
        for packet, low, high in islice(outer, bisect_right(ends, origin), None):
            if low >= end:
                break
            latest = max(latest, packet)
            result.append((latest, start + max(low, origin) - origin, start + min(high, end) - origin))
    return result
