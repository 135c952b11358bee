"""A segment that is skipped holds nothing: `may_match` against `match`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.core_capture._columns import FLOW
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
from kubeshark.core_capture.store.catalogue._summary import Summaries, Summary, may_match, summarize

SIDES = st.sampled_from(["src", "dst"])
PORTS = st.sampled_from([0, 53, 80, 443, 40_000, 65_535])
ADDRESSES = [bytes([10, 0, 0, n]).ljust(16, b"\0") for n in (1, 2, 99)] + [
    bytes([32, 1, 13, 184, *bytes(11), n]) for n in (1, 2)
]


def networks() -> st.SearchStrategy[IPv4Network | IPv6Network]:
    v4 = st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.0", "11.0.0.0"]), st.integers(0, 32))
    v6 = st.tuples(st.sampled_from(["2001:db8::1", "2001:db8:1::", "fe80::"]), st.integers(0, 128))
    return st.one_of(v4, v6).map(lambda pair: ip_network(f"{pair[0]}/{pair[1]}", strict=False))


LEAVES: st.SearchStrategy[Predicate] = st.one_of(
    st.builds(InNetwork, SIDES, networks()),
    st.builds(PortBetween, SIDES, PORTS | st.integers(-5, 70_000), PORTS | st.integers(-5, 70_000)),
    SIDES.flatmap(lambda side: PORTS.map(lambda port: PortBetween(side, port, port))),
    st.builds(Transport, st.frozensets(st.sampled_from([1, 6, 17, 300]), max_size=2)),
    st.builds(Overlaps, st.none() | st.integers(0, 50), st.none() | st.integers(0, 50)),
    st.just(Carrier()),
)
PREDICATES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda terms: And(tuple(terms))),
        st.lists(inner, max_size=3).map(lambda terms: Or(tuple(terms))),
        inner.map(Not),
    ),
    max_leaves=8,
)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    rows = draw(st.integers(0, 4))
    table = np.zeros(rows, dtype=FLOW)
    for row in table:
        a, b = draw(st.sampled_from(ADDRESSES)), draw(st.sampled_from(ADDRESSES))
        row["a"], row["b"] = np.frombuffer(a, dtype=np.uint8), np.frombuffer(b, dtype=np.uint8)
        row["ip_version"] = 6 if a[0] == 32 else 4
        row["port_a"], row["port_b"] = draw(PORTS), draw(PORTS)
        row["client"], row["transport"] = draw(st.integers(0, 1)), draw(st.sampled_from([1, 6, 17]))
        row["first_ns"] = draw(st.integers(0, 40))
        row["last_ns"] = row["first_ns"] + draw(st.integers(0, 9))
        row["bits"] = draw(st.integers(0, 1))
    return table


@settings(deadline=None, max_examples=400)
@given(tables(), PREDICATES)
def test_no_is_never_wrong(table: np.ndarray, predicate: Predicate) -> None:
    if match(predicate, table).any():
        assert may_hold(predicate, summarize(table))


@settings(deadline=None)
@given(st.lists(tables(), min_size=2, max_size=4), PREDICATES)
def test_many_are_answered_as_one(each: list[np.ndarray], predicate: Predicate) -> None:
    summaries = [summarize(table) for table in each]
    together = Summaries.of(summaries)
    assert may_match(predicate, together).tolist() == [may_hold(predicate, summary) for summary in summaries]
    assert [together[row] for row in range(len(together))] == summaries


def may_hold(predicate: Predicate, summary: Summary) -> bool:
    return bool(may_match(predicate, Summaries.of([summary]))[0])


def test_no_is_said_where_it_matters() -> None:
    """Of a thousand endpoints that are not there, hardly any is taken for one."""
    rng = np.random.default_rng(5)
    table = np.zeros(3000, dtype=FLOW)
    table["a"][:, :4] = rng.integers(0, 256, (3000, 4))
    table["b"][:, :4] = [10, 0, 0, 1]
    table["port_a"], table["port_b"] = rng.integers(1024, 65_536, 3000), 443
    table["ip_version"], table["transport"] = 4, 6
    summary = summarize(table)
    assert len(summary.filter) <= 16 << 10
    found = sum(
        may_hold(And((InNetwork("src", IPv4Network((n << 16) + 77)), PortBetween("src", n, n))), summary)
        for n in range(2000, 3000)
    )
    assert found < 20
    assert not may_hold(PortBetween("dst", 80, 90), summary)
    assert not may_hold(Transport(frozenset({17})), summary)
