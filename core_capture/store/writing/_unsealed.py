"""An open segment as readers see it: sealed in memory, without compression, encryption and signature.

Its packets come from the log. Index, clustering and blocks are those that the segment will have when it is sealed from
these packets, so that whatever reads segments reads this one, too, and finds the same flows under the same ordinals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import PCAP_HEADER_BYTES
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.keys._signing import SIGNATURE_BYTES
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, INDEX_SUFFIX, open_names
from kubeshark.core_capture.store.segments._extras import Extras, decode_extras, encode_extras
from kubeshark.core_capture.store.segments._index import Blocks, DataFile, IndexMeta, decode_main, encode_main
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._reader import IndexFile, ReadStats, SegmentReader
from kubeshark.core_capture.store.segments._segment import Draft, block_bounds, cluster, extras_of, segment_info
from kubeshark.errors import StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.writing._log import LogReader

__all__ = ["UnsealedIndex", "UnsealedReader", "UnsealedSegments"]

NOBODY = Chain(0, "", "")


class UnsealedIndex(IndexFile):
    """The index of a draft. Readers share it; it holds the packets."""

    def __init__(self, draft: Draft, core: Core) -> None:
        self.file, self.data_file = f"{draft.name}{INDEX_SUFFIX}", f"{draft.name}{DATA_SUFFIX}"
        self.draft, self._core = draft, core
        decoded = core.decode(draft.data, draft.link_type)
        self._layout = layout = cluster(decoded)
        self._offsets = decoded.packets["offset"].astype(np.uint64)
        self._bounds = bounds = block_bounds(layout.sizes, layout.cuts)
        ends = np.concatenate(([np.uint64(0)], np.cumsum(layout.sizes, dtype=np.uint64)))
        raw_start = ends[bounds] + np.uint64(PCAP_HEADER_BYTES)
        size = PCAP_HEADER_BYTES + len(draft.data)
        meta = IndexMeta(
            info=segment_info(draft, layout, stored_bytes=0),
            chain=NOBODY,
            data=DataFile(size, f"{len(draft.ordinals):032x}", size, len(bounds) - 1),
            extras_sha256="",
        )
        times = layout.times
        blocks = Blocks(
            offset=raw_start,
            raw_start=raw_start,
            first_ns=np.minimum.reduceat(times, bounds[:-1]) if len(times) else times,
            last_ns=np.maximum.reduceat(times, bounds[:-1]) if len(times) else times,
        )
        self.main = encode_main(meta, layout.flows, blocks, lambda _: bytes(SIGNATURE_BYTES))
        self.index = decode_main(self.main, draft.name)
        self.size = 0
        self.was_told = True

    def told(self) -> ReadStats:
        return ReadStats(segments=1, kept_indexes=1)

    @cached_property
    def extras(self) -> Extras:
        """What the second frame of its index will say."""
        first = self.draft.source.first_ordinal
        frame = encode_extras(*extras_of(self.draft, self._layout), first)
        return decode_extras(frame, self.file, packets=len(self.draft.ordinals), first_ordinal=first)

    def block(self, number: int) -> bytes:
        """Return the records of a block."""
        start, end = self._bounds[number], self._bounds[number + 1]
        order = self._layout.order[start:end].astype(np.uint64)
        size = int(self._layout.sizes[start:end].sum())
        gathered = self._core.gather(self.draft.data, self._offsets, order, size)
        return bytes(gathered)


class UnsealedReader(SegmentReader):
    """Reads a draft like a segment: its blocks are gathered when they are asked for, and not kept."""

    def __init__(self, files: Backend, index: UnsealedIndex, identities: Sequence[Identity]) -> None:
        super().__init__(files, index, identities)
        self._unsealed = index

    def _inflate_to(self, ranges: Sequence[tuple[int, int]], out: memoryview) -> None:
        self._copy_to(ranges, out)  # its blocks are in memory, and no frames

    def _from_file(self, wanted: list[int]) -> Iterator[tuple[int, bytes]]:
        for number in wanted:
            block = self._unsealed.block(number)
            self.stats.kept_blocks += 1
            self.stats.kept_bytes += len(block)
            yield number, block


class UnsealedSegments:
    """The open segments of a store, as of the last look; any thread may look."""

    def __init__(self, files: Backend, core: Core) -> None:
        self.problems: list[StoreError] = []  # of the last look
        self._files, self._core = files, core
        self._reader: LogReader | None = None
        self._indexes: dict[str, UnsealedIndex] = {}
        self._lock = Lock()

    def look(self, listed: Sequence[str], identities: Callable[[], Sequence[Identity]]) -> bool:
        """Look at the log, if files of these names have one; say whether there is any.

        What is sealed later than that is found by who lists the store afterwards: nothing is missed.
        """
        with self._lock:
            if not open_names(listed):
                self._reader, self._indexes, self.problems = None, {}, []
                return False
            from kubeshark.core_capture.store.writing._log import LogReader  # most stores have no log

            self._reader = self._reader or LogReader(self._files, identities())
            before, self._indexes = self._indexes, {}
            for segment in self._reader.read():
                known = before.get(segment.name)
                is_same = known is not None and len(known.draft.ordinals) == segment.packets
                self._indexes[segment.name] = known if known and is_same else UnsealedIndex(segment.draft, self._core)
            self.problems = [StoreError(str(problem)) for problem in self._reader.problems]
            return True

    def __iter__(self) -> Iterator[UnsealedIndex]:
        return iter(self._indexes.values())

    def get(self, name: str) -> UnsealedIndex | None:
        return self._indexes.get(name)

    def forget(self, sealed: Collection[str]) -> None:
        """Let go of those that were sealed meanwhile."""
        with self._lock:
            self._indexes = {name: index for name, index in self._indexes.items() if name not in sealed}

    def free(self) -> None:
        """Let go of all packets; they are read again at the next look."""
        with self._lock:
            self._reader, self._indexes = None, {}
