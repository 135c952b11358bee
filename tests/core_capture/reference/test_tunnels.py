"""Tunnels: what is inside, who carries it, and what is no tunnel after all."""

from __future__ import annotations

import struct

import pytest

from kubeshark.core_capture._columns import NO_FLOW, FlowBit, PacketBit, Tunnel
from kubeshark.core_capture.reference import ReferenceCore
from tests.core_capture.reference._packets import A6, B6, RAW, A, B, ends, ethernet, ip, records, run, udp

CORE = ReferenceCore()
INNER = udp(b"inside", (1111, 2222), ("192.168.0.1", "192.168.0.2"))
INNER6 = udp(b"inside", (1111, 2222), ("fd00::1", "fd00::2"))
FRAME = ethernet(0x0800, INNER)


def gre(flags: int, kind: int, rest: bytes) -> bytes:
    return ip(struct.pack(">HH", flags, kind) + rest, 47)


def over_udp(port: int, header: bytes, inside: bytes) -> bytes:
    return udp(header + inside, (50000, port))


IP_TUNNELS = {
    "GRE": (Tunnel.GRE, gre(0, 0x0800, INNER)),
    "GRE with all options": (Tunnel.GRE, gre(0xB000, 0x86DD, bytes(12) + INNER6)),
    "GRE bridging": (Tunnel.GRE, gre(0x2000, 0x6558, bytes(4) + FRAME)),
    "GRE with PPP": (Tunnel.GRE, gre(0, 0x880B, b"\0\x21" + INNER)),
    "GRE with MPLS": (Tunnel.GRE, gre(0, 0x8847, b"\0\1\1\x40" + INNER)),
    "GRE with Frame Relay": (Tunnel.GRE, gre(0, 0x6559, b"\x18\x41\x03\xcc" + INNER)),
    "GRE with NSH": (Tunnel.GRE, gre(0, 0x894F, b"\x0f\xc2\2\1" + bytes(4) + INNER)),
    "EoIP": (Tunnel.GRE, gre(0x2001, 0x6400, struct.pack(">HH", len(FRAME), 7) + FRAME)),
    "WCCP 1": (Tunnel.GRE, gre(0, 0x883E, INNER)),
    "WCCP 2": (Tunnel.GRE, gre(0, 0x883E, bytes(4) + INNER)),
    "PPTP": (Tunnel.GRE, gre(0x3081, 0x880B, bytes(12) + b"\xff\x03\0\x21" + INNER)),
    "ERSPAN I": (Tunnel.ERSPAN, gre(0, 0x88BE, FRAME)),
    "ERSPAN II": (Tunnel.ERSPAN, gre(0x1000, 0x88BE, bytes(4) + b"\x10" + bytes(7) + FRAME)),
    "ERSPAN III": (Tunnel.ERSPAN, gre(0x1000, 0x22EB, bytes(4) + b"\x20" + bytes(11) + FRAME)),
    "ERSPAN III with subheader": (
        Tunnel.ERSPAN,
        gre(0x1000, 0x22EB, bytes(4) + b"\x20" + bytes(10) + b"\1" + bytes(8) + FRAME),
    ),
    "ERSPAN III of IP": (Tunnel.ERSPAN, gre(0x1000, 0x22EB, bytes(4) + b"\x20" + bytes(9) + b"\x08\0" + INNER6)),
    "4 in 4": (Tunnel.IPIP, ip(INNER, 4)),
    "6 in 4": (Tunnel.IPIP, ip(INNER6, 41)),
    "4 in 6": (Tunnel.IPIP, ip(INNER, 4, A6, B6)),
    "6 in 6": (Tunnel.IPIP, ip(INNER6, 41, A6, B6)),
    "MPLS in IP": (Tunnel.MPLS, ip(b"\0\1\1\x40" + INNER, 137)),
    "EtherIP": (Tunnel.ETHERIP, ip(b"\x30\0" + FRAME, 97)),
}
UDP_TUNNELS = {
    "VXLAN": (Tunnel.VXLAN, over_udp(4789, b"\x08\0\0\0\0\0\x2a\0", FRAME)),
    "VXLAN of Linux": (Tunnel.VXLAN, over_udp(8472, b"\x08\0\0\0\0\0\x2a\0", FRAME)),
    "VXLAN with a group": (Tunnel.VXLAN, over_udp(4789, b"\x88\0\0\1\0\0\x2a\0", FRAME)),
    "VXLAN-GPE": (Tunnel.VXLAN, over_udp(4790, b"\x0c\0\0\2\0\0\x2a\0", INNER6)),
    "VXLAN-GPE without a kind": (Tunnel.VXLAN, over_udp(4790, b"\x08\0\0\0\0\0\x2a\0", FRAME)),
    "VXLAN-GPE with NSH": (Tunnel.VXLAN, over_udp(4790, b"\x0c\0\0\4\0\0\x2a\0\x0f\xc2\2\3" + bytes(4), FRAME)),
    "LISP": (Tunnel.LISP, over_udp(4341, b"\xc0" + bytes(7), INNER)),
    "LISP, IPv6": (Tunnel.LISP, over_udp(4341, bytes(8), INNER6)),
    "LISP control": (Tunnel.LISP, over_udp(4342, b"\x80\0\0\0", INNER)),
    "Geneve": (Tunnel.GENEVE, over_udp(6081, b"\0\0\x65\x58\0\0\x2a\0", FRAME)),
    "Geneve with options": (Tunnel.GENEVE, over_udp(6081, b"\x02\0\x08\0\0\0\x2a\0" + bytes(8), INNER)),
    "Teredo": (Tunnel.TEREDO, over_udp(3544, b"", INNER6)),
    "Teredo with authentication and origin": (
        Tunnel.TEREDO,
        over_udp(3544, b"\0\1\2\3" + bytes(2 + 3 + 9) + b"\0\0" + bytes(6), INNER6),
    ),
    "GTP-U": (Tunnel.GTP, over_udp(2152, b"\x30\xff" + struct.pack(">H", len(INNER)) + bytes(4), INNER)),
    "GTP-U with extension": (
        Tunnel.GTP,
        over_udp(2152, b"\x34\xff" + struct.pack(">H", len(INNER) + 8) + bytes(7) + b"\x85\1\0\0\0", INNER),
    ),
    "L2TP": (Tunnel.L2TP, over_udp(1701, b"\x40\x02\0\x40\0\1\0\1", b"\xff\x03\0\x21" + INNER)),
    "L2TP with everything": (
        Tunnel.L2TP,
        over_udp(1701, b"\x4a\x02\0\x40\0\1\0\1\0\0\0\0\0\2\xaa\xaa", b"\0\x21" + INNER),
    ),
}
INSIDE = [("192.168.0.1", 1111, "192.168.0.2", 2222), ("fd00::1", 1111, "fd00::2", 2222)]


@pytest.mark.parametrize(("tunnel", "packet"), IP_TUNNELS.values(), ids=IP_TUNNELS)
def test_over_ip(tunnel: Tunnel, packet: bytes) -> None:
    decoded, _ = run(CORE, records(packet), RAW)
    (flow,) = decoded.flows
    assert ends(flow) in INSIDE
    assert (flow["tunnel"], flow["carrier"], flow["bits"]) == (tunnel, NO_FLOW, 0)
    assert decoded.packets["bits"].tolist() == [PacketBit.TUNNELLED]
    assert bytes(decoded.payload(0)) == b"inside"


@pytest.mark.parametrize(("tunnel", "packet"), UDP_TUNNELS.values(), ids=UDP_TUNNELS)
def test_over_udp_the_outer_flow_is_a_carrier(tunnel: Tunnel, packet: bytes) -> None:
    decoded, _ = run(CORE, records(packet, packet), RAW)
    carrier, flow = decoded.flows
    assert (ends(carrier)[0], ends(carrier)[2], carrier["tunnel"]) == (A, B, Tunnel.NONE)
    assert (carrier["bits"], carrier["carrier"], carrier["transport"]) == (FlowBit.CARRIER, NO_FLOW, 17)
    assert carrier["packets"].tolist() == [2, 0]
    assert carrier["bytes"].tolist() == [2 * (len(packet) - 28), 0]
    assert (carrier["first_ns"], carrier["last_ns"]) == (0, 10**6)
    assert ends(flow) in INSIDE
    assert (flow["tunnel"], flow["carrier"]) == (tunnel, 0)
    assert decoded.packets["flow"].tolist() == [1, 1]
    assert bytes(decoded.payload(1)) == b"inside"


@pytest.mark.parametrize(("_", "packet"), (IP_TUNNELS | UDP_TUNNELS).values(), ids=IP_TUNNELS | UDP_TUNNELS)
def test_every_cut_is_survived(_: Tunnel, packet: bytes) -> None:
    for length in range(len(packet)):
        run(CORE, records(packet[:length]), RAW)


ORDINARY = {
    "VXLAN without I": over_udp(4789, bytes(8), FRAME),
    "VXLAN with ARP": over_udp(4789, b"\x08" + bytes(7), ethernet(0x0806, bytes(28))),
    "VXLAN with damage": over_udp(4789, b"\x08" + bytes(7), FRAME[:40]),
    "VXLAN-GPE of something else": over_udp(4790, b"\x0c\0\0\6" + bytes(4), INNER),
    "LISP of nothing": over_udp(4341, bytes(8), b"\x45" + bytes(19)),
    "LISP longer than it is": over_udp(4341, bytes(8), INNER[:-1]),
    "LISP map request": over_udp(4342, b"\x10\0\0\1", INNER),
    "Geneve of another version": over_udp(6081, b"\x40\0\x08\0" + bytes(4), INNER),
    "Teredo longer than it is": over_udp(3544, b"", INNER6[:-1]),
    "GTP-U echo": over_udp(2152, b"\x32\x01" + bytes(10), b""),
    "GTP-U with an extension of length 0": over_udp(2152, b"\x34\xff\0\x20" + bytes(7) + b"\x85\0\0\0\0", INNER),
    "L2TP control": over_udp(1701, b"\xc8\x02\0\x0c" + bytes(8), b""),
    "DNS from a tunnel's port": udp(b"\x12\x34\1\0\0\1" + bytes(6) + b"\3www\0\0\1\0\1", (4789, 53)),
}


@pytest.mark.parametrize(
    "packet",
    ORDINARY.values(),
    ids=ORDINARY,
)
def test_otherwise_it_is_an_ordinary_udp_packet(packet: bytes) -> None:
    decoded, _ = run(CORE, records(packet), RAW)
    (flow,) = decoded.flows
    assert (ends(flow)[0], ends(flow)[2], flow["bits"], flow["tunnel"]) == (A, B, 0, Tunnel.NONE)
    assert decoded.packets["bits"].tolist() == [0]


@pytest.mark.parametrize(
    ("transport", "packet"),
    [
        (47, gre(0x4000, 0x0800, bytes(4) + INNER)),
        (47, gre(0, 0x0806, bytes(28))),
        (47, gre(0x2001, 0x880B, bytes(4))),
        (47, gre(0x1000, 0x88BE, bytes(4) + b"\x20" + bytes(7) + FRAME)),
        (47, gre(2, 0x0800, INNER)),
        (4, ip(INNER6, 4)),
        (97, ip(b"\x40\0" + FRAME, 97)),
    ],
)
def test_otherwise_it_belongs_to_the_host_pair(transport: int, packet: bytes) -> None:
    decoded, _ = run(CORE, records(packet), RAW)
    (flow,) = decoded.flows
    assert (ends(flow), flow["transport"]) == ((A, 0, B, 0), transport)


def test_a_carrier_is_apart_from_an_ordinary_flow_of_the_same_ends() -> None:
    tunnelled = UDP_TUNNELS["VXLAN"][1]
    ordinary = over_udp(4789, b"\x08" + bytes(7), ethernet(0x0806, bytes(28)))
    decoded, _ = run(CORE, records(ordinary, tunnelled, ordinary), RAW)
    assert decoded.flows["bits"].tolist() == [0, FlowBit.CARRIER, 0]
    assert decoded.flows["packets"].sum(axis=1).tolist() == [2, 1, 1]
    assert decoded.packets["flow"].tolist() == [0, 2, 0]


def test_carriers_in_carriers() -> None:
    packet = over_udp(6081, b"\0\0\x65\x58\0\0\x2a\0", ethernet(0x0800, UDP_TUNNELS["VXLAN"][1]))
    decoded, _ = run(CORE, records(packet), RAW)
    assert decoded.flows["carrier"].tolist() == [NO_FLOW, 0, 1]
    assert decoded.flows["tunnel"].tolist() == [Tunnel.NONE, Tunnel.GENEVE, Tunnel.GENEVE]
    assert decoded.packets["flow"].tolist() == [2]
