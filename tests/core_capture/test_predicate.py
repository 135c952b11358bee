"""Predicates over columns against the same predicates asked row by row."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._columns import FLOW, FlowBit
from kubeshark.core_capture._predicate import (
    And,
    Carrier,
    InNetwork,
    Not,
    Or,
    Overlaps,
    PortBetween,
    Predicate,
    Transport,
    match,
)

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.1.0.1", "192.168.0.1", "2001:db8::1", "2001:db8:1::1", "a00::", "::"]
NETWORKS = ["10.0.0.0/8", "10.0.0.2/32", "0.0.0.0/0", "10.0.0.0/15", "2001:db8::/33", "::/0", "a00::/8", "::1/128"]
TIMES = st.one_of(st.none(), st.integers(-2, 12), st.sampled_from([2**64 - 1, 2**64, -(2**70), 2**70]))
SIDES = st.sampled_from(["src", "dst"])


def flow(client: int, transport: int, a: str, b: str, ports: tuple[int, int], times: tuple[int, int], bits: int) -> Any:
    row = np.zeros((), dtype=FLOW)
    for end, text in (("a", a), ("b", b)):
        row[end][: len(ip_address(text).packed)] = list(ip_address(text).packed)
    row["ip_version"] = ip_address(a).version
    row["port_a"], row["port_b"] = ports
    row["client"], row["transport"], row["bits"] = client, transport, bits
    row["first_ns"], row["last_ns"] = min(times), max(times)
    return row


@st.composite
def tables(draw: st.DrawFn) -> Any:
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        version = draw(st.sampled_from([4, 6]))
        addresses = st.sampled_from([text for text in ADDRESSES if ip_address(text).version == version])
        pair = st.tuples(st.integers(0, 5), st.integers(0, 5))
        bits = draw(st.sampled_from([0, FlowBit.CARRIER, FlowBit.FIN_A, FlowBit.CARRIER | FlowBit.FRAGMENTS]))
        client, transport = draw(st.integers(0, 1)), draw(st.sampled_from([1, 6, 17]))
        times = draw(st.one_of(st.tuples(st.integers(0, 10), st.integers(0, 10)), st.just((0, 2**64 - 1))))
        rows.append(flow(client, transport, draw(addresses), draw(addresses), draw(pair), times, bits))
    return np.array(rows, dtype=FLOW)


def _at_either_end(first: Any, *asked: Any) -> Predicate:
    kind = InNetwork if len(asked) == 1 else PortBetween
    second: Any = "dst" if first == "src" else "src"
    return Or((kind(first, *asked), kind(second, *asked)))


def predicates() -> st.SearchStrategy[Predicate]:
    leaves = st.one_of(
        st.builds(InNetwork, SIDES, st.sampled_from(NETWORKS).map(ip_network)),
        st.builds(PortBetween, SIDES, st.integers(-3, 8), st.integers(-3, 70_000)),
        st.builds(Transport, st.frozensets(st.sampled_from([1, 6, 17, 132]))),
        st.builds(Overlaps, TIMES, TIMES),
        st.just(Carrier()),
        st.builds(_at_either_end, SIDES, st.sampled_from(NETWORKS).map(ip_network)),
        st.builds(_at_either_end, SIDES, st.integers(-3, 8), st.integers(-3, 70_000)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
    )


def end_of(row: Any, side: str) -> str:
    return "ab"[int(row["client"]) if side == "src" else 1 - int(row["client"])]


def holds(predicate: Predicate, row: Any) -> bool:
    match predicate:
        case And(terms):
            return all(holds(term, row) for term in terms)
        case Or(terms):
            return any(holds(term, row) for term in terms)
        case Not(term):
            return not holds(term, row)
        case InNetwork(side, network):
            size = 4 if row["ip_version"] == 4 else 16
            return ip_address(bytes(row[end_of(row, side)][:size])) in network
        case PortBetween(side, low, high):
            return low <= int(row[f"port_{end_of(row, side)}"]) <= high
        case Transport(numbers):
            return int(row["transport"]) in numbers
        case Overlaps(start, end):
            return (start is None or int(row["last_ns"]) >= start) and (end is None or int(row["first_ns"]) <= end)
        case Carrier():
            return bool(int(row["bits"]) & FlowBit.CARRIER)


@given(predicates(), tables())
def test_like_asking_row_by_row(predicate: Predicate, table: Any) -> None:
    result = match(predicate, table)
    assert result.dtype == np.bool_
    assert result.tolist() == [holds(predicate, row) for row in table]


def test_empty_and_is_everything_and_empty_or_nothing() -> None:
    table = np.zeros(2, dtype=FLOW)
    assert match(And(()), table).tolist() == [True, True]
    assert match(Or(()), table).tolist() == [False, False]


@pytest.mark.parametrize("network", [IPv4Network("0.0.0.0/0"), IPv6Network("::/0")])
def test_the_widest_network_still_tells_versions_apart(network: IPv4Network | IPv6Network) -> None:
    table = np.array(
        [flow(0, 6, "10.0.0.1", "10.0.0.2", (1, 2), (0, 0), 0), flow(0, 6, "::1", "::2", (1, 2), (0, 0), 0)], dtype=FLOW
    )
    assert match(InNetwork("src", network), table).tolist() == [network.version == 4, network.version == 6]
