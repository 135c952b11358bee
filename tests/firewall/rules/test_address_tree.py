"""Trees of addresses: an address is of the class of the smallest network that it lies in."""

from __future__ import annotations

import random
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.firewall.rules._address_tree import IS_NODE, NODE_BYTES, AddressTrees, TreeFull

NOBODY = 9


def found(trees: AddressTrees, root: int, address: IPv4Address | IPv6Address) -> int:
    """Look up as `of_peer` of judge.h does."""
    packed, entry = address.packed.ljust(16, b"\0"), root
    while entry & IS_NODE:
        node = trees.nodes[entry & ~IS_NODE]
        mask, want, otherwise, at = struct.unpack_from("<16s16sHB", node)
        is_below = bytes(one & other for one, other in zip(packed, mask, strict=True)) == want
        entry = struct.unpack_from("<H", node, 40 + 2 * packed[at])[0] if is_below else otherwise
    return entry


def random_network(source: random.Random, version: int) -> IPv4Network | IPv6Network:
    bits = 32 if version == 4 else 128
    length = source.choice([0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, bits - 8, bits - 1, bits])
    few = 0x0A000000 << bits - 32 | source.choice([0, 1, 255, 256, 1 << 16, source.getrandbits(bits - 16)])
    number = source.choice([few, few, source.getrandbits(bits)]) >> bits - length << bits - length
    kind = IPv4Network if version == 4 else IPv6Network
    return kind((number, length))


@given(st.integers(0, 1 << 30), st.sampled_from([4, 6]))
def test_the_smallest_network_gives_the_class(seed: int, version: int) -> None:
    source = random.Random(seed)
    networks = {random_network(source, version): number + 10 for number in range(source.randrange(40))}
    trees = AddressTrees()
    trees.add({ip_network("10.0.0.0/9"): 5}, NOBODY)  # others' nodes come before
    root = trees.add(networks, NOBODY)
    bits = 32 if version == 4 else 128
    numbers = [source.getrandbits(bits) for _ in range(20)]
    numbers += [int(end) + step for each in networks for end in (each[0], each[-1]) for step in (-1, 0, 1)]
    for number in numbers:
        if 0 <= number < 1 << bits:
            address = ip_address(number.to_bytes(bits // 8, "big"))
            around = [each for each in networks if address in each]
            expected = networks[max(around, key=lambda each: each.prefixlen)] if around else NOBODY
            assert found(trees, root, address) == expected


def test_pods_of_a_node_are_one_node_of_the_tree() -> None:
    trees = AddressTrees()
    trees.add({ip_network(f"10.244.3.{last}/32"): 1 for last in range(1, 200)}, 0)
    assert len(trees.nodes) == 1
    trees.add({ip_network(f"fd00:10:244:{node:x}::{last:x}/128"): 1 for node in range(4) for last in range(99)}, 0)
    assert len(trees.nodes) == 1 + 1 + 4
    assert all(len(node) == NODE_BYTES for node in trees.nodes)


def test_everybody_needs_no_node() -> None:
    trees = AddressTrees()
    assert trees.add({ip_network("::/0"): 7}, 0) == 7
    assert trees.add({}, 3) == 3
    assert trees.nodes == []


def test_what_does_not_fit_leaves_nothing_behind() -> None:
    trees = AddressTrees(3)
    root = trees.add({ip_network("10.0.0.0/24"): 1}, 0)
    with pytest.raises(TreeFull):
        trees.add({ip_network(f"{number}.{number}.0.1/32"): 1 for number in range(1, 9)}, 0)
    assert len(trees.nodes) == 1
    assert found(trees, root, ip_address("10.0.0.77")) == 1
