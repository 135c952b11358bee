"""Holds a file's packets while it is dissected: in memory, or, where there are too many, in a temporary store.

The temporary store is encrypted to a key that exists in memory only, and is removed at the end: what a crash leaves
behind opens nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import Core, Predicate, RecordBatch
from kubeshark.core_capture.store import Identity, NodeKey, SegmentReader, SourceInfo, Store, Writer
from kubeshark.pipeline.reading._segments import MemorySegment, Segment

__all__ = ["MEMORY_BYTES", "Scratch"]

MEMORY_BYTES = 256 << 20
"""Packets beyond this go to disk: decoded and reassembled they take two to three times as much memory."""


class Scratch:
    """Takes the batches of one file, gives segments. A context manager; segments are valid inside it."""

    def __init__(self, core: Core, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._core = core
        self._memory_bytes = memory_bytes
        self._held = 0
        self._batches: defaultdict[int, list[RecordBatch]] = defaultdict(list)
        self._store: Store | None = None
        self._writer: Writer | None = None
        self._stack = ExitStack()

    def add(self, batch: RecordBatch) -> None:
        if self._writer is not None:
            self._writer.add(batch)
            return
        self._batches[batch.link_type].append(batch)
        self._held += len(batch.data)
        if self._held > self._memory_bytes:
            self._spill()

    def segments(self, name: str) -> Sequence[Segment]:
        """Return what was added; the first segment is called `name`, others `name.1`, …"""
        if self._store is None or self._writer is None:
            link_types = sorted(self._batches)
            return [
                MemorySegment.of(_numbered(name, number), self._batches[link_type], self._core)
                for number, link_type in enumerate(link_types)
            ]
        self._writer.finish()
        found: list[Segment] = []
        for number, info in enumerate(self._store.segments()):
            reader = self._stack.enter_context(self._store.open_segment(info.name))
            found.append(_Named(_numbered(name, number), reader))
        return found

    def _spill(self) -> None:
        """Move everything to a temporary store; what comes later goes there at once."""
        folder = self._stack.enter_context(TemporaryDirectory(prefix="kubeshark-"))
        identity = Identity.generate()
        self._store = Store.open(Path(folder), identities=[identity])
        writer = self._store.writer([identity.recipient], source=SourceInfo("scratch"), key=NodeKey.generate())
        self._writer = self._stack.enter_context(writer)
        for batches in self._batches.values():
            for batch in batches:
                self._writer.add(batch)
        self._batches.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()


class _Named(Struct, frozen=True):
    """A stored segment under the name that ids show."""

    name: str
    reader: SegmentReader

    @property
    def link_type(self) -> int:
        return self.reader.link_type

    @property
    def flows(self) -> NDArray[Any]:
        return self.reader.flows

    def match(self, predicate: Predicate) -> NDArray[np.bool_]:
        return self.reader.match(predicate)

    def records(self, rows: Sequence[int]) -> list[bytes | memoryview]:
        return self.reader.records(rows)

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        return self.reader.gathered(rows)

    def placed(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self.reader.placed(rows)


def _numbered(name: str, number: int) -> str:
    return f"{name}.{number}" if number else name
