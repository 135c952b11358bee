"""Peers that could be pods and that nobody knows yet: what `unknownPeer` of a policy makes of them.

A new pod has an address before anybody is told its labels; until then no selector matches it. Where a policy says
`allow`, what its rules accept from selected pods is accepted from such a peer, too; with `deny` nothing is. The rule
stands before the first of its direction that selects pods: rules of networks above it come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from kubeshark.errors import UsageError
from kubeshark.firewall.policies._inventory import Inventory
from kubeshark.firewall.policies._policy import Policy, PolicyRule
from kubeshark.firewall.rules._rules import Action, Direction, Network, Rule, Traffic

__all__ = ["UNKNOWN", "Unknown", "selects_pods"]

UNKNOWN = "unknownPeer"
"""The name of the rule, in counters and events."""

MAX_NETWORKS = 20_000
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""Where pods are if nobody says where (RFC 1918, 6598, 4193)."""


def selects_pods(rule: PolicyRule) -> bool:
    """Say whether what a rule matches hangs on who is a pod, and which."""
    return any(peer.pods is not None or peer.namespaces is not None for peer in rule.peers)


@dataclass(slots=True)
class Unknown:
    """Makes these rules for the policies of one inventory."""

    inventory: Inventory
    _found: tuple[Network, ...] | None = None

    def rule(self, policy: Policy, direction: Direction) -> tuple[Rule | None, str]:
        """Return the rule, None where it would match nobody, and a warning or "".

        Raises UsageError where known pods lie so that their networks without them are too many pieces.
        """
        where = f"{policy.name} {direction.name.lower()}/{UNKNOWN}"
        said = ""
        if not self.inventory.pod_networks:
            said = f"{where}: the inventory does not say where pods are (podNetworks, or podCIDRs of nodes)"
            if policy.unknown_peer == "allow":
                return None, f"{said}: nobody is allowed"
            said = f"{said}: private addresses that nobody has are denied"
        peers = self._peers()
        if not peers:
            return None, said
        chosen = [rule for rule in policy.rules if rule.direction == direction and selects_pods(rule)]
        accepting = [rule.traffic for rule in chosen if rule.action == Action.ACCEPT]
        action: Action = Action.DENY
        traffic: tuple[Traffic, ...] = ()
        if policy.unknown_peer == "allow":
            if not accepting:
                return None, said
            action = Action.ACCEPT
            traffic = () if not all(accepting) else tuple(dict.fromkeys(each for some in accepting for each in some))
        dry = policy.mode == "Audit"
        return Rule(policy.name, UNKNOWN, policy.tier, direction, action, peers, traffic, dry=dry), said

    def _peers(self) -> tuple[Network, ...]:
        if self._found is None:
            inventory = self.inventory
            known = [network for pod in inventory.pods for network in pod.addresses]
            known += (network for node in inventory.nodes for network in node.addresses)
            known += (*inventory.host, *inventory.apiserver)
            known += (network for networks in inventory.names.values() for network in networks)
            # a node has the first address of its pods' network itself, on a bridge
            known += (_first(network) for node in inventory.nodes for network in node.pod_networks)
            found: list[Network] = []
            for version in (4, 6):
                wanted = [each for each in inventory.pod_networks or PRIVATE if each.version == version]
                found += _without(wanted, [each for each in known if each.version == version])
            self._found = tuple(found)
        return self._found


def _first(network: Network) -> Network:
    first = int(network.network_address) + (network.num_addresses > 1)
    return type(network)((first, network.max_prefixlen))


def _without(networks: list[Network], known: list[Network]) -> list[Network]:
    """Return the networks that are left of some without others, both of one version."""
    spans = sorted((int(each.network_address), int(each.broadcast_address)) for each in known)
    left: list[Network] = []
    for network in _collapsed(networks):
        at, last = int(network.network_address), int(network.broadcast_address)
        for first, behind in (*spans, (last + 1, last + 1)):
            if behind < at or first > last + 1:
                continue
            left += _blocks(at, first - 1, network.max_prefixlen)
            at = max(at, behind + 1)
            if len(left) > MAX_NETWORKS:
                raise UsageError(
                    f"unknownPeer: the addresses that no pod has are more than {MAX_NETWORKS:,} networks",
                    hint="give podNetworks of the inventory that are narrower, or leave unknownPeer out",
                )
    return left


def _collapsed(networks: list[Network]) -> list[Network]:
    four = collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in networks if isinstance(each, IPv6Network))
    return [*four, *six]


def _blocks(first: int, last: int, bits: int) -> Iterator[Network]:
    """Yield the fewest networks that make up a range of addresses, both ends in it."""
    while first <= last:
        size = min((first & -first).bit_length() - 1 if first else bits, (last - first + 1).bit_length() - 1)
        yield (IPv4Network if bits == 32 else IPv6Network)((first, bits - size))
        first += 1 << size
