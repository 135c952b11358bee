"""Policies and an inventory → the rules of each attachment. Pure: nothing is asked, nothing is changed.

Subjects that the same policies select share one rule set: pods by what selects them, each interface, the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Literal

from kubeshark.errors import UsageError
from kubeshark.firewall.policies._inventory import Inventory, Pod
from kubeshark.firewall.policies._policy import LabelSelector, Mode, Peer, PodSelector, Policy, PolicyRule
from kubeshark.firewall.policies._unknown import Unknown, selects_pods
from kubeshark.firewall.rules._rules import (
    MAX_RULES,
    NOBODY,
    Action,
    Direction,
    Exempt,
    Network,
    Rule,
    RuleSet,
    Traffic,
)

__all__ = ["Attachment", "Compiled", "Member", "compile_policies", "own_exemptions"]

OWN_PORTS = {"hub": 8898, "web page": 8899, "worker": 48999}
SSH = 22
TCP, UDP = 6, 17
SHOWN = 3  # members named in a message


@dataclass(frozen=True, slots=True)
class Member:
    name: str  # "shop/db-1", "eth0", "host"
    addresses: tuple[Network, ...]  # empty: not known


@dataclass(frozen=True, slots=True)
class Attachment:
    """Subjects that are judged by the same rules."""

    kind: Literal["pods", "interface", "host"]
    members: tuple[Member, ...]
    policies: tuple[str, ...]  # by name, in judging order
    rules: RuleSet

    @property
    def title(self) -> str:
        names = [member.name for member in self.members]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"{', '.join(names[:SHOWN])}{more}"


@dataclass(frozen=True, slots=True)
class Compiled:
    policies: tuple[Policy, ...]  # in judging order
    attachments: tuple[Attachment, ...]
    warnings: tuple[str, ...]


def compile_policies(
    policies: Iterable[Policy],
    inventory: Inventory,
    *,
    mode: Mode | None = None,
    allow_essential: bool = True,
    strict_fragments: bool = False,
    follows_names: bool = False,
) -> Compiled:
    """Return what is attached where; raise UsageError if an attachment gets more than 256 rules.

    `mode` overrides that of every policy: what an audited one would do when it is enforced. `follows_names`: it is for
    enforcing, where domain names get their addresses later; otherwise those of the inventory are all there are.
    """
    ordered = sorted(policies, key=lambda policy: policy.order)
    if mode is not None:
        ordered = [replace(policy, mode=mode) for policy in ordered]
    resolver = _Resolver(inventory, follows_names=follows_names)
    attachments: list[Attachment] = []
    warnings: list[str] = []
    for kind, members, chosen in _subjects(ordered, inventory):
        rules = tuple(rule for policy in chosen for rule in resolver.rules(policy))
        strict = strict_fragments or any(policy.strict_fragments for policy in chosen)
        attachment = Attachment(
            kind,
            tuple(members),
            tuple(policy.name for policy in chosen),
            _rule_set(rules, members, chosen, own_exemptions(kind, inventory), allow_essential, strict),
        )
        attachments.append(attachment)
        warnings += _without_dns(attachment)
        warnings += _by_flags(attachment, chosen)
    selected = {name for attachment in attachments for name in attachment.policies}
    for policy in ordered:
        if policy.name not in selected:
            warnings.append(f"policy {policy.name} selects nobody that the inventory knows")
    if not allow_essential:
        warnings.append("allowEssential is off: IPv6 does not work behind a Deny of ICMPv6")
    return Compiled(tuple(ordered), tuple(attachments), tuple(dict.fromkeys([*resolver.warnings, *warnings])))


def own_exemptions(kind: str, inventory: Inventory) -> tuple[Exempt, ...]:
    """Return what no policy cuts on an attachment of this kind."""
    named = [Exempt("firewall.exempt", direction, inventory.exempt, ()) for direction in Direction if inventory.exempt]
    if kind == "pods":
        nodes = tuple(network for node in inventory.nodes for network in node.addresses)
        return (*named, *((Exempt("kubelet probes", Direction.INGRESS, nodes, ()),) if nodes else ()))
    found = [
        *named,
        *(
            Exempt(name, direction, (), (Traffic(TCP, port, port),))
            for name, port in OWN_PORTS.items()
            for direction in Direction
        ),
    ]
    found.append(Exempt("SSH", Direction.INGRESS, (), (Traffic(TCP, SSH, SSH),)))
    if inventory.apiserver:
        found.append(Exempt("kube-apiserver", Direction.EGRESS, inventory.apiserver, (Traffic(TCP),)))
    return tuple(found)


def _rule_set(
    rules: tuple[Rule, ...],
    members: Sequence[Member],
    policies: Sequence[Policy],
    exempt: tuple[Exempt, ...],
    allow_essential: bool,
    strict_fragments: bool,
) -> RuleSet:
    if len(rules) > MAX_RULES:
        names = ", ".join(policy.name for policy in policies[:8])
        raise UsageError(
            f"{members[0].name} gets {len(rules)} rules from {len(policies)} policies ({names}), at most {MAX_RULES}",
            hint="join rules, or select fewer subjects",
        )
    by_flags = all(policy.tcp_by_flags for policy in policies)  # what opens more is not decided for others
    return RuleSet(rules, allow_essential, exempt, strict_fragments, by_flags)


def _subjects(
    policies: Sequence[Policy], inventory: Inventory
) -> Iterator[tuple[Literal["pods", "interface", "host"], list[Member], list[Policy]]]:
    """Yield who is judged, and by which policies; members that the same policies select come together."""
    groups: dict[tuple[int, ...], list[Member]] = {}
    for pod in inventory.pods:
        by = tuple(at for at, policy in enumerate(policies) if _selects_pod(policy, pod, inventory))
        if by:
            groups.setdefault(by, []).append(Member(pod.path, pod.addresses))
    for by, members in groups.items():
        yield "pods", members, [policies[at] for at in by]
    globs = dict.fromkeys(glob for policy in policies for glob in policy.subject.interfaces)
    matched = [name for name in inventory.interfaces if any(fnmatchcase(name, glob) for glob in globs)]
    unmatched = [glob for glob in globs if not any(fnmatchcase(name, glob) for name in matched)]
    for name in (*matched, *unmatched):
        chosen = [
            policy
            for policy in policies
            if any(name == glob or fnmatchcase(name, glob) for glob in policy.subject.interfaces)
        ]
        yield "interface", [Member(name, tuple(inventory.interfaces.get(name, ())))], chosen
    hosts = [policy for policy in policies if policy.subject.is_host]
    if hosts:
        yield "host", [Member("host", inventory.host)], hosts


def _selects_pod(policy: Policy, pod: Pod, inventory: Inventory) -> bool:
    subject = policy.subject
    if pod.is_on_host_network:
        return False
    if subject.pods is not None:
        return _is_selected(subject.pods, pod, inventory)
    return subject.namespaces is not None and subject.namespaces.selects(inventory.labels_of(pod.namespace))


def _is_selected(selector: PodSelector, pod: Pod, inventory: Inventory) -> bool:
    return (
        not pod.is_on_host_network
        and selector.namespaces.selects(inventory.labels_of(pod.namespace))
        and selector.pods.selects(pod.labels)
    )


class _Resolver:
    """Policies' rules with addresses; each policy once."""

    def __init__(self, inventory: Inventory, *, follows_names: bool) -> None:
        self._inventory, self._follows_names = inventory, follows_names
        self._unknown = Unknown(inventory)
        self._done: dict[str, tuple[Rule, ...]] = {}
        self.warnings: list[str] = []

    def rules(self, policy: Policy) -> tuple[Rule, ...]:
        if policy.name not in self._done:
            self._done[policy.name] = tuple(rule for rule in self._all(policy) if rule is not None)
        return self._done[policy.name]

    def _all(self, policy: Policy) -> Iterator[Rule | None]:
        judged = set() if policy.unknown_peer else set(Direction)
        for rule in policy.rules:
            if rule.direction not in judged and selects_pods(rule):
                judged.add(rule.direction)
                unknown, warning = self._unknown.rule(policy, rule.direction)
                self.warnings += [warning] if warning else []
                yield unknown
            yield self._rule(policy, rule)

    def _rule(self, policy: Policy, rule: PolicyRule) -> Rule | None:
        where = f"{policy.name} {rule.direction.name.lower()}/{rule.name}"
        peers = _collapsed(network for peer in rule.peers for network in self._addresses(peer, where))
        names = tuple(dict.fromkeys(name for peer in rule.peers for name in peer.domain_names))
        if not peers and names and self._follows_names:
            peers = NOBODY
        if not peers:
            self.warnings.append(f"{where} matches nobody: its peers have no known address")
            return None
        return Rule(
            policy.name,
            rule.name,
            policy.tier,
            rule.direction,
            rule.action,
            peers,
            rule.traffic,
            dry=policy.mode == "Audit",
            names=names,
        )

    def _addresses(self, peer: Peer, where: str) -> Iterator[Network]:
        inventory = self._inventory
        yield from peer.networks
        pods: PodSelector | None = peer.pods
        if peer.namespaces is not None:
            pods = PodSelector(peer.namespaces, LabelSelector())
        if pods is not None:
            for pod in inventory.pods:
                if _is_selected(pods, pod, inventory):
                    yield from pod.addresses
        if peer.nodes is not None:
            for node in inventory.nodes:
                if peer.nodes.selects(node.labels):
                    yield from node.addresses
        for name in peer.domain_names:
            found = inventory.addresses_of_name(name)
            if not found and not self._follows_names:
                self.warnings.append(f"{where}: no address of {name} is known")
            yield from found


def _collapsed(networks: Iterable[Network]) -> tuple[Network, ...]:
    by_version: Mapping[int, list[Network]] = {4: [], 6: []}
    for network in networks:
        by_version[network.version].append(network)
    four = collapse_addresses(each for each in by_version[4] if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in by_version[6] if isinstance(each, IPv6Network))
    return (*four, *six)


def _without_dns(attachment: Attachment) -> Iterator[str]:
    """Yield a warning if a rule for everybody refuses DNS before any accepts some."""
    for rule in attachment.rules.rules:
        if rule.direction != Direction.EGRESS or not _takes(rule.traffic, UDP, 53):
            continue
        if rule.action == Action.ACCEPT:
            return
        if rule.action in (Action.DENY, Action.REJECT) and any(network.prefixlen == 0 for network in rule.peers):
            yield f"policy {rule.policy} leaves {attachment.title} without DNS"
            return


def _by_flags(attachment: Attachment, policies: Sequence[Policy]) -> Iterator[str]:
    """Yield what `stateful: flags` lets through, or why it is not done."""
    if attachment.rules.tcp_by_flags:
        yield (
            f"{attachment.title}: stateful: flags: TCP segments with ACK and without SYN pass unjudged, so ACK scans "
            "and two ends that conspire get through, and a new Deny ends no open connection"
        )
    elif some := [policy.name for policy in policies if policy.tcp_by_flags]:
        others = [policy.name for policy in policies if not policy.tcp_by_flags]
        yield (
            f"{attachment.title}: stateful: flags of {', '.join(some[:SHOWN])} does not hold: "
            f"{', '.join(others[:SHOWN])} ask{'s' * (len(others) == 1)} for flows"
        )


def _takes(traffic: Sequence[Traffic], protocol: int, port: int) -> bool:
    return not traffic or any(
        each.protocol in (None, protocol) and each.first_port <= port <= each.last_port and each.icmp_type is None
        for each in traffic
    )
