"""IPv4, IPv6 and its extension headers, and the layer-4 headers."""

from __future__ import annotations

from collections.abc import Callable

from kubeshark.core_capture._columns import PacketBit, Tunnel
from kubeshark.core_capture.reference._limits import MAX_COMPLETED, MAX_IP_DEPTH
from kubeshark.core_capture.reference._tunnels import TUNNEL_PORTS
from kubeshark.core_capture.reference._walk import Layer, Walk

__all__ = ["ip", "ipv4", "ipv6", "transport"]

TCP, UDP, SCTP, AH, FRAGMENT = 6, 17, 132, 51, 44
SKIPPED_BY_IPV6 = frozenset({0, 43, 60})  # hop-by-hop options, routing, destination options

INNER: dict[int, tuple[Layer, Tunnel]] = {
    4: (Layer.IPV4, Tunnel.IPIP),
    41: (Layer.IPV6, Tunnel.IPIP),
    47: (Layer.GRE, Tunnel.NONE),  # the GRE header tells GRE from ERSPAN
    97: (Layer.ETHERIP, Tunnel.ETHERIP),
    137: (Layer.MPLS, Tunnel.NONE),
}
"""What the transports that are tunnels hold."""


def ip(walk: Walk) -> Layer | None:
    if not walk.has(1):
        return None
    return {4: Layer.IPV4, 6: Layer.IPV6}.get(walk.u8(0) >> 4)


def ipv4(walk: Walk) -> Layer | None:
    """RFC 791. Total length 0 is what an offloading network card leaves: the packet reaches to its end."""
    if walk.ip_depth == MAX_IP_DEPTH or not walk.has(20):
        return None
    header, total = (walk.u8(0) & 15) * 4, walk.u16(2)
    if walk.u8(0) >> 4 != 4 or header < 20 or not walk.has(header) or 0 < total < header:
        return None
    if total:
        walk.believe(total)
    _begin(walk, 4, addresses_at=12, address_bytes=4)
    walk.protocol = walk.u8(9)
    identification, fragment = walk.u16(4), walk.u16(6)
    walk.at += header
    if fragment & 0x3FFF:
        return _fragment(walk, (identification, walk.protocol), (fragment & 0x1FFF) * 8, more=bool(fragment & 0x2000))
    return Layer.TRANSPORT


def ipv6(walk: Walk) -> Layer | None:
    """RFC 8200. Payload length 0 is a jumbogram or offloading: the packet reaches to its end."""
    if walk.ip_depth == MAX_IP_DEPTH or not walk.has(40) or walk.u8(0) >> 4 != 6:
        return None
    length = walk.u16(4)
    if length:
        walk.believe(40 + length)
    _begin(walk, 6, addresses_at=8, address_bytes=16)
    walk.protocol = walk.u8(6)
    walk.at += 40
    return Layer.TRANSPORT


def _begin(walk: Walk, version: int, addresses_at: int, address_bytes: int) -> None:
    start = walk.at + addresses_at
    walk.ip_depth += 1
    walk.version = version
    walk.source = walk.buffer[start : start + address_bytes]
    walk.destination = walk.buffer[start + address_bytes : start + 2 * address_bytes]


def transport(walk: Walk) -> Layer | None:
    """Skip one extension header, or find the packet's transport and look into it if it is a tunnel."""
    protocol = walk.protocol
    if reader := TRANSPORTS.get(protocol):
        return reader(walk)
    if protocol == AH or (walk.version == 6 and protocol in SKIPPED_BY_IPV6):
        return _skip(walk)
    if walk.version == 6 and protocol == FRAGMENT:
        return _fragment_header(walk)
    if not walk.find(0) or protocol not in INNER:
        return None
    layer, tunnel = INNER[protocol]
    walk.enter(tunnel)
    return layer


def _skip(walk: Walk) -> Layer | None:
    """Next header, then the length beyond 8 bytes in units of 8, or for AH (RFC 4302 §2.2) beyond 8 in units of 4."""
    if not walk.has(2):
        return None
    length = (walk.u8(1) + 2) * 4 if walk.protocol == AH else (walk.u8(1) + 1) * 8
    if not walk.has(length):
        return None
    walk.protocol = walk.u8(0)
    walk.at += length
    return Layer.TRANSPORT


def _fragment_header(walk: Walk) -> Layer | None:
    """RFC 8200 §4.5; one with offset 0 and no more to come is a whole packet (RFC 6946)."""
    if not walk.has(8):
        return None
    walk.protocol = walk.u8(0)
    fragment, identification = walk.u16(2), walk.u32(4)
    walk.at += 8
    if fragment & 0xFFF9:
        return _fragment(walk, (identification, 0), fragment & 0xFFF8, more=bool(fragment & 1))
    return Layer.TRANSPORT


def _fragment(walk: Walk, key: tuple[int, int], offset: int, *, more: bool) -> Layer | None:
    """Add a fragment to its datagram; go on inside the datagram if that made it whole."""
    walk.bits |= PacketBit.FRAGMENT
    if walk.is_head:
        return Layer.TRANSPORT if offset == 0 else None
    if len(walk.completed) == MAX_COMPLETED:
        return None
    datagram = walk.datagrams.add(walk, key, offset, more=more)
    if datagram.whole is None:
        walk.waits_for = datagram
        return None
    walk.completed.append((datagram, walk.found))
    walk.buffer = datagram.whole
    walk.base = walk.at = 0
    walk.end = walk.wire_end = len(datagram.whole)
    walk.bits |= PacketBit.ARENA
    walk.protocol = datagram.protocol
    return Layer.TRANSPORT


def tcp(walk: Walk) -> Layer | None:
    """RFC 9293 §3.1. A data offset below 5 leaves only the ports to believe in."""
    if not walk.has(20):
        return None
    ports = walk.u16(0), walk.u16(2)
    header = (walk.u8(12) >> 4) * 4
    if header < 20:
        _find_bogus(walk, 20, ports)
        return None
    if walk.at + header > walk.wire_end and not walk.is_head:
        walk.bits |= PacketBit.BAD_LENGTH
    walk.find(header, ports=ports, sequence=walk.u32(4), flags=walk.u8(13))
    return None


def udp(walk: Walk) -> Layer | None:
    """RFC 768; length 0 is a jumbogram's (RFC 2675 §4)."""
    if not walk.has(8):
        return None
    source, destination, length = walk.u16(0), walk.u16(2), walk.u16(4)
    if 0 < length < 8:
        _find_bogus(walk, 8, (source, destination))
        return None
    if length:
        walk.believe(length)
    opener = TUNNEL_PORTS.get(destination) or TUNNEL_PORTS.get(source)
    if not walk.find(8, ports=(source, destination)) or opener is None:
        return None
    carrier = walk.found
    walk.at += 8
    layer = opener(walk)
    if layer is not None and carrier is not None:
        walk.carriers = (*walk.carriers, carrier)
    return layer


def _find_bogus(walk: Walk, header_bytes: int, ports: tuple[int, int]) -> None:
    """Take only the ports from a header whose length is too small to be true."""
    walk.clip(header_bytes)
    walk.bits |= PacketBit.BAD_LENGTH
    walk.find(header_bytes, ports=ports)


def sctp(walk: Walk) -> Layer | None:
    """RFC 9260 §3.1: the payload is the chunks."""
    if walk.has(12):
        walk.find(12, ports=(walk.u16(0), walk.u16(2)))
    return None


TRANSPORTS: dict[int, Callable[[Walk], Layer | None]] = {TCP: tcp, UDP: udp, SCTP: sctp}
