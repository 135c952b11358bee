"""Joins streams that are each in order into one, and begins a stream only when its first element may be the next one.

So whoever stops early never pays for what comes later. Between streams the merged one says how far it has come: at a
MARK everything before that place has been handed out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from kubeshark.pipeline._order import Order, Place, sorter

__all__ = ["MARK", "Mark", "Unit", "merge"]

T = TypeVar("T")


class Mark(Enum):
    MARK = 0


MARK: Final = Mark.MARK


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """A stream that has not begun: nothing in it comes before `bound`. It may hold marks of its own."""

    bound: Place
    begin: Callable[[], Iterator[tuple[Place, T | Mark]]]


def merge(units: Sequence[Unit[T]], order: Order) -> Iterator[tuple[Place, T | Mark]]:
    """Yield (place, element) of all units in order; `units` are sorted by their bounds."""
    key = sorter(order)
    heads: list[tuple[Any, int, Place, T | Mark, Iterator[tuple[Place, T | Mark]]]] = []
    for number, unit in enumerate(units):
        bound = key(unit.bound)
        yield from _until(bound, heads, key)
        yield unit.bound, MARK
        _advance(heads, key, number, iter(unit.begin()))
    yield from _until(None, heads, key)


def _until(bound: Any, heads: list[Any], key: Callable[[Place], Any]) -> Iterator[tuple[Place, Any]]:
    """Yield what comes before `bound`; None: everything."""
    while heads and (bound is None or heads[0][0] < bound):
        _, number, place, element, stream = heapq.heappop(heads)
        yield place, element
        _advance(heads, key, number, stream)


def _advance(heads: list[Any], key: Callable[[Place], Any], number: int, stream: Iterator[tuple[Place, Any]]) -> None:
    for place, element in stream:
        heapq.heappush(heads, (key(place), number, place, element, stream))
        return
