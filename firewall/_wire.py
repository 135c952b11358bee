"""Targets as JSON: what the command line hands to the process that enforces, and what that keeps on disk."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.firewall._rules import Action, Direction, Exempt, Rule, RuleSet, Tier, Traffic

__all__ = ["Target", "target_from", "target_to"]


@dataclass(frozen=True, slots=True)
class Target:
    """A subject on this machine: its rules, and the devices that carry its packets."""

    name: str
    rules: RuleSet
    devices: tuple[str, ...]
    is_host: bool = False  # connect() of local processes is refused as well
    is_pod: bool = False  # devices are the host's side of its veths: what comes in is its egress


def target_to(target: Target) -> dict[str, Any]:
    rules = target.rules
    return {
        "name": target.name,
        "devices": list(target.devices),
        "isHost": target.is_host,
        "isPod": target.is_pod,
        "allowEssential": rules.allow_essential,
        "strictFragments": rules.strict_fragments,
        "exempt": [{"name": each.name, "direction": int(each.direction), **_what(each)} for each in rules.exempt],
        "rules": [
            {
                "policy": rule.policy, "name": rule.name, "tier": int(rule.tier), "direction": int(rule.direction),
                "action": int(rule.action), "dry": rule.dry, **_what(rule),
            }
            for rule in rules.rules
        ],
    }  # fmt: skip


def target_from(document: Any) -> Target:
    """Read what `target_to` wrote; UsageError for anything else."""
    try:
        rules = tuple(
            Rule(
                str(each["policy"]), str(each["name"]), Tier(each["tier"]), Direction(each["direction"]),
                Action(each["action"]), *_peers_traffic(each), dry=bool(each["dry"]),
            )
            for each in document["rules"]
        )  # fmt: skip
        exempt = tuple(
            Exempt(str(each["name"]), Direction(each["direction"]), *_peers_traffic(each))
            for each in document["exempt"]
        )
        rule_set = RuleSet(rules, bool(document["allowEssential"]), exempt, bool(document["strictFragments"]))
        devices = tuple(str(device) for device in document["devices"])
        return Target(str(document["name"]), rule_set, devices, bool(document["isHost"]), bool(document["isPod"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"not a firewall target: {error!r:.200}") from error


def _what(each: Rule | Exempt) -> dict[str, Any]:
    traffic = [
        [one.protocol, one.first_port, one.last_port, one.icmp_type, one.icmp_code] for one in each.traffic
    ]  # fmt: skip
    return {"peers": [str(network) for network in each.peers], "traffic": traffic}


def _peers_traffic(document: Any) -> tuple[tuple[Any, ...], tuple[Traffic, ...]]:
    peers = tuple(ip_network(text) for text in document["peers"])
    return peers, tuple(Traffic(*each) for each in document["traffic"])
