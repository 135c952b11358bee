"""The core's reassembled flows as dissectors see them: the `Stream` of `kubeshark.extension_api`.

Directions change here: the core counts them by endpoint order (a → b), plugins by who opened the flow (client first).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import Any

from kubeshark.core_capture import Decoded, Direction, FlowStreams, PacketBit
from kubeshark.extension_api import CarvedSide, Datagram, Endpoint, Handover, StreamSide

__all__ = ["TRANSPORT_NAMES", "FlowSide", "FlowStream", "InnerStream", "endpoints"]

TRANSPORT_NAMES = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmp"}
"""IP protocol number → KFL `transport`; everything else is "ip"."""


@functools.lru_cache(maxsize=65_536)  # the same few addresses, over and over
def address_text(raw: bytes, version: int) -> str:
    return str(IPv4Address(raw[:4]) if version == 4 else IPv6Address(raw))


def endpoints(row: Any) -> tuple[Endpoint, Endpoint]:
    """Return (client, server) of a FLOW row."""
    version = int(row["ip_version"])
    a = Endpoint(address_text(row["a"].tobytes(), version), int(row["port_a"]))
    b = Endpoint(address_text(row["b"].tobytes(), version), int(row["port_b"]))
    return (a, b) if row["client"] == 0 else (b, a)


class FlowSide:
    """One side of a TCP stream, with times looked up by offset."""

    __slots__ = ("_decoded", "_packets", "_starts", "data", "direction", "gaps", "starts_midway")

    def __init__(self, direction: Direction, decoded: Decoded) -> None:
        self.direction = direction
        self.data = direction.data
        self.gaps: Sequence[tuple[int, int, int]] = [(g.start, g.end, g.missing) for g in direction.gaps]
        self.starts_midway = direction.starts_midway
        self._decoded = decoded
        self._starts: list[int] = direction.chunk_starts.tolist()
        self._packets: list[int] = direction.chunk_packets.tolist()

    def packet_at(self, offset: int) -> int:
        """Return the index of the packet that first carried the byte at `offset`; the nearest one outside the data."""
        return self._packets[max(0, bisect_right(self._starts, offset) - 1)]

    def time_at(self, offset: int) -> int:
        if not self._starts:
            return 0
        return int(self._decoded.packets["time_ns"][self.packet_at(offset)])

    def arrivals(self) -> list[tuple[int, int, int]]:
        """(packet, start, end) of each chunk; the packet never goes back, so that late data stays where it belongs."""
        result, latest = [], 0
        for at, (start, packet) in enumerate(zip(self._starts, self._packets, strict=True)):
            latest = max(latest, packet)
            end = self._starts[at + 1] if at + 1 < len(self._starts) else len(self.data)
            result.append((latest, start, end))
        return result


class FlowStream:
    """One flow's payload. Valid while the decoded records are held."""

    __slots__ = (
        "_datagram_packets",
        "_datagrams",
        "client",
        "decoded",
        "flow",
        "is_decrypted",
        "row",
        "server",
        "sides",
        "streams",
        "transport",
    )

    def __init__(self, decoded: Decoded, streams: FlowStreams, row: Any) -> None:
        self.decoded = decoded
        self.streams = streams
        self.row = row
        self.flow = streams.flow
        self.is_decrypted = False
        self.transport = TRANSPORT_NAMES.get(int(row["transport"]), "ip")
        self.client, self.server = endpoints(row)
        if streams.directions is None:
            self.sides: Any = ()
        else:
            a, b = (FlowSide(direction, decoded) for direction in streams.directions)
            self.sides = (a, b) if row["client"] == 0 else (b, a)
        self._datagrams: list[Datagram] | None = None
        self._datagram_packets: list[int] = []

    def packet_of(self, order: int) -> int:
        """Return the packet of a place in capture order: of a datagram's number, or for TCP the packet itself."""
        return order if self.sides else self._datagram_packets[order]

    @property
    def datagrams(self) -> Sequence[Datagram]:
        if self._datagrams is None:
            self._datagrams = [] if self.sides else self._read_datagrams()
        return self._datagrams

    def _read_datagrams(self) -> list[Datagram]:
        decoded, client = self.decoded, int(self.row["client"])
        rows = decoded.packets[self.streams.packets]
        whole = zip(
            self.streams.packets.tolist(),
            rows["time_ns"].tolist(),
            rows["direction"].tolist(),
            rows["bits"].tolist(),
            strict=True,
        )
        datagrams = []
        for packet, time_ns, direction, bits in whole:
            if bits & PacketBit.FRAGMENT and not bits & PacketBit.ARENA:
                continue  # its payload came with the fragment that completed the datagram
            self._datagram_packets.append(packet)
            datagrams.append(Datagram(direction ^ client, time_ns, decoded.payload(packet), bool(bits & PacketBit.CUT)))
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
        super().__init__(outer.decoded, outer.streams, outer.row)
        self.sides = handover.sides
        self.is_decrypted = outer.is_decrypted or handover.is_decrypted


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
