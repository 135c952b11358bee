"""Records in, what each packet is out: walks every packet inwards and settles fragments (definitions 8 to 21)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.core_capture._columns import PacketBit
from kubeshark.core_capture._records import MAX_CAPTURED, RECORD_HEADER_BYTES
from kubeshark.core_capture.reference._fragments import Datagram, Datagrams
from kubeshark.core_capture.reference._link import (
    LINK_TYPES,
    cisco_hdlc,
    ethernet,
    llc,
    macsec,
    mpls,
    pbb,
    pktap,
    ppi,
    ppp,
    pppoe,
    type_behind,
    vlan,
)
from kubeshark.core_capture.reference._network import ip, ipv4, ipv6, transport
from kubeshark.core_capture.reference._tunnels import etherip, gre, nsh
from kubeshark.core_capture.reference._walk import Found, Layer, Walk

__all__ = ["DecodedPacket", "decode_packets", "record_offsets"]

LAYERS: dict[Layer, Callable[[Walk], Layer | None]] = {
    Layer.ETHERNET: ethernet,
    Layer.VLAN: vlan,
    Layer.LLC: llc,
    Layer.MPLS: mpls,
    Layer.PPPOE: pppoe,
    Layer.PPP: ppp,
    Layer.PBB: pbb,
    Layer.TAG_OF_4: type_behind(4),
    Layer.TAG_OF_6: type_behind(6),
    Layer.MACSEC: macsec,
    Layer.NSH: nsh,
    Layer.PPI: ppi,
    Layer.CISCO_HDLC: cisco_hdlc,
    Layer.PKTAP: pktap,
    Layer.IP: ip,
    Layer.IPV4: ipv4,
    Layer.IPV6: ipv6,
    Layer.TRANSPORT: transport,
    Layer.GRE: gre,
    Layer.ETHERIP: etherip,
}


class DecodedPacket(Struct, frozen=True):
    """One record and what is in it."""

    offset: int  # of the record's header
    time_ns: int
    found: Found | None


def record_offsets(data: bytes) -> Iterator[int]:
    """Yield where each whole record begins, then where the last one ends."""
    at = 0
    while at + RECORD_HEADER_BYTES <= len(data):
        captured = int.from_bytes(data[at + 8 : at + 12], "little")
        if captured > MAX_CAPTURED or at + RECORD_HEADER_BYTES + captured > len(data):
            break
        yield at
        at += RECORD_HEADER_BYTES + captured
    yield at


def decode_packets(data: bytes, offsets: list[int], link_type: int) -> list[DecodedPacket]:
    """Decode the records at these offsets."""
    datagrams = Datagrams()
    first = LINK_TYPES.get(link_type)
    walks = [_walk_record(data, offset, first, datagrams) for offset in offsets]
    waiting: dict[int, Datagram] = {}
    for index, walk in enumerate(walks):
        for datagram, outside in walk.completed:
            if walk.found is not outside:
                datagram.packet = index
        if walk.waits_for is not None:
            waiting[index] = walk.waits_for
    datagrams.give_up_all()
    heads = {id(datagram.head): datagram for datagram in datagrams.given_up if datagram.head is not None}
    for index, walk in enumerate(walks):
        if id(walk) in heads:
            outside = walk.found
            walk.is_head = True
            _go_on(walk, Layer.TRANSPORT)
            if walk.found is not outside:
                heads[id(walk)].packet = index
    speaker = _settle(waiting)
    packets = []
    for index, (offset, walk) in enumerate(zip(offsets, walks, strict=True)):
        found = walk.found
        if index in speaker and (whole := walks[speaker[index]].found) is not None:
            found = _as_fragment(whole)
        packets.append(DecodedPacket(offset, walk.time_ns, found))
    return packets


def _walk_record(data: bytes, offset: int, first: Callable[[Walk], Layer | None] | None, datagrams: Datagrams) -> Walk:
    seconds, nanoseconds, captured, original = (
        int.from_bytes(data[offset + at : offset + at + 4], "little") for at in (0, 4, 8, 12)
    )
    start = offset + RECORD_HEADER_BYTES
    wire_end = start + max(captured, min(original, MAX_CAPTURED))
    walk = Walk(data, offset, start + captured, wire_end, seconds * 10**9 + nanoseconds, datagrams)
    walk.at = start
    if first is not None:
        _go_on(walk, first(walk))
    return walk


def _go_on(walk: Walk, layer: Layer | None) -> None:
    """Walk inwards from a layer. It ends: only IP, TRANSPORT and framing that leads to a header leave `at` alone."""
    while layer is not None:
        layer = LAYERS[layer](walk)


def _settle(waiting: dict[int, Datagram]) -> dict[int, int]:
    """Return, for each packet that another one speaks for, which one: the packet that represents its datagram.

    That one may itself have waited for a datagram inside its own, and so on: a chain, as long as the sender likes. It
    ends: who completes a datagram comes after all who waited for it, and who represents an unfinished one stays.
    """
    speaker = {
        index: datagram.packet
        for index, datagram in waiting.items()
        if datagram.packet is not None and datagram.packet != index
    }
    for index in speaker:
        chain = []
        at = index
        while at in speaker:
            chain.append(at)
            at = speaker[at]
        for packet in chain:
            speaker[packet] = at
    return speaker


def _as_fragment(whole: Found) -> Found:
    """Return what a fragment is beside the packet that represents its datagram (definition 21)."""
    return replace(
        whole,
        transport_offset=0,
        payload_offset=0,
        payload_length=0,
        wire_length=0,
        sequence=0,
        flags=0,
        bits=PacketBit.FRAGMENT | whole.bits & PacketBit.TUNNELLED,
        carriers=tuple(_as_fragment(carrier) for carrier in whole.carriers),
        datagram=None,
    )
