"""A rule set as tables: what a longest-prefix lookup finds is every rule that takes the address, or the port."""

from __future__ import annotations

import random
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import UsageError
from kubeshark.firewall import Direction, Exempt, RuleSet
from kubeshark.firewall._fill import MAX_EXEMPT, fill, port_prefixes
from tests.firewall._wire_packets import NETWORKS, V4, V6, random_rules


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_prefixes_are_the_range_and_no_more_than_needed(one: int, other: int) -> None:
    first, last = sorted((one, other))
    blocks = list(port_prefixes(first, last))
    assert len(blocks) <= 30
    at = first
    for port, length in blocks:
        assert port == at
        assert port % (1 << (16 - length)) == 0
        at += 1 << (16 - length)
    assert at == last + 1


@given(st.integers(0, 1 << 30))
def test_the_longest_prefix_has_the_bits_of_all_that_cover_it(seed: int) -> None:
    rules = random_rules(random.Random(seed))
    entries = fill(rules, 1).entries
    for name, addresses in (("addresses4", V4), ("addresses6", V6)):
        table = dict(entries[name])
        assert len(table) == len(entries[name])
        for direction in Direction:
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


def test_an_address_of_nobody_is_in_no_table() -> None:
    assert fill(RuleSet(()), 0).entries["addresses4"] == []
    assert ip_address("10.0.0.1") in NETWORKS[0]
