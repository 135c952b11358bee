"""Joins streams that are each in order into one, and begins a stream only when its first element may be the next one.

So whoever stops early never pays for what comes later. A spot in a stream, or between streams, says how far it has
come: everything before it has been yielded.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from kubeshark.pipeline._order import Spot
from kubeshark.pipeline._runs import Piece

__all__ = ["Unit", "merge"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """A stream that has not begun: nothing in it comes before `bound`."""

    bound: Spot
    begin: Callable[[], Iterator[Piece[T] | Spot]]


_Head = tuple[Spot, int, Piece[T] | Spot, Iterator[Piece[T] | Spot]]


def merge(units: Sequence[Unit[T]]) -> Iterator[Piece[T] | Spot]:
    """Yield pieces and spots of all units in order; `units` are sorted by their bounds."""
    heads: list[_Head[T]] = []
    for number, unit in enumerate(units):
        yield from _until(unit.bound, heads)
        yield unit.bound
        _advance(heads, number, iter(unit.begin()))
    yield from _until(None, heads)


def _until(bound: Spot | None, heads: list[_Head[T]]) -> Iterator[Piece[T] | Spot]:
    """Yield what comes before `bound`; None: everything."""
    while heads and (bound is None or heads[0][0] < bound):
        spot, number, element, stream = heapq.heappop(heads)
        if isinstance(element, Spot):
            yield spot
            _advance(heads, number, stream)
            continue
        stop = _count_before(element, _earliest(bound, heads))
        yield element.part(0, stop)
        if stop < len(element):
            heapq.heappush(heads, (element.spot(stop), number, element.part(stop, len(element)), stream))
        else:
            _advance(heads, number, stream)


def _earliest(bound: Spot | None, heads: list[_Head[T]]) -> Spot | None:
    if not heads or (bound is not None and bound < heads[0][0]):
        return bound
    return heads[0][0]


def _count_before(piece: Piece[T], limit: Spot | None) -> int:
    """Return how many elements come before the limit; at least the first, whose turn it is."""
    low, high = 1, len(piece)
    if limit is None or piece.spot(high - 1) < limit:
        return high
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if piece.spot(middle) < limit else (low, middle)
    return low


def _advance(heads: list[_Head[T]], number: int, stream: Iterator[Piece[T] | Spot]) -> None:
    for element in stream:
        if isinstance(element, Spot) or len(element):
            spot = element if isinstance(element, Spot) else element.spot(0)
            heapq.heappush(heads, (spot, number, element, stream))
            return
