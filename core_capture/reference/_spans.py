"""Byte ranges in which the byte that came first stays: for fragments of a datagram and segments of a stream."""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct

__all__ = ["Added", "Spans"]


class Added(Struct, frozen=True):
    """What adding a piece did."""

    new: int  # bytes that were not there
    differing: int  # bytes that were there, with other contents


class Spans:
    """Disjoint pieces of bytes, by position. Positions may be negative."""

    __slots__ = ("owners", "pieces", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []  # ascending
        self.pieces: list[bytes] = []
        self.owners: list[int] = []  # who brought a piece: a packet's index

    def clear(self) -> None:
        self.starts.clear()
        self.pieces.clear()
        self.owners.clear()

    def add(self, start: int, piece: bytes, owner: int = 0) -> Added:
        """Add what is new of a piece. Costs O(1) at the end, else O(pieces behind it)."""
        end = start + len(piece)
        if not piece:
            return Added(0, 0)
        if not self.starts or start >= self.starts[-1] + len(self.pieces[-1]):
            self._insert(len(self.starts), start, piece, owner)
            return Added(len(piece), 0)
        new = differing = 0
        at = start
        index = max(bisect_right(self.starts, start) - 1, 0)
        while at < end:
            if index == len(self.starts) or self.starts[index] >= end:  # nothing more in the way
                self._insert(index, at, piece[at - start :], owner)
                return Added(new + end - at, differing)
            here, there = self.starts[index], self.starts[index] + len(self.pieces[index])
            if at < here:
                self._insert(index, at, piece[at - start : here - start], owner)
                new += here - at
                at = here
                index += 1
            stop = min(end, there)
            if at < stop:
                ours, theirs = piece[at - start : stop - start], self.pieces[index][at - here : stop - here]
                if ours != theirs:
                    differing += sum(a != b for a, b in zip(ours, theirs, strict=True))
                at = stop
            index += 1
        return Added(new, differing)

    def _insert(self, index: int, start: int, piece: bytes, owner: int) -> None:
        self.starts.insert(index, start)
        self.pieces.insert(index, piece)
        self.owners.insert(index, owner)

    def byte(self, position: int) -> int | None:
        """Return the byte at a position, or None if it is missing."""
        index = bisect_right(self.starts, position) - 1
        if index < 0 or position >= self.starts[index] + len(self.pieces[index]):
            return None
        return self.pieces[index][position - self.starts[index]]

    def count_below(self, end: int) -> int:
        """Return how many bytes there are below a position."""
        return sum(min(len(piece), max(end - start, 0)) for start, piece in zip(self.starts, self.pieces, strict=True))

    def join(self, end: int) -> bytes:
        """Return the bytes from 0 to `end`, which must all be there."""
        return b"".join(self.pieces)[:end]
