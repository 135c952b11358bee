"""Policies become rules: who is judged, in which order, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from kubeshark.errors import UsageError
from kubeshark.firewall import Action, Direction
from kubeshark.firewall.policies._compile import compile_policies
from kubeshark.firewall.policies._inventory import Inventory, parse_inventory
from kubeshark.firewall.policies._policy import Policy, parse_policies
from kubeshark.firewall.rules._rules import NOBODY
from tests.firewall._policies import EVERYBODY, inventory, policy, shop


def parsed(*documents: str) -> list[Policy]:
    return parse_policies("---\n".join(documents).encode(), "p.yaml")


DENY = f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]"


def test_pods_of_the_reference_policy() -> None:
    compiled = compile_policies(shop(), inventory())
    [attachment] = compiled.attachments
    assert attachment.title == "shop/db-1, shop/db-2"  # not db-host: it is on the host's network
    rules = attachment.rules.rules
    assert [rule.name for rule in rules] == ["from-stock", "watch-admins", "rest", "dns", "updates", "high"]
    assert [str(peer) for peer in rules[0].peers] == ["10.20.0.0/16", "10.30.0.7/32", "fd00:20::/32"]
    assert [str(peer) for peer in rules[4].peers] == ["198.51.100.7/32"]
    assert all(rule.dry for rule in rules)
    assert not any(
        rule.dry for rule in compile_policies(shop(), inventory(), mode="Enforce").attachments[0].rules.rules
    )
    assert [exempt.name for exempt in attachment.rules.exempt] == ["kubelet probes"]


def test_judging_order_is_tier_then_priority_then_name() -> None:
    documents = [
        policy(DENY, name="z", priority=1, tier="Baseline"),
        policy(DENY, name="b", priority=5),
        policy(DENY, name="a", priority=5),
        policy(DENY, name="c", priority=2),
    ]
    [host] = compile_policies(parsed(*documents), Inventory()).attachments
    assert [rule.policy for rule in host.rules.rules] == ["c", "a", "b", "z"]
    assert host.kind == "host" and "SSH" in [exempt.name for exempt in host.rules.exempt]


def test_pods_with_the_same_policies_share_their_rules() -> None:
    everyone = policy(DENY, name="all", priority=900, subject="{namespaces: {}}")
    compiled = compile_policies([*shop(), *parsed(everyone)], inventory())
    assert {attachment.title: attachment.policies for attachment in compiled.attachments} == {
        "shop/db-1, shop/db-2": ("shop-db", "all"),
        "shop/stock-7f, kube-system/dns-1": ("all",),
    }


def test_interfaces_by_glob() -> None:
    known = parse_inventory(b"interfaces: {eth0: [192.0.2.9], eth1: [], wg0: []}", "i")
    documents = [
        policy(DENY, name="a", subject="{interfaces: ['eth*']}"),
        policy(DENY, name="b", subject="{interfaces: [eth1, tap9]}"),
    ]
    compiled = compile_policies(parsed(*documents), known)
    assert {each.title: each.policies for each in compiled.attachments} == {
        "eth0": ("a",),
        "eth1": ("a", "b"),
        "tap9": ("b",),
    }


def test_more_rules_than_bits_are_refused_with_the_count() -> None:
    rules = "  ingress:\n" + "".join(f"    - {{action: Deny, from: {EVERYBODY}}}\n" for _ in range(25))
    many = [parsed(policy(rules, name=f"p{n}"))[0] for n in range(11)]
    with pytest.raises(UsageError, match="host gets 275 rules from 11 policies"):
        compile_policies(many, Inventory())


def test_warnings() -> None:
    deny_all = f"  egress: [{{name: rest, action: Deny, to: {EVERYBODY}}}]"
    assert "policy p leaves host without DNS" in compile_policies(parsed(policy(deny_all)), Inventory()).warnings
    with_dns = (
        f"  egress: [{{action: Accept, to: {EVERYBODY}, protocols: [{{udp: {{destinationPort: {{number: 53}}}}}}]}},"
        f" {{action: Deny, to: {EVERYBODY}}}]"
    )
    assert compile_policies(parsed(policy(with_dns)), Inventory()).warnings == ()
    compiled = compile_policies(shop(), Inventory())
    assert "policy shop-db selects nobody that the inventory knows" in compiled.warnings
    compiled = compile_policies(shop(), replace(inventory(), names={}))
    assert "shop-db egress/updates: no address of *.updates.example.test is known" in compiled.warnings
    assert "shop-db egress/updates matches nobody: its peers have no known address" in compiled.warnings
    assert any(
        "allowEssential" in said for said in compile_policies(shop(), inventory(), allow_essential=False).warnings
    )


def test_nodes_are_peers_of_egress() -> None:
    to_nodes = "  egress: [{action: Reject, to: [{nodes: {matchLabels: {zone: a}}}]}]"
    [host] = compile_policies(parsed(policy(to_nodes)), inventory()).attachments
    [rule] = host.rules.rules
    assert (rule.action, rule.direction, str(rule.peers[0])) == (Action.REJECT, Direction.EGRESS, "192.0.2.1/32")


def test_one_strict_policy_judges_the_later_fragments_of_its_subject() -> None:
    rules = f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]"
    loose, strict = policy(rules, name="a"), policy(f"  fragments: strict\n{rules}", name="b")
    assert not compile_policies(parsed(loose), Inventory()).attachments[0].rules.strict_fragments
    [host] = compile_policies([*parsed(loose), *parsed(strict)], Inventory()).attachments
    assert host.rules.strict_fragments


def test_tcp_is_judged_by_flags_where_all_policies_of_a_subject_say_so() -> None:
    rules = f"  ingress: [{{action: Deny, from: {EVERYBODY}}}]"
    flows, flags = policy(rules, name="a"), policy(f"  stateful: flags\n{rules}", name="b")
    compiled = compile_policies(parsed(flags), Inventory())
    assert compiled.attachments[0].rules.tcp_by_flags
    assert any("ACK scans" in said for said in compiled.warnings)
    compiled = compile_policies([*parsed(flows), *parsed(flags)], Inventory())
    assert not compiled.attachments[0].rules.tcp_by_flags
    assert "host: stateful: flags of b does not hold: a asks for flows" in compiled.warnings


def test_what_is_exempt_by_configuration_is_so_everywhere() -> None:
    exempt = replace(inventory(), exempt=(ip_network("192.0.2.0/24"),))
    host = parse_policies(policy(DENY).encode(), "p")
    for attachment in compile_policies([*shop(), *host], exempt).attachments:
        found = [each for each in attachment.rules.exempt if each.name == "firewall.exempt"]
        assert [each.direction for each in found] == list(Direction)
        assert all(each.peers == exempt.exempt for each in found)


def test_names_keep_their_place_where_they_are_followed() -> None:
    unknown = replace(inventory(), names={})
    [attachment] = compile_policies(shop(), unknown, follows_names=True).attachments
    [named] = [rule for rule in attachment.rules.rules if rule.names]
    assert (named.names, named.peers) == (("*.updates.example.test",), NOBODY)
    assert not any(
        "no address" in warning for warning in compile_policies(shop(), unknown, follows_names=True).warnings
    )
