"""Each link layer leads to the same IP packet."""

from __future__ import annotations

import struct

import pytest

from kubeshark.core_capture._columns import NO_FLOW, Tunnel
from kubeshark.core_capture.reference import ReferenceCore
from tests.core_capture.reference._packets import A6, B6, ends, ethernet, records, run, udp, vlan

IPV4, IPV6 = udp(), udp(ends=(A6, B6))
SNAP = b"\xaa\xaa\x03\0\0\0"
CORE = ReferenceCore()


def label(number: int, bottom: bool) -> bytes:
    return struct.pack(">I", number << 12 | bottom << 8 | 64)


def erf(kind: int, rest: bytes) -> bytes:
    return bytes(8) + struct.pack(">BBHHH", kind, 4, 16 + len(rest), 0, len(rest)) + rest


FRAMES = {
    "Ethernet": (1, ethernet(0x0800, IPV4)),
    "Ethernet, IPv6": (1, ethernet(0x86DD, IPV6)),
    "802.1Q": (1, ethernet(0x8100, vlan(5, 0x0800, IPV4))),
    "802.1ad and 802.1Q": (1, ethernet(0x88A8, vlan(5, 0x8100, vlan(6, 0x0800, IPV4)))),
    "0x9100 around a priority tag": (1, ethernet(0x9100, vlan(0, 0x8100, vlan(5, 0x0800, IPV4)))),
    "802.3 with SNAP": (1, ethernet(8 + len(IPV4), SNAP + b"\x08\0" + IPV4)),
    "802.3 with SNAP in a VLAN": (1, ethernet(0x8100, vlan(5, 8 + len(IPV4), SNAP + b"\x08\0" + IPV4))),
    "802.3 with an LLC for IP": (1, ethernet(3 + len(IPV4), b"\x06\x06\x03" + IPV4)),
    "802.1ah": (1, ethernet(0x88E7, b"\0\0\0\1" + ethernet(0x0800, IPV4))),
    "Cisco's security group": (1, ethernet(0x8909, b"\1\1\0\1\0\2\x08\0" + IPV4)),
    "802.1BR": (1, ethernet(0x893F, bytes(6) + b"\x86\xdd" + IPV6)),
    "VN-Tag around a VLAN": (1, ethernet(0x8926, bytes(4) + b"\x81\0" + vlan(5, 0x0800, IPV4))),
    "HSR": (1, ethernet(0x892F, bytes(4) + b"\x08\0" + IPV4)),
    "802.1CB": (1, ethernet(0xF1C1, bytes(4) + b"\x08\0" + IPV4)),
    "MACsec, authenticated": (1, ethernet(0x88E5, b"\0\0\0\0\0\1\x08\0" + IPV4 + bytes(16))),
    "MACsec with a channel": (1, ethernet(0x88E5, b"\x20\0\0\0\0\1" + bytes(8) + b"\x86\xdd" + IPV6 + bytes(16))),
    "MACsec, short and padded": (1, ethernet(0x88E5, b"\0\x23\0\0\0\1\x08\0" + IPV4 + bytes(9 + 16))),
    "NSH": (1, ethernet(0x894F, b"\x0f\xc6\1\1" + bytes(20) + IPV4)),
    "NSH with Ethernet": (1, ethernet(0x894F, b"\x0f\xc2\2\3" + bytes(4) + ethernet(0x0800, IPV4))),
    "NSH in NSH, IPv6": (1, ethernet(0x894F, b"\x0f\xc2\2\4" + bytes(4) + b"\x0f\xc2\2\2" + bytes(4) + IPV6)),
    "MPLS": (1, ethernet(0x8847, label(16, False) + label(17, True) + IPV4)),
    "MPLS, IPv6": (1, ethernet(0x8848, label(2, True) + IPV6)),
    "MPLS pseudowire": (1, ethernet(0x8847, label(16, True) + ethernet(0x0800, IPV4))),
    "MPLS pseudowire with control word": (1, ethernet(0x8847, label(16, True) + bytes(4) + ethernet(0x0800, IPV4))),
    "MPLS pseudowire to a 4x: address": (1, ethernet(0x8847, label(16, True) + b"\x40" + ethernet(0x0800, IPV4)[1:])),
    "PPPoE": (1, ethernet(0x8864, struct.pack(">HHHH", 0x1100, 1, 2 + len(IPV4), 0x21) + IPV4)),
    "NULL, little-endian": (0, b"\2\0\0\0" + IPV4),
    "NULL, big-endian": (0, b"\0\0\0\2" + IPV4),
    "NULL, macOS IPv6": (0, b"\x1e\0\0\0" + IPV6),
    "NULL with Cisco's framing": (0, b"\x0f\0\x08\0" + IPV4),
    "LOOP": (108, b"\0\0\0\x18" + IPV6),
    "SLIP": (8, IPV4),
    "PPP": (9, b"\x00\x21" + IPV4),
    "PPP in HDLC framing": (9, b"\xff\x03\x00\x57" + IPV6),
    "PPP with a short protocol": (50, b"\xff\x03\x21" + IPV4),
    "PPP link with Cisco's framing": (50, b"\x8f\0\x08\0" + IPV4),
    "PPP over Ethernet": (51, struct.pack(">HHHH", 0x1100, 1, 2 + len(IPV4), 0x21) + IPV4),
    "PPP with MPLS": (9, b"\x02\x81" + label(16, True) + IPV4),
    "RAW": (101, IPV4),
    "RAW of BSD": (12, IPV6),
    "RAW of OpenBSD": (14, IPV4),
    "Cisco HDLC": (104, b"\x0f\0\x86\xdd" + IPV6),
    "Frame Relay": (107, b"\x18\x41\x03\xcc" + IPV4),
    "Frame Relay, padded SNAP": (107, b"\x18\x41\x03\0\x80\0\0\0\x08\0" + IPV4),
    "Frame Relay with Cisco's framing": (107, b"\x18\x40\x40\x41\x08\0" + IPV4),
    "802.11": (105, b"\x08\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "802.11 QoS between access points": (105, b"\x88\x03" + bytes(30) + SNAP + b"\x08\0" + IPV4),
    "802.11 QoS with HT control": (105, b"\x88\x81" + bytes(28) + SNAP + b"\x08\0" + IPV4),
    "radiotap": (127, b"\0\0\x0a\0" + bytes(6) + b"\x08\x02" + bytes(22) + SNAP + b"\x86\xdd" + IPV6),
    "Prism": (119, bytes(144) + b"\x08\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "AVS": (163, struct.pack(">II", 0x80211001, 64) + bytes(56) + b"\x08\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "AVS where Prism is said": (
        119,
        struct.pack(">II", 0x80211002, 64) + bytes(56) + b"\x08\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4,
    ),
    "PPI": (192, struct.pack("<BBHI", 0, 0, 8, 105) + b"\x08\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "PPI in PPI": (192, struct.pack("<BBHIBBHI", 0, 0, 8, 192, 0, 0, 8, 1) + ethernet(0x0800, IPV4)),
    "Token Ring": (6, b"\x10\x40" + bytes(12) + SNAP + b"\x08\0" + IPV4),
    "Token Ring with a route": (
        6,
        b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\6" + bytes(5) + SNAP + b"\x08\0" + IPV4,
    ),
    "FDDI": (10, b"\x57" + bytes(12) + SNAP + b"\x86\xdd" + IPV6),
    "ATM": (11, SNAP + b"\x08\0" + IPV4),
    "SunATM": (123, b"\x82\0\0\x21" + SNAP + b"\x08\0" + IPV4),
    "ERF": (197, erf(2, bytes(2) + ethernet(0x0800, IPV4))),
    "ERF with extensions": (197, erf(0x97, b"\x80" + bytes(15) + IPV6)),
    "PFLOG": (117, b"\x3d\2" + bytes(62) + IPV4),
    "ENC, little-endian": (109, b"\x18\0\0\0" + bytes(8) + IPV6),
    "ENC, big-endian": (109, b"\0\0\0\2" + bytes(8) + IPV4),
    "PPP with direction": (204, b"\1\xff\x03\x00\x21" + IPV4),
    "Cisco HDLC with direction": (205, b"\0\x0f\0\x08\0" + IPV4),
    "Frame Relay with direction": (206, b"\0\x18\x41\x03\x8e" + IPV6),
    "a switch of Broadcom": (281, bytes(16) + b"\x08\0" + IPV4),
    "a switch of Broadcom, before": (282, bytes(4) + ethernet(0x0800, IPV4)),
    "a switch of Marvell": (284, bytes(16) + b"\x81\0" + vlan(5, 0x0800, IPV4)),
    "a switch of Marvell with an EtherType": (285, bytes(20) + b"\x86\xdd" + IPV6),
    "LINUX_SLL": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\x08\0" + IPV4),
    "LINUX_SLL with a VLAN": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\x81\0" + vlan(5, 0x0800, IPV4)),
    "LINUX_SLL with LLC": (113, b"\0\0\0\1\0\6" + bytes(8) + b"\0\4" + SNAP + b"\x08\0" + IPV4),
    "LINUX_SLL2": (276, b"\x86\xdd" + bytes(6) + b"\0\1" + bytes(10) + IPV6),
    "ARCNET, RFC 1051": (129, b"\1\2\0\0\xf0" + IPV4),
    "ARCNET, RFC 1201": (129, b"\1\2\0\0\xd4\0\0\1" + IPV4),
    "IPNET": (226, b"\1\2" + bytes(22) + IPV4),
    "IPV4": (228, IPV4),
    "IPV6": (229, IPV6),
    "NFLOG": (239, b"\2\0\0\0\x05\0\x0a\0\0\0\0\0" + struct.pack("<HH", 4 + len(IPV4), 9) + IPV4),
    "PKTAP": (258, struct.pack("<III", 20, 1, 1) + bytes(8) + ethernet(0x0800, IPV4)),
}


@pytest.mark.parametrize(("link_type", "frame"), FRAMES.values(), ids=FRAMES)
def test_finds_the_packet(link_type: int, frame: bytes) -> None:
    decoded, _ = run(CORE, records(frame), link_type)
    assert [ends(flow) for flow in decoded.flows] in (
        [("10.0.0.1", 40000, "10.0.0.2", 40001)],
        [("2001:db8::1", 40000, "2001:db8::2", 40001)],
    )
    assert bytes(decoded.payload(0)) == b"hello"


@pytest.mark.parametrize(("link_type", "frame"), FRAMES.values(), ids=FRAMES)
def test_every_cut_is_survived(link_type: int, frame: bytes) -> None:
    for length in range(len(frame)):
        run(CORE, records(frame[:length]), link_type)


WITHOUT_FLOW = {
    "ARP": (1, ethernet(0x0806, bytes(28))),
    "PPPoE discovery": (1, ethernet(0x8863, b"\x11\x09" + bytes(20))),
    "PPPoE of another code": (1, ethernet(0x8864, b"\x11\x09\0\0\0\x30\0\x21" + IPV4)),
    "spanning tree": (1, ethernet(38, b"\x42\x42\x03" + bytes(35))),
    "SNAP of another organisation": (1, ethernet(8 + len(IPV4), b"\xaa\xaa\x03\0\0\x0c\x08\0" + IPV4)),
    "MPLS without bottom": (1, ethernet(0x8847, label(16, False) * 4)),
    "MPLS associated channel": (1, ethernet(0x8847, label(16, True) + b"\x10\0\0\x21" + IPV4)),
    "netlink": (113, b"\0\0\x03\x38\0\6" + bytes(8) + b"\x08\0" + IPV4),
    "802.11 protected": (105, b"\x08\x41" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "802.11 without data": (105, b"\x48\x01" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "802.11 A-MSDU": (105, b"\x88\x01" + bytes(22) + b"\x80\0" + SNAP + b"\x08\0" + IPV4),
    "802.11 beacon": (105, b"\x80\0" + bytes(22) + SNAP + b"\x08\0" + IPV4),
    "ARCNET, split": (129, b"\1\2\0\0\xd4\1\0\1" + IPV4),
    "NFLOG without payload": (239, b"\2\0\0\0\x00\0\x0a\0" + IPV4),
    "PKTAP of an unknown link type": (258, struct.pack("<III", 12, 1, 999) + IPV4),
    "PPI of an unknown link type": (192, struct.pack("<BBHI", 0, 0, 8, 999) + IPV4),
    "PPI shorter than its header": (192, struct.pack("<BBHI", 0, 0, 4, 1) + ethernet(0x0800, IPV4)),
    "MACsec, encrypted": (1, ethernet(0x88E5, b"\x0c\0\0\0\0\1\x08\0" + IPV4 + bytes(16))),
    "MACsec shorter than its check": (1, ethernet(0x88E5, b"\0\0\0\0\0\1\x08\0" + bytes(13))),
    "NSH of another version": (1, ethernet(0x894F, b"\x4f\xc2\2\1" + bytes(4) + IPV4)),
    "NSH shorter than its header": (1, ethernet(0x894F, b"\x0f\xc1\2\1" + bytes(4) + IPV4)),
    "Token Ring, medium access": (6, b"\x10\0" + bytes(12) + SNAP + b"\x08\0" + IPV4),
    "Token Ring with a route of nothing": (6, b"\x10\x40" + bytes(6) + b"\x80" + bytes(5) + b"\0" + SNAP + IPV4),
    "FDDI, station management": (10, b"\x41" + bytes(12) + SNAP + b"\x08\0" + IPV4),
    "SunATM, LAN emulation": (123, b"\1\0\0\x21" + SNAP + b"\x08\0" + IPV4),
    "ERF of something else": (197, erf(1, IPV4)),
    "CAN": (227, IPV4),
    "unknown link type": (65000, IPV4),
    "wrong version": (228, IPV6),
    "nothing": (1, b""),
}


@pytest.mark.parametrize(
    ("link_type", "frame"),
    WITHOUT_FLOW.values(),
    ids=WITHOUT_FLOW,
)
def test_no_flow(link_type: int, frame: bytes) -> None:
    decoded, _ = run(CORE, records(frame), link_type)
    assert decoded.packets["flow"].tolist() == [NO_FLOW]
    assert len(decoded.flows) == 0


def test_vlan_and_tunnel_are_those_of_the_outermost_tag() -> None:
    def flow(name: str) -> tuple[int, int]:
        link_type, frame = FRAMES[name]
        row = CORE.decode(records(frame), link_type).flows[0]
        return int(row["vlan"]), int(row["tunnel"])

    assert flow("Ethernet") == (0, Tunnel.NONE)
    assert flow("802.1ad and 802.1Q") == (5, Tunnel.NONE)
    assert flow("0x9100 around a priority tag") == (5, Tunnel.NONE)
    assert flow("MPLS pseudowire") == (0, Tunnel.MPLS)
    assert flow("PPPoE") == (0, Tunnel.PPPOE)
