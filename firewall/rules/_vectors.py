"""The bit-vector matcher over columns: what `_model.judge` says, of a million rows a second. Its oracle is the model.

As in the data plane each rule is a bit, and a row's vector is (bits of its peer's address) & (bits of what it asks
for); the lowest bit decides. Here both come from tables over the intervals between the rules' bounds: a lookup is a
binary search, and what is left is done once for each pair of intervals that occurs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._groups import Groups
from kubeshark.firewall.rules._model import DHCP, ESSENTIAL_V6, ICMP, ICMPV6, SCTP, TCP, UDP
from kubeshark.firewall.rules._rules import Action, Direction, Exempt, Network, Reason, Rule, RuleSet, Tier, Traffic

__all__ = ["ASKED", "NONE", "VERDICT", "Addresses", "Matcher"]

ASKED = np.dtype(
    [
        ("src", "u1", (16,)),  # as in FLOW: network order, IPv4 in the first 4 bytes
        ("dst", "u1", (16,)),
        ("version", "u1"),
        ("protocol", "u1"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("icmp_type", "<i2"),  # NONE: not ICMP, or not known
        ("icmp_code", "<i2"),
        ("is_later", "?"),  # a later fragment
    ]
)
"""What is judged, a row for each first packet."""

VERDICT = np.dtype(
    [("action", "u1"), ("reason", "u1"), ("rule", "<i2"), ("audit", "<i2"), ("would", "i1"), ("would_rule", "<i2")]
)
"""`Verdict` as columns; NONE for None."""

NONE = -1
_PORTED = (TCP, UDP, SCTP)
_DENSE = 1 << 22  # a table of what occurs, instead of sorting


class Addresses:
    """Numbers the intervals between the bounds of networks; each lies in a network whole, or not at all."""

    def __init__(self, networks: Sequence[Network]) -> None:
        four, six = {0}, {b""}
        for network in networks:
            first, behind = int(network.network_address), int(network.broadcast_address) + 1
            if network.version == 4:
                four |= {first, behind} if behind < 1 << 32 else {first}
            else:
                six |= {_packed(first), _packed(behind)} if behind < 1 << 128 else {_packed(first)}
        self._four = np.array(sorted(four), dtype=np.uint32)
        self._six = np.array(
            sorted(six), dtype="S16"
        )  # compared as unsigned bytes, shorter ones as if filled with zeros
        self.size = len(self._four) + len(self._six)

    def number(self, addresses: NDArray[Any], version: NDArray[Any]) -> NDArray[np.intp]:
        """Return the interval of each address (n x 16 bytes)."""
        is_four = version == 4
        found = np.empty(len(addresses), dtype=np.intp)
        whole = np.ascontiguousarray(addresses)
        four = whole[is_four][:, :4] if not is_four.all() else whole[:, :4]
        found[is_four] = (
            np.searchsorted(self._four, np.ascontiguousarray(four).view(">u4")[:, 0].astype("<u4"), "right") - 1
        )
        if not is_four.all():
            six = whole[~is_four].view("S16")[:, 0]
            found[~is_four] = len(self._four) + np.searchsorted(self._six, six, "right") - 1
        return found

    def span(self, network: Network) -> slice:
        """Return the intervals that a network of ours is made of."""
        first, behind = int(network.network_address), int(network.broadcast_address) + 1
        if network.version == 4:
            start = int(np.searchsorted(self._four, np.uint32(first)))
            stop = int(np.searchsorted(self._four, np.uint32(behind))) if behind < 1 << 32 else len(self._four)
            return slice(start, stop)
        start = int(np.searchsorted(self._six, np.array(_packed(first), dtype="S16")))
        stop = len(self._six)
        if behind < 1 << 128:
            stop = int(np.searchsorted(self._six, np.array(_packed(behind), dtype="S16")))
        return slice(len(self._four) + start, len(self._four) + stop)


def _packed(number: int) -> bytes:
    return number.to_bytes(16, "big")


@dataclass(frozen=True, slots=True)
class _Bit:
    word: int
    value: np.uint64

    @classmethod
    def of(cls, index: int) -> _Bit:
        return cls(index >> 6, np.uint64(1 << (index & 63)))


class Matcher:
    """A rule set, ready for columns. Exemptions are its lowest bits: they come first."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self._judged: tuple[Exempt | Rule, ...] = (*rules.exempt, *rules.rules)
        self._width = max(1, -(-len(self._judged) // 64))
        self._exempt = len(rules.exempt)

    def judge(self, direction: Direction, asked: NDArray[Any]) -> NDArray[Any]:
        """Return the VERDICT of each ASKED row, as of the first packet of a flow."""
        verdicts = np.empty(len(asked), dtype=VERDICT)
        if not len(asked):
            return verdicts
        table = self._tables[direction]
        peers = asked["src"] if direction == Direction.INGRESS else asked["dst"]
        keys = table.addresses.number(peers, asked["version"]) * table.kinds.size + table.kinds.number(asked)
        known, number = _distinct(keys, table.addresses.size * table.kinds.size)
        address, kind = np.divmod(known, table.kinds.size)
        verdicts = self._decide(table.by_address[address] & table.by_kind[kind])[number]
        is_open = verdicts["reason"] != Reason.EXEMPT
        if not self.rules.strict_fragments:
            _accept(verdicts, is_open & asked["is_later"], Reason.FRAGMENT)
        if self.rules.allow_essential:
            _accept(verdicts, is_open & _is_essential(asked), Reason.ESSENTIAL)
        return verdicts

    @cached_property
    def _tables(self) -> dict[Direction, _Tables]:
        return {
            direction: _Tables(
                [(index, each) for index, each in enumerate(self._judged) if each.direction == direction], self._width
            )
            for direction in Direction
        }

    @cached_property
    def _masks(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return (audit bits, passing by index, what a dry rule would do by index, bits of the tier by tier)."""
        audit = np.zeros(self._width, dtype=np.uint64)
        tiers = np.zeros((len(Tier), self._width), dtype=np.uint64)
        passing = np.zeros(self._width * 64 + 1, dtype=np.bool_)
        would = np.full(self._width * 64 + 1, NONE, dtype=np.int8)
        for index, rule in enumerate(self.rules.rules, self._exempt):
            bit = _Bit.of(index)
            tiers[rule.tier, bit.word] |= bit.value
            if rule.action == Action.AUDIT:
                audit[bit.word] |= bit.value
            is_dry = rule.dry and rule.action in (Action.DENY, Action.REJECT)
            passing[index] = is_dry or rule.action == Action.PASS
            would[index] = rule.action if is_dry else NONE
        return audit, passing, would, tiers

    def _decide(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Return the VERDICT of each vector."""
        audit_bits, passing, would_of, tier_bits = self._masks
        nothing = self._width * 64
        live = vectors.copy()
        audit = np.full(len(live), NONE, dtype=np.int64)
        would, would_rule = np.full(len(live), NONE, dtype=np.int64), np.full(len(live), NONE, dtype=np.int64)
        rows = np.arange(len(live))
        decided = np.full(len(live), nothing, dtype=np.int64)
        tier_of = np.array([0] * self._exempt + [rule.tier for rule in self.rules.rules] + [0], dtype=np.intp)
        for _ in range(len(Tier) + 1):  # a Pass, or a dry rule, clears its tier: no more often than there are tiers
            first = _lowest(live[rows] & ~audit_bits)
            noted = _lowest(live[rows] & audit_bits)
            is_noted = (noted < first) & (audit[rows] == NONE)
            audit[rows[is_noted]] = noted[is_noted] - self._exempt
            decided[rows] = first
            passes = passing[first]
            is_dry = passes & (would_of[first] != NONE) & (would[rows] == NONE)
            would[rows[is_dry]] = would_of[first[is_dry]]
            would_rule[rows[is_dry]] = first[is_dry] - self._exempt
            rows, first = rows[passes], first[passes]
            if not len(rows):
                break
            live[rows] &= ~tier_bits[tier_of[first]]
        action_of = np.zeros(nothing + 1, dtype=np.uint8)  # exemptions, and no rule: ACCEPT
        action_of[self._exempt : len(self._judged)] = [rule.action for rule in self.rules.rules]
        verdicts = np.empty(len(live), dtype=VERDICT)
        verdicts["action"] = action_of[decided]
        verdicts["rule"] = np.where((decided == nothing) | (decided < self._exempt), NONE, decided - self._exempt)
        verdicts["reason"] = np.where(decided == nothing, Reason.DEFAULT, Reason.RULE)
        verdicts["reason"][decided < self._exempt] = Reason.EXEMPT
        verdicts["audit"], verdicts["would"], verdicts["would_rule"] = audit, would, would_rule
        return verdicts


class _Tables:
    """The vectors of one direction, by the peer's interval and by the kind of what is asked."""

    def __init__(self, judged: Sequence[tuple[int, Exempt | Rule]], width: int) -> None:
        self.addresses = Addresses([network for _, each in judged for network in each.peers])
        self.kinds = _Kinds([traffic for _, each in judged for traffic in each.traffic])
        self.by_address = np.zeros((self.addresses.size, width), dtype=np.uint64)
        self.by_kind = np.zeros((self.kinds.size, width), dtype=np.uint64)
        for index, each in judged:
            bit = _Bit.of(index)
            for network in each.peers:
                self.by_address[self.addresses.span(network), bit.word] |= bit.value
            if not each.peers:  # an exemption for anybody
                self.by_address[:, bit.word] |= bit.value
            for traffic in each.traffic:
                for span in self.kinds.spans(traffic):
                    self.by_kind[span, bit.word] |= bit.value
            if not each.traffic:
                self.by_kind[:, bit.word] |= bit.value


class _Kinds:
    """Numbers what may be asked for: 256 protocols as such, ports of each protocol that has them, ICMP types."""

    def __init__(self, traffic: Sequence[Traffic]) -> None:
        asking = [each for each in traffic if each.asks_ports]
        bounds = sorted({0, *(each.first_port for each in asking), *(each.last_port + 1 for each in asking)} - {65536})
        self._bounds = np.array(bounds, dtype=np.int64)
        self._of_port = np.searchsorted(self._bounds, np.arange(65536), "right") - 1
        self._icmp = 256 + len(_PORTED) * len(bounds)  # from here on, if any traffic asks for a type
        asks_types = any(each.icmp_type is not None or each.icmp_code is not None for each in traffic)
        self._has_types = asks_types
        self.size = self._icmp + (2 << 16 if asks_types else 0)

    def number(self, asked: NDArray[Any]) -> NDArray[np.intp]:
        """Return the kind of each ASKED row."""
        protocol = asked["protocol"]
        found = protocol.astype(np.intp)
        is_first = ~asked["is_later"]
        for at, number in enumerate(_PORTED):
            rows = np.flatnonzero((protocol == number) & is_first)
            found[rows] = 256 + at * len(self._bounds) + self._of_port[asked["dst_port"][rows]]
        if self._has_types:
            for at, number in enumerate((ICMP, ICMPV6)):
                rows = np.flatnonzero((protocol == number) & is_first & (asked["icmp_type"] != NONE))
                kind, code = asked["icmp_type"][rows].astype(np.intp), asked["icmp_code"][rows].astype(np.intp)
                found[rows] = self._icmp + (at << 16) + (kind << 8) + code
        return found

    def spans(self, traffic: Traffic) -> Iterator[slice]:
        """Yield the kinds that traffic describes."""
        if traffic.icmp_type is not None or traffic.icmp_code is not None:
            if traffic.asks_ports:
                return
            for at, number in enumerate((ICMP, ICMPV6)):
                if traffic.protocol in (None, number):
                    yield from _types(self._icmp + (at << 16), traffic)
            return
        if not traffic.asks_ports:
            yield slice(0, 256) if traffic.protocol is None else slice(traffic.protocol, traffic.protocol + 1)
        first, behind = (int(self._of_port[port]) for port in (traffic.first_port, traffic.last_port))
        for at, number in enumerate(_PORTED):
            if traffic.protocol in (None, number):
                start = 256 + at * len(self._bounds)
                yield slice(start + first, start + behind + 1)
        if self._has_types and not traffic.asks_ports:
            for at, number in enumerate((ICMP, ICMPV6)):
                if traffic.protocol in (None, number):
                    yield slice(self._icmp + (at << 16), self._icmp + (at + 1 << 16))


def _types(start: int, traffic: Traffic) -> Iterator[slice]:
    code = traffic.icmp_code
    if traffic.icmp_type is None:
        yield slice(start + (code or 0), start + (1 << 16), 256)
    else:
        first = start + (traffic.icmp_type << 8)
        yield slice(first, first + 256) if code is None else slice(first + code, first + code + 1)


def _lowest(vectors: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each vector's lowest bit, or of bits where there is none."""
    is_set = vectors != 0
    word = is_set.argmax(axis=1)
    chosen = vectors[np.arange(len(vectors)), word]
    lowest = chosen & (~chosen + np.uint64(1))
    bit = np.frexp(lowest.astype(np.float64))[1] - 1  # powers of two are exact
    return np.asarray(np.where(is_set.any(axis=1), word * 64 + bit, vectors.shape[1] * 64), dtype=np.int64)


def _distinct(keys: NDArray[Any], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct keys, all below `size`, and the place of each row's among them."""
    if size > max(_DENSE, 4 * len(keys)):
        groups = Groups(keys)
        return groups.known, groups.number
    place = np.zeros(size, dtype=np.intp)
    place[keys] = 1
    known = np.flatnonzero(place)
    place[known] = np.arange(len(known))
    return known, place[keys]


def _accept(verdicts: NDArray[Any], rows: NDArray[np.bool_], reason: Reason) -> None:
    if rows.any():
        verdicts[rows] = (Action.ACCEPT, reason, NONE, NONE, NONE, NONE)


def _is_essential(asked: NDArray[Any]) -> NDArray[np.bool_]:
    """Say what `_model.is_essential` does."""
    found = np.zeros(len(asked), dtype=np.bool_)
    protocol, version = asked["protocol"], asked["version"]
    rows = np.flatnonzero((protocol == ICMPV6) & (version == 6))
    found[rows] = np.isin(asked["icmp_type"][rows], sorted(ESSENTIAL_V6))
    rows = np.flatnonzero(protocol == UDP)
    source, destination = asked["src_port"][rows], asked["dst_port"][rows]
    rows = rows[(source < 1024) & (destination < 1024)]
    for at in rows.tolist():
        row = asked[at]
        found[at] = (int(row["version"]), int(row["src_port"]), int(row["dst_port"])) in DHCP
    found &= ~asked["is_later"]
    return found
