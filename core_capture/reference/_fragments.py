"""Datagrams put together from IP fragments, in bounded memory (RFC 791 §3.2, RFC 8200 §4.5).

1. Bytes that came first stay; a fragment that overlaps adds only what is new.
2. At most MAX_DATAGRAMS are unfinished, each of at most MAX_DATAGRAM bytes; the oldest is given up for a new one.
"""

from __future__ import annotations

from kubeshark.core_capture.reference._limits import FRAGMENT_TIMEOUT_NS, MAX_DATAGRAM, MAX_DATAGRAMS
from kubeshark.core_capture.reference._spans import Spans
from kubeshark.core_capture.reference._walk import Walk

__all__ = ["Datagram", "Datagrams"]

Key = tuple[int, bytes, bytes, int, int]


class Datagram:
    """One datagram, unfinished or whole."""

    __slots__ = ("began_ns", "head", "missing", "packet", "protocol", "spans", "total", "whole")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.spans = Spans()
        self.total: int | None = None  # known from the first last fragment
        self.missing = 0  # bytes below `total`, once that is known
        self.protocol = 0
        self.head: Walk | None = None  # of the first fragment with offset 0, stopped behind the fragment's header
        self.whole: bytes | None = None
        self.packet: int | None = None  # the packet that represents it, once known

    def add(self, piece: bytes, offset: int, *, more: bool) -> None:
        """Add a fragment's bytes, and put the datagram together if none is missing any more."""
        end = offset + len(piece)
        if end > MAX_DATAGRAM:
            return
        if not more and self.total is None:
            self.total = end
            self.missing = end - self.spans.count_below(end)
        if self.total is None:
            self.spans.add(offset, piece)
            return
        self.missing -= self.spans.add(offset, piece[: max(self.total - offset, 0)]).new
        if not self.missing:
            self.whole = self.spans.join(self.total)
            self.spans.clear()


class Datagrams:
    """The unfinished datagrams of one decode, and all that were ever given up."""

    def __init__(self) -> None:
        self._open: dict[Key, Datagram] = {}  # oldest first
        self.given_up: list[Datagram] = []

    def add(self, walk: Walk, key: tuple[int, int], offset: int, *, more: bool) -> Datagram:
        """Add the fragment whose bytes begin at `walk.at`, and return its datagram."""
        full_key = (walk.version, walk.source, walk.destination, *key)
        datagram = self._open.get(full_key)
        if datagram is not None and walk.time_ns > datagram.began_ns + FRAGMENT_TIMEOUT_NS:
            self._give_up(full_key)
            datagram = None
        if datagram is None:
            if len(self._open) == MAX_DATAGRAMS:
                self._give_up(next(iter(self._open)))
            datagram = self._open[full_key] = Datagram(walk.time_ns)
        if offset == 0 and datagram.head is None:
            datagram.head = walk
            datagram.protocol = walk.protocol
        if walk.end == walk.wire_end:
            datagram.add(walk.buffer[walk.at : walk.end], offset, more=more)
            if datagram.whole is not None:
                del self._open[full_key]
        return datagram

    def _give_up(self, key: Key) -> None:
        datagram = self._open.pop(key)
        datagram.spans.clear()
        self.given_up.append(datagram)

    def give_up_all(self) -> None:
        for key in list(self._open):
            self._give_up(key)
