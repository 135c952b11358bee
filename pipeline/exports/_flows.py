"""Which flows of each segment go out: by predicate, or because they carried entries that a query found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import NO_FLOW, Carrier, Predicate
from kubeshark.core_capture.store import SegmentReader

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["Chosen", "Matching"]


class Matching:
    """Selects the flows that a predicate lets through, and those that run inside them."""

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate

    def __call__(self, segment: SegmentReader) -> NDArray[np.bool_]:
        return _with_carried(segment.choose(self._predicate), segment)


class Chosen:
    """Selects the flows of a query's entries, whole connections, and those that run inside them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._rows: defaultdict[str, set[int]] = defaultdict(set)
        for entry in entries:
            for segment, row in entry.facts.parts:
                self._rows[segment.name].add(row)

    def __call__(self, segment: SegmentReader) -> NDArray[np.bool_]:
        chosen = np.isin(np.arange(len(segment.flows)), list(self._rows.get(segment.name, ())))
        return _with_carried(segment.in_cluster_order(chosen), segment)


def _with_carried(chosen: NDArray[np.bool_], segment: SegmentReader) -> NDArray[np.bool_]:
    """Add the flows inside chosen tunnels: a tunnel's outer flow has no packets of its own."""
    if not segment.has_carriers or not (chosen & segment.choose(Carrier())).any():
        return chosen
    rows, carrier = segment.by_row(chosen), segment.flows["carrier"]
    inside = carrier != NO_FLOW
    while True:  # once for each level of tunnels
        added = rows.copy()
        added[inside] |= rows[carrier[inside]]
        if (added == rows).all():
            return segment.in_cluster_order(rows)
        rows = added
