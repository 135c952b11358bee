"""The one order of entries, places in it, and what a query takes of it.

Entries are ordered by the time of their first packet, then by id. So a place is a time and an id: it stays where it is
when segments are added, pruned or cut otherwise, and a page begins behind the place where the last one ended.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline._entry import Entry

__all__ = ["EVERYTHING", "Order", "Place", "Window", "begin_of", "cursor_text", "parse_cursor", "place_of", "sorter"]

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


def sorter(order: Order) -> Callable[[Place], Any]:
    """Return a key for places: the smaller key comes first."""
    return _as_it_is if order == "asc" else _turned


def _as_it_is(place: Place) -> Place:
    return place


def _turned(place: Place) -> tuple[int, bytes, int, int]:
    time_ns, segment, flow, number = place
    return (-time_ns, _turned_text(segment), -flow, -number)


@lru_cache(maxsize=1_024)
def _turned_text(text: str) -> bytes:
    """Bytes in the opposite order of texts without NUL; the end counts as the largest byte."""
    return bytes(255 - byte for byte in text.encode()) + b"\xff"


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


@dataclass(frozen=True, slots=True)
class Window:
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

    def clamp(self, place: Place, order: Order) -> Place:
        """Return the place, or that where the window begins if it lies before it: nothing is handed out there."""
        edge_ns, edge = (self.low_ns, self.above) if order == "asc" else (self.high_ns, self.below)
        places = [place, *([] if edge_ns is None else [begin_of(edge_ns, order)]), *([] if edge is None else [edge])]
        return max(places) if order == "asc" else min(places)

    def holds(self, place: Place) -> bool:
        return (
            (self.since_ns is None or place[0] >= self.since_ns)
            and (self.until_ns is None or place[0] <= self.until_ns)
            and (self.above is None or place > self.above)
            and (self.below is None or place < self.below)
        )


EVERYTHING = Window()
