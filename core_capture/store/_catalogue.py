"""The catalogue: one row a segment, so that a query opens only the indexes that may hold something for it.

It copies what the indexes say and may be missing or stale: a reader completes it in memory, a writer that can read
the whole store rewrites it. One age file: zstd ( container ), like an index without signature.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import zstandard
from msgspec import Meta

from kubeshark.core_capture._predicate import FlowColumns
from kubeshark.core_capture.store._age import AgeReader, AgeWriter
from kubeshark.core_capture.store._backend import Backend
from kubeshark.core_capture.store._container import Column, pack, unpack
from kubeshark.core_capture.store._identity import Identity, Recipient
from kubeshark.core_capture.store._index import IndexMeta, inflate
from kubeshark.core_capture.store._info import Chain, SegmentInfo
from kubeshark.core_capture.store._limits import MAX_CATALOGUE_BYTES
from kubeshark.core_capture.store._names import CATALOGUE
from kubeshark.core_capture.store._summary import MAX_FILTER_BYTES, Summary, summarize
from kubeshark.errors import Damaged

__all__ = ["Entry", "entry_of", "load_catalogue", "save_catalogue"]

_MAGIC = b"KSHKCAT1"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a segment's index says, in short."""

    info: SegmentInfo
    chain: Chain
    sha256: str  # of the index's main part
    summary: Summary


@dataclass(frozen=True, slots=True)
class _Row:
    """An Entry as JSON; its ports and its filter lie in columns."""

    info: SegmentInfo
    chain: Chain
    sha256: str
    first_ns: int
    last_ns: int
    transports: list[Annotated[int, Meta(ge=0, le=255)]]


def entry_of(meta: IndexMeta, flows: FlowColumns, sha256: str) -> Entry:
    """Return the entry of a segment with this flow table and this hash of its index's main part."""
    return Entry(meta.info, meta.chain, sha256, summarize(flows))


def load_catalogue(files: Backend, identities: Sequence[Identity]) -> list[Entry]:
    """Read the catalogue; raise FileNotFoundError, NotForUsError or Damaged."""
    with AgeReader(files.open(CATALOGUE), identities) as age:
        plain = inflate(age.read(0, age.size), MAX_CATALOGUE_BYTES, CATALOGUE)
    contents = unpack(plain, _MAGIC, list[_Row], CATALOGUE)
    rows = contents.meta
    shape = (len(rows),)
    port_counts = contents.column("port_count", "<u4", shape)
    filter_sizes = contents.column("filter_bytes", "<u4", shape)
    has_ports = contents.column("has_ports", "|u1", shape)
    port_ends, filter_ends = np.cumsum(port_counts, dtype=np.uint64), np.cumsum(filter_sizes, dtype=np.uint64)
    ports = contents.column("port", "<u2", (int(port_ends[-1]) if rows else 0,)).tolist()
    filters = contents.column("filter", "|u1", (int(filter_ends[-1]) if rows else 0,)).tobytes()
    odd = (filter_sizes & (filter_sizes - 1)) != 0
    if (odd | (filter_sizes == 0) | (filter_sizes > MAX_FILTER_BYTES)).any():
        raise Damaged("a filter of impossible size", file=CATALOGUE)
    return [
        Entry(
            row.info,
            row.chain,
            row.sha256,
            Summary(
                row.first_ns,
                row.last_ns,
                frozenset(row.transports),
                frozenset(ports[port_end - port_count : port_end]) if listed else None,
                filters[filter_end - filter_size : filter_end],
            ),
        )
        for row, listed, port_count, port_end, filter_size, filter_end in zip(
            rows,
            *(each.tolist() for each in (has_ports, port_counts, port_ends, filter_sizes, filter_ends)),
            strict=True,
        )
    ]


def save_catalogue(files: Backend, entries: Iterable[Entry], recipients: Sequence[Recipient]) -> None:
    """Replace the catalogue; the store's writer alone may do so."""
    entries = sorted(entries, key=lambda entry: entry.info.name)
    rows = [
        _Row(e.info, e.chain, e.sha256, e.summary.first_ns, e.summary.last_ns, sorted(e.summary.transports))
        for e in entries
    ]
    ports = [sorted(e.summary.server_ports or ()) for e in entries]
    filters = [e.summary.filter for e in entries]
    columns = [
        Column("has_ports", np.array([e.summary.server_ports is not None for e in entries], dtype=np.uint8)),
        Column("port_count", np.array([len(p) for p in ports], dtype=np.uint32), "planes"),
        Column("port", np.array([port for p in ports for port in p], dtype=np.uint16), "delta planes"),
        Column("filter_bytes", np.array([len(f) for f in filters], dtype=np.uint32), "planes"),
        Column("filter", np.frombuffer(b"".join(filters), dtype=np.uint8)),
    ]
    content = io.BytesIO()
    out = AgeWriter(content, recipients)
    out.write(zstandard.ZstdCompressor(level=3).compress(pack(_MAGIC, rows, columns)))
    out.finish()
    files.replace(CATALOGUE, content.getvalue())
