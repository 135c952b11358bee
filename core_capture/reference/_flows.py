"""The flow table: which flow each packet belongs to, and what is known of each flow (definitions 1 to 5, 16 to 18)."""

from __future__ import annotations

from kubeshark.core_capture._columns import NO_FLOW, SERVER_PORTS, FlowBit, PacketBit, Tunnel
from kubeshark.core_capture.reference._walk import Found

__all__ = ["Flow", "FlowTable", "direction_of"]

TCP = 6
FIN, SYN, RST, ACK = 1, 2, 4, 16
LATE_NS = 1_000_000_000

FlowKey = tuple[int, int, bytes, int, bytes, int, bool]  # version, transport, a, port a, b, port b, is carrier


class Flow:
    """One row of the table while it grows."""

    __slots__ = (
        "bits",
        "bytes",
        "carrier",
        "first_direction",
        "first_ns",
        "first_packet",
        "isn",
        "key",
        "last_ns",
        "packets",
        "syn_ack_direction",
        "syn_direction",
        "tunnel",
        "vlan",
    )

    def __init__(self, key: FlowKey, carrier: int, packet: int, time_ns: int, found: Found) -> None:
        self.key = key
        self.carrier = carrier
        self.first_packet = packet
        self.first_ns = self.last_ns = time_ns
        self.tunnel: Tunnel = found.tunnel
        self.vlan = found.vlan
        self.bits = FlowBit.CARRIER if key[-1] else FlowBit(0)
        self.packets = [0, 0]
        self.bytes = [0, 0]
        self.isn: list[int | None] = [None, None]
        self.first_direction = direction_of(found)
        self.syn_direction: int | None = None  # of the first SYN, and of the first SYN+ACK
        self.syn_ack_direction: int | None = None

    @property
    def is_under_way(self) -> bool:
        """True after payload, FIN or RST."""
        ended = FlowBit.FIN_A | FlowBit.FIN_B | FlowBit.RST_A | FlowBit.RST_B
        return any(self.bytes) or bool(self.bits & ended)

    def ends_before(self, found: Found, time_ns: int) -> bool:
        """Is this packet the SYN of the next flow of the same 5-tuple?"""
        if found.transport != TCP or found.flags & (SYN | ACK | RST) != SYN:
            return False
        known = self.isn[direction_of(found)]
        if known is None:
            return self.is_under_way and not 0 < self.first_ns - time_ns <= LATE_NS
        return known != found.sequence

    def add(self, found: Found, time_ns: int) -> None:
        direction = direction_of(found)
        if found.transport == TCP:
            self._add_flags(found, direction)
        if found.bits & PacketBit.FRAGMENT:
            self.bits |= FlowBit.FRAGMENTS
        self.packets[direction] += 1
        self.bytes[direction] += found.wire_length
        self.first_ns = min(self.first_ns, time_ns)
        self.last_ns = max(self.last_ns, time_ns)

    def _add_flags(self, found: Found, direction: int) -> None:
        if found.flags & SYN and not found.flags & RST:
            if self.isn[direction] is None or not self.is_under_way:
                self.isn[direction] = found.sequence
            if found.flags & ACK:
                self.bits |= FlowBit.SYN_ACK_SEEN
                if self.syn_ack_direction is None:
                    self.syn_ack_direction = direction
            else:
                self.bits |= FlowBit.SYN_SEEN
                if self.syn_direction is None:
                    self.syn_direction = direction
        if found.flags & FIN:
            self.bits |= FlowBit.FIN_B if direction else FlowBit.FIN_A
        if found.flags & RST:
            self.bits |= FlowBit.RST_B if direction else FlowBit.RST_A

    @property
    def client(self) -> int:
        """Which end opened the flow: 0 for a, 1 for b."""
        _, _, _, port_a, _, port_b, _ = self.key
        if self.syn_direction is not None:
            return self.syn_direction
        if self.syn_ack_direction is not None:
            return 1 - self.syn_ack_direction
        serves_a, serves_b = _is_server_port(port_a), _is_server_port(port_b)
        if serves_a != serves_b:
            return 1 if serves_a else 0
        return self.first_direction


class FlowTable:
    """Rows by first packet."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self._newest: dict[FlowKey, int] = {}  # row of the newest flow of a 5-tuple

    def add(self, packet: int, time_ns: int, found: Found) -> int:
        """Count a packet for its flow and for its carriers; return the flow's row."""
        carrier = NO_FLOW
        for outer in found.carriers:
            carrier = self._count(packet, time_ns, outer, carrier, is_carrier=True)
        return self._count(packet, time_ns, found, carrier, is_carrier=False)

    def _count(self, packet: int, time_ns: int, found: Found, carrier: int, *, is_carrier: bool) -> int:
        low, high = (found.source, found.source_port), (found.destination, found.destination_port)
        if low > high:
            low, high = high, low
        key = (found.version, found.transport, *low, *high, is_carrier)
        row = self._newest.get(key)
        if row is None or self.flows[row].ends_before(found, time_ns):
            row = self._newest[key] = len(self.flows)
            self.flows.append(Flow(key, carrier, packet, time_ns, found))
        self.flows[row].add(found, time_ns)
        return row


def direction_of(found: Found) -> int:
    """Return 0 if the lower end sent it, 1 if the higher one did."""
    return int((found.source, found.source_port) > (found.destination, found.destination_port))


def _is_server_port(port: int) -> bool:
    return port < 1024 or port in SERVER_PORTS
