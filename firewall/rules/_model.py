"""The plain model: what the firewall does with a packet, to be read. Oracle of the simulator and of the data plane.

Decided here, where the reference leaves room (ADR 23):

1. A packet is looked at in this order: not IP, unreadable, exempt, essential, later fragment, TCP by its flags
   (where asked for), reply, rules, default.
2. An Audit rule is recorded if the packet gets to it: it lies before the rule that decides, and not in what a Pass
   skipped. The same holds for what a dry rule would have done. Of several the first is kept.
3. A flow is begun by any packet of TCP, UDP, SCTP or ICMP echo that an exemption, a rule or the default accepts; a
   later fragment, a reply and an ICMP error begin none. Packets in the flow's own direction are judged by the rules
   each time, with the result of the first one. Packets the other way are replies, and carry the rule of their flow.
4. A TCP segment with SYN and without ACK is never a reply, and an ICMP error is one (of the flow it quotes) both ways.
5. A flow of another generation is judged anew when a reply comes: as its first packet would be, by today's rules. If
   they refuse it the reply fares as the flow. The flow stays known:
   forgotten, the next reply would begin one of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from kubeshark.firewall.rules._rules import (
    Action,
    Direction,
    Exempt,
    Reason,
    Rule,
    RuleSet,
    Tier,
    Traffic,
    Verdict,
)

__all__ = ["IDLE_NS", "MAX_FLOWS", "FlowTable", "Packet", "decide", "is_essential", "judge", "may_be_answered"]

MAX_FLOWS = 65_536
IDLE_NS = 60 * 10**9
"""After so long without a packet a flow of anything but TCP is over."""

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_WITH_PORTS = frozenset({TCP, UDP, SCTP})
ECHO = {(ICMP, 8): 0, (ICMP, 13): 14, (ICMPV6, 128): 129}
"""Requests → the type of their answer; both carry the same identifier."""
ECHO_REPLIES = {(protocol, answer): kind for (protocol, kind), answer in ECHO.items()}
ICMP_ERRORS = {ICMP: frozenset({3, 4, 5, 11, 12}), ICMPV6: frozenset(range(128))}
"""ICMP types that quote the packet they are about (RFC 792; RFC 4443 §2.1)."""
ESSENTIAL_V6 = frozenset({2, 130, 131, 132, 133, 134, 135, 136, 137, 143})
"""Packet too big; listener and router messages, neighbour discovery (RFC 4443 §3.2, 4861 §4, 2710, 3810)."""
DHCP = frozenset({(4, 68, 67), (4, 67, 68), (4, 67, 67), (6, 546, 547), (6, 547, 546), (6, 547, 547)})
"""Version, source and destination port."""

Address = IPv4Address | IPv6Address
_NOBODY = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Packet:
    """What is read of a packet. `protocol` is what follows the extension headers 0, 43, 44, 51 and 60."""

    direction: Direction
    version: int = 4  # 4, 6, or 0: not IP
    src: Address = _NOBODY
    dst: Address = _NOBODY
    protocol: int = 0
    src_port: int = 0  # 0 without ports, and in later fragments
    dst_port: int = 0
    tcp_flags: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    icmp_id: int = 0  # of echo requests and replies
    quoted: Packet | None = None  # of an ICMP error: the packet it is about, as it lay on the wire; direction unused
    fragment_offset: int = 0  # in units of 8 bytes
    more_fragments: bool = False
    length: int = 0  # of the IP packet
    time_ns: int = 0
    is_readable: bool = True  # headers are whole, up to TCP's 20, UDP's 8, ICMP's 8 and SCTP's 12 bytes

    @property
    def peer(self) -> Address:
        return self.src if self.direction == Direction.INGRESS else self.dst

    @property
    def is_later_fragment(self) -> bool:
        return self.fragment_offset > 0


_Key = tuple[int, int, int, int, int, int]  # version, protocol, source, its port, destination, its port; sender first


@dataclass(slots=True)
class _Flow:
    first: Packet
    generation: int
    verdict: Verdict
    seen_ns: int


class FlowTable:
    """Accepted flows, by the tuple of their first packet. A flood of unanswered ones never takes room from answered."""

    def __init__(self, capacity: int = MAX_FLOWS) -> None:
        self.capacity = capacity  # of each of the two
        self.generation = 0
        self._opening: OrderedDict[_Key, _Flow] = OrderedDict()  # latest last
        self._answered: OrderedDict[_Key, _Flow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._opening) + len(self._answered)

    def flip(self) -> None:
        """Say that the rules changed: every flow is judged anew."""
        self.generation += 1

    def begin(self, key: _Key, packet: Packet, verdict: Verdict) -> None:
        """Take a packet that was accepted: a new flow, or one more packet of it."""
        known = self._answered if key in self._answered else self._opening
        first = known[key].first if key in known else packet
        known[key] = _Flow(first, self.generation, verdict, packet.time_ns)
        known.move_to_end(key)
        if len(known) > self.capacity:
            known.popitem(last=False)

    def find(self, key: _Key, now_ns: int) -> _Flow | None:
        """Return the flow that began with this tuple, unless it is over."""
        flow = self._answered.get(key) or self._opening.get(key)
        if flow is not None and flow.first.protocol != TCP and now_ns - flow.seen_ns > IDLE_NS:
            self.forget(key)
            return None
        return flow

    def answer(self, key: _Key, flow: _Flow, now_ns: int) -> None:
        """Take a reply to a flow."""
        flow.seen_ns = now_ns
        self._opening.pop(key, None)
        self._answered[key] = flow
        self._answered.move_to_end(key)
        if len(self._answered) > self.capacity:
            self._answered.popitem(last=False)

    def forget(self, key: _Key) -> None:
        self._opening.pop(key, None)
        self._answered.pop(key, None)


def decide(rules: RuleSet, packet: Packet, flows: FlowTable | None) -> Verdict:
    """Judge one packet. `flows` is changed; None judges as if no packet had come before."""
    if packet.version not in (4, 6):
        return Verdict(Action.ACCEPT, Reason.NOT_IP)
    if not packet.is_readable:
        return Verdict(Action.DENY, Reason.UNREADABLE)
    is_exempt = any(_is_exempt(exempt, packet) for exempt in rules.exempt)
    if not is_exempt:
        if rules.allow_essential and is_essential(packet):
            return Verdict(Action.ACCEPT, Reason.ESSENTIAL)
        if packet.is_later_fragment and not rules.strict_fragments:
            return Verdict(Action.ACCEPT, Reason.FRAGMENT)
        if rules.tcp_by_flags and is_within_connection(packet):
            return Verdict(Action.ACCEPT, Reason.FLAGS)
        if flows is not None and (reply := _as_reply(rules, packet, flows)) is not None:
            return reply
    verdict = judge(rules, packet)
    key = None if packet.is_later_fragment else _key_of(packet)
    if flows is not None and key is not None and verdict.action == Action.ACCEPT:
        flows.begin(key, packet, verdict)
    return verdict


def judge(rules: RuleSet, packet: Packet) -> Verdict:
    """Judge by exemptions and rules alone: tier by tier, the first that matches."""
    if any(_is_exempt(exempt, packet) for exempt in rules.exempt):
        return Verdict(Action.ACCEPT, Reason.EXEMPT)
    audit: int | None = None
    would: Action | None = None
    would_rule: int | None = None
    for tier in Tier:
        for index, rule in enumerate(rules.rules):
            if rule.tier != tier or not _matches(rule, packet):
                continue
            if rule.action == Action.AUDIT:
                audit = index if audit is None else audit
            elif rule.action == Action.PASS:
                break
            elif rule.dry and rule.action in (Action.DENY, Action.REJECT):
                if would is None:
                    would, would_rule = rule.action, index
                break
            else:
                return Verdict(rule.action, Reason.RULE, index, audit, would, would_rule)
    return Verdict(Action.ACCEPT, Reason.DEFAULT, None, audit, would, would_rule)


def is_within_connection(packet: Packet) -> bool:
    """Say whether a packet claims to be of a TCP connection that was opened: nothing tells that it was."""
    return packet.protocol == TCP and not packet.is_later_fragment and packet.tcp_flags & (SYN | ACK) == ACK


def is_essential(packet: Packet) -> bool:
    """Say whether IP itself needs the packet: accepted below every policy unless the rule set says otherwise."""
    if packet.is_later_fragment:
        return False
    if packet.protocol == ICMPV6 and packet.version == 6:
        return packet.icmp_type in ESSENTIAL_V6
    return packet.protocol == UDP and (packet.version, packet.src_port, packet.dst_port) in DHCP


def may_be_answered(packet: Packet) -> bool:
    """Say whether Reject tells the sender (within its rate); if not it only drops.

    Never a RST, an ICMP error or a later fragment, and nothing to or from many (RFC 1122 §3.2.2, RFC 4443 §2.4). A
    subnet's own broadcast address is not known here.
    """
    if packet.is_later_fragment or (packet.protocol == TCP and packet.tcp_flags & RST):
        return False
    if packet.protocol in ICMP_ERRORS and packet.icmp_type in ICMP_ERRORS[packet.protocol]:
        return False
    broadcast = IPv4Address("255.255.255.255")
    ends = (packet.src, packet.dst)
    return not any(end.is_multicast or end.is_unspecified or end == broadcast for end in ends)


def _matches(rule: Rule, packet: Packet) -> bool:
    return (
        rule.direction == packet.direction
        and any(packet.peer in network for network in rule.peers)
        and (not rule.traffic or any(_describes(traffic, packet) for traffic in rule.traffic))
    )


def _is_exempt(exempt: Exempt, packet: Packet) -> bool:
    return (
        exempt.direction == packet.direction
        and (not exempt.peers or any(packet.peer in network for network in exempt.peers))
        and (not exempt.traffic or any(_describes(traffic, packet) for traffic in exempt.traffic))
    )


def _describes(traffic: Traffic, packet: Packet) -> bool:
    if traffic.protocol is not None and traffic.protocol != packet.protocol:
        return False
    if traffic.asks_ports:
        if packet.protocol not in _WITH_PORTS or packet.is_later_fragment:
            return False
        if not traffic.first_port <= packet.dst_port <= traffic.last_port:
            return False
    if traffic.icmp_type is None and traffic.icmp_code is None:
        return True
    if packet.protocol not in ICMP_ERRORS or packet.is_later_fragment:
        return False
    return traffic.icmp_type in (None, packet.icmp_type) and traffic.icmp_code in (None, packet.icmp_code)


def _as_reply(rules: RuleSet, packet: Packet, flows: FlowTable) -> Verdict | None:
    """Return how a packet fares that belongs to a flow begun before, the other way; None if there is no such flow."""
    if packet.is_later_fragment:
        return None
    keys: list[_Key | None]
    if packet.protocol in ICMP_ERRORS and packet.icmp_type in ICMP_ERRORS[packet.protocol]:
        if packet.quoted is None:
            return None
        keys = [_key_of(packet.quoted), _answered_key(packet.quoted)]  # about a packet of the flow, or of its replies
    else:
        keys = [_answered_key(packet)]
    for key in keys:
        flow = None if key is None else flows.find(key, packet.time_ns)
        if key is None or flow is None:
            continue
        if flow.generation != flows.generation:
            verdict = judge(rules, replace(flow.first, time_ns=packet.time_ns))
            if verdict.action != Action.ACCEPT:
                return verdict
            flow.generation, flow.verdict = flows.generation, verdict
        if packet.quoted is None:
            flows.answer(key, flow, packet.time_ns)
        return Verdict(Action.ACCEPT, Reason.REPLY, flow.verdict.rule)
    return None


def _key_of(packet: Packet) -> _Key | None:
    """Return the tuple of the flow that this packet begins or goes on with, None if it can do neither."""
    if packet.protocol in _WITH_PORTS:
        return _key(packet, packet.src_port, packet.dst_port)
    if (packet.protocol, packet.icmp_type) in ECHO:
        return _key(packet, packet.icmp_id, packet.icmp_type)
    return None


def _answered_key(packet: Packet) -> _Key | None:
    """Return the tuple of the flow that this packet would be a reply to."""
    version, protocol = packet.version, packet.protocol
    source, destination = int(packet.dst), int(packet.src)
    if protocol in _WITH_PORTS:
        if protocol == TCP and packet.tcp_flags & (SYN | ACK) == SYN:
            return None
        return version, protocol, source, packet.dst_port, destination, packet.src_port
    if (protocol, packet.icmp_type) in ECHO_REPLIES:
        request = ECHO_REPLIES[protocol, packet.icmp_type]
        return version, protocol, source, packet.icmp_id, destination, request
    return None


def _key(packet: Packet, source_port: int, destination_port: int) -> _Key:
    return packet.version, packet.protocol, int(packet.src), source_port, int(packet.dst), destination_port
