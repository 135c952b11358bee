"""A side made of pieces of another one: what an envelope held, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable

from kubeshark.extension_api import CarvedSide, StreamSide, carved
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["carve"]


def carve(side: StreamSide, wire: Wire, pieces: Iterable[tuple[int, int, bytes]]) -> CarvedSide:
    """Return the side that `pieces` make: (start, end, what these bytes of the wire stand for), equally long."""
    data, places, gaps = bytearray(), list[tuple[int, int, int]](), list[tuple[int, int, int]]()
    for start, end, piece in pieces:
        places.append((len(data), start, end))
        shift, at = len(data) - start, start
        while gap := wire.gap_in(at, end):
            at = gap[1]
            gaps.append((max(gap[0], start) + shift, min(gap[1], end) + shift, gap[2]))
        data += piece
    return carved(side, bytes(data), places, gaps)
