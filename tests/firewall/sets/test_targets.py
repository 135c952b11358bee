"""What a node enforces of compiled policies: its own pods, its devices, itself."""

from __future__ import annotations

import pytest

from kubeshark.errors import UsageError
from kubeshark.firewall import Action, Direction, compile_policies, parse_inventory, parse_policies
from kubeshark.firewall.sets._targets import targets_of
from kubeshark.firewall.sets._wire import PodAt
from tests.firewall._policies import EVERYBODY, policy

INVENTORY = parse_inventory(
    b"""pods:
  - {name: a, namespace: shop, labels: {app: web}, addresses: [10.0.0.1, "fd00::1"], node: one}
  - {name: b, namespace: shop, labels: {app: web}, addresses: [10.0.0.2], node: two}
  - {name: c, namespace: shop, labels: {app: web}, addresses: [10.0.0.3], node: one}
""",
    "inventory",
)
RULES = f"  ingress: [{{name: none, action: Deny, from: {EVERYBODY}}}]"


def test_each_node_has_its_own_pods() -> None:
    found = compile_policies(parse_policies(policy(RULES, subject="{namespaces: {}}").encode(), "p"), INVENTORY)
    [one], missing = targets_of(found, INVENTORY, node="one")
    assert one.pods == (PodAt("shop/a", ("10.0.0.1", "fd00::1")), PodAt("shop/c", ("10.0.0.3",))) and one.is_pod
    [two], _ = targets_of(found, INVENTORY, node="two")
    assert two.pods == (PodAt("shop/b", ("10.0.0.2",)),) and two.name == one.name and not missing
    assert targets_of(found, INVENTORY, node="three") == ([], [])
    nothing, missing = targets_of(found)
    assert nothing == [] and "by the workers of a cluster" in missing[0]


def test_host_and_interfaces_are_every_nodes() -> None:
    found = compile_policies(parse_policies(policy(RULES, subject="{host: true}").encode(), "p"), INVENTORY)
    [host], _ = targets_of(found, INVENTORY, node="one")
    assert (host.name, host.is_host, host.devices) == ("host", True, ())
    assert targets_of(found, interfaces=["eth1"])[0][0].devices == ("eth1",)
    found = compile_policies(parse_policies(policy(RULES, subject="{interfaces: [wg*]}").encode(), "p"), INVENTORY)
    assert targets_of(found, INVENTORY, node="one")[0][0].devices == ("wg*",)


def test_default_deny_is_the_last_rule_both_ways() -> None:
    found = compile_policies(parse_policies(policy(RULES, subject="{host: true}").encode(), "p"), INVENTORY)
    [host], _ = targets_of(found, default_deny=True)
    assert [(rule.policy, rule.direction, rule.action) for rule in host.rules.rules[1:]] == [
        ("default-deny", Direction.INGRESS, Action.DENY), ("default-deny", Direction.EGRESS, Action.DENY),
    ]  # fmt: skip
    many = [several(25, name=f"p{number}") for number in range(10)]
    full = compile_policies(parse_policies("\n---\n".join(many).encode(), "p"), INVENTORY)
    assert len(targets_of(full, default_deny=True)[0][0].rules.rules) == 252
    more = compile_policies(parse_policies("\n---\n".join([*many, several(5, name="z")]).encode(), "p"), INVENTORY)
    with pytest.raises(UsageError, match="--default-deny"):
        targets_of(more, default_deny=True)


def several(count: int, *, name: str) -> str:
    rules = "\n".join(f"    - {{action: Deny, from: {EVERYBODY}}}" for _ in range(count))
    return policy(f"  ingress:\n{rules}", name=name, subject="{host: true}")
