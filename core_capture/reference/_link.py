"""Link layers: from the record's first byte to the IP header.

Numbers are those of https://www.tcpdump.org/linktypes.html, EtherTypes those of IEEE 802 and IANA.
"""

from __future__ import annotations

from collections.abc import Callable

from kubeshark.core_capture._columns import Tunnel
from kubeshark.core_capture.reference._media import erf, fddi, prism, radiotap, sunatm, token_ring, wireless
from kubeshark.core_capture.reference._walk import Layer, Walk

__all__ = [
    "ETHERTYPES",
    "LINK_TYPES",
    "cisco_hdlc",
    "ethernet",
    "frame_relay",
    "llc",
    "macsec",
    "mpls",
    "pbb",
    "pktap",
    "ppi",
    "ppp",
    "pppoe",
    "type_behind",
    "vlan",
]

ETHERTYPES = {
    0x0800: Layer.IPV4,
    0x86DD: Layer.IPV6,
    0x8100: Layer.VLAN,
    0x88A8: Layer.VLAN,
    0x9100: Layer.VLAN,
    0x8926: Layer.TAG_OF_4,  # Cisco's VN-Tag
    0x892F: Layer.TAG_OF_4,  # IEC 62439-3, HSR
    0xF1C1: Layer.TAG_OF_4,  # IEEE 802.1CB, R-Tag
    0x8909: Layer.TAG_OF_6,  # Cisco's metadata: a security group
    0x893F: Layer.TAG_OF_6,  # IEEE 802.1BR, E-Tag
    0x88E5: Layer.MACSEC,
    0x894F: Layer.NSH,
    0x8847: Layer.MPLS,
    0x8848: Layer.MPLS,
    0x8864: Layer.PPPOE,
    0x88E7: Layer.PBB,
}
SMALLEST_ETHERTYPE = 0x600
LARGEST_8023_LENGTH = 1500

PPP_PROTOCOLS = {0x0021: Layer.IPV4, 0x0057: Layer.IPV6, 0x0281: Layer.MPLS, 0x0283: Layer.MPLS}

CISCO_HDLC_STARTS = (0x0F00, 0x8F00)  # unicast, broadcast

IPV4_FAMILIES = frozenset({2})
IPV6_FAMILIES = frozenset({10, 23, 24, 26, 28, 30})  # Linux, Windows, NetBSD, Solaris, FreeBSD, macOS


def type_or_length(walk: Walk, kind: int) -> Layer | None:
    """Go on at `at` after a field that is an EtherType or, up to 1,500, the length of an 802.3 frame."""
    if kind > LARGEST_8023_LENGTH:
        return ETHERTYPES.get(kind)
    walk.clip(kind)
    return Layer.LLC


def type_behind(offset: int) -> Callable[[Walk], Layer | None]:
    """Return a layer with its EtherType `offset` bytes from here, behind addresses and tags that say nothing to us."""

    def layer(walk: Walk) -> Layer | None:
        if not walk.has(offset + 2):
            return None
        kind = walk.u16(offset)
        walk.at += offset + 2
        return type_or_length(walk, kind)

    return layer


ethernet = type_behind(12)


def vlan(walk: Walk) -> Layer | None:
    if not walk.has(4):
        return None
    walk.vlan = walk.vlan or walk.u16(0) & 0xFFF
    return type_behind(2)(walk)


def macsec(walk: Walk) -> Layer | None:
    """IEEE 802.1AE: what is authenticated alone can be read, before the 16 bytes of its check."""
    if not walk.has(6):
        return None
    control, shorter = walk.u8(0), walk.u8(1) & 0x3F
    if control & 0x8C:  # another version, encrypted, or changed
        return None
    walk.at += 14 if control & 0x20 else 6
    left = walk.wire_end - walk.at - 16
    if left < 0:
        return None
    walk.clip(min(shorter or left, left))
    return type_behind(0)(walk)


def pbb(walk: Walk) -> Layer | None:
    """IEEE 802.1ah: a service tag before the customer's frame."""
    walk.at += 4
    return Layer.ETHERNET


def llc(walk: Walk) -> Layer | None:
    """IEEE 802.2, with or without SNAP (RFC 1042)."""
    if not walk.has(3):
        return None
    head = walk.u16(0), walk.u8(2)
    walk.at += 3
    if head == (0x0606, 3):
        return Layer.IPV4
    return snap(walk) if head == (0xAAAA, 3) else None


def snap(walk: Walk) -> Layer | None:
    """The organisation's code must be Ethernet's (0), or Apple's or Cisco's bridge (0x0000F8) that means the same."""
    if not walk.has(5):
        return None
    organisation, kind = walk.u32(0) >> 8, walk.u16(3)
    walk.at += 5
    return ETHERTYPES.get(kind) if organisation in (0, 0xF8) else None


def mpls(walk: Walk) -> Layer | None:
    """Pop the label stack (RFC 3032). What is inside must be guessed: IP, or a pseudowire's Ethernet (RFC 4448)."""
    bottom = False
    while not bottom:
        if not walk.has(4):
            return None
        bottom = bool(walk.u8(2) & 1)
        walk.at += 4
    walk.enter(Tunnel.MPLS)
    if not walk.has(1):
        return None
    nibble, left = walk.u8(0) >> 4, walk.wire_end - walk.at
    if nibble == 4 and walk.has(20) and 20 <= (walk.u8(0) & 15) * 4 <= walk.u16(2) <= left:
        return Layer.IPV4
    if nibble == 6 and walk.has(40) and 40 + walk.u16(4) <= left:
        return Layer.IPV6
    for control_word in (4, 0) if nibble == 0 else (0,):
        if walk.has(control_word + 14) and walk.u16(control_word + 12) in ETHERTYPES:
            walk.at += control_word
            return Layer.ETHERNET
    return None


def pppoe(walk: Walk) -> Layer | None:
    """RFC 2516 §4: version 1, type 1, code 0 (session)."""
    if not walk.has(6) or walk.u16(0) != 0x1100:
        return None
    length = walk.u16(4)
    walk.at += 6
    walk.clip(length)
    walk.enter(Tunnel.PPPOE)
    return Layer.PPP


def ppp(walk: Walk) -> Layer | None:
    """RFC 1661 §2, address and control (RFC 1662 §3.1) and the protocol's first byte optional; or Cisco's framing."""
    if not walk.has(2):
        return None
    if walk.u16(0) in CISCO_HDLC_STARTS:
        return Layer.CISCO_HDLC
    if walk.u16(0) == 0xFF03:
        walk.at += 2
    if walk.has(1) and walk.u8(0) & 1:
        protocol = walk.u8(0)
        walk.at += 1
    elif walk.has(2):
        protocol = walk.u16(0)
        walk.at += 2
    else:
        return None
    return PPP_PROTOCOLS.get(protocol)


def cisco_hdlc(walk: Walk) -> Layer | None:
    if not walk.has(4):
        return None
    kind = walk.u16(2)
    walk.at += 4
    return ETHERTYPES.get(kind)


def linux_sll(walk: Walk) -> Layer | None:
    if not walk.has(16):
        return None
    return _cooked(walk, header_bytes=16, kind=walk.u16(14), hardware=walk.u16(2))


def linux_sll2(walk: Walk) -> Layer | None:
    if not walk.has(20):
        return None
    return _cooked(walk, header_bytes=20, kind=walk.u16(0), hardware=walk.u16(8))


def _cooked(walk: Walk, header_bytes: int, kind: int, hardware: int) -> Layer | None:
    walk.at += header_bytes
    if hardware == 824:  # ARPHRD_NETLINK: the kind is a netlink family
        return None
    return Layer.LLC if kind == 4 else ETHERTYPES.get(kind)


def null(walk: Walk) -> Layer | None:
    """An address family in the byte order of the machine that captured; some exporters put Cisco's framing there."""
    if not walk.has(4):
        return None
    if walk.u16(0) in CISCO_HDLC_STARTS:
        return Layer.CISCO_HDLC
    return _family(walk, 4, _either_order(walk.u32(0)))


def loop(walk: Walk) -> Layer | None:
    return _family(walk, 4, walk.u32(0)) if walk.has(4) else None


def ipnet(walk: Walk) -> Layer | None:
    """Solaris: a 24-byte header with the family in its second byte."""
    return _family(walk, 24, walk.u8(1)) if walk.has(24) else None


def _family(walk: Walk, header_bytes: int, family: int) -> Layer | None:
    walk.at += header_bytes
    if family in IPV4_FAMILIES:
        return Layer.IPV4
    return Layer.IPV6 if family in IPV6_FAMILIES else None


def frame_relay(walk: Walk) -> Layer | None:
    """Q.922 address, then RFC 2427 (control 3, padding, NLPID) or Cisco's framing (an EtherType)."""
    for _ in range(4):
        if not walk.has(1):
            return None
        last = walk.u8(0) & 1
        walk.at += 1
        if last:
            break
    else:
        return None
    if not walk.has(2):
        return None
    if walk.u8(0) != 3:
        kind = walk.u16(0)
        walk.at += 2
        return ETHERTYPES.get(kind)
    walk.at += 1
    if walk.u8(0) == 0:
        walk.at += 1
    if not walk.has(1):
        return None
    protocol = walk.u8(0)
    walk.at += 1
    if protocol == 0x80:
        return snap(walk)
    return {0xCC: Layer.IPV4, 0x8E: Layer.IPV6}.get(protocol)


def arcnet_linux(walk: Walk) -> Layer | None:
    """Source, destination, two bytes of offset, protocol: 240 is RFC 1051's IP, 212 RFC 1201's (unsplit only)."""
    if not walk.has(6):
        return None
    protocol, split = walk.u8(4), walk.u8(5)
    if protocol == 240:
        walk.at += 5
        return Layer.IPV4
    walk.at += 8
    return Layer.IPV4 if protocol == 212 and split == 0 else None


def nflog(walk: Walk) -> Layer | None:
    """Little-endian TLVs after a 4-byte header; attribute 9 is the packet."""
    walk.at += 4
    while walk.has(4):
        length = int.from_bytes(walk.buffer[walk.at : walk.at + 2], "little")
        kind = int.from_bytes(walk.buffer[walk.at + 2 : walk.at + 4], "little") & 0x7FFF
        if length < 4:
            return None
        if kind == 9:
            walk.clip(length)
            walk.at += 4
            return Layer.IP
        walk.at += (length + 3) & ~3
    return None


def pktap(walk: Walk) -> Layer | None:
    """Apple's header, in little-endian words: its length, record type (1 is a packet), and the packet's link type."""
    if not walk.has(12):
        return None
    length, kind, link_type = (
        int.from_bytes(walk.buffer[walk.at + offset : walk.at + offset + 4], "little") for offset in (0, 4, 8)
    )
    if length < 12 or kind != 1 or link_type not in LINK_TYPES:
        return None
    walk.at += length
    return LINK_TYPES[link_type](walk)


def ppi(walk: Walk) -> Layer | None:
    """Per-packet information: its little-endian length, and the packet's link type."""
    if not walk.has(8):
        return None
    length = int.from_bytes(walk.buffer[walk.at + 2 : walk.at + 4], "little")
    link_type = int.from_bytes(walk.buffer[walk.at + 4 : walk.at + 8], "little")
    if length < 8 or link_type not in LINK_TYPES:
        return None
    walk.at += length
    return LINK_TYPES[link_type](walk)


def pflog(walk: Walk) -> Layer | None:
    """The filter of OpenBSD and its relatives: a header that tells its length, up to a whole word, and the family."""
    return _family(walk, (walk.u8(0) + 3) & ~3, walk.u8(1)) if walk.has(2) else None


def enc(walk: Walk) -> Layer | None:
    """OpenBSD's IPsec: the family as the machine writes it, an index and flags."""
    return _family(walk, 12, _either_order(walk.u32(0))) if walk.has(12) else None


def _either_order(family: int) -> int:
    """Return an address family that was written in the byte order of the machine that captured."""
    return family if family < 0x10000 else int.from_bytes(family.to_bytes(4, "little"), "big")


def with_direction(layer: Callable[[Walk], Layer | None]) -> Callable[[Walk], Layer | None]:
    """Return a layer behind a byte that says who sent it."""

    def behind(walk: Walk) -> Layer | None:
        walk.at += 1
        return layer(walk)

    return behind


def brcm_prepend(walk: Walk) -> Layer | None:
    walk.at += 4
    return Layer.ETHERNET


def raw(_: Walk) -> Layer | None:
    return Layer.IP


LINK_TYPES: dict[int, Callable[[Walk], Layer | None]] = {
    0: null,
    1: ethernet,
    6: token_ring,
    8: raw,
    9: ppp,
    10: fddi,
    11: lambda _: Layer.LLC,  # ATM
    12: raw,
    14: raw,
    50: ppp,
    51: pppoe,
    101: raw,
    104: cisco_hdlc,
    105: wireless,
    107: frame_relay,
    108: loop,
    109: enc,
    113: linux_sll,
    117: pflog,
    119: prism,
    123: sunatm,
    127: radiotap,
    129: arcnet_linux,
    163: prism,
    192: lambda _: Layer.PPI,
    197: erf,
    204: with_direction(ppp),
    205: with_direction(cisco_hdlc),
    206: with_direction(frame_relay),
    226: ipnet,
    228: lambda _: Layer.IPV4,
    229: lambda _: Layer.IPV6,
    239: nflog,
    258: lambda _: Layer.PKTAP,
    276: linux_sll2,
    281: type_behind(16),  # Broadcom's tag, behind the addresses
    282: brcm_prepend,
    284: type_behind(16),  # Marvell's
    285: type_behind(20),  # Marvell's, with an EtherType
}
