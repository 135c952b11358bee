"""A segment that a live writer has not sealed yet, and its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock

import numpy as np
from msgspec.structs import replace

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture.store._limits import MAX_PIECE_BYTES, PIECE_BYTES
from kubeshark.core_capture.store.keys._identity import Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import TEMPORARY, log_name
from kubeshark.core_capture.store.places._uncached import UncachedFile, lend_memory
from kubeshark.core_capture.store.segments._info import Counters
from kubeshark.core_capture.store.writing._builder import Builder, Mark, SourceInfo
from kubeshark.core_capture.store.writing._piece import Origin, Piece, write_piece
from kubeshark.errors import StoreError

__all__ = ["LiveSegment", "LogWriter"]


class LiveSegment:
    """Packets in memory; its fields are the writer's, under its lock."""

    def __init__(self, builder: Builder, first_block: int) -> None:
        self.builder = builder
        self.stop: Mark | None = None  # where it was closed
        self.opened_ns: int | None = None  # by the clock of `tick`; None before the first
        self.waits_ns: int | None = None  # when `tick` first saw packets that are not in the log
        self.is_due = False  # they shall be now
        self.is_complete = False  # the source ends with it
        self.is_shared = False  # somebody else may look at its buffer
        self.acknowledged = 0  # packets
        self.pieces = 0
        self.first_block = first_block
        self.logged = Mark()
        self._part = 0, 0  # packets and bytes behind `logged` that are in the log, too
        self._blocks = first_block
        self._writing = Lock()
        self._is_sealed = False

    @property
    def is_waiting(self) -> bool:
        """It has packets that are not in the log."""
        return self.acknowledged < self.builder.count

    def interfaces_waiting(self) -> dict[int, int]:
        """Return how many of these packets came from which interface."""
        _data, _ordinals, extras = self.builder.part(Mark(), self.builder.mark())
        waiting = range(self.acknowledged, self.builder.count)
        return dict(Counter(extras[at].interface if at in extras else 0 for at in waiting))

    def log(
        self, log: LogWriter, stop: Mark, source: SourceInfo, counters: tuple[Counters, ...]
    ) -> Iterator[tuple[int, int]]:
        """Write what came up to a mark; yield (packets, bytes written) as each piece lasts."""
        with self._writing:
            if self._is_sealed:
                return
            builder, (skip, skip_bytes) = self.builder, self._part
            data, ordinals, extras = builder.part(self.logged, stop)
            known = len(source.metadata.blocks)
            piece = Piece(
                segment=builder.name,
                number=self.pieces + 1,
                node=builder.node,
                created=builder.created,
                link_type=builder.link_type,
                data=data[skip_bytes:],
                ordinals=ordinals[skip:],
                extras={at - skip: extra for at, extra in extras.items() if at >= skip} if skip else extras,
                origin=Origin(source.printable, source.sha256, source.size),
                metadata=replace(
                    source.metadata,
                    interfaces=list(source.metadata.interfaces),
                    blocks=source.metadata.blocks[self._blocks : known],
                ),
                first_block=self._blocks,
                counters=counters,
                scheduled=builder.scheduled,
            )
            for part in _cut(piece, log.core):
                written = log.write(replace(part, number=self.pieces + 1))
                self.pieces += 1
                self._blocks = known
                self._part = self._part[0] + len(part.ordinals), self._part[1] + len(part.data)
                yield len(part.ordinals), written
            self.logged, self._part = stop, (0, 0)

    def drop_log(self, files: Backend) -> None:
        """It is sealed, and lasts: delete its log, and write no more of it."""
        with self._writing:
            self._is_sealed = True
            with suppress(OSError, StoreError):  # the next writer does it
                for number in range(1, self.pieces + 1):
                    files.delete(log_name(self.builder.name, number))
                files.settle()


class LogWriter:
    """Writes pieces that last. Used by one thread at a time."""

    def __init__(self, files: Backend, recipients: Sequence[Recipient], key: NodeKey, core: Core) -> None:
        self._files, self._recipients, self._key, self.core = files, recipients, key, core
        self._memory = lend_memory()

    def write(self, piece: Piece) -> int:
        """Write a piece, return its bytes before encryption; it lasts when this returns. Raise OSError, StoreError."""
        name = log_name(piece.segment, piece.number)
        with self._files.create(f"{TEMPORARY}{name}") as out:
            file = UncachedFile(out, self._memory)  # of a large piece: it is deleted within a minute
            size = write_piece(file, piece, self._recipients, self._key, lend=file.lend)
            file.finish()
        self._files.publish(f"{TEMPORARY}{name}", name, replacing=True)
        self._files.settle()
        return size


def _cut(piece: Piece, core: Core) -> Iterator[Piece]:
    """Yield pieces of at most PIECE_BYTES, or one record; the first has the blocks."""
    if len(piece.data) <= MAX_PIECE_BYTES:  # what came while the writer woke up is no second piece
        yield piece
        return
    offsets, end = core.offsets(piece.data)
    bounds = np.append(offsets, np.uint64(end))
    blocks_end = piece.first_block + len(piece.metadata.blocks)
    rest = replace(piece.metadata, blocks=[])
    start = 0
    while start < len(offsets):
        stop = max(int(np.searchsorted(bounds, bounds[start] + np.uint64(PIECE_BYTES), side="right")) - 1, start + 1)
        yield replace(
            piece,
            data=piece.data[int(bounds[start]) : int(bounds[stop])],
            ordinals=piece.ordinals[start:stop],
            extras={at - start: extra for at, extra in piece.extras.items() if start <= at < stop},
            metadata=rest if start else piece.metadata,
            first_block=blocks_end if start else piece.first_block,
        )
        start = stop
