"""IP headers, extension headers, lengths that lie, and layer 4."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from kubeshark.core_capture._columns import NO_FLOW, Decoded, PacketBit, Tunnel
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
    tcp_header,
    udp,
    udp_header,
)

CORE = ReferenceCore()


def decode(packet: bytes, link_type: int = RAW, original: int | None = None) -> tuple[Any, Any, Decoded]:
    """Decode one packet; return its row, its flow or None, and everything."""
    decoded, _ = run(CORE, record(packet, original=original), link_type)
    row = decoded.packets[0]
    return row, None if row["flow"] == NO_FLOW else decoded.flows[row["flow"]], decoded


def option_header(following: int, content: bytes = bytes(6)) -> bytes:
    return bytes([following, (2 + len(content)) // 8 - 1]) + content


def test_the_columns_of_a_tcp_packet() -> None:
    packet = ip(tcp_header(b"data", 80, 5000, 0x01020304, "PA", words=8), 6, B, A, options=bytes(8))
    row, flow, decoded = decode(ethernet(0x0800, packet), ETHERNET)
    assert (row["transport_offset"], row["payload_offset"]) == (16 + 14 + 28, 16 + 14 + 28 + 32)
    assert (row["seq"], row["flags"], row["transport"], row["direction"]) == (0x01020304, 0x18, 6, 1)
    assert row["bits"] == 0
    assert bytes(decoded.payload(0)) == b"data"
    assert ends(flow) == (A, 5000, B, 80)
    assert flow["packets"].tolist() == [0, 1]
    assert flow["bytes"].tolist() == [0, 4]


def test_what_follows_the_packet_is_no_payload() -> None:
    row, _, decoded = decode(ethernet(0x0800, udp(b"hi")) + bytes(16), ETHERNET)
    assert bytes(decoded.payload(0)) == b"hi"
    assert row["bits"] == 0


def test_udp_length_ends_the_payload() -> None:
    packet = ip(udp_header(b"hello, trailer", 1, 2, length=13), 17)
    _, flow, decoded = decode(packet)
    assert bytes(decoded.payload(0)) == b"hello"
    assert flow["bytes"].sum() == 5


@pytest.mark.parametrize(
    "packet",
    [
        ip(tcp_header(b"x" * 3000, 1, 2), 6, length=0),
        ip(tcp_header(b"x" * 3000, 1, 2), 6, A6, B6, length=0),
        ip(udp_header(b"x" * 3000, 1, 2, length=0), 17, length=0),
    ],
)
def test_length_zero_reaches_to_the_end(packet: bytes) -> None:
    row, flow, _ = decode(packet)
    assert (row["payload_length"], row["bits"], flow["bytes"].sum()) == (3000, 0, 3000)


@pytest.mark.parametrize(
    "packet",
    [
        ip(udp_header(b"hello", 1, 2), 17, length=1000),
        ip(udp_header(b"hello", 1, 2), 17, A6, B6, length=1000),
        ip(udp_header(b"hello", 1, 2, length=14), 17),
    ],
)
def test_a_length_behind_the_end_is_a_contradiction(packet: bytes) -> None:
    row, flow, decoded = decode(packet)
    assert bytes(decoded.payload(0)) == b"hello"
    assert row["bits"] == PacketBit.BAD_LENGTH
    assert flow["bytes"].sum() == 5


def test_a_packet_cut_by_the_snap_length() -> None:
    packet = udp(b"x" * 1000)
    row, flow, _ = decode(packet[:100], original=len(packet))
    assert (row["payload_length"], row["bits"], flow["bytes"].sum()) == (72, PacketBit.CUT, 1000)


def test_tcp_options_cut_by_the_snap_length() -> None:
    packet = ip(tcp_header(b"x" * 100, 1, 2, words=10), 6)
    row, flow, _ = decode(packet[:50], original=len(packet))
    assert (row["payload_length"], row["bits"], flow["bytes"].sum()) == (0, PacketBit.CUT, 100)
    assert row["payload_offset"] == 16 + 50


def test_a_tcp_header_longer_than_its_packet() -> None:
    row, flow, _ = decode(ip(tcp_header(b"", 1, 2, words=5)[:12] + b"\xf0" + tcp_header(b"", 1, 2)[13:], 6))
    assert (row["payload_length"], row["bits"], flow["bytes"].sum()) == (0, PacketBit.BAD_LENGTH, 0)


@pytest.mark.parametrize(
    "packet",
    [ip(tcp_header(b"data", 1, 2, 9, "S", words=4), 6), ip(udp_header(b"data", 1, 2, length=7), 17)],
)
def test_a_length_too_small_to_be_true_leaves_the_ports(packet: bytes) -> None:
    row, flow, _ = decode(packet)
    assert ends(flow) == (A, 1, B, 2)
    assert (row["payload_length"], row["bits"], row["seq"], row["flags"]) == (0, PacketBit.BAD_LENGTH, 0, 0)
    assert (flow["bytes"].sum(), flow["bits"]) == (0, 0)


UNREADABLE = {
    "IPv4 cut": udp()[:19],
    "IPv4 header length": b"\x44" + udp()[1:],
    "IPv4 options cut": b"\x4f" + udp()[1:30],
    "IPv4 total length": ip(udp_header(b"", 1, 2), 17, length=19),
    "IPv6 cut": udp(ends=(A6, B6))[:39],
    "TCP cut": tcp()[:39],
    "UDP cut": udp()[:27],
    "SCTP cut": ip(bytes(11), 132),
    "extension header cut": ip(b"\x11\1" + bytes(6), 0, A6, B6),
    "AH cut": ip(b"\x11\4" + bytes(8), 51),
}


@pytest.mark.parametrize(
    "packet",
    UNREADABLE.values(),
    ids=UNREADABLE,
)
def test_unreadable(packet: bytes) -> None:
    assert decode(packet)[1] is None


def test_ipv6_extension_headers() -> None:
    transport = udp_header(b"hello", 1, 2)
    headers = option_header(43) + option_header(60, bytes(14)) + option_header(51) + b"\x11\4" + bytes(22)
    row, flow, decoded = decode(ip(headers + transport, 0, A6, B6))
    assert flow["transport"] == 17
    assert bytes(decoded.payload(0)) == b"hello"
    assert row["transport_offset"] == 16 + 40 + len(headers)


def test_ah_in_ipv4() -> None:
    _, flow, decoded = decode(ip(b"\x06\4" + bytes(22) + tcp_header(b"data", 1, 2), 51))
    assert ends(flow) == (A, 1, B, 2)
    assert bytes(decoded.payload(0)) == b"data"


def test_an_atomic_fragment_is_an_ordinary_packet() -> None:
    row, flow, _ = decode(ip(b"\x11\0\0\0\0\0\0\7" + udp_header(b"hello", 1, 2), 44, A6, B6))
    assert (flow["transport"], row["bits"]) == (17, 0)


@pytest.mark.parametrize(
    ("protocol", "ends_"), [(1, (A, B)), (50, (A, B)), (58, (A6, B6)), (59, (A6, B6)), (0, (B, A))]
)
def test_other_transports_are_opaque(protocol: int, ends_: tuple[str, str]) -> None:
    row, flow, decoded = decode(ip(b"whole payload", protocol, *ends_))
    assert (flow["transport"], flow["port_a"], flow["port_b"]) == (protocol, 0, 0)
    assert row["transport_offset"] == row["payload_offset"]
    assert bytes(decoded.payload(0)) == b"whole payload"


def test_sctp_payload_is_the_chunks() -> None:
    _, flow, decoded = decode(ip(struct.pack(">HHII", 2905, 1000, 7, 0) + b"chunks", 132))
    assert ends(flow) == (A, 2905, B, 1000)
    assert bytes(decoded.payload(0)) == b"chunks"


def test_packets_quoted_by_icmp_are_not_decoded() -> None:
    decoded, _ = run(CORE, records(ip(b"\3\3\0\0\0\0\0\0" + udp(), 1)), RAW)
    assert decoded.flows["transport"].tolist() == [1]


def test_ip_inside_ip_up_to_a_depth() -> None:
    packet = udp()
    for depth in range(1, 10):
        _, flow, _ = decode(packet)
        assert (flow["transport"], flow["tunnel"]) == (
            (17, Tunnel.IPIP if depth > 1 else Tunnel.NONE) if depth <= 8 else (4, Tunnel.IPIP)
        )
        packet = ip(packet, 4)


def test_a_payload_too_far_away_is_not_found() -> None:
    hop_by_hop = option_header(0, bytes(2046)) * 32 + option_header(17)
    assert decode(ip(hop_by_hop + udp_header(b"hello", 1, 2), 0, A6, B6, length=0))[1] is None
