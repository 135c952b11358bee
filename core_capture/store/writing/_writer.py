"""Writes one source into a store: collects packets, seals segments, says what is safe.

1. `acknowledged` counts only packets whose segment is synced, folder included.
2. A source that is written again is continued behind what the store already has of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store._limits import MAX_SEGMENT_BYTES
from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.writing._builder import Buffers, Builder, SourceInfo, split
from kubeshark.core_capture.store.writing._sealer import Sealer
from kubeshark.errors import StoreError, UsageError

__all__ = ["ImportState", "SourceInfo", "Writer"]

_LINKTYPE_ETHERNET = 1


class ImportState(Struct, frozen=True):
    """How much of a source a store holds."""

    packets: int = 0
    blocks: int = 0  # of its metadata
    complete: bool = False
    size: int = -1  # bytes that the source had when it was complete last, -1 unknown
    last_ordinals: dict[int, int] = {}  # by link type; all packets up to it are there
    segments: tuple[SegmentInfo, ...] = ()
    saved: tuple[Entry, ...] = ()  # what `recover` made of packets that were not acknowledged

    @classmethod
    def of(cls, segments: Sequence[SegmentInfo], saved: Iterable[Entry] = ()) -> Self:
        """Add up the segments of one source."""
        last: dict[int, int] = {}
        for info in segments:
            last[info.link_type] = max(last.get(info.link_type, -1), info.source.last_ordinal)
        return cls(
            packets=sum(info.packets for info in segments),
            blocks=max((info.source.blocks for info in segments), default=0),
            complete=any(info.source.complete for info in segments),
            size=max((info.source.size for info in segments if info.source.complete), default=-1),
            last_ordinals=last,
            segments=tuple(segments),
            saved=tuple(saved),
        )

    def came_again(self, sealed: Iterable[SegmentInfo] = ()) -> list[Entry]:
        """Return what was saved of packets that came again, up to the end of the source, with `sealed`."""
        return [
            entry
            for entry in self.saved
            if any(
                info.link_type == entry.info.link_type
                and info.source.first_ordinal <= entry.info.source.first_ordinal <= info.source.last_ordinal
                for info in (*self.segments, *sealed)
            )
        ]


class Writer:
    """Takes batches of one source. Made by `Store.writer`; use it as a context manager.

    Leaving the block without `finish` keeps what was added, as a source that is not complete.
    """

    def __init__(
        self,
        begin: Callable[[], Sealer],
        source: SourceInfo,
        *,
        node: str,
        core: Core,
        segment_bytes: int,
        stored: Callable[[], ImportState],
        on_close: Callable[[list[Entry], list[Entry]], None],
    ) -> None:
        if not 1 <= segment_bytes <= MAX_SEGMENT_BYTES:
            raise UsageError(f"segments of {segment_bytes:,} bytes", hint=f"use 1 to {MAX_SEGMENT_BYTES:,}")
        self.acknowledged = 0  # packets that survive a power loss from now on
        self.skipped = 0  # packets that the store had already
        self.sealed: list[SegmentInfo] = []
        self.replaced: list[SegmentInfo] = []  # that `recover` had made of packets which came again
        self._source, self._node, self._core, self._segment_bytes = source, node, core, segment_bytes
        self._on_close = on_close
        self._entries: list[Entry] = []
        self._builders: dict[int, Builder] = {}
        self._buffers = Buffers(segment_bytes, keep=2)
        self._open, self._failed = True, False
        self._sealer = begin()
        try:
            self._before = stored()
        except BaseException:
            self._sealer.release()
            raise
        self._blocks = self._before.blocks

    @property
    def leftovers(self) -> list[str]:
        """Files of a dead writer that were cleared away."""
        return self._sealer.leftovers

    def add(self, batch: RecordBatch) -> None:
        """Take packets; those the store has already are skipped. May seal a segment, which takes its time."""
        if not self._open:
            raise ValueError("the writer is finished")
        known = self._before.last_ordinals.get(batch.link_type, -1)
        skipped, pieces = split(batch, self._segment_bytes, self._core, known=known)
        self.skipped += skipped
        for piece in pieces:
            builder = self._builders.get(piece.link_type)
            if builder is not None and builder.size + len(piece.data) > self._segment_bytes:
                self._seal(piece.link_type)
            self._make_room(len(piece.data))
            if piece.link_type not in self._builders:
                self._builders[piece.link_type] = self._new_builder(piece.link_type)
            self._builders[piece.link_type].add(piece)

    def room(self, link_type: int, size: int) -> memoryview | None:
        """Lend memory for at least so many bytes of records, to be added next; None if they must be copied."""
        if self._before.last_ordinals.get(link_type, -1) >= 0:
            return None  # some of them may be here already
        builder = self._builders.get(link_type)
        return builder.room(size) if builder is not None else None

    def finish(self, size: int | None = None) -> None:
        """Seal what waits; the source is complete then. Everything added is acknowledged when this returns.

        `size`: bytes of the source, where nobody knew before.
        """
        if size is not None and self._open:
            self._source = replace(self._source, size=size)
        self._close(complete=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(complete=False)

    def _close(self, *, complete: bool) -> None:
        """Seal all unless sealing failed before, give up the lock. A second call does nothing."""
        if not self._open:
            return
        self._open = False
        try:
            if self._failed:
                return
            if complete and self._source.sha256 and not self._builders and not self._before.complete:
                link_type = self._main_link_type()
                self._builders[link_type] = self._new_builder(link_type)  # says no more than "complete"
            waiting = sorted(self._builders, key=lambda link_type: self._builders[link_type].number)
            for link_type in waiting:
                self._seal(link_type, complete=complete and link_type == waiting[-1])
            again = self._before.came_again(self.sealed) if complete else []
            self._sealer.remove(again)
            self.replaced += [entry.info for entry in again]
            self._sealer.arrived()
            with suppress(OSError, StoreError):  # the catalogue is a copy: the packets are safe without it
                self._on_close(self._entries, again)
        finally:
            self._sealer.release()

    def _new_builder(self, link_type: int) -> Builder:
        return Builder(self._sealer.reserve(), self._node, link_type, self._buffers.take())

    def _main_link_type(self) -> int:
        interfaces = self._source.metadata.interfaces
        return interfaces[0].link_type if interfaces else _LINKTYPE_ETHERNET

    def _make_room(self, size: int) -> None:
        """Seal the largest builder where many link types together would hold too much memory."""
        while sum(builder.size for builder in self._builders.values()) + size > 2 * self._segment_bytes:
            if not self._builders:
                return
            self._seal(max(self._builders, key=lambda link_type: self._builders[link_type].size))

    def _seal(self, link_type: int, *, complete: bool = False) -> None:
        """Make a segment of what waits of a link type."""
        builder = self._builders.pop(link_type)
        draft = builder.draft(self._source, self._blocks, complete=complete)
        try:
            entry = self._sealer.seal(draft)
        except StoreError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise StoreError(f"cannot write to {self._sealer.files.location}: {error.strerror}") from error
        draft.data.release()
        self._buffers.give_back(builder.buffer)
        self.acknowledged += builder.count
        self._blocks = draft.source.blocks
        self.sealed.append(entry.info)
        self._entries.append(entry)
