"""A rule set as the entries of a slot's tables. Pure: nothing is asked of the kernel.

1. Ports that the same rules take are of one class, and so are addresses: tables say which class, and each class has its
   vector once. A packet costs a few loads, however many rules there are (ADR 37).
2. Networks that are too many for a tree go to a trie. A longest-prefix lookup finds one entry; so each has the bits of
   every shorter one that covers it as well.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from kubeshark.errors import UsageError
from kubeshark.firewall.rules._address_tree import NODES, AddressTrees, TreeFull
from kubeshark.firewall.rules._model import ICMP, ICMPV6, IDLE_NS, SCTP, TCP, UDP
from kubeshark.firewall.rules._rules import MAX_RULES, Action, Direction, Exempt, Network, Rule, RuleSet, Tier, Traffic

__all__ = ["ASK", "CLASSES", "MAX_EXEMPT", "PORT_TABLES", "REJECTS_PER_SECOND", "VECTOR_BYTES", "Filled", "fill"]

WORDS = 5
VECTOR_BYTES = 8 * WORDS
MAX_EXEMPT = 64
"""Bits of word 0, which comes before all rules."""
REJECTS_PER_SECOND = 100
CLASSES = 16384
"""Different vectors of a slot, at most."""
_DRY = 8
_ALLOW_ESSENTIAL, _STRICT_FRAGMENTS, _HAS_EXEMPT, _REPORTS, _TCP_BY_FLAGS = 1, 2, 4, 8, 16
ASK = 0x7FFF
"""As the root of a tree: the trie knows."""
_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_TYPED = (ICMP, ICMPV6)
_PORTED = (TCP, UDP, SCTP)
PORT_TABLES = len(_PORTED) + len(_TYPED)

Entries = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Filled:
    """Keys and values of a slot, by map."""

    policy: bytes
    entries: dict[str, Entries] = field(default_factory=dict)


def fill(
    rules: RuleSet,
    slot: int,
    *,
    reports: bool = True,
    answers: int = REJECTS_PER_SECOND,
    idle_ns: int = IDLE_NS,
    most_nodes: int = NODES,
) -> Filled:
    """Return what the maps hold for these rules; UsageError for more exemptions or classes than there is room for."""
    if len(rules.exempt) > MAX_EXEMPT:
        raise UsageError(f"{len(rules.exempt)} exemptions on one attachment, at most {MAX_EXEMPT}", hint="join some")
    judged: list[tuple[int, Exempt | Rule]] = [
        *enumerate(rules.exempt),
        *((MAX_EXEMPT + index, rule) for index, rule in enumerate(rules.rules)),
    ]
    classes = _Classes()
    ports: Entries = []
    protocols: Entries = []
    for direction in Direction:
        chosen = [(bit, each.traffic) for bit, each in judged if each.direction == direction]
        whole = [0] * 256
        for bit, traffic in chosen:
            for protocol in _whole(traffic):
                whole[protocol] |= 1 << bit
        side = slot * len(Direction) + direction
        protocols.append((struct.pack("<I", side), array("H", map(classes.number, whole)).tobytes()))
        for kind, protocol in enumerate((*_PORTED, *_TYPED)):
            asked = [(bit, [one for each in traffic for one in _ranges(each, protocol)]) for bit, traffic in chosen]
            table = _table(asked, whole[protocol], classes)
            ports.append((struct.pack("<I", side * PORT_TABLES + kind), table))
    trees = AddressTrees(most_nodes)
    roots: list[int] = []
    tries: dict[str, Entries] = {"addresses4": [], "addresses6": []}
    for direction in Direction:
        for version in (4, 6):
            networks = _inherited(_by_network(judged, direction, version))
            try:
                numbers = {network: classes.number(bits) for network, bits in networks.items()}
                roots.append(trees.add(numbers, classes.number(0)))
            except (TreeFull, UsageError):
                roots.append(ASK)
                tries[f"addresses{version}"] += [
                    (_address_key(slot, direction, network), _vector(bits)) for network, bits in networks.items()
                ]
    return Filled(
        _policy(rules, reports, answers, idle_ns, roots),
        {
            "ports": ports,
            "protocols": protocols,
            "classes": [(_at(slot, CLASSES, number), _vector(bits)) for number, bits in enumerate(classes.vectors)],
            "nodes": [(_at(slot, NODES, number), node) for number, node in enumerate(trees.nodes)],
            **tries,
        },
    )


class _Classes:
    """Different vectors, numbered as they come."""

    def __init__(self) -> None:
        self.vectors: dict[int, int] = {}

    def number(self, bits: int) -> int:
        known = self.vectors.setdefault(bits, len(self.vectors))
        if known >= CLASSES:
            del self.vectors[bits]
            raise UsageError(
                f"the rules of one attachment overlap in more than {CLASSES} ways", hint="use fewer ranges of ports"
            )
        return known


def _table(asked: Iterable[tuple[int, list[tuple[int, int]]]], whole: int, classes: _Classes) -> bytes:
    """Return `struct ports`: the class of each of 65,536 values, by the ranges that bits ask for, both ends in them."""
    changes: dict[int, int] = {0: whole}
    for bit, ranges in asked:
        if whole >> bit & 1:
            continue
        for first, last in _joined(ranges):
            for at in (first, last + 1):  # here the bit comes, there it goes
                changes[at] = changes.get(at, 0) ^ 1 << bit
    table = array("H")
    bits, ends = 0, [*sorted(at for at in changes if 0 < at < 1 << 16), 1 << 16]
    for at, end in zip([0, *ends], ends, strict=False):
        bits ^= changes[at]
        table += array("H", [classes.number(bits)]) * (end - at)
    return table.tobytes()


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield ranges that do not touch."""
    last: tuple[int, int] | None = None
    for first, end in sorted(ranges):
        if last is not None and first <= last[1] + 1:
            last = last[0], max(last[1], end)
            continue
        if last is not None:
            yield last
        last = first, end
    if last is not None:
        yield last


def _at(slot: int, size: int, number: int) -> bytes:
    return struct.pack("<I", slot * size + number)


def _policy(rules: RuleSet, reports: bool, answers: int, idle_ns: int, roots: list[int]) -> bytes:
    """Return `struct policy` of firewall.c."""
    audit = admin = 0
    actions = bytearray(MAX_RULES)
    for index, rule in enumerate(rules.rules):
        audit |= (rule.action == Action.AUDIT) << index
        admin |= (rule.tier == Tier.ADMIN) << index
        is_dry = rule.dry and rule.action in (Action.DENY, Action.REJECT)
        actions[index] = rule.action | (_DRY if is_dry else 0)
    flags = (
        (_ALLOW_ESSENTIAL if rules.allow_essential else 0)
        | (_STRICT_FRAGMENTS if rules.strict_fragments else 0)
        | (_HAS_EXEMPT if rules.exempt else 0)
        | (_REPORTS if reports else 0)
        | (_TCP_BY_FLAGS if rules.tcp_by_flags else 0)
    )
    bits = audit.to_bytes(32, "little") + admin.to_bytes(32, "little")
    return bits + struct.pack("<QII4H", idle_ns, flags, answers, *roots) + bytes(actions)


def _vector(bits: int) -> bytes:
    return bits.to_bytes(VECTOR_BYTES, "little")


def _address_key(slot: int, direction: int, network: Network) -> bytes:
    head = struct.pack("<I4B", 32 + network.prefixlen, slot, direction, 0, 0)
    return head + network.network_address.packed


def _by_network(judged: list[tuple[int, Exempt | Rule]], direction: Direction, version: int) -> dict[Network, int]:
    found: dict[Network, int] = {}
    for bit, each in judged:
        if each.direction == direction:
            for network in each.peers or _EVERYBODY:
                if network.version == version:
                    found[network] = found.get(network, 0) | 1 << bit
    return found


def _inherited(bits: dict[Network, int]) -> dict[Network, int]:
    """Give each network the bits of those that cover it; in order of address they lie on a stack."""
    done: dict[Network, int] = {}
    above: list[tuple[int, int]] = []  # (last address, bits)
    for network in sorted(bits, key=lambda each: (int(each.network_address), each.prefixlen)):
        first, last = int(network.network_address), int(network.broadcast_address)
        while above and above[-1][0] < first:
            above.pop()
        own = bits[network] | (above[-1][1] if above else 0)
        above.append((last, own))
        done[network] = own
    return done


def _whole(traffic: tuple[Traffic, ...]) -> Iterator[int]:
    """Yield the protocols that are taken whole: without a port or a type being asked for."""
    if not traffic:
        yield from range(256)
    for each in traffic:
        if not each.asks_ports and each.icmp_type is None and each.icmp_code is None:
            yield from range(256) if each.protocol is None else (each.protocol,)


def _ranges(traffic: Traffic, protocol: int) -> Iterator[tuple[int, int]]:
    """Yield what of a protocol is asked for as ranges of 16 bits: ports, or ICMP type and code."""
    if traffic.protocol not in (None, protocol):
        return
    asks_type = traffic.icmp_type is not None or traffic.icmp_code is not None
    if traffic.asks_ports:
        if protocol in _PORTED and not asks_type:
            yield traffic.first_port, traffic.last_port
    elif asks_type and protocol in _TYPED:
        for kind in range(256) if traffic.icmp_type is None else (traffic.icmp_type,):
            if traffic.icmp_code is None:
                yield kind << 8, kind << 8 | 255
            else:
                yield kind << 8 | traffic.icmp_code, kind << 8 | traffic.icmp_code
