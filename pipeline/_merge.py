"""Joins streams that are each in order into one, and begins a stream only when its first element may be the next one.

So whoever stops early never pays for what comes later. Between streams the merged one says how far it has come: at a
MARK everything before that spot has been handed out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from kubeshark.pipeline._order import Spot

__all__ = ["MARK", "Mark", "Unit", "merge"]

T = TypeVar("T")


class Mark(Enum):
    MARK = 0


MARK: Final = Mark.MARK


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """A stream that has not begun: nothing in it comes before `bound`. It may hold marks of its own."""

    bound: Spot
    begin: Callable[[], Iterator[tuple[Spot, T | Mark]]]


def merge(units: Sequence[Unit[T]]) -> Iterator[tuple[Spot, T | Mark]]:
    """Yield (spot, element) of all units in order; `units` are sorted by their bounds."""
    heads: list[_Head[T]] = []
    for number, unit in enumerate(units):
        yield from _until(unit.bound, heads)
        yield unit.bound, MARK
        _advance(heads, number, iter(unit.begin()))
    yield from _until(None, heads)


_Head = tuple[Spot, int, T | Mark, Iterator[tuple[Spot, T | Mark]]]


def _until(bound: Spot | None, heads: list[_Head[T]]) -> Iterator[tuple[Spot, T | Mark]]:
    """Yield what comes before `bound`; None: everything."""
    while heads and (bound is None or heads[0][0] < bound):
        spot, number, element, stream = heapq.heappop(heads)
        yield spot, element
        _advance(heads, number, stream)


def _advance(heads: list[_Head[T]], number: int, stream: Iterator[tuple[Spot, T | Mark]]) -> None:
    for spot, element in stream:
        heapq.heappush(heads, (spot, number, element, stream))
        return
