"""A rule set as tables: what a packet's address and port lead to is every rule that takes them."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import UsageError
from kubeshark.firewall import Action, Direction, Exempt, Packet, Rule, RuleSet, Tier, Traffic
from kubeshark.firewall.kernel._fill import ASK, CLASSES, MAX_EXEMPT, PORT_TABLES, fill
from kubeshark.firewall.rules._model import _describes
from tests.firewall._wire_packets import NETWORKS, PORTS, V4, V6, random_rules


@given(st.integers(0, 1 << 30))
def test_a_port_is_of_the_class_of_the_rules_that_take_it(seed: int) -> None:
    rules = random_rules(random.Random(seed))
    entries = fill(rules, 1).entries
    judged = [*enumerate(rules.exempt), *enumerate(rules.rules, MAX_EXEMPT)]
    vectors = dict(entries["classes"])
    for direction in Direction:
        for kind, protocol in enumerate((6, 17, 132, 1, 58)):
            table = dict(entries["ports"])[struct.pack("<I", (2 + direction) * PORT_TABLES + kind)]
            probes = [0, 65535, *(port + step for port in PORTS for step in (-1, 0, 1) if port + step < 65536)]
            probes += [icmp << 8 | code for icmp in (0, 3, 8, 127, 128, 255) for code in (0, 4, 255)]
            for probe in probes:
                is_typed = protocol in (1, 58)
                packet = Packet(
                    direction, 4, protocol=protocol, dst_port=0 if is_typed else probe,
                    icmp_type=probe >> 8 if is_typed else 0, icmp_code=probe & 255 if is_typed else 0,
                )  # fmt: skip
                expected = sum(
                    1 << bit
                    for bit, each in judged
                    if each.direction == direction
                    and (not each.traffic or any(_describes(one, packet) for one in each.traffic))
                )
                number = CLASSES + struct.unpack_from("<H", table, 2 * probe)[0]  # of slot 1
                assert int.from_bytes(vectors[struct.pack("<I", number)], "little") == expected


def test_as_many_classes_as_the_rules_tell_apart() -> None:
    rules = RuleSet((Rule("p", "r", Tier.ADMIN, Direction.INGRESS, Action.DENY, NETWORKS[:1], (Traffic(6, 80, 80),)),))
    assert len(fill(rules, 0).entries["classes"]) == 2  # nobody's, and the rule's
    overlapping = tuple(
        Rule("p", "r", Tier.ADMIN, Direction.INGRESS, Action.DENY, NETWORKS[:1],
             tuple(Traffic(6, at, at + 99) for at in range(rule, 65000, 401 + rule)))
        for rule in range(256)
    )  # fmt: skip
    with pytest.raises(UsageError, match="overlap in more than 16384 ways"):
        fill(RuleSet(overlapping), 0)


@given(st.integers(0, 1 << 30))
def test_in_a_trie_the_longest_prefix_has_the_bits_of_all_that_cover_it(seed: int) -> None:
    rules = random_rules(random.Random(seed))
    filled = fill(rules, 1, most_nodes=0)
    entries = filled.entries
    roots = struct.unpack_from("<4H", filled.policy, 80)
    for family, (name, addresses) in enumerate((("addresses4", V4), ("addresses6", V6))):
        table = dict(entries[name])
        assert len(table) == len(entries[name])
        for direction in Direction:
            if roots[2 * direction + family] != ASK:  # one class for everybody
                continue
            for address in addresses:
                found = 0
                for length in range(address.max_prefixlen, -1, -1):
                    masked = int(address) >> (address.max_prefixlen - length) << (address.max_prefixlen - length)
                    packed = masked.to_bytes(address.max_prefixlen // 8, "big")
                    key = (32 + length).to_bytes(4, "little") + bytes([1, direction, 0, 0]) + packed
                    if key in table:
                        found = int.from_bytes(table[key], "little")
                        break
                assert found == sum(
                    1 << bit
                    for bit, each in [*enumerate(rules.exempt), *enumerate(rules.rules, MAX_EXEMPT)]
                    if each.direction == direction and any(address in network for network in each.peers or NETWORKS[:2])
                )


def test_more_exemptions_than_bits_are_refused() -> None:
    rules = RuleSet((), exempt=(Exempt("e", Direction.INGRESS, (), ()),) * (MAX_EXEMPT + 1))
    with pytest.raises(UsageError, match="65 exemptions"):
        fill(rules, 0)


def test_only_what_no_tree_holds_is_in_a_trie() -> None:
    scattered = tuple(ip_network(f"{n % 200 + 1}.{n * 7 % 256}.{n * 13 % 256}.{n % 256}/32") for n in range(3000))
    few = Rule("p", "r", Tier.ADMIN, Direction.INGRESS, Action.DENY, (ip_network("10.0.0.1/32"),), ())
    entries = fill(RuleSet((few, replace(few, direction=Direction.EGRESS, peers=scattered))), 0).entries
    assert {key[5] for key, _ in entries["addresses4"]} == {Direction.EGRESS}
    assert len(entries["addresses4"]) == len(set(scattered))
    assert entries["addresses6"] == []
    assert len(entries["nodes"]) == 1
