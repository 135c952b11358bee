"""Policies from recorded traffic: a short ordered list that accepts all that was seen, then refuses the rest, audited.

1. Everything seen is accepted: simulating what was learned on the same traffic refuses nothing.
2. What is opened beyond that is bounded: a workload by its labels, three addresses of a network as that network but
   none wider than `max_prefix`, more than three ephemeral ports as all of them. Everything else is as it was seen.
3. What was not seen is said: pods without traffic, hours not covered, connections whose beginning is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_network
from typing import Literal

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.firewall.policies._compile import compile_policies
from kubeshark.firewall.policies._inventory import NAME_LABEL, Inventory, Pod
from kubeshark.firewall.policies._policy import Peer, Policy, PolicyRule, Subject
from kubeshark.firewall.recorded._evidence import Ask, Evidence, Times, collect
from kubeshark.firewall.recorded._items import Recorded
from kubeshark.firewall.recorded._simulate import Coverage
from kubeshark.firewall.rules._rules import MAX_RULES, Action, Direction, Network, Tier, Traffic

__all__ = ["Grouping", "LearnedRule", "Lesson", "Workload", "learn"]

Grouping = Literal["workload", "cidr"]

WORKLOAD_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app", "k8s-app", "component", "tier")
"""What says which workload a pod belongs to, where it has any of them; else all labels but those of one pod."""
POD_LABELS = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")
POD_PREFIXES = ("statefulset.kubernetes.io/", "batch.kubernetes.io/", "apps.kubernetes.io/")

MERGE_AT = 3  # addresses of one network: two are as short as the network
EPHEMERAL = 32_768
FOLD_AT = 4  # ephemeral ports of one workload
MAX_TRAFFIC = 25
MAX_NETWORKS = 25 * 50  # of a rule, whose peers are at most 100 lists of 25 networks, or workloads
MAX_WORKLOADS = 50
PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
EVERYBODY: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    namespace: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LearnedRule:
    name: str
    direction: Direction
    workloads: tuple[Workload, ...]
    networks: tuple[Network, ...]
    traffic: tuple[Traffic, ...]
    times: Times


@dataclass(slots=True)
class Lesson:
    subject: Subject
    rules: list[LearnedRule]  # ingress, then egress; the most frequent first
    left_out: int = 0  # asks below min_flows
    notes: list[str] = field(default_factory=list)  # what was not seen
    problems: list[KubesharkError] = field(default_factory=list)
    members: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)


def learn(
    recorded: Iterable[Recorded],
    subject: Subject,
    inventory: Inventory,
    *,
    group: Grouping = "workload",
    min_flows: int = 1,
    max_prefix: tuple[int, int] = (24, 64),
    coverage: Coverage | None = None,
) -> Lesson:
    """Propose rules for a subject from recorded traffic; raise UsageError if they are more than an attachment takes."""
    watched = Policy("learn", Tier.BASELINE, 0, subject, tuple(_pass(direction) for direction in Direction))
    compiled = compile_policies([watched], inventory)
    evidence = collect(recorded, compiled.attachments)
    workloads = _workloads(inventory) if group == "workload" else {}
    rules: list[LearnedRule] = []
    left_out = 0
    for direction in Direction:
        wanted, few = _wanted(evidence, direction, workloads, min_flows)
        left_out += few
        rules += _named(_rules(direction, wanted, max_prefix))
    if len(rules) + 2 > MAX_RULES:
        raise UsageError(
            f"{len(rules)} rules would be needed, at most {MAX_RULES - 2}",
            hint="raise --min-flows, lower --max-prefix, or learn fewer subjects at once",
        )
    members = tuple(member.name for attachment in compiled.attachments for member in attachment.members)
    notes = _notes(evidence, members, left_out, min_flows, coverage or Coverage(), len(inventory.nodes))
    return Lesson(subject, rules, left_out, notes, evidence.problems, members, evidence)


def _pass(direction: Direction) -> PolicyRule:
    return PolicyRule("all", direction, Action.PASS, (Peer(networks=EVERYBODY),), ())


_Who = Workload | IPv4Address | IPv6Address


def _workloads(inventory: Inventory) -> dict[str, Workload]:
    """Return the workload of each pod's address, of pods that have labels."""
    found = {}
    for pod in inventory.pods:
        labels = _labels(pod)
        if labels and not pod.is_on_host_network:
            for network in pod.addresses:
                found[str(network.network_address)] = Workload(pod.namespace, labels)
    return found


def _labels(pod: Pod) -> tuple[tuple[str, str], ...]:
    named = {key: value for key, value in pod.labels.items() if key in WORKLOAD_LABELS}
    rest = {
        key: value
        for key, value in pod.labels.items()
        if key not in POD_LABELS and not key.startswith(POD_PREFIXES) and key != NAME_LABEL
    }
    return tuple(sorted((named or rest).items()))


def _wanted(
    evidence: Evidence, direction: Direction, workloads: Mapping[str, Workload], min_flows: int
) -> tuple[dict[_Who, dict[Traffic, Times]], int]:
    """Return who wants what in a direction, and how many asks were too few."""
    asks: defaultdict[_Who, dict[Ask, Times]] = defaultdict(dict)
    for (seen_direction, address, ask), times in evidence.seen.items():
        if seen_direction == direction:
            who = workloads.get(str(address), address)
            asks[who].setdefault(ask, Times()).add(times)
    few = 0
    wanted: dict[_Who, dict[Traffic, Times]] = {}
    for who, each in asks.items():
        enough = {ask: times for ask, times in each.items() if times.flows >= min_flows}
        few += len(each) - len(enough)
        if enough:
            wanted[who] = _folded(enough)
    return wanted, few


def _folded(asks: Mapping[Ask, Times]) -> dict[Traffic, Times]:
    """Turn asks into traffic: ports in a row are a range, many ephemeral ones are all of them."""
    found: dict[Traffic, Times] = {}
    by_protocol: defaultdict[int, set[int]] = defaultdict(set)
    for ask in asks:
        if ask.port:
            by_protocol[ask.protocol].add(ask.port)
    ranges = {protocol: _ranges(ports) for protocol, ports in by_protocol.items()}
    while sum(map(len, ranges.values())) > MAX_TRAFFIC - 8:  # room for ICMP and others
        _join_nearest(ranges)
    for ask, times in asks.items():
        if ask.port:
            low, high = next(span for span in ranges[ask.protocol] if span[0] <= ask.port <= span[1])
            traffic = Traffic(ask.protocol, low, high)
        elif ask.icmp_type >= 0:
            traffic = Traffic(ask.protocol, icmp_type=ask.icmp_type, icmp_code=ask.icmp_code or None)
        else:
            traffic = Traffic(ask.protocol)
        found.setdefault(traffic, Times()).add(times)
    return _without_excess(found)


def _without_excess(found: dict[Traffic, Times]) -> dict[Traffic, Times]:
    """Let a protocol stand for its ICMP types, or for "any", where there are too many of them for a rule."""
    for protocol in (1, 58):
        typed = [traffic for traffic in found if traffic.protocol == protocol]
        if len(typed) > 4:
            times = Times()
            for traffic in typed:
                times.add(found.pop(traffic))
            found[Traffic(protocol)] = times
    expressible = (1, 6, 17, 58, 132)
    others = [traffic for traffic in found if traffic.protocol not in expressible]
    if others:  # a policy names no other protocol: any is what accepts it
        times = Times()
        for traffic in list(found):
            times.add(found.pop(traffic))
        found[Traffic(None)] = times
    return found


def _ranges(ports: set[int]) -> list[tuple[int, int]]:
    ephemeral = {port for port in ports if port >= EPHEMERAL}
    spans: list[tuple[int, int]] = []
    for port in sorted(ports - ephemeral if len(ephemeral) >= FOLD_AT else ports):
        if spans and spans[-1][1] == port - 1:
            spans[-1] = spans[-1][0], port
        else:
            spans.append((port, port))
    return [*spans, (EPHEMERAL, 65535)] if len(ephemeral) >= FOLD_AT else spans


def _join_nearest(ranges: dict[int, list[tuple[int, int]]]) -> None:
    """Join the two ranges with the fewest ports between them."""
    _, protocol, at = min(
        (spans[at + 1][0] - spans[at][1], protocol, at)
        for protocol, spans in ranges.items()
        for at in range(len(spans) - 1)
    )
    spans = ranges[protocol]
    spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]


_Draft = tuple[tuple[_Who, ...], tuple[Traffic, ...], Times]


def _rules(
    direction: Direction, wanted: Mapping[_Who, Mapping[Traffic, Times]], max_prefix: tuple[int, int]
) -> list[LearnedRule]:
    """Return the fewest rules of two ways to put it: by those who want the same, or by what the same ones want."""
    drafts = min(_by_traffic(wanted), _by_who(wanted), key=len)
    found = []
    for who, traffic, times in drafts:
        workloads = tuple(sorted(each for each in who if isinstance(each, Workload)))
        networks = _networks([each for each in who if not isinstance(each, Workload)], max_prefix)
        for start in range(0, max(1, len(workloads)), MAX_WORKLOADS):
            some = workloads[start : start + MAX_WORKLOADS]
            found.append(LearnedRule("", direction, some, () if start else networks, traffic, times))
    return sorted(
        found, key=lambda rule: (-rule.times.flows, rule.workloads, list(map(str, rule.networks)), str(rule.traffic))
    )


def _by_traffic(wanted: Mapping[_Who, Mapping[Traffic, Times]]) -> list[_Draft]:
    groups: defaultdict[frozenset[Traffic], list[_Who]] = defaultdict(list)
    for who, traffic in wanted.items():
        groups[frozenset(traffic)].append(who)
    return [
        (tuple(who), _sorted(traffic), _added(times for each in who for times in wanted[each].values()))
        for traffic, who in groups.items()
    ]


def _by_who(wanted: Mapping[_Who, Mapping[Traffic, Times]]) -> list[_Draft]:
    by_traffic: defaultdict[Traffic, dict[_Who, Times]] = defaultdict(dict)
    for who, each in wanted.items():
        for traffic, times in each.items():
            by_traffic[traffic][who] = times
    groups: defaultdict[frozenset[_Who], list[Traffic]] = defaultdict(list)
    for asked, times_of in by_traffic.items():
        groups[frozenset(times_of)].append(asked)
    drafts: list[_Draft] = []
    for whole, listed in groups.items():
        for start in range(0, len(listed), MAX_TRAFFIC):
            some = listed[start : start + MAX_TRAFFIC]
            drafts.append((tuple(whole), _sorted(some), _added(t for each in some for t in by_traffic[each].values())))
    return drafts


def _sorted(traffic: Iterable[Traffic]) -> tuple[Traffic, ...]:
    def key(each: Traffic) -> tuple[int, ...]:
        return each.protocol or 0, each.first_port, each.last_port, each.icmp_type or 0, each.icmp_code or 0

    return tuple(sorted(traffic, key=key))


def _added(times: Iterable[Times]) -> Times:
    total = Times()
    for each in times:
        total.add(each)
    return total


def _networks(addresses: Sequence[IPv4Address | IPv6Address], max_prefix: tuple[int, int]) -> tuple[Network, ...]:
    """Return networks that hold the addresses, merged up to the prefix; public ones further if they are thousands."""
    found = [*_merged([each for each in addresses if each.version == 4], max_prefix[0])]
    found += _merged([each for each in addresses if each.version == 6], max_prefix[1])
    for shorter in (16, 12, 8, 4):
        if len(found) <= MAX_NETWORKS:
            break
        found = list(dict.fromkeys(_wider(network, shorter) for network in found))
    if len(found) > MAX_NETWORKS:
        raise UsageError(f"{len(found):,} networks in one rule, at most {MAX_NETWORKS:,}", hint="lower --max-prefix")
    return tuple(found)


def _merged(addresses: Sequence[IPv4Address | IPv6Address], prefix: int) -> Iterator[Network]:
    blocks: defaultdict[Network, list[Network]] = defaultdict(list)
    for address in sorted(addresses, key=int):
        blocks[ip_network(f"{address}/{prefix}", strict=False)].append(ip_network(address))
    for block, inside in blocks.items():
        if len(inside) >= MERGE_AT:
            yield block
        else:
            yield from collapse_addresses(inside)  # type: ignore[type-var]  # one version each


def _wider(network: Network, prefix: int) -> Network:
    """Return the network at a shorter prefix (IPv6: four times that), unless it would reach into a private one."""
    wanted = prefix if network.version == 4 else prefix * 4
    wider = network.supernet(new_prefix=min(wanted, network.prefixlen))
    return network if any(wider.version == other.version and wider.overlaps(other) for other in PRIVATE) else wider


def _named(rules: list[LearnedRule]) -> Iterator[LearnedRule]:
    used: set[str] = set()
    for rule in rules:
        base = _name(rule)
        name, number = base, 2
        while name in used:
            name, number = f"{base}-{number}", number + 1
        used.add(name)
        yield LearnedRule(name, rule.direction, rule.workloads, rule.networks, rule.traffic, rule.times)


def _name(rule: LearnedRule) -> str:
    word = "from" if rule.direction == Direction.INGRESS else "to"
    everybody = [*(each.labels[0][1] or each.namespace for each in rule.workloads), *map(_short, rule.networks)]
    who = everybody[0] if len(everybody) == 1 else f"{everybody[0]}-and-{len(everybody) - 1}-more"
    first = next((each for each in rule.traffic if each.asks_ports), rule.traffic[0])
    names = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmpv6", None: "any"}
    what = names[first.protocol]
    if first.asks_ports:
        what += (
            f"-{first.first_port}" if first.first_port == first.last_port else f"-{first.first_port}-{first.last_port}"
        )
    return f"{word}-{who}-{what}"[:90]


def _short(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _notes(
    evidence: Evidence, members: Sequence[str], left_out: int, min_flows: int, coverage: Coverage, nodes: int
) -> list[str]:
    notes = []
    if not members:
        notes.append("the inventory knows nobody that the subject selects")
    if evidence.unseen:
        more = f" and {len(evidence.unseen) - 8} more" if len(evidence.unseen) > 8 else ""
        notes.append(f"no traffic of {', '.join(evidence.unseen[:8])}{more}")
    if evidence.flows and (missing := sorted(set(range(24)) - evidence.hours)):
        notes.append(f"hours of the day not covered (UTC): {_hours_text(missing)}")
    if evidence.midway:
        notes.append(f"beginning of {evidence.midway:,} TCP connections: which end opened them is a guess")
    if left_out:
        notes.append(f"pairs of peer and port left out for fewer than {min_flows} connections: {left_out:,}")
    if coverage.lost_packets:
        notes.append(f"{coverage.lost_packets:,} packets were lost while they were recorded")
    elif coverage.lost_packets is None:
        notes.append("the recording does not say how many packets it lost")
    if nodes > len(coverage.nodes) > 0:
        notes.append(f"only {len(coverage.nodes)} of {nodes} nodes were recorded")
    return notes


def _hours_text(hours: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][1] == hour - 1:
            spans[-1][1] = hour
        else:
            spans.append([hour, hour])
    return ", ".join(f"{low:02}" if low == high else f"{low:02}–{high:02}" for low, high in spans)
