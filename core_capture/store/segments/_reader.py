"""Reads one segment: its index at once, and of its packets only the blocks that are asked for.

1. A reader never writes.
2. Nothing is returned that age has not authenticated and the index does not bind to this segment.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core, FlowBit
from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._predicate import Predicate, match
from kubeshark.core_capture._records import PCAP_HEADER_BYTES
from kubeshark.core_capture.store._limits import BLOCK_BYTES, MAX_INDEX_BYTES
from kubeshark.core_capture.store.keys._age_format import CHUNK, Tail
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, INDEX_SUFFIX
from kubeshark.core_capture.store.segments._cache import BlockCache
from kubeshark.core_capture.store.segments._extras import Extras, decode_extras
from kubeshark.core_capture.store.segments._frames import Part, frame_length, make_part, make_seek_table
from kubeshark.core_capture.store.segments._index import HEAD_BYTES, Index, decode_main, inflate, inflate_to, split_head
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.errors import Damaged, StoreError

__all__ = ["Expired", "IndexFile", "ReadStats", "SegmentReader"]

_KEPT_BLOCKS = 8  # inflated blocks kept for the next call: 2 MiB
_RUN_BLOCKS = 4  # read and decrypted at once: some 400 KiB, which stay in the second-level cache


class ReadStats(Struct):
    """What was decrypted, for --explain; add readers' together with +=."""

    segments: int = 0
    index_bytes: int = 0  # plaintext of age
    blocks: int = 0
    data_bytes: int = 0  # plaintext of age: compressed packets
    kept_indexes: int = 0  # that were in memory already
    kept_blocks: int = 0  # likewise
    kept_bytes: int = 0  # of those blocks, inflated

    def __iadd__(self, other: ReadStats) -> Self:
        self.segments += other.segments
        self.index_bytes += other.index_bytes
        self.blocks += other.blocks
        self.data_bytes += other.data_bytes
        self.kept_indexes += other.kept_indexes
        self.kept_blocks += other.kept_blocks
        self.kept_bytes += other.kept_bytes
        return self


class Expired(Damaged):
    """A segment that was deleted between its listing and its reading: nothing is wrong, but it is not there."""

    def __init__(self, name: str) -> None:
        super().__init__("", file=name)
        self.message = f"{name} expired: it was deleted while it was to be read"
        self.args = (self.message,)


class IndexFile:
    """The index of a segment, decrypted and decoded; `extras` reads on where that is needed.

    `prefix` .tmp- is for one that was not published.
    """

    def __init__(
        self,
        files: Backend,
        name: str,
        identities: Sequence[Identity],
        *,
        prefix: str = "",
        file_key: bytes = b"",
    ) -> None:
        self.file = f"{prefix}{name}{INDEX_SUFFIX}"
        self.data_file = f"{prefix}{name}{DATA_SUFFIX}"
        self._files, self._identities = files, identities
        with AgeReader(files.open(self.file), identities, file_key=file_key) as age:
            self.file_key = age.file_key
            head = age.view(0, CHUNK)
            self._main_bytes, self._extras_bytes = split_head(head, age.size, self.file)
            end = HEAD_BYTES + self._main_bytes
            if end > len(head):
                head = age.view(0, end)
        frame = head[HEAD_BYTES:end]
        self._rest = head[end:]  # the second frame, or its beginning: it came with the first
        self.size = end
        self.was_told = False  # its decryption is on somebody's account
        self.main = inflate(frame, MAX_INDEX_BYTES, self.file)
        self.index = decode_main(self.main, name)

    def told(self) -> ReadStats:
        """Return what opening the segment decrypted: the index, for the first who asks."""
        was_told, self.was_told = self.was_told, True
        return ReadStats(segments=1, kept_indexes=1) if was_told else ReadStats(segments=1, index_bytes=self.size)

    def sha256(self) -> str:
        """Return the hash that the next index of the chain names, hex."""
        return hashlib.sha256(self.main).hexdigest()

    @cached_property
    def extras(self) -> Extras:
        """The second frame; raise Damaged unless it is the one that the main frame names."""
        frame = self._rest
        if len(frame) < self._extras_bytes:
            with AgeReader(self._files.open(self.file), self._identities, file_key=self.file_key) as age:
                frame = age.view(HEAD_BYTES + self._main_bytes, self._extras_bytes)
        meta = self.index.meta
        if hashlib.sha256(frame).hexdigest() != meta.extras_sha256:
            raise Damaged("its second frame belongs to another index", file=self.file)
        first = meta.info.source.first_ordinal
        return decode_extras(frame, self.file, packets=meta.info.packets, first_ordinal=first)


class SegmentReader:
    """One segment, open. Use it as a context manager; several threads may read at once.

    Ranges are (start, end) in bytes of the uncompressed pcap. Blocks are looked for in `cache` and left there.
    """

    def __init__(
        self,
        files: Backend,
        index_file: IndexFile,
        identities: Sequence[Identity],
        cache: BlockCache | None = None,
    ) -> None:
        index = index_file.index
        self.info: SegmentInfo = index.meta.info
        self.name = self.info.name
        self.link_type = self.info.link_type
        self.stats = index_file.told()
        self._cache = cache
        self._index_file = index_file
        self._index: Index = index
        self._files, self._identities = files, identities
        self._kept: dict[int, bytes] = {}

    @property
    def flows(self) -> NDArray[Any]:
        """The flow table, a FLOW array by ordinal. Decoded on first use: to choose flows, `match` is faster."""
        return self._index.flows.rows

    def match(self, predicate: Predicate) -> NDArray[np.bool_]:
        """Say for each flow whether it may hold what the predicate asks for; decodes only the columns it names."""
        table = self._index.flows
        return table.by_ordinal(match(predicate, table.clustered))

    def choose(self, predicate: Predicate) -> NDArray[np.bool_]:
        """Say the same in cluster order, which spares a selection of packets the detour over rows."""
        return match(predicate, self._index.flows.clustered)

    def in_cluster_order(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Turn one bool per flow by row into one in cluster order."""
        chosen: NDArray[np.bool_] = rows[self._index.flows.cluster]
        return chosen

    def by_row(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Turn one bool per flow in cluster order into one by row."""
        return self._index.flows.by_ordinal(chosen)

    @property
    def has_carriers(self) -> bool:
        """Some flow only carries others."""
        return bool((self._index.flows.clustered["bits"] & int(FlowBit.CARRIER)).any())

    def range(self, row: int) -> tuple[int, int]:
        """Return where the records of a flow lie."""
        start = int(self._index.flows.range_starts[row])
        return start, start + int(self._index.flows.range_bytes[row])

    def placed(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return where the records of these flows begin."""
        starts: NDArray[Any] = self._index.flows.range_starts[rows]
        return starts

    def records(self, rows: Sequence[int] | NDArray[Any]) -> list[bytes | memoryview]:
        """Return the records of each of these flows, in capture order; views of shared blocks where possible."""
        return self.read([self.range(int(row)) for row in rows])

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        """Return the bytes of each range, decrypting and inflating only the blocks that hold them."""
        spans = self._spans(ranges)
        blocks = self._inflate(_union(spans))
        return [_cut(blocks, self._index.blocks.raw_start, *span) for span in spans]

    def select(self, chosen: NDArray[np.bool_] | None) -> memoryview:
        """Return the records of the chosen flows (in cluster order; None: all packets) as they lie in the pcap.

        Whole blocks are inflated to where they belong; others one after the other and not kept: memory that is touched
        for the first time costs four times what inflating it does (a page fault per 4 KiB; numpy asks for large pages).
        """
        ranges = self.ranges(chosen)
        out = np.empty(sum(end - start for start, end in ranges), dtype=np.uint8).data
        (self._copy_to if self._cache else self._inflate_to)(ranges, out)
        return out

    def _copy_to(self, ranges: Sequence[tuple[int, int]], out: memoryview) -> None:
        at = 0
        for piece in self._pieces(ranges):
            out[at : at + len(piece)] = piece
            at += len(piece)

    def _inflate_to(self, ranges: Sequence[tuple[int, int]], out: memoryview) -> None:
        raw_starts = self._index.blocks.raw_starts
        parts = self._parts(ranges)
        frames = self._frames(_blocks_of(parts))
        at, current, frame, content = 0, -1, memoryview(b""), b""
        for block, start, stop in parts:
            if block != current:
                current, frame = next(frames)
                content = b""
            base, size = raw_starts[block], raw_starts[block + 1] - raw_starts[block]
            into = out[at : at + stop - start]
            if len(into) == size:
                inflate_to(frame, into, self._data.name)
            else:
                content = content or inflate(frame, size, self._data.name, exactly=True)
                into[:] = memoryview(content)[start - base : stop - base]
            at += stop - start

    def parts(self, chosen: NDArray[np.bool_] | None) -> list[memoryview]:
        """Return what `select` does, a piece a block; one of less than half a block does not keep the rest."""
        half = BLOCK_BYTES // 2
        pieces = self._pieces(self.ranges(chosen))
        return [piece if len(piece) >= half else memoryview(bytes(piece)) for piece in pieces]

    def gathered(self, rows: NDArray[Any]) -> tuple[memoryview, NDArray[Any], NDArray[Any]]:
        """Return (the records of these flows as they lie in the pcap, their rows in that order, each one's offset)."""
        table = self._index.flows
        wanted = np.zeros(len(table), dtype=np.bool_)
        wanted[rows] = True
        chosen = self.in_cluster_order(wanted)
        sizes = table.clustered.range_bytes[chosen].astype(np.int64)
        return self.select(chosen), table.cluster[chosen].astype(np.int64), np.cumsum(sizes) - sizes

    def pieces(self, chosen: NDArray[np.bool_] | None, since_ns: int, until_ns: int) -> Iterator[memoryview]:
        """Yield what `select` returns piece by piece, whole records each, valid until the next.

        Blocks without a record in [since_ns, until_ns] are neither decrypted nor inflated.
        """
        blocks = self._index.blocks
        overlaps = (blocks.last_ns >= max(since_ns, 0)) & (blocks.first_ns <= max(until_ns, 0))
        yield from self._pieces(self.ranges(chosen), overlaps.tolist())

    def ranges(self, chosen: NDArray[np.bool_] | None) -> list[tuple[int, int]]:
        """Return where the chosen flows' records lie, in file order, neighbours merged."""
        if chosen is None:
            return [(PCAP_HEADER_BYTES, self._index.meta.data.raw_length)]
        return load_core().runs(chosen, self._index.flows.clustered.range_bytes, PCAP_HEADER_BYTES)

    def places(self, chosen: NDArray[np.bool_] | None) -> list[tuple[int, int]]:
        """Return the places in the pcap (0 the first record) of what `select` returns, as (first, behind the last)."""
        if chosen is None:
            return [(0, self.info.packets)]
        return load_core().runs(chosen, self._index.flows.clustered.records, 0)

    def check_data(self, core: Core) -> None:
        """Read the whole data file and compare it with the index; raise Damaged naming the first difference.

        The decoder is not run: it may improve between versions, what lies in a store stays.
        """
        data, blocks = self._index.meta.data, self._index.blocks
        self._data.check_ends()
        start = self._data.read(0, int(blocks.offset[0]))
        length = frame_length(start, 0) or len(start)
        header = inflate(start[:length], PCAP_HEADER_BYTES, self._data.name, exactly=True)
        if header != pcap_header(self.link_type):
            raise Damaged("its pcap header is not that of its link type", file=self._data.name, offset=0)
        source = self.info.source
        if start[length:] not in (b"", make_part(Part(source.sha256, source.first_ordinal))):
            raise Damaged("it names another source than its index", file=self._data.name, offset=length)
        records = 0
        for block, content in self._inflated(list(range(len(blocks)))):
            offsets, end = core.offsets(content)
            records += len(offsets)
            if end != len(content):
                raise Damaged(f"block {block} does not end with a record", file=self._data.name)
        if records != self.info.packets:
            raise Damaged(f"{records:,} records, its index says {self.info.packets:,}", file=self._data.name)
        frames = zip(np.diff(blocks.offset).tolist(), np.diff(blocks.raw_start).tolist(), strict=True)
        table = make_seek_table([(int(blocks.offset[0]), PCAP_HEADER_BYTES), *frames])
        if self._data.read(int(blocks.offset[-1]), data.length) != table:
            raise Damaged("its seek table is wrong", file=self._data.name)

    @property
    def extras(self) -> Extras:
        """Capture order, options and the source's metadata: read on first use, by exports."""
        return self._index_file.extras

    @cached_property
    def _data(self) -> AgeReader:
        data = self._index.meta.data
        name = self._index_file.data_file
        tail = Tail(data.length, *map(bytes.fromhex, (data.last_tag, data.file_key, data.nonce)))
        try:
            file = self._files.open(name)
        except FileNotFoundError:
            raise self._missing() from None
        except StoreError as error:  # no permission, a folder in its place: the other segments can be read
            if self._files.is_remote or isinstance(error, Damaged):
                raise
            raise Away(name, error.message) from None
        return AgeReader(file, self._identities, tail=tail)

    def _missing(self) -> Damaged:
        if not self._files.exists(self._index_file.file):  # it goes before the data
            return Expired(self.name)
        return Damaged("its data file is missing", file=self._index_file.data_file)

    def _spans(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
        """Return (start, end, first block, block behind the last) of each range; ValueError for one outside."""
        raw_start = self._index.blocks.raw_start
        bounds = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
        if len(bounds) and (int(bounds[:, 0].min()) < PCAP_HEADER_BYTES or bounds[:, 1].max() > raw_start[-1]):
            raise ValueError("a range lies outside the segment's records")
        first = np.searchsorted(raw_start, bounds[:, 0], side="right") - 1
        stop = np.where(bounds[:, 1] > bounds[:, 0], np.searchsorted(raw_start, bounds[:, 1], side="left"), first)
        columns = (bounds[:, 0].tolist(), bounds[:, 1].tolist(), first.tolist(), stop.tolist())
        return list(zip(*columns, strict=True))

    def _pieces(self, ranges: Sequence[tuple[int, int]], wanted: Sequence[bool] | None = None) -> Iterator[memoryview]:
        """Yield the bytes of ascending ranges, block by block; a piece is valid until the next.

        With `wanted`, one bool a block, the others are left out.
        """
        raw_starts = self._index.blocks.raw_starts
        parts = self._parts(ranges)
        if wanted is not None:
            parts = [part for part in parts if wanted[part[0]]]
        inflated = self._inflated(_blocks_of(parts))
        current, content = -1, memoryview(b"")
        for block, start, stop in parts:
            if block != current:
                current, plain = next(inflated)
                content = memoryview(plain)
            base = raw_starts[block]
            yield content[start - base : stop - base]

    def _parts(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Return what of each block lies in these ascending ranges: (block, from where, to where of the pcap)."""
        raw_starts = self._index.blocks.raw_starts
        parts: list[tuple[int, int, int]] = []
        block = 0
        for start, end in ranges:
            block = bisect_right(raw_starts, start, block) - 1
            while start < end:
                stop = min(end, raw_starts[block + 1])
                parts.append((block, start, stop))
                start = stop
                block += start < end
        return parts

    def _inflate(self, wanted: list[int]) -> dict[int, bytes]:
        blocks = {block: self._kept[block] for block in wanted if block in self._kept}
        blocks.update(self._inflated([block for block in wanted if block not in blocks]))
        self._kept = dict(list(blocks.items())[-_KEPT_BLOCKS:])
        return blocks

    def _inflated(self, wanted: list[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (block, contents) of these blocks, ascending: those that are kept, the others from the file."""
        if not self._cache:
            yield from self._from_file(wanted)
            return
        content_id = f"{self.name} {self._index.meta.data.last_tag}"
        kept = {block: plain for block in wanted if (plain := self._cache.get((content_id, block))) is not None}
        self.stats.kept_blocks += len(kept)
        self.stats.kept_bytes += sum(map(len, kept.values()))
        fresh = self._from_file([block for block in wanted if block not in kept])
        for block in wanted:
            plain = kept.pop(block, None)
            if plain is None:
                _, plain = next(fresh)
                self._cache.put((content_id, block), plain)
            yield block, plain

    def _from_file(self, wanted: list[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (block, contents) of these blocks, ascending, decrypted now."""
        raw_starts = self._index.blocks.raw_starts
        for block, frame in self._frames(wanted):
            size = raw_starts[block + 1] - raw_starts[block]
            yield block, inflate(frame, size, self._data.name, exactly=True)

    def _frames(self, wanted: list[int]) -> Iterator[tuple[int, memoryview]]:
        """Yield (block, its zstd frame) of these blocks, ascending, decrypted now; a frame is valid until the next."""
        offsets = self._index.blocks.offsets
        runs = _runs(wanted)
        ranges = [(offsets[first], offsets[stop] - offsets[first]) for first, stop in runs]
        for (first, stop), (base, _), stored in zip(runs, ranges, self._read(ranges), strict=True):
            self.stats.data_bytes += len(stored)
            self.stats.blocks += stop - first
            for block in range(first, stop):
                yield block, stored[offsets[block] - base : offsets[block + 1] - base]

    def _read(self, ranges: Sequence[tuple[int, int]]) -> Iterator[memoryview]:
        try:
            yield from self._data.views(ranges)
        except FileNotFoundError:
            raise self._missing() from None

    def close(self) -> None:
        """Close the data file; reading again opens it again."""
        if "_data" in self.__dict__:
            self._data.close()
            del self._data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _union(spans: Sequence[tuple[int, int, int, int]]) -> list[int]:
    """Return every block of these spans once, ascending."""
    return sorted({block for _, _, low, high in spans for block in range(low, high)})


def _blocks_of(parts: Sequence[tuple[int, int, int]]) -> list[int]:
    """Return the blocks of ascending parts, each once."""
    return list(dict.fromkeys(block for block, _, _ in parts))


def _runs(blocks: list[int]) -> list[tuple[int, int]]:
    """Return (first, stop) of consecutive blocks, at most _RUN_BLOCKS each."""
    runs: list[tuple[int, int]] = []
    for block in blocks:
        if runs and runs[-1][1] == block and block - runs[-1][0] < _RUN_BLOCKS:
            runs[-1] = (runs[-1][0], block + 1)
        else:
            runs.append((block, block + 1))
    return runs


def _cut(
    blocks: dict[int, bytes], raw_start: NDArray[Any], start: int, end: int, first: int, stop: int
) -> bytes | memoryview:
    """Return raw bytes [start, end), which lie in blocks [first, stop)."""
    if stop <= first:
        return b""
    base = int(raw_start[first])
    if stop - first == 1:
        return memoryview(blocks[first])[start - base : end - base]
    pieces = [memoryview(blocks[block]) for block in range(first, stop)]
    pieces[-1] = pieces[-1][: end - int(raw_start[stop - 1])]
    pieces[0] = pieces[0][start - base :]
    return b"".join(pieces)
