"""Push-down: never loses a match, and where it says exact it decides every entry of a flow."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import FLOW, And, Or, PortBetween, Predicate, Transport, match
from kubeshark.pipeline.kfl import VARIABLES, CompiledFilter, compile_filter

NOW_NS = 1_773_525_900 * 10**9
TRANSPORTS = {"tcp": (6,), "udp": (17,), "sctp": (132,), "icmp": (1, 58)}
FLAG_TRANSPORTS = {"http": frozenset({6}), "dns": frozenset({6, 17}), "quic": frozenset({17})}
STOMP_PORTS = (53, 443)  # a plugin's protocol, which is known by its ports alone
FLAG_FLOWS: dict[str, Predicate] = {
    **{flag: Transport(numbers) for flag, numbers in FLAG_TRANSPORTS.items()},
    "stomp": And(
        (
            Transport(frozenset({6})),
            Or((*(PortBetween("src", port, port) for port in STOMP_PORTS),
                *(PortBetween("dst", port, port) for port in STOMP_PORTS))),
        )
    ),
}  # fmt: skip
KNOWN = VARIABLES.with_plugin("stomp", "bool", section="flags")
ADDRESSES = ["10.0.0.1", "10.0.0.2", "192.0.2.9", "fd00::1", "fd00::2", "2001:db8::5"]
PORTS = [0, 53, 80, 443, 8080, 65535]


def flow(
    client: str, server: str, ports: tuple[int, int], transport: int, times: tuple[int, int], client_is_b: bool
) -> np.ndarray[Any, Any]:
    """Build one row of a flow table; which end is `a` does not matter to a filter."""
    row = np.zeros(1, dtype=FLOW)
    ends = [(ip_address(client), ports[0]), (ip_address(server), ports[1])]
    for end, (address, port) in zip("ba" if client_is_b else "ab", ends, strict=True):
        packed = address.packed
        row[end][0, : len(packed)] = list(packed)
        row[f"port_{end}"] = port
    row["client"] = int(client_is_b)
    row["ip_version"] = ends[0][0].version
    row["transport"] = transport
    row["first_ns"], row["last_ns"] = times
    return row


@st.composite
def flows_with_entries(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
    """A flow and all entries it could have: a message of any protocol, its connection, its flow entry."""
    family = draw(st.sampled_from([IPv4Address, IPv6Address]))
    same_family = [text for text in ADDRESSES if isinstance(ip_address(text), family)]
    client, server = draw(st.sampled_from(same_family)), draw(st.sampled_from(same_family))
    name = draw(st.sampled_from(sorted(TRANSPORTS)))
    number = draw(st.sampled_from(TRANSPORTS[name]))
    ports = (0, 0) if name == "icmp" else (draw(st.sampled_from(PORTS)), draw(st.sampled_from(PORTS)))
    first = NOW_NS - draw(st.integers(0, 20)) * 10**9
    last = first + draw(st.integers(0, 10)) * 10**9
    common = {
        "src.ip": client, "dst.ip": server, "src.port": ports[0], "dst.port": ports[1], "transport": name,
        "status_code": draw(st.sampled_from([0, 200, 500])), "method": draw(st.sampled_from(["", "GET"])),
    }  # fmt: skip
    entries = [
        {**common, flag: True, "timestamp": draw(st.integers(first, last))}
        for flag, numbers in {**FLAG_TRANSPORTS, name: frozenset({number})}.items()
        if number in numbers
    ]
    if name == "tcp" and not {*ports}.isdisjoint(STOMP_PORTS):
        entries.append({**common, "stomp": True, "timestamp": first})
    if name in ("tcp", "udp"):
        entries.append({**common, "conn": True, f"{name}_conn": True, "timestamp": first})
        # A flow entry groups connections: client port and time may be another's.
        entries.append({**common, "src.port": 1, "timestamp": 0, "flow": True, f"{name}_flow": True})
    return flow(client, server, ports, number, (first, last), draw(st.booleans())), entries


addresses = st.sampled_from([*ADDRESSES, "FD00::1", "nonsense", ""])
ends = st.sampled_from(["src", "dst"])
ports = st.sampled_from([*PORTS, -1, 70_000])
orders = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
networks = st.sampled_from(["10.0.0.0/8", "10.0.0.1/32", "fd00::/8", "0.0.0.0/0", "::/0", "192.0.2.9"])
flags = st.sampled_from(
    [
        "http",
        "dns",
        "quic",
        "stomp",
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "conn",
        "flow",
        "tcp_conn",
        "udp_conn",
        "tcp_flow",
        "udp_flow",
        "tls",
    ]
)
terms = st.one_of(
    flags,
    st.builds('{}.ip {} "{}"'.format, ends, st.sampled_from(["==", "!="]), addresses),
    st.builds('"{}" == {}.ip'.format, addresses, ends),
    st.builds('{}.ip in ["{}", "{}"]'.format, ends, addresses, addresses),
    st.builds('{}.ip.inCidr("{}")'.format, ends, networks),
    st.builds("{}.ip.isPrivate()".format, ends),
    st.builds("{}.port {} {}".format, ends, orders, ports),
    st.builds("{} {} {}.port".format, ports, orders, ends),
    st.builds("{}.port in [{}, {}]".format, ends, ports, ports),
    st.builds('transport {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from([*TRANSPORTS, "esp"])),
    st.builds('transport in ["{}", "{}"]'.format, st.sampled_from([*TRANSPORTS]), st.sampled_from([*TRANSPORTS])),
    st.builds('timestamp {} now() - duration("{}s")'.format, orders, st.integers(-5, 30)),
    st.sampled_from(
        ["true", "false", "1 == 1", "1 / 0 == 1", "status_code == 200", 'method == "GET"', "100 / status_code < 1",
         "src.ip == dst.ip", "http == true", "http == false"]
    ),
)  # fmt: skip
expressions = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


class _Row(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return {"method": "", "status_code": 0}.get(name, False)


def compiled(text: str) -> CompiledFilter:
    return compile_filter(text, now_ns=NOW_NS, variables=KNOWN, flag_flows=FLAG_FLOWS)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(expressions, flows_with_entries())
def test_nothing_is_lost_and_exact_is_exact(text: str, case: tuple[np.ndarray[Any, Any], list[dict[str, Any]]]) -> None:
    row, entries = case
    kfl = compiled(text)
    kept = bool(match(kfl.pushdown.predicate, row)[0])
    wanted = {"message": kfl.wants_messages, "conn": kfl.wants_conn, "flow": kfl.wants_flow}
    whole_flow = False
    matched = {"message": [], "conn": [], "flow": []}  # type: dict[str, list[bool]]
    for entry in entries:
        kind = "conn" if entry.get("conn") else "flow" if entry.get("flow") else "message"
        if kind == "flow" and "flow" not in text:
            continue  # flow entries come only when the expression names them
        matched[kind].append(kfl.matches(_Row(entry)))
        if matched[kind][-1]:
            assert kept, "a flow with a matching entry was lost"
            assert wanted[kind], "a kind of entry that can match was not wanted"
            whole_flow = whole_flow or kind != "message"
    if kfl.pushdown.exact:
        assert kfl.errors.count == 0
        assert kept == (whole_flow or (bool(matched["message"]) and all(matched["message"])))
        assert kept or not any(any(results) for results in matched.values())


@pytest.mark.parametrize(
    ("text", "described", "exact"),
    [
        ("", "", True),
        ("http", "transport tcp", False),
        ("stomp", "transport tcp and (src port 53 or src port 443 or dst port 53 or dst port 443)", False),
        ("!stomp", "", False),
        ("conn", "transport tcp/udp", True),
        ("tcp_conn", "transport tcp", True),
        ("tcp_conn || http", "transport tcp", False),
        ("flow", "transport tcp/udp", True),
        ("flow && src.port == 5", "transport tcp/udp", False),
        ('src.ip == "10.0.0.1"', "src in 10.0.0.1/32", True),
        ('src.ip == "FD00::1"', "src in fd00::1/128", False),
        ('src.ip == "nonsense"', "nothing", True),
        ("dst.port in [80, 443]", "dst port 80 or dst port 443", True),
        ("8000 <= dst.port && dst.port <= 9000", "dst port 8000-65535 and dst port 0-9000", True),
        ("dst.port > 70000", "nothing", True),
        ('transport == "icmp"', "transport icmp/icmpv6", True),
        ('!(transport == "tcp")', "not transport tcp", True),
        ("!http", "", False),
        ("dns && dst.port == 53", "transport tcp/udp and dst port 53", False),
        ("dst.port == 53 || status_code == 3", "", False),
        ('timestamp < timestamp("1970-01-01T00:00:01Z")', "until 1970-01-01T00:00:00.999999999Z", False),
        ('timestamp >= now() - duration("1h")', "from 2026-03-14T21:05:00Z", False),
        ("1 == 2 && status_code == 3", "nothing", True),
        ("1 / 0 == 1", "nothing", False),
    ],
)
def test_what_is_pushed(text: str, described: str, exact: bool) -> None:
    pushdown = compiled(text).pushdown
    assert (pushdown.text, pushdown.exact) == (described, exact)


@pytest.mark.parametrize(
    ("text", "messages", "conn", "flows"),
    [
        ("", True, True, False),
        ("http", True, False, False),
        ("conn", False, True, False),
        ("flow", False, False, True),
        ("tcp_flow || http", True, False, True),
        ("flow_local_bps > 0", True, True, True),
        ("flow_id == 7", True, True, False),
        ('src.ip == "10.0.0.1"', True, True, False),
        ("false", False, False, False),
    ],
)
def test_which_entries_can_match(text: str, messages: bool, conn: bool, flows: bool) -> None:
    kfl = compiled(text)
    assert (kfl.wants_messages, kfl.wants_conn, kfl.wants_flow) == (messages, conn, flows)


def test_a_mapped_address_has_two_texts_and_is_not_exact() -> None:
    pushdown = compiled('src.ip == "::ffff:10.0.0.1"').pushdown
    assert not pushdown.exact
