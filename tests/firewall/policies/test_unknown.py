"""unknownPeer: addresses in the networks of pods that nobody is known to have."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark._document import DocumentError
from kubeshark.firewall import Direction, Packet, RuleSet, compile_policies, decide, parse_inventory, parse_policies
from kubeshark.firewall.policies._inventory import Inventory, read_object
from kubeshark.firewall.policies._unknown import UNKNOWN, _without

INVENTORY = """\
namespaces: [{name: shop}]
pods:
  - {name: db-1, namespace: shop, labels: {app: db}, addresses: [10.244.1.2], node: node-1}
  - {name: stock-1, namespace: shop, labels: {app: stock}, addresses: [10.244.1.3], node: node-1}
  - {name: web-1, namespace: shop, labels: {app: web}, addresses: [10.244.1.4], node: node-1}
nodes: [{name: node-1, addresses: [192.0.2.1], podNetworks: [10.244.1.0/24]}]
podNetworks: [10.244.0.0/16]
"""
POLICY = """\
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: db}
spec:
  tier: Admin
  priority: 1
  mode: %s
  unknownPeer: %s
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
  ingress:
    - {name: office, action: Accept, from: [{networks: [10.244.9.0/24]}]}
    - name: stock
      action: Accept
      from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: stock}}}}]
      protocols: [{tcp: {destinationPort: {number: 5432}}}]
    - {name: rest, action: %s, from: [{networks: ["0.0.0.0/0"]}]}
"""


def known(text: str = INVENTORY) -> Inventory:
    return parse_inventory(text.encode(), "inventory.yaml")


def rules(unknown: str, rest: str = "Deny", mode: str = "Enforce", inventory: Inventory | None = None) -> RuleSet:
    policies = parse_policies((POLICY % (mode, unknown, rest)).encode(), "db.yaml")
    return compile_policies(policies, inventory or known()).attachments[0].rules


def fares(judged: RuleSet, source: str, port: int = 5432) -> str:
    packet = Packet(Direction.INGRESS, 4, ip_address(source), ip_address("10.244.1.2"), 6, 1, port, tcp_flags=2)
    verdict = decide(judged, packet, None)
    name = judged.rules[verdict.rule].name if verdict.rule is not None else "default"
    return f"{verdict.action.name.lower()} {name}"


def test_allow_is_what_a_selected_pod_may() -> None:
    judged = rules("allow")
    assert fares(judged, "10.244.1.3") == "accept stock"
    assert fares(judged, "10.244.1.77") == f"accept {UNKNOWN}"  # new, and nobody has said yet who that is
    assert fares(judged, "10.244.1.77", 22) == "deny rest"
    assert fares(judged, "10.244.1.4") == "deny rest"  # known, and another
    assert fares(judged, "198.51.100.1") == "deny rest"  # no pod's


def test_deny_comes_before_what_would_accept() -> None:
    judged = rules("deny", rest="Accept")
    assert fares(judged, "10.244.1.77") == f"deny {UNKNOWN}"
    assert fares(judged, "10.244.1.4") == "accept rest"
    assert fares(judged, "10.244.9.9") == "accept office"  # rules of networks before it hold for everybody
    assert fares(judged, "10.244.1.1") == "accept rest"  # the node's own
    assert fares(judged, "198.51.100.1") == "accept rest"


def test_in_audit_it_is_recorded() -> None:
    judged = rules("deny", rest="Accept", mode="Audit")
    packet = Packet(Direction.INGRESS, 4, ip_address("10.244.1.77"), ip_address("10.244.1.2"), 6, 1, 5432, tcp_flags=2)
    verdict = decide(judged, packet, None)
    assert verdict.would is not None and verdict.would.name == "DENY" and verdict.action.name == "ACCEPT"


def test_where_nobody_says_where_pods_are() -> None:
    bare = replace(known(), other_pod_networks=(), nodes=())
    policies = parse_policies((POLICY % ("Enforce", "allow", "Deny")).encode(), "db.yaml")
    compiled = compile_policies(policies, bare)
    assert "nobody is allowed" in " ".join(compiled.warnings)
    assert [rule.name for rule in compiled.attachments[0].rules.rules] == ["office", "stock", "rest"]
    judged = rules("deny", rest="Accept", inventory=bare)
    assert fares(judged, "172.16.3.4") == f"deny {UNKNOWN}" and fares(judged, "198.51.100.1") == "accept rest"


def test_a_cluster_says_where_pods_are() -> None:
    node = {"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.244.3.0/24", "fd00:3::/64"]}, "status": {}}
    found = read_object("Node", node)
    assert found is not None
    assert [str(each) for each in Inventory(nodes=(found,)).pod_networks] == ["10.244.3.0/24", "fd00:3::/64"]  # type: ignore[arg-type]


def test_another_word_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"spec.unknownPeer: 'perhaps' is none of allow, deny"):
        rules("perhaps")


@given(st.lists(st.integers(0, 255), max_size=20), st.lists(st.integers(0, 15), max_size=3))
def test_what_is_left_is_exactly_the_rest(hosts: list[int], blocks: list[int]) -> None:
    taken = [ip_network((0x0A000000 + host, 32)) for host in hosts]
    taken += [ip_network((0x0A000000 + 16 * block, 28)) for block in blocks]
    left = _without([ip_network("10.0.0.0/24")], [*taken, ip_network("10.0.1.0/24")])
    covered = [int(address) for network in left for address in network]
    gone = {int(address) for network in taken for address in network}
    assert sorted(covered) == [number for number in range(0x0A000000, 0x0A000100) if number not in gone]
