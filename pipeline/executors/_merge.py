"""Joins streams of rows that are each in order into one; begins a stream only when its first row may be the next.

So whoever stops early never pays for what comes later. A spot between pieces says how far it has come: everything
before it has been yielded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from msgspec import Struct

from kubeshark.pipeline.entries._order import Order, Place, Spot
from kubeshark.pipeline.query._runs import RowPiece

__all__ = ["Unit", "merge"]

T = TypeVar("T")


class Unit(Struct, Generic[T], frozen=True):
    """A stream that has not begun: nothing in it comes before `bound`."""

    bound: Spot
    begin: Callable[[], Iterator[RowPiece[T]]]


class _Head(Generic[T]):
    """The rows of a stream that are next."""

    def __init__(self, stream: Iterator[RowPiece[T]]) -> None:
        self._stream = stream
        self.rows: RowPiece[T] = RowPiece((), (), "asc")

    def has_rows(self) -> bool:
        """Say whether there are more; wait for them."""
        while not len(self.rows):
            rows = next(self._stream, None)
            if rows is None:
                return False
            self.rows = rows
        return True

    def take(self, count: int) -> RowPiece[T]:
        taken, self.rows = self.rows.part(0, count), self.rows.part(count, len(self.rows))
        return taken


def merge(units: Sequence[Unit[T]], order: Order) -> Iterator[RowPiece[T] | Spot]:
    """Yield the rows of all units in order; `units` are sorted by their bounds."""
    heads: list[_Head[T]] = []
    for unit in units:
        yield from _until(unit.bound.place, heads, order)
        yield unit.bound
        heads.append(_Head(iter(unit.begin())))
    yield from _until(None, heads, order)


def _until(bound: Place | None, heads: list[_Head[T]], order: Order) -> Iterator[RowPiece[T]]:
    """Yield what comes before `bound`; None: everything. Streams that have ended leave `heads`."""
    furthest = min if order == "asc" else max
    while True:
        heads[:] = [head for head in heads if head.has_rows()]
        if not heads:
            return
        limit = furthest(head.rows.places[-1] for head in heads)  # up to there every stream's rows are here
        is_last = bound is not None and furthest(bound, limit) == bound
        stop = bound if is_last and bound is not None else limit
        counts = [_count(head.rows.places, stop, order, with_stop=not is_last) for head in heads]
        taken = [head.take(count) for head, count in zip(heads, counts, strict=True) if count]
        if taken:
            yield _joined(taken, order)
        if is_last:
            return


def _count(places: Sequence[Place], stop: Place, order: Order, *, with_stop: bool) -> int:
    """Return how many of the places come before `stop`, or are there."""
    if order == "asc":
        return (bisect_right if with_stop else bisect_left)(places, stop)
    return len(places) - (bisect_left if with_stop else bisect_right)(places[::-1], stop)


def _joined(pieces: Sequence[RowPiece[T]], order: Order) -> RowPiece[T]:
    if len(pieces) == 1:
        return pieces[0]
    rows = [row for piece in pieces for row in zip(piece.places, piece.values, strict=True)]
    rows.sort(key=itemgetter(0), reverse=order == "desc")
    return RowPiece([place for place, _ in rows], [value for _, value in rows], order)
