"""What a live view looks at: the segments of a store that are new, and those that are open and grew.

A segment that is sealed keeps its name and its flows' rows, and holds at least what its log held: whoever saw it grow
goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

from kubeshark.core_capture import Predicate
from kubeshark.core_capture.store import SegmentInfo, SegmentReader, Store
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline.reading._continued import Elsewhere
from kubeshark.pipeline.reading._segments import Segment

__all__ = ["Change", "Feed", "StoreFeed"]

KEPT_READERS = 16
"""Segments kept open for connections that began in them."""


class Change(NamedTuple):
    """A segment that is there for the first time, or holds more than before, or is sealed now."""

    segment: Segment
    is_sealed: bool
    is_last: bool = False  # its source ends with it
    size: int = 0  # bytes of packets
    last_ns: int = 0
    brings_secrets: bool = False  # it holds blocks that are no packets


class Feed(Elsewhere, Protocol):
    """Where a live view gets packets from; it opens segments of before, too."""

    problems: list[KubesharkError]

    def poll(self) -> list[Change]:
        """Return what changed since the last call, sealed segments first, in time order; at first everything."""
        ...

    def close(self) -> None: ...


class StoreFeed:
    """The feed of a store that this or another process writes."""

    def __init__(self, store: Store) -> None:
        self.problems: list[KubesharkError] = []
        self._store = store
        self._sealed: set[str] = set()
        self._open: dict[str, int] = {}  # packets of open segments, as of the last look
        self._stamp: int | None = None
        self._next = 0.0
        self._readers: dict[str, SegmentReader] = {}  # the latest in use last

    def poll(self) -> list[Change]:
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + self._store.look_s
        stamp = self._store.stamp()
        if stamp is not None and stamp == self._stamp:
            return []
        self._stamp = stamp
        infos = self._store.segments()
        self.problems += (each for each in self._store.problems if str(each) not in map(str, self.problems))
        before, self._open = self._open, {}
        sealed, opened = [], []
        for info in infos:
            if self._store.is_open(info.name):
                self._open[info.name] = info.packets
                if before.get(info.name) != info.packets:
                    opened.append(info)
            elif info.name not in self._sealed:
                self._sealed.add(info.name)
                if (stale := self._readers.pop(info.name, None)) is not None:
                    stale.close()
                sealed.append(info)
        return [*self._changes(sealed, is_sealed=True), *self._changes(opened, is_sealed=False)]

    def _changes(self, infos: Sequence[SegmentInfo], *, is_sealed: bool) -> Iterator[Change]:
        for info in infos:
            reader = self.open(info.name) if is_sealed else self._opened(info.name)
            if reader is not None:
                source, size = info.source, info.captured_bytes
                yield Change(reader, is_sealed, source.complete, size, info.last_ns, source.blocks > 0)

    def spans(self) -> Sequence[tuple[str, int, int]]:
        return [(info.name, info.first_ns, info.last_ns) for info in self._store.segments()]

    def holding(self, predicate: Predicate) -> Collection[str]:
        return {info.name for info in self._store.segments(predicate)}

    def open(self, name: str) -> SegmentReader | None:
        reader = self._readers.pop(name, None) or self._opened(name)
        if reader is None:
            return None
        self._readers[name] = reader
        while len(self._readers) > KEPT_READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return reader

    def _opened(self, name: str) -> SegmentReader | None:
        try:
            return self._store.open_segment(name)
        except StoreError as error:
            self.problems.append(error)
            return None

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
