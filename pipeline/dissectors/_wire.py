"""One side of a TCP stream as bytes with holes: the arithmetic of gaps, done once for all dissectors."""

from __future__ import annotations

from kubeshark.extension_api import StreamSide

__all__ = ["Wire"]


class Wire:
    """What one side sent, as `bytes` that outlive the stream, and where bytes are missing."""

    __slots__ = ("data", "gaps", "starts_midway")

    def __init__(self, side: StreamSide) -> None:
        self.data = bytes(side.data)
        self.gaps = tuple(side.gaps)
        self.starts_midway = side.starts_midway

    def after(self, start: int, count: int) -> int:
        """Return the offset `count` wire bytes after `start`; beyond the data if it ends earlier.

        A gap may stand for more bytes than it occupies (its zeros are capped): those count too.
        """
        at = start + count
        for gap_start, gap_end, missing in self.gaps:
            if gap_end <= start:
                continue
            if gap_start >= at:
                break
            surplus = missing - (gap_end - gap_start)
            if surplus:
                at = max(at - surplus, gap_end)
        return at

    def gap_in(self, start: int, end: int) -> tuple[int, int, int] | None:
        """Return the first gap that overlaps data[start:end]."""
        for gap in self.gaps:
            if gap[0] < end and gap[1] > start:
                return gap
        return None

    def captured(self, start: int, end: int) -> bytes:
        """Return data[start:end] without the zeros of gaps."""
        if not self.gaps:
            return self.data[start:end]
        pieces = []
        for gap_start, gap_end, _ in self.gaps:
            if gap_start < end and gap_end > start:
                pieces.append(self.data[start:gap_start])
                start = gap_end
        pieces.append(self.data[start:end])
        return b"".join(pieces)
