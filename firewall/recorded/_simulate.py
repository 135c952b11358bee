"""What a policy would do to recorded traffic. Touches no kernel; gives the verdicts of the plain model, many at once.

A connection is judged where it leaves its client and where it comes to its server, by the attachments that either end
belongs to; it gets through if both let it. Counts are of whole connections, replies included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._groups import Groups
from kubeshark.errors import KubesharkError
from kubeshark.firewall.names._recorded_names import NamesThen, RecordedNames
from kubeshark.firewall.policies._compile import Attachment, Compiled
from kubeshark.firewall.policies._inventory import Inventory
from kubeshark.firewall.recorded._items import Items, Recorded, make_items
from kubeshark.firewall.rules._rules import Action, Direction, Network, Reason
from kubeshark.firewall.rules._vectors import NONE, Addresses, Matcher

__all__ = ["Change", "Coverage", "Judge", "Line", "Simulation", "address_text", "simulate"]

SAMPLES = 5
TOP_PEERS = 3
PEERS_A_BATCH = 256  # of a rule, by count: bounds memory when a rule meets millions
MAX_CHANGES = 10_000
_REASONS = 1000
"""Behind all numbers of rules: what was decided without one."""

_CHANGE = np.dtype(
    [
        ("src", "u1", (16,)),
        ("dst", "u1", (16,)),
        ("version", "u1"),
        ("protocol", "u1"),
        ("dst_port", "<u2"),
        ("icmp_type", "<i2"),
        ("was", "u1"),
        ("becomes", "u1"),
    ]
)
NAMES = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmpv6"}


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the recording can know of."""

    nodes: tuple[str, ...] = ()
    lost_packets: int | None = None  # None: the sources do not say


@dataclass(slots=True)
class Line:
    """A rule, or what was decided without one, with all that it decided."""

    policy: str
    direction: Direction
    name: str
    action: str  # as written: Accept, Deny, …; "" without a rule
    verdict: str  # accept, deny, reject, audit, pass; would_deny, would_reject
    flows: int = 0
    packets: int = 0
    bytes: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    peers: Counter[str] = field(default_factory=Counter)  # connections by address
    samples: list[str] = field(default_factory=list)  # ids of entries

    @property
    def title(self) -> str:
        return f"{self.direction.name.lower()}/{self.name}" if self.name else f"{self.direction.name.lower()}: no rule"


@dataclass(slots=True)
class Change:
    """Connections of two ends that fare otherwise than before."""

    flow: str  # "10.0.0.1 → 10.0.0.2:80 tcp"
    was: str
    becomes: str
    flows: int = 0
    packets: int = 0
    samples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Simulation:
    compiled: Compiled
    lines: list[Line]
    flows: int  # judged or not
    packets: int
    bytes: int
    first_ns: int | None
    last_ns: int | None
    judged: int  # connections of some subject
    outcomes: Counter[str]  # those judged, by what they end in: accept, deny, reject
    changes: list[Change]
    more_changes: int  # pairs of ends beyond MAX_CHANGES
    warnings: list[str]
    problems: list[KubesharkError]
    coverage: Coverage
    names: dict[str, str]  # of addresses, as the inventory has them
    nodes: int = 0  # that the inventory knows

    def peer_name(self, address: str) -> str:
        return self.names.get(address, address)


def simulate(
    compiled: Compiled,
    recorded: Iterable[Recorded],
    *,
    inventory: Inventory | None = None,
    against: Compiled | None = None,
    coverage: Coverage | None = None,
    names: RecordedNames | None = None,
) -> Simulation:
    """Judge recorded connections by compiled policies; with `against`, tell what fares otherwise than by those.

    `names`: whose addresses rules of domain names accept, each at its time.
    """
    run = _Run(compiled, inventory or Inventory(), against, names or RecordedNames())
    for batch in recorded:
        run.add(batch)
    return run.result(coverage or Coverage())


class Judge:
    """An attachment with its matcher, and who belongs to it."""

    def __init__(self, attachment: Attachment, names: RecordedNames) -> None:
        self.attachment = attachment
        self._matcher = Matcher(attachment.rules)
        has_names = any(rule.names for rule in attachment.rules.rules)
        self.names = NamesThen(attachment.rules, names) if has_names else None
        owned: list[tuple[int, Network]] = [
            (number, network) for number, member in enumerate(attachment.members) for network in member.addresses
        ]
        self.is_everybody = not owned and attachment.kind != "pods"
        self._addresses = Addresses([network for _, network in owned])
        self._member = np.full(self._addresses.size, NONE, dtype=np.int32)
        for number, network in owned:
            self._member[self._addresses.span(network)] = number
        self.was_seen = np.zeros(len(attachment.members), dtype=np.bool_)

    def judge(self, direction: Direction, items: Items, places: NDArray[np.intp]) -> NDArray[Any]:
        """Return the VERDICT of the items at these places."""
        verdicts = self._matcher.judge(direction, items.asked[places])
        if self.names is not None and direction == Direction.EGRESS:
            self.names.correct(verdicts, items.asked[places], items.first_ns[places])
        return verdicts

    def places(self, items: Items, end: str) -> NDArray[np.intp]:
        """Return the items of which one of us is the source or the destination."""
        outside = (
            items.is_tunnelled if self.attachment.kind != "pods" else np.zeros(len(items), dtype=np.bool_)
        )  # a device sees the outer packet alone
        if self.is_everybody:
            self.was_seen[:] = True
            return np.flatnonzero(~outside)
        member = self._member[self._addresses.number(items.asked[end], items.asked["version"])]
        found = np.flatnonzero((member != NONE) & ~outside)
        self.was_seen[member[found]] = True
        return found


class _Run:
    def __init__(
        self, compiled: Compiled, inventory: Inventory, against: Compiled | None, names: RecordedNames
    ) -> None:
        self._compiled = compiled
        self._subjects = [Judge(attachment, names) for attachment in compiled.attachments]
        self._before = None if against is None else [Judge(attachment, names) for attachment in against.attachments]
        compared = [*compiled.attachments, *(against.attachments if against else ())]
        self._judges_fragments = any(each.rules.strict_fragments for each in compared)
        self._lines: dict[tuple[str, Direction, str, str], Line] = {}
        self._changes: dict[tuple[str, str, str], Change] = {}
        self._more_changes = 0
        self._names = {str(each.network_address): pod.name for pod in inventory.pods for each in pod.addresses}
        self._knows_pods = bool(inventory.pods)
        self._nodes = len(inventory.nodes)
        self._totals = np.zeros(3, dtype=np.int64)
        self._judged = 0
        self._tunnelled = 0
        self._outcomes: Counter[str] = Counter()
        self._first: int | None = None
        self._last: int | None = None
        self._problems: list[KubesharkError] = []
        for policy in compiled.policies:
            for rule in policy.rules:
                self._line(policy.name, rule.direction, rule.name, rule.action, policy.mode == "Audit")

    def add(self, recorded: Recorded) -> None:
        items = make_items(recorded, self._problems, with_fragments=self._judges_fragments)
        if not len(items):
            return
        self._totals += (len(recorded.rows), int(items.packets.sum()), int(items.bytes.sum()))
        first, last = int(items.first_ns.min()), int(items.last_ns.max())
        self._first = first if self._first is None else min(self._first, first)
        self._last = last if self._last is None else max(self._last, last)
        self._tunnelled += int(items.is_tunnelled.sum())
        outcome = self._judge(self._subjects, items, recorded)
        is_judged = outcome != NONE
        judged = np.zeros(len(recorded.rows), dtype=np.int8)
        np.maximum.at(judged, items.place[is_judged], outcome[is_judged] + 1)
        self._judged += int((judged > 0).sum())
        for action in (Action.ACCEPT, Action.DENY, Action.REJECT):
            if count := int((judged == action + 1).sum()):
                self._outcomes[action.name.lower()] += count
        if self._before is not None:
            was = self._judge(self._before, items, None)
            self._compare(items, recorded, np.maximum(was, 0), np.maximum(outcome, 0))

    def _judge(self, subjects: Sequence[Judge], items: Items, recorded: Recorded | None) -> NDArray[np.int8]:
        """Return what each item ends in, NONE where nobody judges it; count by rule if `recorded` is given."""
        outcome = np.full(len(items), NONE, dtype=np.int8)
        for subject in subjects:
            for direction, end in ((Direction.INGRESS, "dst"), (Direction.EGRESS, "src")):
                places = subject.places(items, end)
                if not len(places):
                    continue
                verdicts = subject.judge(direction, items, places)
                outcome[places] = np.maximum(outcome[places], verdicts["action"].astype(np.int8))
                if recorded is not None:
                    self._count(subject.attachment, direction, items, places, verdicts, recorded)
        return outcome

    def _count(
        self,
        attachment: Attachment,
        direction: Direction,
        items: Items,
        places: NDArray[np.intp],
        verdicts: NDArray[Any],
        recorded: Recorded,
    ) -> None:
        rules = attachment.rules.rules
        decided = np.where(
            verdicts["rule"] != NONE, verdicts["rule"].astype(np.int64), _REASONS + verdicts["reason"].astype(np.int64)
        )
        for column in (decided, verdicts["audit"].astype(np.int64), verdicts["would_rule"].astype(np.int64)):
            order = np.argsort(column.astype(np.int16), kind="stable")  # 16 bits: a radix sort
            order = order[column[order] != NONE]
            if not len(order):
                continue
            found = column[order]
            starts = np.flatnonzero(np.concatenate(([True], found[1:] != found[:-1])))
            for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(found)], strict=True):
                number = int(found[start])
                if number >= _REASONS:
                    line = self._other(direction, Reason(number - _REASONS))
                else:
                    rule = rules[number]
                    line = self._line(rule.policy, direction, rule.name, rule.action, rule.dry)
                self._add_to(line, direction, items, places[order[start:stop]], recorded)

    def _add_to(
        self, line: Line, direction: Direction, items: Items, places: NDArray[np.intp], recorded: Recorded
    ) -> None:
        line.flows += len(places)
        line.packets += int(items.packets[places].sum())
        line.bytes += int(items.bytes[places].sum())
        first, last = int(items.first_ns[places].min()), int(items.last_ns[places].max())
        line.first_ns = first if line.first_ns is None else min(line.first_ns, first)
        line.last_ns = last if line.last_ns is None else max(line.last_ns, last)
        for address, count in _by_address(items.asked, "src" if direction == Direction.INGRESS else "dst", places):
            line.peers[address] += count
        _add_samples(line.samples, items, places, recorded)

    def _line(self, policy: str, direction: Direction, name: str, action: Action, dry: bool) -> Line:
        verdict = action.name.lower()
        if dry and action in (Action.DENY, Action.REJECT):
            verdict = f"would_{verdict}"
        key = policy, direction, name, ""
        if key not in self._lines:
            self._lines[key] = Line(policy, direction, name, action.name.capitalize(), verdict)
        return self._lines[key]

    def _other(self, direction: Direction, reason: Reason) -> Line:
        key = "", direction, "", reason.name
        if key not in self._lines:
            verdict = "accept" if reason == Reason.DEFAULT else f"accept ({reason.name.lower()})"
            self._lines[key] = Line("", direction, "", "", verdict)
        return self._lines[key]

    def _compare(self, items: Items, recorded: Recorded, was: NDArray[np.int8], becomes: NDArray[np.int8]) -> None:
        """Note what fares otherwise; connections between the same ends for the same thing together."""
        changed = np.flatnonzero(was != becomes)
        if not len(changed):
            return
        keys = np.zeros(len(changed), dtype=_CHANGE)
        for name in ("src", "dst", "version", "protocol", "dst_port", "icmp_type"):
            keys[name] = items.asked[name][changed]
        keys["was"], keys["becomes"] = was[changed], becomes[changed]
        groups = Groups(keys.view(f"V{_CHANGE.itemsize}"))
        order = np.argsort(groups.number, kind="stable")
        for members in np.split(changed[order], np.cumsum(groups.counts)[:-1]):
            at = int(members[0])
            key = _flow_text(items.asked[at]), Action(int(was[at])).name.lower(), Action(int(becomes[at])).name.lower()
            if key not in self._changes:
                if len(self._changes) >= MAX_CHANGES:
                    self._more_changes += 1
                    continue
                self._changes[key] = Change(*key)
            change = self._changes[key]
            change.flows += len(members)
            change.packets += int(items.packets[members].sum())
            _add_samples(change.samples, items, members, recorded)

    def result(self, coverage: Coverage) -> Simulation:
        lines = sorted(
            self._lines.values(),
            key=lambda line: (not line.policy, line.policy and self._order(line.policy), line.direction),
        )
        flows, packets, size = self._totals.tolist()
        return Simulation(
            self._compiled,
            lines,
            flows,
            packets,
            size,
            self._first,
            self._last,
            self._judged,
            self._outcomes,
            sorted(self._changes.values(), key=lambda change: (-change.flows, change.flow)),
            self._more_changes,
            [*self._compiled.warnings, *self._warnings(coverage)],
            self._problems,
            coverage,
            self._names,
            self._nodes,
        )

    def _order(self, name: str) -> int:
        return next(at for at, policy in enumerate(self._compiled.policies) if policy.name == name)

    def _warnings(self, coverage: Coverage) -> list[str]:
        warnings = []
        strangers = {peer for line in self._lines.values() for peer in line.peers if peer not in self._names}
        if self._knows_pods and strangers:
            warnings.append(f"{len(strangers):,} peer{'s' * (len(strangers) > 1)} matched only by IP")
        for subject in self._subjects:
            unseen = [
                member.name
                for member, seen in zip(subject.attachment.members, subject.was_seen.tolist(), strict=True)
                if not seen
            ]
            if unseen:
                more = f" and {len(unseen) - 3} more" if len(unseen) > 3 else ""
                warnings.append(f"subject {', '.join(unseen[:3])}{more} had no captured traffic")
            if subject.is_everybody:
                name = subject.attachment.title
                warnings.append(f"the addresses of {name} are not known: every connection is judged both ways")
        named = [subject.names for subject in self._subjects if subject.names is not None]
        warnings += dict.fromkeys(f"{each} was recorded" for names in named for each in names.unknown)
        if untimely := sum(names.untimely for names in named):
            warnings.append(
                f"{untimely:,} connections went to addresses of domainNames when no recorded answer said so"
            )
        if self._tunnelled and any(subject.attachment.kind != "pods" for subject in self._subjects):
            warnings.append(
                f"{self._tunnelled:,} connections inside tunnels: a host or interface sees their outer packets"
            )
        if coverage.nodes and self._nodes > len(coverage.nodes):
            warnings.append(f"only {len(coverage.nodes)} of {self._nodes} nodes were recorded")
        return warnings


def _add_samples(samples: list[str], items: Items, places: NDArray[np.intp], recorded: Recorded) -> None:
    """Add ids of entries up to SAMPLES; protocols that no entry shows have none."""
    for at in places[: SAMPLES * 4].tolist():
        if len(samples) >= SAMPLES:
            return
        entry_id = recorded.entry_id(int(items.place[at]))
        if entry_id and entry_id not in samples:
            samples.append(entry_id)


def _by_address(asked: NDArray[Any], end: str, places: NDArray[np.intp]) -> list[tuple[str, int]]:
    """Return the addresses at one end with their counts, the most frequent ones."""
    words = np.ascontiguousarray(asked[end][places]).view("<u8")
    mixed = (words[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ words[:, 1]
    order = np.argsort(mixed)
    starts = np.flatnonzero(np.concatenate(([True], mixed[order][1:] != mixed[order][:-1])))
    counts = np.diff(starts, append=len(order))
    most = np.argsort(-counts, kind="stable")[:PEERS_A_BATCH]
    return [
        (
            address_text(
                asked[end][places[order[starts[at]]]].tobytes(), int(asked["version"][places[order[starts[at]]]])
            ),
            int(counts[at]),
        )
        for at in most.tolist()
    ]


def address_text(packed: bytes, version: int) -> str:
    return str(ip_address(packed[:4] if version == 4 else packed))


def _flow_text(row: Any) -> str:
    version, protocol = int(row["version"]), int(row["protocol"])
    source, destination = (address_text(row[end].tobytes(), version) for end in ("src", "dst"))
    name = NAMES.get(protocol, f"protocol {protocol}")
    if protocol in (1, 58):
        return f"{source} → {destination} {name} type {int(row['icmp_type'])}"
    if protocol not in NAMES:
        return f"{source} → {destination} {name}"
    server = f"[{destination}]" if version == 6 else destination
    return f"{source} → {server}:{int(row['dst_port'])} {name}"
