"""A rule set as the entries of a slot's tables. Pure: nothing is asked of the kernel.

A longest-prefix lookup finds one entry; so each has the bits of every shorter one that covers it as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from kubeshark.errors import UsageError
from kubeshark.firewall._model import ICMP, ICMPV6, IDLE_NS, SCTP, TCP, UDP
from kubeshark.firewall._rules import MAX_RULES, Action, Direction, Exempt, Network, Rule, RuleSet, Tier, Traffic

__all__ = ["MAX_EXEMPT", "REJECTS_PER_SECOND", "VECTOR_BYTES", "Filled", "fill", "port_prefixes"]

WORDS = 5
VECTOR_BYTES = 8 * WORDS
MAX_EXEMPT = 64
"""Bits of word 0, which comes before all rules."""
REJECTS_PER_SECOND = 100
_DRY = 8
_ALLOW_ESSENTIAL, _STRICT_FRAGMENTS, _HAS_EXEMPT, _REPORTS = 1, 2, 4, 8
_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_TYPED = (ICMP, ICMPV6)
_PORTED = (TCP, UDP, SCTP)

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
) -> Filled:
    """Return what the maps hold for these rules; UsageError for more exemptions than there are bits."""
    if len(rules.exempt) > MAX_EXEMPT:
        raise UsageError(f"{len(rules.exempt)} exemptions on one attachment, at most {MAX_EXEMPT}", hint="join some")
    judged: list[tuple[int, Exempt | Rule]] = [
        *enumerate(rules.exempt),
        *((MAX_EXEMPT + index, rule) for index, rule in enumerate(rules.rules)),
    ]
    filled = Filled(_policy(rules, reports, answers, idle_ns))
    for version, name in ((4, "addresses4"), (6, "addresses6")):
        filled.entries[name] = [
            (_address_key(slot, direction, network), _vector(bits))
            for direction in Direction
            for network, bits in _inherited(_by_network(judged, direction, version)).items()
        ]
    services: Entries = []
    protocols: Entries = []
    for direction in Direction:
        chosen = [(bit, each.traffic) for bit, each in judged if each.direction == direction]
        whole = [0] * 256
        for bit, traffic in chosen:
            for protocol in _whole(traffic):
                whole[protocol] |= 1 << bit
        for protocol in range(256):
            index = (slot * 2 + direction) * 256 + protocol
            protocols.append((struct.pack("<I", index), _vector(whole[protocol])))
        for protocol in (*_PORTED, *_TYPED):
            asked: dict[tuple[int, int], int] = {(0, 0): whole[protocol]}
            for bit, traffic in chosen:
                for prefix in (prefix for each in traffic for prefix in _prefixes(each, protocol)):
                    asked[prefix] = asked.get(prefix, 0) | 1 << bit
            for (value, length), bits in _inherited_ports(asked).items():
                key = (
                    struct.pack("<I4B", 32 + length, slot, direction, protocol, 0) + value.to_bytes(2, "big") + b"\0\0"
                )
                services.append((key, _vector(bits)))
    filled.entries["services"], filled.entries["protocols"] = services, protocols
    return filled


def port_prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield (port, prefix length) of the fewest blocks that make up a range, both ends in it."""
    while first <= last:
        size = 0
        while size < 16 and not first & ((2 << size) - 1) and first + (2 << size) - 1 <= last:
            size += 1
        yield first, 16 - size
        first += 1 << size


def _policy(rules: RuleSet, reports: bool, answers: int, idle_ns: int) -> bytes:
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
    )
    bits = audit.to_bytes(32, "little") + admin.to_bytes(32, "little")
    return bits + struct.pack("<QII", idle_ns, flags, answers) + bytes(actions)


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


def _inherited_ports(bits: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    done: dict[tuple[int, int], int] = {}
    above: list[tuple[int, int]] = []
    for value, length in sorted(bits):
        last = value + (1 << (16 - length)) - 1
        while above and above[-1][0] < value:
            above.pop()
        own = bits[value, length] | (above[-1][1] if above else 0)
        above.append((last, own))
        done[value, length] = own
    return done


def _whole(traffic: tuple[Traffic, ...]) -> Iterator[int]:
    """Yield the protocols that are taken whole: without a port or a type being asked for."""
    if not traffic:
        yield from range(256)
    for each in traffic:
        if not each.asks_ports and each.icmp_type is None and each.icmp_code is None:
            yield from range(256) if each.protocol is None else (each.protocol,)


def _prefixes(traffic: Traffic, protocol: int) -> Iterator[tuple[int, int]]:
    """Yield what of a protocol is asked for as (16 bits, prefix length): ports, or ICMP type and code."""
    if traffic.protocol not in (None, protocol):
        return
    asks_type = traffic.icmp_type is not None or traffic.icmp_code is not None
    if traffic.asks_ports:
        if protocol in _PORTED and not asks_type:
            yield from port_prefixes(traffic.first_port, traffic.last_port)
    elif asks_type and protocol in _TYPED:
        for kind in range(256) if traffic.icmp_type is None else (traffic.icmp_type,):
            if traffic.icmp_code is None:
                yield kind << 8, 8
            else:
                yield kind << 8 | traffic.icmp_code, 16
