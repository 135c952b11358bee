"""Tunnels: GRE and its relatives, EtherIP, and those over UDP.

A port proves nothing, so each tunnel over UDP checks its header and returns None if it is not sane; then, or if nothing
readable is inside, the packet is an ordinary UDP packet.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeshark.core_capture._columns import Tunnel
from kubeshark.core_capture.reference._link import ETHERTYPES, frame_relay
from kubeshark.core_capture.reference._walk import Layer, Walk

__all__ = ["TUNNEL_PORTS", "etherip", "gre", "nsh"]

CHECKSUM, ROUTING, KEY, SEQUENCE, ACKNOWLEDGE = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080  # GRE flags

BRIDGED_ETHERNET = 0x6558
PPP = 0x880B
ERSPAN_II = 0x88BE
ERSPAN_III = 0x22EB
EOIP = 0x6400
FRAME_RELAY = 0x6559
WCCP = 0x883E


def gre(walk: Walk) -> Layer | None:
    """RFC 2784 and 2890; version 1 is PPTP's (RFC 2637 §4.1). Source routes (RFC 1701) are not followed."""
    if not walk.has(4):
        return None
    flags, kind = walk.u16(0), walk.u16(2)
    version = flags & 7
    if version > 1 or flags & ROUTING:
        return None
    optional = CHECKSUM | KEY | SEQUENCE if version == 0 else KEY | SEQUENCE | ACKNOWLEDGE
    header = 4 + 4 * (flags & optional).bit_count()
    if not walk.has(header):
        return None
    if flags == KEY | 1 and kind == EOIP:
        return _eoip(walk)
    walk.at += header
    if version == 1:
        walk.enter(Tunnel.GRE)
        return Layer.PPP if kind == PPP and flags & SEQUENCE else None
    if kind == ERSPAN_II:
        return _erspan_ii(walk) if flags & SEQUENCE else _erspan_i(walk)
    if kind == ERSPAN_III:
        return _erspan_iii(walk)
    walk.enter(Tunnel.GRE)
    if kind == FRAME_RELAY:
        return frame_relay(walk)
    if kind == WCCP:
        return _wccp(walk)
    return {BRIDGED_ETHERNET: Layer.ETHERNET, PPP: Layer.PPP}.get(kind) or ETHERTYPES.get(kind)


def _eoip(walk: Walk) -> Layer | None:
    """MikroTik's Ethernet over IP: in place of a key, the frame's length and the tunnel."""
    length = walk.u16(4)
    walk.at += 8
    walk.clip(length)
    walk.enter(Tunnel.GRE)
    return Layer.ETHERNET


def _wccp(walk: Walk) -> Layer | None:
    """Version 2 puts four bytes before the packet (draft-mclaggan-wccp-v2rev1 §4.12.2)."""
    if walk.has(1) and walk.u8(0) >> 4 != 4:
        walk.at += 4
    return Layer.IPV4


def nsh(walk: Walk) -> Layer | None:
    """RFC 8300 §2.2: base header, as many words as it says, then what its last byte names."""
    if not walk.has(8) or walk.u8(0) >> 6:
        return None
    header, inside = (walk.u16(0) & 63) * 4, walk.u8(3)
    if header < 8 or not walk.has(header):
        return None
    walk.at += header
    return {1: Layer.IPV4, 2: Layer.IPV6, 3: Layer.ETHERNET, 4: Layer.NSH, 5: Layer.MPLS}.get(inside)


def _erspan_i(walk: Walk) -> Layer | None:
    """Without a sequence number there is no ERSPAN header (draft-foschiano-erspan §4)."""
    walk.enter(Tunnel.ERSPAN)
    return Layer.ETHERNET


def _erspan_ii(walk: Walk) -> Layer | None:
    if not walk.has(8) or walk.u8(0) >> 4 != 1:
        return None
    walk.at += 8
    walk.enter(Tunnel.ERSPAN)
    return Layer.ETHERNET


def _erspan_iii(walk: Walk) -> Layer | None:
    if not walk.has(12) or walk.u8(0) >> 4 != 2:
        return None
    last = walk.u16(10)
    walk.at += 12 + (8 if last & 1 else 0)  # bit O: a platform's own subheader
    walk.enter(Tunnel.ERSPAN)
    return {0: Layer.ETHERNET, 2: Layer.IP}.get(last >> 10 & 31)


def etherip(walk: Walk) -> Layer | None:
    """RFC 3378: version 3 and twelve zero bits."""
    if not walk.has(2) or walk.u16(0) != 0x3000:
        return None
    walk.at += 2
    return Layer.ETHERNET


def vxlan(walk: Walk) -> Layer | None:
    """RFC 7348 §5: flag I set, last byte reserved. Other flags are the group policy extension's."""
    if not walk.has(8) or not walk.u8(0) & 8 or walk.u8(7):
        return None
    walk.at += 8
    walk.enter(Tunnel.VXLAN)
    return Layer.ETHERNET


def vxlan_gpe(walk: Walk) -> Layer | None:
    """draft-ietf-nvo3-vxlan-gpe §3: flag P says that the fourth byte names what is inside."""
    if not walk.has(8) or not walk.u8(0) & 8 or walk.u8(7):
        return None
    inside = walk.u8(3) if walk.u8(0) & 4 else 3
    walk.at += 8
    walk.enter(Tunnel.VXLAN)
    return {1: Layer.IPV4, 2: Layer.IPV6, 3: Layer.ETHERNET, 4: Layer.NSH, 5: Layer.MPLS}.get(inside)


def geneve(walk: Walk) -> Layer | None:
    """RFC 8926 §3.4."""
    if not walk.has(8) or walk.u8(0) >> 6 or walk.u8(7):
        return None
    header, kind = 8 + (walk.u8(0) & 63) * 4, walk.u16(2)
    if not walk.has(header):
        return None
    walk.at += header
    walk.enter(Tunnel.GENEVE)
    return Layer.ETHERNET if kind == BRIDGED_ETHERNET else ETHERTYPES.get(kind)


def teredo(walk: Walk) -> Layer | None:
    """RFC 4380 §5.1.1: authentication and origin may come before the IPv6 packet."""
    if walk.has(4) and walk.u16(0) == 1:
        walk.at += 13 + walk.u8(2) + walk.u8(3)
    if walk.has(8) and walk.u16(0) == 0:
        walk.at += 8
    if not _starts_ip(walk) or walk.u8(0) >> 4 != 6:
        return None
    walk.enter(Tunnel.TEREDO)
    return Layer.IPV6


def _starts_ip(walk: Walk) -> bool:
    """Say whether an IP packet is here that fits into what is left."""
    left = walk.wire_end - walk.at
    if not walk.has(20):
        return False
    if walk.u8(0) >> 4 == 4:
        return walk.u8(0) & 15 >= 5 and 20 <= walk.u16(2) <= left
    return walk.u8(0) >> 4 == 6 and walk.has(40) and 40 + walk.u16(4) <= left


def lisp(walk: Walk) -> Layer | None:
    """RFC 6830 §5.3: eight bytes before each packet."""
    return _lisp(walk, 8)


def lisp_control(walk: Walk) -> Layer | None:
    """RFC 6830 §6.1.8: messages of type 8 hold another packet."""
    return _lisp(walk, 4) if walk.has(1) and walk.u8(0) >> 4 == 8 else None


def _lisp(walk: Walk, header: int) -> Layer | None:
    if not walk.has(8):
        return None
    walk.at += header
    if not _starts_ip(walk):
        return None
    walk.enter(Tunnel.LISP)
    return Layer.IP


def gtp(walk: Walk) -> Layer | None:
    """3GPP TS 29.281 §5: version 1, protocol type 1, message 255 (G-PDU); what users send is IP."""
    if not walk.has(8) or walk.u8(0) >> 4 != 3 or walk.u8(1) != 255:
        return None
    flags, length = walk.u8(0), walk.u16(2)
    walk.clip(8 + length)
    walk.at += 8
    if flags & 7:
        if not walk.has(4):
            return None
        extension = walk.u8(3)
        walk.at += 4
        while extension:
            if not walk.has(1) or not walk.u8(0) or not walk.has(walk.u8(0) * 4):
                return None
            length = walk.u8(0) * 4
            extension = walk.u8(length - 1)
            walk.at += length
    walk.enter(Tunnel.GTP)
    return Layer.IP


def l2tp(walk: Walk) -> Layer | None:
    """RFC 2661 §3.1: a data message of version 2."""
    if not walk.has(6) or walk.u16(0) & 0x800F != 2:
        return None
    flags = walk.u16(0)
    header = 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200:  # an offset field, and as many bytes of padding
        if not walk.has(header + 2):
            return None
        header += 2 + walk.u16(header)
    walk.at += header
    walk.enter(Tunnel.L2TP)
    return Layer.PPP


TUNNEL_PORTS: dict[int, Callable[[Walk], Layer | None]] = {
    1701: l2tp,
    2152: gtp,
    3544: teredo,
    4341: lisp,
    4342: lisp_control,
    4789: vxlan,
    4790: vxlan_gpe,
    6081: geneve,
    8472: vxlan,
}
