"""Compiled policies → what one machine enforces: its pods, its devices, itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network

from kubeshark.errors import UsageError
from kubeshark.firewall.policies._compile import Attachment, Compiled
from kubeshark.firewall.policies._inventory import Inventory
from kubeshark.firewall.rules._rules import Action, Direction, Rule, RuleSet, Tier
from kubeshark.firewall.sets._wire import PodAt, Target

__all__ = ["targets_of"]

MAX_NAME = 200
_EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def targets_of(
    compiled: Compiled,
    inventory: Inventory | None = None,
    *,
    node: str = "",
    interfaces: Sequence[str] = (),
    default_deny: bool = False,
) -> tuple[list[Target], list[str]]:
    """Return what a node enforces, and what it cannot, in words.

    `node` "": a machine of no cluster, which knows no pods. `interfaces`: devices of the host, none: its default
    routes'. `default_deny`: refuse on all of these what no rule accepts. Raises UsageError for too many rules.
    """
    on_node = {pod.path for pod in inventory.pods if pod.node == node} if inventory and node else set()
    targets: list[Target] = []
    missing: list[str] = []
    for attachment in compiled.attachments:
        rules = _with_last(attachment) if default_deny else attachment.rules
        if attachment.kind == "interface":
            targets += [Target(member.name, rules, (member.name,)) for member in attachment.members]
        elif attachment.kind == "host":
            targets.append(Target("host", rules, tuple(interfaces), is_host=True))
        elif not node:
            missing.append(f"{attachment.title}: pods are enforced by the workers of a cluster, not by this command")
        else:
            pods = tuple(
                PodAt(member.name, tuple(str(network.network_address) for network in member.addresses))
                for member in attachment.members
                if member.name in on_node
            )
            if pods:
                targets.append(Target(_name(attachment), rules, (), is_pod=True, pods=pods))
    return targets, missing


def _name(attachment: Attachment) -> str:
    """Name pods by the policies that select them: who comes and goes changes no name."""
    name = f"pods of {'+'.join(attachment.policies)}"
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 18]}…{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _with_last(attachment: Attachment) -> RuleSet:
    last = tuple(
        Rule("default-deny", direction.name.lower(), Tier.BASELINE, direction, Action.DENY, _EVERYBODY, ())
        for direction in Direction
    )
    try:
        return replace(attachment.rules, rules=(*attachment.rules.rules, *last))
    except ValueError as error:
        raise UsageError(f"{attachment.title}: --default-deny: {error}", hint="join rules") from None
