"""Link layers of other media than Ethernet's: to the LLC or the frame inside.

Numbers and headers are those of https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

from kubeshark.core_capture.reference._walk import Layer, Walk

__all__ = ["erf", "fddi", "prism", "radiotap", "sunatm", "token_ring", "wireless"]

AVS_MAGIC = 0x80211000  # its last four bits are the version
PRISM_BYTES = 144
ERF_LAYERS = {2: Layer.ETHERNET, 11: Layer.ETHERNET, 16: Layer.ETHERNET, 22: Layer.IPV4, 23: Layer.IPV6}


def wireless(walk: Walk) -> Layer | None:
    """IEEE 802.11 data frames that are neither protected nor aggregates: their LLC."""
    if not walk.has(24):
        return None
    control, flags = walk.u8(0), walk.u8(1)
    subtype = control >> 4
    if control & 0x0F != 0x08 or subtype & 4 or flags & 0x40:  # not version 0 data, no data, protected
        return None
    header = 24 + (6 if flags & 3 == 3 else 0)
    if subtype & 8:
        if not walk.has(header + 2) or walk.u8(header) & 0x80:  # an A-MSDU
            return None
        header += 2 + (4 if flags & 0x80 else 0)
    walk.at += header
    return Layer.LLC


def radiotap(walk: Walk) -> Layer | None:
    """A header of little-endian length (https://www.radiotap.org), then the frame."""
    if not walk.has(8):
        return None
    length = int.from_bytes(walk.buffer[walk.at + 2 : walk.at + 4], "little")
    if length < 8:
        return None
    walk.at += length
    return wireless(walk)


def prism(walk: Walk) -> Layer | None:
    """A header of AVS, which tells its length, or of 144 bytes of Prism."""
    if not walk.has(8):
        return None
    length = walk.u32(4) if walk.u32(0) & ~15 == AVS_MAGIC else PRISM_BYTES
    if length < 8:
        return None
    walk.at += length
    return wireless(walk)


def token_ring(walk: Walk) -> Layer | None:
    """IEEE 802.5: access and frame control, two addresses, a source route if the source says so."""
    if not walk.has(14) or walk.u8(1) >> 6 != 1:
        return None
    route = 0
    if walk.u8(8) & 0x80:
        route = walk.u8(14) & 0x1F if walk.has(15) else 0
        if route < 2:
            return None
    walk.at += 14 + route
    return Layer.LLC


def fddi(walk: Walk) -> Layer | None:
    """ANSI X3.139: frame control (asynchronous LLC), two addresses."""
    if not walk.has(13) or walk.u8(0) & 0x70 != 0x50:
        return None
    walk.at += 13
    return Layer.LLC


def sunatm(walk: Walk) -> Layer | None:
    """Traffic type, path, channel."""
    if not walk.has(4) or walk.u8(0) & 15 != 2:
        return None
    walk.at += 4
    return Layer.LLC


def erf(walk: Walk) -> Layer | None:
    """Endace's record: extension headers of 8 bytes, each telling whether another one follows, then by type."""
    if not walk.has(16):
        return None
    kind, more = walk.u8(8) & 0x7F, walk.u8(8) & 0x80
    walk.at += 16
    while more:
        if not walk.has(8):
            return None
        more = walk.u8(0) & 0x80
        walk.at += 8
    layer = ERF_LAYERS.get(kind)
    if layer is Layer.ETHERNET:
        walk.at += 2  # offset and padding
    return layer
