"""How a dissector passes bytes of a TCP stream on: the rest after an upgrade, or what an envelope held.

A dissector returns a `Handover` among its messages. Its sides look like any stream's, so that the next dissector knows
neither that something came before nor that the bytes were wrapped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from kubeshark.extension_api._models import Ending, StreamSide

__all__ = ["CarvedSide", "Handover", "Piece", "carved", "rest_of"]


class Piece(NamedTuple):
    """Bytes of a carved side from `start` on came from [origin, end) of the side it was carved out of.

    Where both are equally long, byte follows byte; a shorter or longer piece (decrypted, inflated) arrived as a whole,
    with its last byte.
    """

    start: int
    origin: int
    end: int


class CarvedSide:
    """A `StreamSide` whose bytes lie in another side. Made by `rest_of` and `carved`."""

    __slots__ = ("_starts", "base", "data", "gaps", "pieces", "starts_midway")

    def __init__(
        self,
        base: StreamSide,
        data: memoryview,
        pieces: Sequence[Piece],
        gaps: Sequence[tuple[int, int, int]],
        starts_midway: bool,
    ) -> None:
        self.base = base
        self.data = data
        self.pieces = pieces
        self.gaps = gaps
        self.starts_midway = starts_midway
        self._starts = [piece.start for piece in pieces]

    def origin(self, offset: int) -> int:
        """Return where the byte at `offset` lies in `base`; the nearest place for one outside the data."""
        if not self.pieces:
            return 0
        at = max(0, bisect_right(self._starts, offset) - 1)
        start, origin, end = self.pieces[at]
        if self.ends(at) - start != end - origin:
            return max(origin, end - 1)
        return min(max(origin, origin + offset - start), max(origin, end - 1))

    def ends(self, at: int) -> int:
        """Return where a piece ends, exclusive."""
        return self._starts[at + 1] if at + 1 < len(self._starts) else len(self.data)

    @property
    def ended(self) -> Ending:
        return self.base.ended

    def packet_at(self, offset: int) -> int:
        return self.base.packet_at(self.origin(offset))

    def time_at(self, offset: int) -> int:
        return self.base.time_at(self.origin(offset))


class Handover(Struct, frozen=True):
    """A stream inside a stream.

    `protocol` is the flag (`ProtocolSpec.flag`) of the protocol that must read it, "" if classifiers and probes are to
    find out. `is_decrypted`: the bytes were encrypted on the wire.
    """

    sides: tuple[StreamSide, StreamSide]
    protocol: str = ""
    is_decrypted: bool = False


def rest_of(side: StreamSide, at: int) -> CarvedSide:
    """Return what a side sent from offset `at` on."""
    at = min(max(at, 0), len(side.data))
    gaps = [(max(start - at, 0), end - at, missing) for start, end, missing in side.gaps if end > at]
    midway = side.starts_midway and at == 0
    return CarvedSide(side, side.data[at:], [Piece(0, at, len(side.data))], gaps, midway)


def carved(
    side: StreamSide,
    data: bytes | memoryview,
    pieces: Sequence[tuple[int, int, int]],
    gaps: Sequence[tuple[int, int, int]] = (),
    *,
    starts_midway: bool = False,
) -> CarvedSide:
    """Return a side of `data` that was taken out of `side`; pieces are (start, origin, end), ascending by start."""
    return CarvedSide(side, memoryview(data), [Piece(*piece) for piece in pieces], gaps, starts_midway)
