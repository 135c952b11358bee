"""One side of a TCP stream as bytes with holes: the arithmetic of gaps, done once for all dissectors."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from kubeshark.extension_api import StreamSide

__all__ = ["Wire"]


class Wire:
    """What one side sent, as `bytes` that outlive the stream, and where bytes are missing."""

    __slots__ = ("_gap_ends", "data", "gaps", "starts_midway")

    def __init__(self, side: StreamSide) -> None:
        self.data = bytes(side.data)
        self.gaps = tuple(side.gaps)
        self._gap_ends = [end for _, end, _ in self.gaps]
        self.starts_midway = side.starts_midway

    def after(self, start: int, count: int) -> int:
        """Return the offset `count` wire bytes after `start`; beyond the data if it ends earlier.

        A gap may stand for more bytes than it occupies (its zeros are capped): those count too.
        """
        at = start + count
        if not self.gaps:
            return at
        for gap_start, gap_end, missing in self._gaps_behind(start):
            if gap_start >= at:
                break
            surplus = missing - (gap_end - gap_start)
            if surplus:
                at = max(at - surplus, gap_end)
        return at

    def gap_in(self, start: int, end: int) -> tuple[int, int, int] | None:
        """Return the first gap that overlaps data[start:end]."""
        gap = next(self._gaps_behind(start), None) if self.gaps else None
        return gap if gap and gap[0] < end else None

    def captured(self, start: int, end: int) -> bytes:
        """Return data[start:end] without the zeros of gaps."""
        if not self.gaps:
            return self.data[start:end]
        pieces = []
        for gap_start, gap_end, _ in self._gaps_behind(start):
            if gap_start >= end:
                break
            pieces.append(self.data[start:gap_start])
            start = gap_end
        pieces.append(self.data[start:end])
        return b"".join(pieces)

    def _gaps_behind(self, start: int) -> Iterator[tuple[int, int, int]]:
        """Return the gaps that end behind `start`; a lossy capture has thousands."""
        return map(self.gaps.__getitem__, range(bisect_right(self._gap_ends, start), len(self.gaps)))
