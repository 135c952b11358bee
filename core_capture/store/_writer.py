"""Writes one source into a store: collects packets, seals segments, says what is safe.

1. One writer holds a store, by a lock that ends with its process.
2. `acknowledged` counts only packets whose segment is synced, folder included.
3. A source that is written again is continued behind what the store already has of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.store._backend import Backend
from kubeshark.core_capture.store._catalogue import Entry, entry_of
from kubeshark.core_capture.store._identity import Recipient
from kubeshark.core_capture.store._info import Chain, SegmentInfo, SourceRecord
from kubeshark.core_capture.store._leftovers import clear_leftovers, give_up_pending
from kubeshark.core_capture.store._limits import MAX_SEGMENT_BYTES
from kubeshark.core_capture.store._names import DATA_SUFFIX, LOCK, STATE, index_names, make_name, number_of
from kubeshark.core_capture.store._segment import Draft, publish, write_segment
from kubeshark.core_capture.store._signing import NodeKey
from kubeshark.core_capture.store._state import StoreState, new_head, save_state, take_over
from kubeshark.errors import StoreError, UsageError

__all__ = ["ImportState", "SourceInfo", "Writer"]

_NS = 1_000_000_000
_LINKTYPE_ETHERNET = 1


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where packets come from. `metadata` may grow until the writer is finished."""

    name: str
    sha256: str = ""  # hex; "" where there is none: then nothing can be resumed
    size: int = -1  # bytes, -1 unknown
    metadata: SourceMetadata = field(default_factory=SourceMetadata)


@dataclass(frozen=True, slots=True)
class ImportState:
    """How much of a source a store holds."""

    packets: int = 0
    blocks: int = 0  # of its metadata
    complete: bool = False
    last_ordinals: dict[int, int] = field(default_factory=dict)  # by link type; all packets up to it are there

    @classmethod
    def of(cls, segments: Sequence[SegmentInfo]) -> Self:
        """Add up the segments of one source."""
        last: dict[int, int] = {}
        for info in segments:
            last[info.link_type] = max(last.get(info.link_type, -1), info.source.last_ordinal)
        return cls(
            packets=sum(info.packets for info in segments),
            blocks=max((info.source.blocks for info in segments), default=0),
            complete=any(info.source.complete for info in segments),
            last_ordinals=last,
        )


@dataclass(slots=True)
class _Builder:
    """Packets of one link type that wait to be sealed."""

    number: int  # of the segment, reserved
    buffer: memoryview  # room for a segment, of which `size` bytes are records
    size: int = 0
    ordinals: list[NDArray[Any]] = field(default_factory=list)
    extras: dict[int, PacketExtra] = field(default_factory=dict)
    count: int = 0

    def add(self, batch: RecordBatch) -> None:
        end = self.size + len(batch.data)
        if end > len(self.buffer):  # one record longer than a segment
            self.buffer = memoryview(bytes(self.buffer[: self.size]) + bytes(batch.data))
        else:
            self.buffer[self.size : end] = batch.data
        self.size = end
        self.ordinals.append(_to_array(batch.ordinals))
        self.extras.update((self.count + at, extra) for at, extra in batch.extras.items())
        self.count += batch.count


class Writer:
    """Takes batches of one source. Made by `Store.writer`; use it as a context manager.

    Leaving the block without `finish` keeps what was added, as a source that is not complete.
    """

    def __init__(
        self,
        files: Backend,
        recipients: Sequence[Recipient],
        source: SourceInfo,
        *,
        node: str,
        key: NodeKey,
        core: Core,
        segment_bytes: int,
        stored: Callable[[], ImportState],
        on_close: Callable[[list[Entry]], None],
    ) -> None:
        if not 1 <= segment_bytes <= MAX_SEGMENT_BYTES:
            raise UsageError(f"segments of {segment_bytes:,} bytes", hint=f"use 1 to {MAX_SEGMENT_BYTES:,}")
        self.acknowledged = 0  # packets that survive a power loss from now on
        self.skipped = 0  # packets that the store had already
        self.sealed: list[SegmentInfo] = []
        self._files, self._recipients, self._source = files, recipients, source
        self._node, self._key, self._core, self._segment_bytes = node, key, core, segment_bytes
        self._on_close = on_close
        self._entries: list[Entry] = []
        self._builders: dict[int, _Builder] = {}
        self._buffers: list[memoryview] = []
        self._open, self._failed = True, False
        self._lock = files.lock(LOCK)
        try:
            self._state = _load_state(files)
            self.leftovers = clear_leftovers(files, self._state)  # files of a dead writer that were cleared away
            for name in give_up_pending(self._state, self._key.public):  # its packets come again
                files.delete(f"{name}{DATA_SUFFIX}")
            self._state.recipients = [str(recipient) for recipient in recipients]
            numbers = (number_of(name) or 0 for name in index_names(files.names()))
            self._next_number = max(self._state.next_number, *(number + 1 for number in numbers), 1)
            self._before = stored()
        except BaseException:
            self._lock.release()
            raise
        self._blocks = self._before.blocks

    def add(self, batch: RecordBatch) -> None:
        """Take packets; those the store has already are skipped. May seal a segment, which takes its time."""
        if not self._open:
            raise ValueError("the writer is finished")
        known = self._before.last_ordinals.get(batch.link_type, -1)
        skip = bisect_right(batch.ordinals, known)
        self.skipped += skip
        for piece in self._pieces(batch, skip):
            builder = self._builders.get(piece.link_type)
            if builder is not None and builder.size + len(piece.data) > self._segment_bytes:
                self._seal(piece.link_type)
            self._make_room(len(piece.data))
            if piece.link_type not in self._builders:
                self._builders[piece.link_type] = self._new_builder()
            self._builders[piece.link_type].add(piece)

    def finish(self) -> None:
        """Seal what waits; the source is complete then. Everything added is acknowledged when this returns."""
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
                self._builders[self._main_link_type()] = self._new_builder()  # says no more than "complete"
            waiting = sorted(self._builders, key=lambda link_type: self._builders[link_type].number)
            for link_type in waiting:
                self._seal(link_type, complete=complete and link_type == waiting[-1])
            with suppress(OSError, StoreError):  # the catalogue is a copy: the packets are safe without it
                if self._files.is_remote:
                    save_state(self._files, self._state)  # the last head arrived
                self._on_close(self._entries)
        finally:
            self._lock.release()

    def _new_builder(self) -> _Builder:
        """Reserve a name. Memory that was touched before is cheaper than new: that is a sixth of an import.

        What numpy gives is not zeroed, in large pages, and none of it is taken before it is touched.
        """
        self._next_number += 1
        buffer = self._buffers.pop() if self._buffers else np.empty(self._segment_bytes, dtype=np.uint8).data
        return _Builder(self._next_number - 1, buffer)

    def _main_link_type(self) -> int:
        interfaces = self._source.metadata.interfaces
        return interfaces[0].link_type if interfaces else _LINKTYPE_ETHERNET

    def _pieces(self, batch: RecordBatch, skip: int) -> Iterator[RecordBatch]:
        """Yield the batch without its first `skip` packets, in pieces that fit into a segment."""
        if skip == batch.count:
            return
        if not skip and len(batch.data) <= self._segment_bytes:
            yield batch
            return
        offsets, end = self._core.offsets(batch.data)
        bounds = np.append(offsets, np.uint64(end))
        start = skip
        while start < batch.count:
            limit = bounds[start] + np.uint64(self._segment_bytes)
            stop = max(int(np.searchsorted(bounds, limit, side="right")) - 1, start + 1)
            yield RecordBatch(
                batch.link_type,
                batch.data[int(bounds[start]) : int(bounds[stop])],
                batch.ordinals[start:stop],
                {at - start: extra for at, extra in batch.extras.items() if start <= at < stop},
            )
            start = stop

    def _make_room(self, size: int) -> None:
        """Seal the largest builder where many link types together would hold too much memory."""
        while sum(builder.size for builder in self._builders.values()) + size > 2 * self._segment_bytes:
            if not self._builders:
                return
            self._seal(max(self._builders, key=lambda link_type: self._builders[link_type].size))

    def _seal(self, link_type: int, *, complete: bool = False) -> None:
        """Make a segment of what waits of a link type."""
        builder = self._builders.pop(link_type)
        draft = self._draft(link_type, builder, complete=complete)
        head = self._state.heads.get(self._key.public)
        chain = Chain(head.sequence + 1 if head else 0, head.sha256 if head else "", self._key.public)
        try:
            sealed = write_segment(
                self._files, draft, chain, core=self._core, recipients=self._recipients, key=self._key
            )
            made = self._state.heads[self._key.public] = new_head(
                self._files, draft.name, chain.sequence, sealed.sha256, sealed.index_tag, head
            )
            self._state.next_number = self._next_number
            save_state(self._files, self._state)
            publish(self._files, draft.name)
            self._state.heads[self._key.public] = replace(made, pending=None)
        except StoreError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise StoreError(f"cannot write to {self._files.location}: {error.strerror}") from error
        draft.data.release()
        if len(builder.buffer) == self._segment_bytes:
            self._buffers.append(builder.buffer)
        self.acknowledged += builder.count
        self._blocks = draft.source.blocks
        self.sealed.append(sealed.meta.info)
        self._entries.append(entry_of(sealed.meta, sealed.flows.table, sealed.sha256))

    def _draft(self, link_type: int, builder: _Builder, *, complete: bool) -> Draft:
        source, metadata = self._source, self._source.metadata
        ordinals = np.concatenate([np.empty(0, dtype=np.uint64), *builder.ordinals])
        blocks = metadata.blocks[self._blocks :]
        start_ns = int.from_bytes(builder.buffer[: min(4, builder.size)], "little") * _NS
        return Draft(
            name=make_name(start_ns, self._node, builder.number),
            node=self._node,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            link_type=link_type,
            data=builder.buffer[: builder.size],
            ordinals=ordinals,
            extras=builder.extras,
            metadata=replace(metadata, interfaces=list(metadata.interfaces), blocks=blocks),
            first_block=self._blocks,
            source=SourceRecord(
                sha256=source.sha256,
                name=source.name.encode(errors="replace").decode(),  # a path may hold what is no UTF-8
                size=source.size,
                first_ordinal=int(ordinals[0]) if builder.count else 0,
                last_ordinal=int(ordinals[-1]) if builder.count else -1,
                blocks=self._blocks + len(blocks),
                complete=complete,
            ),
        )


def _load_state(files: Backend) -> StoreState:
    """Read store.json; raise StoreError where it was lost: a second chain would look like a forgery."""
    state = take_over(files)
    names = files.names()
    if STATE not in names and index_names(names):
        raise StoreError(f"{files.location} has segments but no {STATE}", hint='run "kubeshark store recover --yes"')
    return state


def _to_array(ordinals: Sequence[int]) -> NDArray[Any]:
    if isinstance(ordinals, range):
        return np.arange(ordinals.start, ordinals.stop, ordinals.step, dtype=np.uint64)
    return np.asarray(ordinals, dtype=np.uint64)
