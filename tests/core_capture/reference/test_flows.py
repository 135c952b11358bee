"""The flow table: where a flow begins, who is the client, what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.core_capture._columns import FlowBit
from kubeshark.core_capture.reference import ReferenceCore
from tests.core_capture.reference._packets import (
    A6,
    B6,
    ETHERNET,
    RAW,
    A,
    B,
    ends,
    ethernet,
    ip,
    record,
    records,
    run,
    tcp,
    udp,
    vlan,
)

CORE = ReferenceCore()
CLIENT: dict[str, Any] = {"ports": (40000, 80), "ends": (A, B)}
SERVER: dict[str, Any] = {"ports": (80, 40000), "ends": (B, A)}


def flows(*packets: bytes) -> Any:
    return run(CORE, records(*packets), RAW)[0].flows


def test_both_directions_are_one_flow() -> None:
    decoded, _ = run(CORE, records(udp(ports=(9, 8)), udp(ports=(8, 9), ends=(B, A))), RAW)
    (flow,) = decoded.flows
    assert ends(flow) == (A, 9, B, 8)
    assert flow["packets"].tolist() == [1, 1]
    assert decoded.packets["direction"].tolist() == [0, 1]


def test_the_lower_end_is_a() -> None:
    assert ends(flows(udp(ports=(2, 1), ends=(A, A)))[0]) == (A, 1, A, 2)
    assert ends(flows(udp(ports=(1, 2), ends=("10.0.0.10", "10.0.0.9")))[0]) == ("10.0.0.9", 2, "10.0.0.10", 1)
    assert ends(flows(udp(ports=(1, 2), ends=(B6, A6)))[0]) == (A6, 2, B6, 1)


def test_equal_ends() -> None:
    decoded, _ = run(CORE, records(udp(ports=(7, 7), ends=(A, A))), RAW)
    assert (decoded.packets["direction"][0], decoded.flows["client"][0]) == (0, 0)
    assert decoded.flows["packets"].tolist() == [[1, 0]]


def test_ipv4_and_ipv6_and_transports_are_apart() -> None:
    table = flows(udp(ends=("32.1.13.184", "32.1.13.185")), udp(ends=("2001:db8::", "2001:db9::")), tcp())
    assert table["ip_version"].tolist() == [4, 6, 4]
    assert table["transport"].tolist() == [17, 17, 6]


def test_icmp_flows_are_per_host_pair_and_protocol() -> None:
    table = flows(ip(b"\x08\0", 1), ip(b"\0\0", 1, B, A), ip(b"", 2))
    assert [(ends(flow), int(flow["transport"])) for flow in table] == [((A, 0, B, 0), 1), ((A, 0, B, 0), 2)]
    assert table["packets"].tolist() == [[1, 1], [1, 0]]


def test_times_are_the_earliest_and_the_latest() -> None:
    data = record(udp(), 5) + record(udp(), 3) + record(udp(), 10**18) + record(udp(), 4)
    (flow,) = run(CORE, data, RAW)[0].flows
    assert (flow["first_ns"], flow["last_ns"]) == (3, 10**18)


def test_rows_are_ordered_by_first_packet_and_vlan_is_that_of_the_first() -> None:
    frames = [ethernet(0x8100, vlan(number, 0x0800, udp(ports=(port, 1)))) for number, port in ((3, 9), (4, 5), (5, 9))]
    table = run(CORE, records(*frames), ETHERNET)[0].flows
    assert table["first_packet"].tolist() == [0, 1]
    assert table["vlan"].tolist() == [3, 4]


CLIENTS = {
    "the sender of SYN": (1, [tcp(flags="S", **SERVER)]),
    "the sender of the first SYN": (1, [tcp(flags="S", **SERVER), tcp(flags="S", **CLIENT)]),
    "the receiver of SYN and ACK": (1, [tcp(flags="SA", **CLIENT)]),
    "SYN before SYN and ACK": (1, [tcp(flags="SA", **SERVER), tcp(flags="S", **SERVER)]),
    "a SYN with RST is none": (0, [tcp(flags="SR", **SERVER)]),
    "the port below 1024 is the server's": (0, [tcp(**SERVER)]),
    "a known port is the server's": (1, [udp(ports=(6379, 40000))]),
    "two known ports: the first sender": (1, [udp(ports=(5353, 5353), ends=(B, A))]),
    "no known port: the first sender": (1, [udp(ports=(40000, 50000), ends=(B, A))]),
}


@pytest.mark.parametrize(
    ("client", "packets"),
    CLIENTS.values(),
    ids=CLIENTS,
)
def test_client(client: int, packets: list[bytes]) -> None:
    assert flows(*packets)["client"].tolist() == [client]


def test_tcp_bits_and_initial_sequence_numbers() -> None:
    table = flows(
        tcp(sequence=1000, flags="S", **CLIENT),
        tcp(sequence=7, flags="SA", **SERVER),
        tcp(sequence=1001, flags="FA", **CLIENT),
        tcp(sequence=8, flags="R", **SERVER),
    )
    assert table["bits"].tolist() == [
        FlowBit.SYN_SEEN | FlowBit.SYN_ACK_SEEN | FlowBit.FIN_A | FlowBit.RST_B,
    ]
    assert table["isn"].tolist() == [[1000, 7]]


HANDSHAKE = [tcp(sequence=1000, flags="S", **CLIENT), tcp(sequence=7, flags="SA", **SERVER)]
NEW_SYN = tcp(sequence=5000, flags="S", **CLIENT)


@pytest.mark.parametrize(
    "before",
    [
        [tcp(b"data", 1001, **CLIENT)],
        [tcp(b"data", 8, **SERVER)],
        [tcp(sequence=8, flags="FA", **SERVER)],
        [tcp(sequence=1001, flags="R", **CLIENT)],
    ],
)
def test_a_new_syn_begins_a_new_flow(before: list[bytes]) -> None:
    decoded, _ = run(CORE, records(*HANDSHAKE, *before, NEW_SYN, tcp(b"more", 5001, **CLIENT)), RAW)
    assert decoded.packets["flow"].tolist() == [0] * (2 + len(before)) + [1, 1]
    assert decoded.flows["isn"].tolist() == [[1000, 7], [5000, 0]]
    assert decoded.flows["first_packet"].tolist() == [0, 2 + len(before)]


def test_a_repeated_syn_begins_none() -> None:
    assert len(flows(*HANDSHAKE, tcp(b"data", 1001, **CLIENT), HANDSHAKE[0])) == 1


def test_a_new_syn_begins_a_new_flow_though_nothing_happened_in_the_last() -> None:
    assert [flow["isn"].tolist() for flow in flows(HANDSHAKE[0], NEW_SYN)] == [[1000, 0], [5000, 0]]
    assert [flow["isn"].tolist() for flow in flows(*HANDSHAKE, NEW_SYN)] == [[1000, 7], [5000, 0]]


def test_a_new_syn_and_ack_begins_none() -> None:
    (flow,) = flows(*HANDSHAKE, tcp(b"data", 1001, **CLIENT), tcp(sequence=9999, flags="SA", **SERVER))
    assert flow["isn"].tolist() == [1000, 7]


def test_a_syn_after_a_start_in_the_middle_begins_a_new_flow() -> None:
    assert len(flows(tcp(b"data", 1, **CLIENT), NEW_SYN)) == 2
    assert len(flows(tcp(b"", 1, **CLIENT), NEW_SYN)) == 1


def test_simultaneous_open_is_one_flow() -> None:
    (flow,) = flows(
        tcp(sequence=10, flags="S", **CLIENT),
        tcp(sequence=20, flags="S", **SERVER),
        tcp(sequence=10, flags="SA", **CLIENT),
        tcp(sequence=20, flags="SA", **SERVER),
        tcp(b"data", 11, **CLIENT),
    )
    assert (flow["client"], flow["isn"].tolist()) == (0, [10, 20])


@pytest.mark.parametrize(("late_ns", "found"), [(1, 1), (10**9, 1), (10**9 + 1, 2), (0, 2), (-1, 2)])
def test_a_syn_that_was_written_behind_what_followed_it(late_ns: int, found: int) -> None:
    """Definition 17: another queue of the card, or another interface, was read first."""
    data = record(tcp(b"GET", 101, "PA", **CLIENT), 2 * 10**9)
    data += record(tcp(b"", 100, "S", **CLIENT), 2 * 10**9 - late_ns)
    table = run(CORE, data, RAW)[0].flows
    assert len(table) == found
    assert bool(table[0]["bits"] & FlowBit.SYN_SEEN) == (found == 1)
    assert table[0]["isn"].max() == (100 if found == 1 else 0)
