"""The catalogue: one row a segment, so that a query opens only the indexes that may hold something for it.

A reader asks all rows at once and makes an Entry only of those it goes on with: 160 segments (10 GB) cost little more
than four.

It copies what the indexes say and may be missing or stale: a reader completes it in memory, a writer that can read
the whole store rewrites it. One age file: zstd ( container ), like an index without signature.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import numpy as np
import zstandard
from msgspec import Meta, Struct

from kubeshark.core_capture._predicate import FlowColumns, Predicate
from kubeshark.core_capture.store._limits import (
    CATALOGUE_BYTES_A_FILE,
    CATALOGUE_TEXT_A_FILE,
    MAX_CATALOGUE_BYTES,
    STALE_CATALOGUE_BYTES,
)
from kubeshark.core_capture.store.catalogue._summary import MAX_FILTER_BYTES, Summaries, Summary, may_match, summarize
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import CATALOGUE
from kubeshark.core_capture.store.segments._container import Column, Contents, decoder, pack, unpack
from kubeshark.core_capture.store.segments._index import IndexMeta, inflate
from kubeshark.core_capture.store.segments._info import Chain, Count, Counters, SegmentInfo, SourceRecord
from kubeshark.core_capture.store.segments._scheduled import Scheduled
from kubeshark.errors import Damaged

__all__ = ["Catalogue", "Entry", "Known", "entry_of", "load_catalogue", "save_catalogue"]

_MAGIC = b"KSHKCAT2"


class Entry(Struct, frozen=True):
    """What a segment's index says, in short."""

    info: SegmentInfo
    chain: Chain
    sha256: str  # of the index's main part
    summary: Summary


class _Source(Struct, frozen=True):
    sha256: str
    name: str
    size: int


class _Rows(Struct, frozen=True):
    """The entries as JSON, a list for each of their fields; summaries lie in columns. Fields as in `_info.py`."""

    name: list[str]
    node: list[str]
    created: list[str]
    link_type: list[Annotated[int, Meta(ge=0, lt=1 << 32)]]
    packets: list[Annotated[int, Meta(ge=0, lt=1 << 32)]]
    flows: list[Annotated[int, Meta(ge=0, lt=1 << 32)]]
    captured_bytes: list[Count]
    stored_bytes: list[Count]
    first_ns: list[int]
    last_ns: list[int]
    source: list[Count]  # index into `sources`
    first_ordinal: list[Count]
    last_ordinal: list[Annotated[int, Meta(ge=-1, lt=1 << 62)]]
    blocks: list[Count]
    complete: list[bool]
    sequence: list[Count]
    previous: list[str]
    public_key: list[Count]  # index into `keys`
    sha256: list[str]
    counters: list[Counters | None] = []  # not in older catalogues
    part_of: list[str] = []  # nor this
    scheduled: list[Count] = []  # nor this: 1 + index into `marks`, 0 for none


class _Content(Struct, frozen=True):
    rows: _Rows
    sources: list[_Source]
    keys: list[str]
    marks: list[Scheduled] = []


_ROWS = _Rows.__struct_fields__
_NEWER = {"counters", "part_of", "scheduled"}  # fields that older catalogues lack

decoder(_Content)


class Catalogue:
    """What was read: entries in order of name, each made when it is asked for."""

    def __init__(self, content: _Content, summaries: Summaries) -> None:
        self._content, self._summaries = content, summaries
        self.names: Sequence[str] = content.rows.name

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Entry:
        rows = self._content.rows
        chain = Chain(rows.sequence[row], rows.previous[row], self._content.keys[rows.public_key[row]])
        return Entry(self.info(row), chain, rows.sha256[row], self._summaries[row])

    def info(self, row: int) -> SegmentInfo:
        """Return a segment's info alone."""
        rows, source = self._content.rows, self._content.sources[self._content.rows.source[row]]
        return SegmentInfo(
            name=rows.name[row],
            node=rows.node[row],
            created=rows.created[row],
            link_type=rows.link_type[row],
            packets=rows.packets[row],
            flows=rows.flows[row],
            captured_bytes=rows.captured_bytes[row],
            stored_bytes=rows.stored_bytes[row],
            first_ns=rows.first_ns[row],
            last_ns=rows.last_ns[row],
            source=SourceRecord(
                sha256=source.sha256,
                name=source.name,
                size=source.size,
                first_ordinal=rows.first_ordinal[row],
                last_ordinal=rows.last_ordinal[row],
                blocks=rows.blocks[row],
                complete=rows.complete[row],
                counters=rows.counters[row] if rows.counters else None,
                part_of=rows.part_of[row] if rows.part_of else "",
            ),
            scheduled=self._content.marks[mark - 1] if rows.scheduled and (mark := rows.scheduled[row]) else None,
        )

    def refused(self, predicate: Predicate) -> set[str]:
        """Return the names of the segments that hold no flow that the predicate lets through."""
        return {self.names[row] for row in np.flatnonzero(~may_match(predicate, self._summaries)).tolist()}


class Known:
    """What an open store knows of its segments: entries by name, their own or else the catalogue's.

    A catalogue read again replaces the one before; what a segment itself said stays.
    """

    def __init__(self) -> None:
        self._own: dict[str, Entry] = {}
        self._catalogue: Catalogue | None = None
        self._rows: dict[str, int] = {}
        self._infos: dict[str, SegmentInfo] = {}  # of the catalogue

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self._rows

    def __getitem__(self, name: str) -> Entry:
        return self._own.get(name) or self._listed()[self._rows[name]]

    def __setitem__(self, name: str, entry: Entry) -> None:
        self._own[name] = entry

    def is_own(self, name: str) -> bool:
        """Say whether a segment itself told, or who wrote it."""
        return name in self._own

    def info(self, name: str) -> SegmentInfo:
        """Return a segment's info, the same object each time."""
        if name in self._own:
            return self._own[name].info
        if name not in self._infos:
            self._infos[name] = self._listed().info(self._rows[name])
        return self._infos[name]

    def learn(self, catalogue: Catalogue) -> None:
        """Take what a catalogue says."""
        self._catalogue = catalogue
        self._rows = {name: row for row, name in enumerate(catalogue.names)}
        self._infos.clear()

    def forget(self, name: str) -> None:
        """Drop a segment that is another one now."""
        self._own.pop(name, None)
        self._infos.pop(name, None)
        self._rows.pop(name, None)

    def refused(self, predicate: Predicate) -> set[str]:
        """Return the names of the segments that hold no flow that the predicate lets through."""
        names = self._catalogue.refused(predicate).difference(self._own) if self._catalogue else set[str]()
        if self._own:
            summaries = Summaries.of([entry.summary for entry in self._own.values()])
            answers = may_match(predicate, summaries).tolist()
            names |= {name for name, answer in zip(self._own, answers, strict=True) if not answer}
        return names

    def _listed(self) -> Catalogue:
        """Return the catalogue; KeyError while there is none."""
        if self._catalogue is None:
            raise KeyError("no catalogue was read")
        return self._catalogue


def entry_of(meta: IndexMeta, flows: FlowColumns, sha256: str) -> Entry:
    """Return the entry of a segment with this flow table and this hash of its index's main part."""
    return Entry(meta.info, meta.chain, sha256, summarize(flows))


def load_catalogue(files: Backend, identities: Sequence[Identity], *, listed: int) -> Catalogue:
    """Read the catalogue; raise FileNotFoundError, NotForUsError or Damaged.

    `listed` is how many files the store has: a catalogue that is too large for them is Damaged.
    """
    limit = min(MAX_CATALOGUE_BYTES, STALE_CATALOGUE_BYTES + listed * CATALOGUE_BYTES_A_FILE)
    with AgeReader(files.open(CATALOGUE), identities) as age:
        if age.size > limit:
            raise Damaged(f"{age.size:,} bytes where {limit:,} are allowed", file=CATALOGUE)
        plain = inflate(age.view(0, age.size), limit, CATALOGUE)
    text_limit = STALE_CATALOGUE_BYTES // 4 + listed * CATALOGUE_TEXT_A_FILE
    contents = unpack(plain, _MAGIC, _Content, CATALOGUE, text_limit=text_limit)
    content, rows = contents.meta, contents.meta.rows
    count = len(rows.name)
    lengths = {name: len(getattr(rows, name)) for name in _ROWS}
    if (
        any(length != count and (length or name not in _NEWER) for name, length in lengths.items())
        or max(rows.source, default=-1) >= len(content.sources)
        or max(rows.public_key, default=-1) >= len(content.keys)
        or max(rows.scheduled, default=0) > len(content.marks)
    ):
        raise Damaged("its rows contradict each other", file=CATALOGUE)
    return Catalogue(content, _summaries(contents, count))


def _summaries(contents: Contents[_Content], count: int) -> Summaries:
    ports, sizes = (contents.column(name, "<u4", (count,)) for name in ("port_count", "filter_bytes"))
    if ((sizes & (sizes - 1)) != 0).any() or not ((sizes > 0) & (sizes <= MAX_FILTER_BYTES)).all():
        raise Damaged("a filter of impossible size", file=CATALOGUE)
    port_ends, filter_ends = np.cumsum(ports, dtype=np.uint64), np.cumsum(sizes, dtype=np.uint64)
    return Summaries(
        first_ns=contents.column("first_ns", "<u8", (count,)),
        last_ns=contents.column("last_ns", "<u8", (count,)),
        transports=contents.column("transports", "|u1", (count, 32)),
        has_ports=contents.column("has_ports", "|u1", (count,)) != 0,
        ports=contents.column("port", "<u2", (int(port_ends[-1]) if count else 0,)),
        port_ends=port_ends,
        filters=contents.column("filter", "|u1", (int(filter_ends[-1]) if count else 0,)).data,
        filter_ends=filter_ends,
    )


def save_catalogue(files: Backend, entries: Iterable[Entry], recipients: Sequence[Recipient]) -> None:
    """Replace the catalogue; the store's writer alone may do so."""
    content = io.BytesIO()
    out = AgeWriter(content, recipients)
    out.write(zstandard.ZstdCompressor(level=3).compress(_encode(entries)))
    out.finish()
    files.replace(CATALOGUE, content.getvalue())


def _encode(entries: Iterable[Entry]) -> bytes:
    entries = sorted(entries, key=lambda entry: entry.info.name)
    infos, chains = [entry.info for entry in entries], [entry.chain for entry in entries]
    records = [info.source for info in infos]
    origins = [_Source(record.sha256, record.name, record.size) for record in records]
    sources = {source: at for at, source in enumerate(dict.fromkeys(origins))}
    marks = {mark: at for at, mark in enumerate(dict.fromkeys(i.scheduled for i in infos if i.scheduled), 1)}
    keys = {key: at for at, key in enumerate(dict.fromkeys(chain.public_key for chain in chains))}
    rows = _Rows(
        name=[info.name for info in infos],
        node=[info.node for info in infos],
        created=[info.created for info in infos],
        link_type=[info.link_type for info in infos],
        packets=[info.packets for info in infos],
        flows=[info.flows for info in infos],
        captured_bytes=[info.captured_bytes for info in infos],
        stored_bytes=[info.stored_bytes for info in infos],
        first_ns=[info.first_ns for info in infos],
        last_ns=[info.last_ns for info in infos],
        source=[sources[origin] for origin in origins],
        first_ordinal=[record.first_ordinal for record in records],
        last_ordinal=[record.last_ordinal for record in records],
        blocks=[record.blocks for record in records],
        complete=[record.complete for record in records],
        sequence=[chain.sequence for chain in chains],
        previous=[chain.previous for chain in chains],
        public_key=[keys[chain.public_key] for chain in chains],
        sha256=[entry.sha256 for entry in entries],
        counters=[record.counters for record in records],
        part_of=[record.part_of for record in records],
        scheduled=[marks[info.scheduled] if info.scheduled else 0 for info in infos],
    )
    summaries = Summaries.of([entry.summary for entry in entries])
    columns = [
        Column("first_ns", summaries.first_ns, "delta planes"),
        Column("last_ns", summaries.last_ns, "delta planes"),
        Column("transports", summaries.transports, "planes"),
        Column("has_ports", summaries.has_ports.astype(np.uint8)),
        Column("port_count", np.diff(summaries.port_ends, prepend=np.uint64(0)).astype(np.uint32), "planes"),
        Column("port", summaries.ports, "delta planes"),
        Column("filter_bytes", np.diff(summaries.filter_ends, prepend=np.uint64(0)).astype(np.uint32), "planes"),
        Column("filter", np.frombuffer(summaries.filters, dtype=np.uint8)),
    ]
    return pack(_MAGIC, _Content(rows, list(sources), list(keys), list(marks)), columns)
