"""IP fragments: in any order, bounded, first byte wins; and what becomes of those that never become whole."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._columns import NO_FLOW, Decoded, FlowBit, PacketBit, Tunnel
from kubeshark.core_capture.reference import ReferenceCore, _limits
from tests.core_capture.reference._packets import (
    A6,
    B6,
    RAW,
    A,
    B,
    ends,
    ethernet,
    fragments,
    ip,
    record,
    records,
    run,
    tcp,
    udp,
    udp_header,
)

CORE = ReferenceCore()
WHOLE = PacketBit.ARENA | PacketBit.FRAGMENT
TEXT = bytes(range(256)) * 8


def decode(*packets: bytes) -> Decoded:
    return run(CORE, records(*packets), RAW)[0]


def ipv6_fragments(payload: bytes, size: int, following: int = 17) -> list[bytes]:
    return [
        ip(
            struct.pack(">BBHI", following, 0, at | (at + size < len(payload)), 9) + payload[at : at + size],
            44,
            A6,
            B6,
        )
        for at in range(0, len(payload), size)
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_packet_that_makes_it_whole_holds_it(order: tuple[int, ...]) -> None:
    parts = fragments(udp(TEXT), 800, 800)
    decoded = decode(*(parts[index] for index in order))
    (flow,) = decoded.flows
    assert flow["packets"].tolist() == [3, 0]
    assert flow["bytes"].tolist() == [len(TEXT), 0]
    assert flow["bits"] == FlowBit.FRAGMENTS
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT, PacketBit.FRAGMENT, WHOLE]
    assert decoded.packets["payload_length"].tolist() == [0, 0, len(TEXT)]
    assert decoded.packets["payload_offset"].tolist() == [0, 0, 8]
    assert bytes(decoded.payload(2)) == TEXT
    assert bytes(decoded.payload(0)) == b""


@given(cuts=st.lists(st.integers(1, 30), max_size=6), order=st.randoms(use_true_random=False))
def test_cut_points_do_not_matter(cuts: list[int], order: Any) -> None:
    sizes: list[int] = []
    for cut in cuts:
        if sum(sizes) + cut * 8 < 8 + len(TEXT):
            sizes.append(cut * 8)
    parts = fragments(udp(TEXT), *sizes)
    order.shuffle(parts)
    decoded = decode(*parts)
    assert bytes(decoded.payload(len(parts) - 1)) == TEXT
    assert len(decoded.flows) == 1


def test_ipv6_with_extension_headers_behind_the_fragment_header() -> None:
    payload = b"\x11\0" + bytes(6) + udp_header(TEXT, 1, 2)
    decoded = decode(*ipv6_fragments(payload, 1000, following=60))
    (flow,) = decoded.flows
    assert ends(flow) == (A6, 1, B6, 2)
    assert (flow["transport"], flow["packets"].sum()) == (17, 3)
    assert bytes(decoded.payload(2)) == TEXT


def test_tcp_flags_count_once() -> None:
    decoded = decode(*fragments(tcp(TEXT, 5, "SF"), 800))
    assert decoded.packets["flags"].tolist() == [0, 3]
    assert decoded.packets["seq"].tolist() == [0, 5]


def test_the_byte_that_came_first_stays() -> None:
    header = udp_header(bytes(24), 1, 2)
    parts = [
        ip(header[:16], 17, identification=7, fragment=0x2000),
        ip(b"A" * 16, 17, identification=7, fragment=0x2000 | 1),
        ip(b"B" * 16, 17, identification=7, fragment=2),
    ]
    decoded = decode(*parts)
    assert bytes(decoded.payload(2)) == bytes(8) + b"A" * 8 + b"B" * 8


def test_a_datagram_is_forgotten_once_it_is_whole() -> None:
    parts = fragments(udp(TEXT), 800)
    decoded = decode(*parts, *parts)
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT, WHOLE] * 2
    assert len(decoded.arena_index) == 2


def test_without_its_rest_the_first_fragment_is_a_cut_packet() -> None:
    first, middle, _ = fragments(udp(TEXT), 800, 800)
    decoded = decode(middle, first)
    (flow,) = decoded.flows
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT, PacketBit.FRAGMENT | PacketBit.CUT]
    assert bytes(decoded.payload(1)) == TEXT[:792]
    assert flow["bytes"].tolist() == [792, 0]
    assert flow["first_packet"] == 0


def test_without_its_first_fragment_a_datagram_has_no_flow() -> None:
    decoded = decode(*fragments(udp(TEXT), 800, 800)[1:])
    assert decoded.packets["flow"].tolist() == [NO_FLOW, NO_FLOW]


def test_without_a_readable_first_fragment_a_datagram_has_no_flow() -> None:
    decoded = decode(ip(bytes(4), 6, identification=7, fragment=0x2000), ip(bytes(8), 6, identification=7, fragment=1))
    assert decoded.packets["flow"].tolist() == [NO_FLOW, NO_FLOW]


def test_a_fragment_cut_by_the_snap_length_does_not_count() -> None:
    first, last = fragments(udp(TEXT), 800)
    decoded, _ = run(CORE, record(first) + record(last[:60], original=len(last)), RAW)
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT | PacketBit.CUT, PacketBit.FRAGMENT]


def test_longer_than_a_datagram_can_be() -> None:
    first = fragments(udp(TEXT), 800)[0]
    decoded = decode(first, ip(bytes(100), 17, identification=7, fragment=0x1FFF))
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT | PacketBit.CUT, PacketBit.FRAGMENT]
    assert len(decoded.arena) == 0


def test_identifications_are_used_again() -> None:
    first, last = fragments(udp(TEXT), 800)
    late = _limits.FRAGMENT_TIMEOUT_NS + 1
    decoded, _ = run(CORE, record(first) + record(last, late) + record(first, late + 1), RAW)
    assert decoded.packets["bits"].tolist() == [PacketBit.FRAGMENT | PacketBit.CUT, PacketBit.FRAGMENT, WHOLE]


def test_the_oldest_makes_room() -> None:
    first, last = fragments(udp(TEXT), 800)
    others = [
        ip(bytes(8), 17, identification=number, fragment=0x2001) for number in range(100, 100 + _limits.MAX_DATAGRAMS)
    ]
    assert decode(first, *others[1:], last).packets["bits"][-1] == WHOLE
    assert decode(first, *others, last).packets["bits"][-1] == 0


def test_a_tunnel_in_fragments() -> None:
    inside = udp(b"inside", (1111, 2222), ("192.168.0.1", "192.168.0.2"))
    outside = udp(b"\x08" + bytes(7) + ethernet(0x0800, inside), (50000, 4789))
    decoded = decode(*fragments(outside, 24, 24))
    carrier, flow = decoded.flows
    assert (carrier["bits"], flow["bits"]) == (FlowBit.CARRIER | FlowBit.FRAGMENTS, FlowBit.FRAGMENTS)
    assert (carrier["packets"].tolist(), carrier["bytes"].tolist()) == ([3, 0], [len(outside) - 28, 0])
    assert (flow["packets"].tolist(), flow["tunnel"]) == ([3, 0], Tunnel.VXLAN)
    tunnelled = PacketBit.FRAGMENT | PacketBit.TUNNELLED
    assert decoded.packets["bits"].tolist() == [tunnelled, tunnelled, tunnelled | PacketBit.ARENA]
    assert bytes(decoded.payload(2)) == b"inside"


def test_fragments_in_a_tunnel() -> None:
    parts = [ip(part, 4) for part in fragments(udp(TEXT, (1111, 2222), ("192.168.0.1", "192.168.0.2")), 800)]
    decoded = decode(*parts)
    (flow,) = decoded.flows
    assert (ends(flow)[0], flow["packets"].tolist()) == ("192.168.0.1", [2, 0])
    assert bytes(decoded.payload(1)) == TEXT


def test_fragments_in_fragments() -> None:
    inner = fragments(udp(TEXT, (1111, 2222), ("192.168.0.1", "192.168.0.2")), 800)
    outer = [fragments(ip(part, 4), 400, identification=20 + number) for number, part in enumerate(inner)]
    decoded = decode(*outer[0], *outer[1])
    (flow,) = decoded.flows
    assert flow["packets"].tolist() == [4, 0]
    assert bytes(decoded.payload(3)) == TEXT
    assert len(decoded.arena_index) == 1


def test_fragments_of_a_tunnel_without_a_readable_inside_belong_to_the_outside() -> None:
    parts = [ip(part, 4) for part in fragments(udp(TEXT), 800)[1:]]
    decoded = decode(*parts)
    (flow,) = decoded.flows
    assert (ends(flow), flow["transport"], flow["bits"]) == ((A, 0, B, 0), 4, 0)


def test_a_long_chain_of_waiting_packets() -> None:
    """Each packet completes a datagram that holds the first fragment of the next one: nothing may recurse."""

    def datagram(number: int) -> bytes:
        """An IP packet: the fragment that holds the first 8 bytes of datagram `number + 1`."""
        following = ip(bytes(8), 4, identification=number + 2, fragment=0x2000)
        return ip(following[:8], 4, identification=number + 1, fragment=0x2000)

    first = ip(datagram(0)[:8], 4, identification=0, fragment=0x2000)
    others = [ip(datagram(number)[8:], 4, identification=number, fragment=1) for number in range(3000)]
    decoded = decode(first, *others)
    assert decoded.flows["packets"].sum() == 3001
    inside = PacketBit.FRAGMENT | PacketBit.TUNNELLED
    assert decoded.packets["bits"].tolist() == [inside] * 3000 + [inside | PacketBit.ARENA | PacketBit.CUT]
