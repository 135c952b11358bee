"""Exports of less than whole connections: the packets of the entries that a query found, those a bpf lets through.

A packet is known again by its record, for the export reads a segment anew: its time and all its bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import load_core
from kubeshark.core_capture.live import PacketFilter
from kubeshark.core_capture.store import Keep, SegmentReader
from kubeshark.pipeline.entries._packets import entry_records
from kubeshark.pipeline.exports._flows import Chosen

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["ChosenPackets", "passing"]

DIGEST_BYTES = 16


class ChosenPackets:
    """Selects the packets that carried bytes of a query's messages; of a connection's own entry all of them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._rows: defaultdict[str, set[int]] = defaultdict(set)
        self._records: set[bytes] = set()
        self._whole = Chosen(self._connections(entries))

    def _connections(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries that are connections, and take down the packets of the others."""
        for entry in entries:
            if not entry.entry_id.number.isdecimal():
                yield entry
                continue
            for segment, row in entry.facts.parts:
                self._rows[segment.name].add(row)
            self._records.update(map(_digest, entry_records(entry)))

    def __call__(self, segment: SegmentReader) -> NDArray[np.bool_]:
        """Say which flows they lie in."""
        chosen = np.isin(np.arange(len(segment.flows)), list(self._rows.get(segment.name, ())))
        return self._whole(segment) | segment.in_cluster_order(chosen)

    def keep(
        self, segment: SegmentReader, data: bytes | bytearray | memoryview, offsets: NDArray[Any]
    ) -> NDArray[np.bool_]:
        whole = self._whole(segment)
        known = self._records
        if whole.any():
            theirs = segment.select(whole)
            known = known.union(map(_digest, _records(theirs, load_core().offsets(theirs)[0])))
        kept = [_digest(record) in known for record in _records(data, offsets)]
        return np.array(kept, dtype=np.bool_)


def passing(expression: str, link_types: Iterable[int]) -> Keep:
    """Return what keeps the packets that a libpcap filter lets through; raise UsageError for a wrong one."""
    packet_filter = PacketFilter(expression)
    for link_type in link_types:
        packet_filter.compile(link_type)
    return lambda segment, data, offsets: packet_filter.match(segment.info.link_type, data, offsets)


def _records(data: bytes | bytearray | memoryview, offsets: NDArray[Any]) -> Iterator[memoryview]:
    view, bounds = memoryview(data), [*offsets.tolist(), len(data)]
    return (view[start:end] for start, end in pairwise(bounds))


def _digest(record: bytes | memoryview) -> bytes:
    return blake2b(record, digest_size=DIGEST_BYTES).digest()
