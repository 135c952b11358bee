"""Targets as JSON: what the command line hands to the process that enforces, and what that keeps on disk."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.firewall.rules._rules import Action, Direction, Exempt, Rule, RuleSet, Tier, Traffic

__all__ = ["PodAt", "Target", "target_from", "target_or_denied", "target_to"]

_TARGET = frozenset(
    "name devices pods isHost isPod allowEssential strictFragments tcpByFlags exempt rules".split()  # noqa: SIM905
)
_RULE = frozenset({"policy", "name", "tier", "direction", "action", "dry", "peers", "traffic", "names"})
_EXEMPT = frozenset({"name", "direction", "peers", "traffic"})
_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class PodAt:
    """A pod of this machine; which device leads to it is found there."""

    name: str  # namespace/name
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A subject on this machine: its rules, and the devices that carry its packets."""

    name: str
    rules: RuleSet
    devices: tuple[str, ...]  # names, globs; of the host none: those of its default routes
    is_host: bool = False  # connect() of local processes is refused as well
    is_pod: bool = False  # devices are the host's side of its veths: what comes in is its egress
    pods: tuple[PodAt, ...] = ()  # whose devices are looked for by their addresses


def target_to(target: Target) -> dict[str, Any]:
    rules = target.rules
    return {
        "name": target.name,
        "devices": list(target.devices),
        "isHost": target.is_host,
        "isPod": target.is_pod,
        "pods": [{"name": pod.name, "addresses": list(pod.addresses)} for pod in target.pods],
        "allowEssential": rules.allow_essential,
        "strictFragments": rules.strict_fragments,
        **({"tcpByFlags": True} if rules.tcp_by_flags else {}),  # an older worker denies what it does not know
        "exempt": [{"name": each.name, "direction": int(each.direction), **_what(each)} for each in rules.exempt],
        "rules": [
            {
                "policy": rule.policy, "name": rule.name, "tier": int(rule.tier), "direction": int(rule.direction),
                "action": int(rule.action), "dry": rule.dry, **_what(rule),
                **({"names": list(rule.names)} if rule.names else {}),
            }
            for rule in rules.rules
        ],
    }  # fmt: skip


def target_from(document: Any) -> Target:
    """Read what `target_to` wrote; UsageError for anything else: what is not known is not guessed at."""
    try:
        _known(document, _TARGET)
        rules = []
        for each in document["rules"]:
            _known(each, _RULE)
            rules.append(
                Rule(
                    str(each["policy"]), str(each["name"]), Tier(each["tier"]), Direction(each["direction"]),
                    Action(each["action"]), *_peers_traffic(each), dry=bool(each["dry"]),
                    names=tuple(map(str, each.get("names", ()))),
                )
            )  # fmt: skip
        exempt = []
        for each in document["exempt"]:
            _known(each, _EXEMPT)
            exempt.append(Exempt(str(each["name"]), Direction(each["direction"]), *_peers_traffic(each)))
        rule_set = RuleSet(
            tuple(rules), bool(document["allowEssential"]), tuple(exempt), bool(document["strictFragments"]),
            tcp_by_flags=bool(document.get("tcpByFlags")),
        )  # fmt: skip
        return _with_subject(document, rule_set)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"not a firewall target: {error!r:.200}") from error


def target_or_denied(document: Any) -> tuple[Target, str]:
    """Read a target; one that a newer hub wrote and this version does not understand is denied whole, and why is said.

    Raises UsageError if not even its subject can be read.
    """
    try:
        return target_from(document), ""
    except UsageError as error:
        why = str(error)
    rules = tuple(
        Rule("not-understood", direction.name.lower(), Tier.ADMIN, direction, Action.DENY, _EVERYBODY, ())
        for direction in Direction
    )
    try:
        from kubeshark.firewall.policies._compile import own_exemptions
        from kubeshark.firewall.policies._inventory import Inventory

        kind = "pods" if document.get("isPod") else "host"
        return _with_subject(document, RuleSet(rules, True, own_exemptions(kind, Inventory()))), why
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"not a firewall target: {error!r:.200}") from error


def _with_subject(document: Any, rules: RuleSet) -> Target:
    devices = tuple(str(device) for device in document["devices"])
    pods = tuple(
        PodAt(str(pod["name"]), tuple(str(ip_address(address)) for address in pod["addresses"]))
        for pod in document.get("pods", ())
    )
    return Target(str(document["name"]), rules, devices, bool(document["isHost"]), bool(document["isPod"]), pods)


def _known(document: Any, names: frozenset[str]) -> None:
    if unknown := document.keys() - names:
        raise ValueError(f"{sorted(map(str, unknown))[0]!r:.60} is not known here")


def _what(each: Rule | Exempt) -> dict[str, Any]:
    traffic = [
        [one.protocol, one.first_port, one.last_port, one.icmp_type, one.icmp_code] for one in each.traffic
    ]  # fmt: skip
    return {"peers": [str(network) for network in each.peers], "traffic": traffic}


def _peers_traffic(document: Any) -> tuple[tuple[Any, ...], tuple[Traffic, ...]]:
    peers = tuple(ip_network(text) for text in document["peers"])
    return peers, tuple(Traffic(*each) for each in document["traffic"])
