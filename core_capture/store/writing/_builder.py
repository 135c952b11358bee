"""Collects packets of one link type until they are sealed, and says what a segment made of them would be."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import PacketExtra, RecordBatch, SourceMetadata
from kubeshark.core_capture.store.places._names import make_name
from kubeshark.core_capture.store.segments._info import Counters, SourceRecord
from kubeshark.core_capture.store.segments._scheduled import Scheduled
from kubeshark.core_capture.store.segments._segment import Draft

__all__ = ["Buffers", "Builder", "Mark", "SourceInfo", "split"]

_ROOM_BYTES = 8 << 20
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, since Linux 5.14
_NS = 1_000_000_000


class SourceInfo(Struct, frozen=True):
    """Where packets come from. `metadata` may grow until the writer is finished."""

    name: str
    sha256: str = ""  # hex; "" where there is none: then nothing can be resumed
    size: int = -1  # bytes, -1 unknown
    metadata: SourceMetadata = field(default_factory=SourceMetadata)

    @property
    def printable(self) -> str:
        """Its name; a path may hold what is no UTF-8."""
        return self.name.encode(errors="replace").decode()


class Mark(NamedTuple):
    """How much a builder held at a moment: what comes later does not change it."""

    kept: int = 0  # stretches of ordinals
    packets: int = 0
    size: int = 0  # bytes


class _Kept(NamedTuple):
    first: int  # packet
    ordinals: Sequence[int]
    extras: dict[int, PacketExtra]  # by packet of the builder


class Builder:
    """Packets of one link type. One thread adds; what lies before a mark may be read by others meanwhile."""

    def __init__(
        self, number: int, node: str, link_type: int, buffer: memoryview, scheduled: Scheduled | None = None
    ) -> None:
        self.number, self.node, self.link_type = number, node, link_type  # the number is reserved for the segment
        self.scheduled = scheduled
        self.buffer = buffer  # room for a segment, of which `size` bytes are records
        self.created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.size = self.count = 0
        self._kept: list[_Kept] = []
        self._marked = 0  # stretches that a mark covers
        self._lent_at = -1  # where somebody else may have written
        self._batch_bytes = 0  # of the last batch: the next will need as much

    @property
    def name(self) -> str:
        """Of the segment: it begins with its first packet."""
        start_ns = int.from_bytes(self.buffer[: min(4, self.size)], "little") * _NS
        return make_name(start_ns, self.node, self.number)

    def room(self, size: int) -> memoryview | None:
        """Lend the place of the records that come next; None if at least `size` bytes are not left.

        A batch whose data was written there is added without a copy.
        """
        if len(self.buffer) - self.size < size:
            return None
        self._lent_at = self.size
        if isinstance(self.buffer.obj, _Pages):
            self.buffer.obj.reach(self.size + max(size, self._batch_bytes))
        return self.buffer[self.size : self.size + max(size, _ROOM_BYTES)]

    def _is_in_place(self, data: object) -> bool:
        return self._lent_at == self.size and isinstance(data, memoryview) and data.obj is self.buffer.obj

    def add(self, batch: RecordBatch) -> None:
        """Take the packets of a batch: a copy, unless they lie in its room."""
        end = self.size + len(batch.data)
        if self._is_in_place(batch.data):
            pass
        elif end > len(self.buffer):  # one record longer than a segment
            self.buffer = memoryview(bytes(self.buffer[: self.size]) + bytes(batch.data))
        else:
            self.buffer[self.size : end] = batch.data
        self._lent_at = -1
        self._batch_bytes = len(batch.data)
        self._keep(batch)
        self.size = end
        self.count += batch.count

    def mark(self) -> Mark:
        """Say how much is there."""
        self._marked = len(self._kept)
        return Mark(len(self._kept), self.count, self.size)

    def part(self, start: Mark, stop: Mark) -> tuple[memoryview, Sequence[int], dict[int, PacketExtra]]:
        """Return (records, ordinals, extras by packet of the part) between two marks; no copy of the records."""
        kept = self._kept[start.kept : stop.kept]
        ordinals: Sequence[int] = kept[0].ordinals if len(kept) == 1 else _joined(kept)
        extras = {at - start.packets: extra for each in kept for at, extra in each.extras.items()}
        return self.buffer[start.size : stop.size].toreadonly(), ordinals, extras

    def draft(
        self,
        source: SourceInfo,
        first_block: int,
        *,
        stop: Mark | None = None,
        complete: bool = False,
        counters: tuple[Counters, ...] = (),
    ) -> Draft:
        """Describe the segment; `stop`: made of what was there at that moment."""
        data, found, extras = self.part(Mark(), stop or self.mark())
        ordinals = _to_array(found)
        blocks = source.metadata.blocks[first_block:]
        return Draft(
            name=self.name,
            node=self.node,
            created=self.created,
            link_type=self.link_type,
            data=data,
            ordinals=ordinals,
            extras=extras,
            metadata=replace(source.metadata, interfaces=list(source.metadata.interfaces), blocks=blocks),
            first_block=first_block,
            source=SourceRecord(
                sha256=source.sha256,
                name=source.printable,
                size=source.size,
                first_ordinal=int(ordinals[0]) if len(ordinals) else 0,
                last_ordinal=int(ordinals[-1]) if len(ordinals) else -1,
                blocks=first_block + len(blocks),
                complete=complete,
                counters=sum(counters[1:], counters[0]) if counters else None,
            ),
            counters=counters,
            scheduled=self.scheduled,
        )

    def _keep(self, batch: RecordBatch) -> None:
        """Remember ordinals and extras; neighbours of a batch that go on where it ended take no memory."""
        last = self._kept[-1] if len(self._kept) > self._marked else None
        ordinals: Sequence[int] = batch.ordinals
        if (
            last is not None
            and not batch.extras
            and isinstance(ordinals, range)
            and isinstance(last.ordinals, range)
            and (last.ordinals.stop, last.ordinals.step, ordinals.step) == (ordinals.start, 1, 1)
        ):
            self._kept[-1] = last._replace(ordinals=range(last.ordinals.start, ordinals.stop))
            return
        if not isinstance(ordinals, range):
            ordinals = _to_array(ordinals)  # type: ignore[assignment]  # an eighth of the memory of a list
        extras = {self.count + at: extra for at, extra in batch.extras.items()}
        self._kept.append(_Kept(self.count, ordinals, extras))


class _Pages(mmap.mmap):
    """Memory in small pages that is taken many pages at a call: that costs 0.3 ns a byte, a page at a time 0.5."""

    _reached = 0

    def reach(self, stop: int) -> None:
        """Have the memory up to there at hand."""
        start, stop = self._reached, min(-(-stop // mmap.PAGESIZE) * mmap.PAGESIZE, len(self))
        if stop > start:
            self._reached = stop
            with suppress(OSError):  # an older kernel: then each page is found when it is touched
                self.madvise(_POPULATE_WRITE, start, stop - start)


class Buffers:
    """Memory for builders. What was touched before is cheaper than new: that is a sixth of an import.

    None of it is taken before it is touched, but by `prepare`. What numpy gives comes in large pages, which is best
    where all of it is touched at once. A capture asks for `small_pages`: in a virtual machine large ones are often
    memory that the host has yet to find, 2 ns a byte, four times what small ones take; and it holds less.
    """

    def __init__(self, size: int, keep: int, *, small_pages: bool = False) -> None:
        self._size, self._keep, self._small_pages = size, keep, small_pages
        self._free: list[memoryview] = []

    def prepare(self) -> None:
        """Have the first at hand, all of it: a flood's first second finds no page to wait for."""
        buffer = self._make()
        if isinstance(buffer.obj, _Pages):
            buffer.obj.reach(self._size)
        self.give_back(buffer)

    def take(self) -> memoryview:
        return self._free.pop() if self._free else self._make()

    def _make(self) -> memoryview:
        if not (self._small_pages and hasattr(mmap, "MADV_NOHUGEPAGE")):
            return np.empty(self._size, dtype=np.uint8).data
        pages = _Pages(-1, self._size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel that has no large pages
            pages.madvise(mmap.MADV_NOHUGEPAGE)
        return memoryview(pages)

    def give_back(self, buffer: memoryview) -> None:
        """Nobody looks at it any more."""
        if len(buffer) == self._size and len(self._free) < self._keep:
            self._free.append(buffer)


def split(batch: RecordBatch, limit: int, core: Core, *, known: int = -1) -> tuple[int, Iterator[RecordBatch]]:
    """Return how many packets have ordinals up to `known`, and the others in batches of at most `limit` bytes."""
    skip = bisect_right(batch.ordinals, known)
    return skip, _split(batch, skip, limit, core)


def _split(batch: RecordBatch, skip: int, limit: int, core: Core) -> Iterator[RecordBatch]:
    if skip == batch.count:
        return
    if not skip and len(batch.data) <= limit:
        yield batch
        return
    offsets, end = core.offsets(batch.data)
    bounds = np.append(offsets, np.uint64(end))
    start = skip
    while start < batch.count:
        stop = max(int(np.searchsorted(bounds, bounds[start] + np.uint64(limit), side="right")) - 1, start + 1)
        yield RecordBatch(
            batch.link_type,
            batch.data[int(bounds[start]) : int(bounds[stop])],
            batch.ordinals[start:stop],
            {at - start: extra for at, extra in batch.extras.items() if start <= at < stop},
        )
        start = stop


def _joined(kept: Sequence[_Kept]) -> Sequence[int]:
    arrays = (_to_array(each.ordinals) for each in kept)
    return np.concatenate([np.empty(0, dtype=np.uint64), *arrays])  # type: ignore[return-value]  # as in `_keep`


def _to_array(ordinals: Sequence[int]) -> NDArray[Any]:
    if isinstance(ordinals, range):
        return np.arange(ordinals.start, ordinals.stop, ordinals.step, dtype=np.uint64)
    return np.asarray(ordinals, dtype=np.uint64)
