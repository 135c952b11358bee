"""What a live view looks at: the segments of a store that are new, and those that are open and grew.

A segment that is sealed keeps its name and its flows' rows, and holds at least what its log held: whoever saw it grow
goes on with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from kubeshark.core_capture import Core, Predicate, load_core
from kubeshark.core_capture.store import SegmentReader, Store
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline._continued import Elsewhere
from kubeshark.pipeline._segments import Segment

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

    def __init__(self, store: Store, core: Core | None = None) -> None:
        self.problems: list[KubesharkError] = []
        self._store = store
        self._core = core or load_core()
        self._sealed: set[str] = set()
        self._readers: dict[str, SegmentReader] = {}  # the latest in use last

    def poll(self) -> list[Change]:
        changes = []
        for info in self._store.segments():
            if info.name in self._sealed:
                continue
            self._sealed.add(info.name)
            if (reader := self.open(info.name)) is not None:
                source = info.source
                changes.append(
                    Change(reader, True, source.complete, info.captured_bytes, info.last_ns, source.blocks > 0)
                )
        return changes

    def spans(self) -> Sequence[tuple[str, int, int]]:
        return [(info.name, info.first_ns, info.last_ns) for info in self._store.segments()]

    def holding(self, predicate: Predicate) -> Collection[str]:
        return {info.name for info in self._store.segments(predicate)}

    def open(self, name: str) -> SegmentReader | None:
        reader = self._readers.pop(name, None)
        if reader is None:
            try:
                reader = self._store.open_segment(name)
            except StoreError as error:
                self.problems.append(error)
                return None
        self._readers[name] = reader
        while len(self._readers) > KEPT_READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return reader

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
