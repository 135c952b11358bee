"""The one order of entries, places in it, and what a query takes of it.

Entries are ordered by the time of their first packet, then by id. So a place is a time and an id: it stays where it is
when segments are added, pruned or cut otherwise, and a page begins behind the place where the last one ended.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["Order", "Place", "Spot", "Window", "begin_of", "cursor_text", "parse_cursor", "place_of"]

Order = Literal["asc", "desc"]

Place = tuple[int, str, int, int]
"""(time in ns since 1970, segment, flow, number); a flow's own entries lie before and behind its messages."""

NUMBERS = {"flow": -1, "conn": 1 << 40}
MAX_CURSOR = 1_024
LAST_SEGMENT = "~"
"""Behind every segment's name, as "" is before it."""


def place_of(entry: Entry) -> Place:
    name = entry.entry_id
    number = NUMBERS.get(name.number)
    return (entry.start_ns, name.segment, name.flow, int(name.number) if number is None else number)


def begin_of(time_ns: int, order: Order) -> Place:
    """Return the place before every entry of this time, as one comes to it in this order."""
    return (time_ns, "" if order == "asc" else LAST_SEGMENT, 0, 0)


class Spot:
    """A place on the way through a query: smaller ones come first in its order.

    The id is made only where it is asked for: between equal times, and for a cursor.
    """

    __slots__ = ("_place", "_source", "at", "order", "time_ns")

    def __init__(self, time_ns: int, order: Order, source: Callable[[int], Place], at: int) -> None:
        self.time_ns = time_ns
        self.order = order
        self.at = at
        self._source = source
        self._place: Place | None = None

    @classmethod
    def of(cls, place: Place, order: Order) -> Spot:
        return cls(place[0], order, lambda _: place, 0)

    @property
    def place(self) -> Place:
        if self._place is None:
            self._place = self._source(self.at)
        return self._place

    def __lt__(self, other: Spot) -> bool:
        if self.time_ns != other.time_ns:
            return (self.time_ns < other.time_ns) == (self.order == "asc")
        return self.place < other.place if self.order == "asc" else other.place < self.place


def cursor_text(place: Place) -> str:
    """Return a place as users keep it: opaque, safe in a URL and in a shell."""
    return base64.urlsafe_b64encode(" ".join(("1", *map(str, place))).encode()).rstrip(b"=").decode()


def parse_cursor(text: str) -> Place:
    """Read what `cursor_text` wrote; raise UsageError for anything else."""
    wrong = UsageError(f"{text[:40]!r} is not a cursor", hint="cursors come from a query that did not end")
    if len(text) > MAX_CURSOR:
        raise wrong
    try:
        plain = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise wrong from None
    found = re.fullmatch(r"1 (\d{1,20}) ([!-~]*) (\d{1,10}) (-1|\d{1,13})", plain, re.ASCII)
    if found is None:
        raise wrong
    return (int(found[1]), found[2], int(found[3]), int(found[4]))


class Window(Struct, frozen=True):
    """The entries that a query is about: between two times, both taken in, and between two places, both left out."""

    since_ns: int | None = None
    until_ns: int | None = None
    above: Place | None = None
    below: Place | None = None

    @property
    def low_ns(self) -> int | None:
        given = [time for time in (self.since_ns, self.above and self.above[0]) if time is not None]
        return max(given, default=None)

    @property
    def high_ns(self) -> int | None:
        given = [time for time in (self.until_ns, self.below and self.below[0]) if time is not None]
        return min(given, default=None)

    def within(self, low_ns: int | None, high_ns: int | None) -> Window:
        """Return what of the window lies between two times."""
        lows = [time for time in (self.low_ns, low_ns) if time is not None]
        highs = [time for time in (self.high_ns, high_ns) if time is not None]
        return Window(max(lows, default=None), min(highs, default=None))

    def overlaps(self, first_ns: int, last_ns: int) -> bool:
        """Say whether something that lasts from `first_ns` to `last_ns` may hold entries of the window."""
        low, high = self.low_ns, self.high_ns
        return (low is None or last_ns >= low) and (high is None or first_ns <= high)

    def overlap(self, firsts: NDArray[Any], lasts: NDArray[Any]) -> NDArray[np.bool_]:
        """Return what `overlaps` says of many; i8."""
        low, high = self.low_ns, self.high_ns
        keep = np.ones(len(firsts), dtype=np.bool_)
        if low is not None:
            keep &= lasts >= _in_range(low)
        if high is not None:
            keep &= firsts <= _in_range(high)
        return keep

    def clamp(self, place: Place, order: Order) -> Place:
        """Return the place, or that where the window begins if it lies before it: nothing is handed out there."""
        edge_ns, edge = (self.low_ns, self.above) if order == "asc" else (self.high_ns, self.below)
        places = [place, *([] if edge_ns is None else [begin_of(edge_ns, order)]), *([] if edge is None else [edge])]
        return max(places) if order == "asc" else min(places)

    def holds(self, starts: NDArray[Any], place: Callable[[int], Place]) -> NDArray[np.bool_]:
        """Say which entries lie in it, by their times (i8) and, where the edge is among equal times, their places."""
        keep = self.overlap(starts, starts)
        for edge, is_above in ((self.above, True), (self.below, False)):
            if edge is not None:
                for at in np.flatnonzero(keep & (starts == _in_range(edge[0]))).tolist():
                    keep[at] = place(at) > edge if is_above else place(at) < edge
        return keep


def _in_range(time_ns: int) -> int:
    """Return a time that 64 bits with a sign hold."""
    return min(max(time_ns, -(2**63)), 2**63 - 1)
