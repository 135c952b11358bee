"""A query: pick flows by the index, dissect them segment by segment, filter, and hand out entries in time order.

Invariants:

1. Segments are visited by their first time stamp; an entry is handed out once no later segment can hold an earlier one.
2. Only flows that the pushed-down predicate lets through are read, each with its parts in other segments (_choose).
3. Plugins' `enrich` sees every entry before the filter does.
4. The whole filter is evaluated on every entry: a predicate may let too much through, never too little.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from kubeshark.core_capture import And, FlowBit, Overlaps, Predicate
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._choose import choose_rows
from kubeshark.pipeline._dissect import Dissector, connection_entry
from kubeshark.pipeline._enrich import Enricher
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._facts import StreamFacts
from kubeshark.pipeline._filter import EntryFilter
from kubeshark.pipeline._flows import flow_entries
from kubeshark.pipeline._segments import Damage, FlowPart, Segment, chains, select, whole_row

__all__ = ["Query", "QueryStats"]


@dataclass(slots=True)
class QueryStats:
    """What a query did, for --explain and progress."""

    segments: int = 0
    segments_touched: int = 0
    flows: int = 0
    flows_selected: int = 0
    entries: int = 0
    matched: int = 0
    built: int = 0


@dataclass(slots=True)
class Query:
    """Iterate it once. `stats` grows while it runs."""

    segments: Sequence[Segment]
    dissector: Dissector
    filter: EntryFilter
    pushed: Predicate
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    on_progress: Callable[[int, int], None] | None = None  # segments done, segments in all
    stats: QueryStats = field(default_factory=QueryStats)
    damage: Damage = field(default_factory=Damage)
    enricher: Enricher = field(init=False)

    def __post_init__(self) -> None:
        self.enricher = Enricher(self.dissector.plugins.enrichers)

    @property
    def problems(self) -> list[KubesharkError]:
        """What could not be read, and what plugins did wrong: each thing once, however many segments met it."""
        failures = (*self.dissector.problems, *self.filter.failures, *self.enricher.problems)
        problems = (*self.damage.problems, *failures)
        return list({str(problem): problem for problem in problems}.values())

    def __iter__(self) -> Iterator[Entry]:
        return self._limited() if self.limit is not None else self._entries()

    def _limited(self) -> Iterator[Entry]:
        if self.limit == 0:
            return
        for number, entry in enumerate(self._entries(), 1):
            yield entry
            if number == self.limit:
                return

    def predicate(self) -> Predicate:
        if self.since_ns is None and self.until_ns is None:
            return self.pushed
        return And((self.pushed, Overlaps(self.since_ns, self.until_ns)))

    def _entries(self) -> Iterator[Entry]:
        predicate = self.predicate()
        segments = sorted((segment for segment in self.segments if len(segment.flows)), key=_first_ns)
        is_alone = len(segments) == 1
        selected = [(segment, choose_rows(segment, predicate, is_alone=is_alone)) for segment in segments]
        self.stats.segments = len(self.segments)
        self.stats.flows = sum(len(segment.flows) for segment in segments)
        self.stats.flows_selected = sum(len(rows) for _, rows in selected)
        tie = count()  # entries of equal time stay in the order they were found
        joined = chains(selected)
        flows = flow_entries(joined, self.dissector.origin) if self.filter.wants_flow else []
        groups = self.filter.select(self.enricher.apply(flows))
        waiting = [(entry.start_ns, next(tie), entry) for entry in groups if self._in_window(entry)]
        heapq.heapify(waiting)
        self.stats.matched += len(waiting)
        for at, ((segment, _), begins) in enumerate(zip(selected, joined, strict=True)):
            found = self._of_segment(segment, begins)
            visible = self.enricher.apply(found)  # before any filter: none may find out what was redacted
            matched = [entry for entry in self.filter.select(visible) if self._in_window(entry)]
            self.stats.entries += len(found)
            self.stats.matched += len(matched)
            self.stats.built += sum(entry.is_built for entry in found)
            for entry in matched:
                heapq.heappush(waiting, (entry.start_ns, next(tie), entry))
            if self.on_progress:
                self.on_progress(at + 1, len(segments))
            horizon = _first_ns(segments[at + 1]) if at + 1 < len(segments) else None
            while waiting and (horizon is None or waiting[0][0] < horizon):
                yield heapq.heappop(waiting)[2]

    def _of_segment(self, segment: Segment, begins: dict[int, list[FlowPart]]) -> list[Entry]:
        if not begins:
            return []
        self.stats.segments_touched += 1
        rows = np.fromiter(begins, dtype=np.int64, count=len(begins))
        is_carrier = (segment.flows["bits"][rows] & FlowBit.CARRIER) != 0
        carriers = [row for row, carrier in zip(rows.tolist(), is_carrier.tolist(), strict=True) if carrier]
        entries: list[Entry] = []
        if self.filter.wants_conn:
            for row in carriers:  # a tunnel's outer flow has no packets of its own
                facts = StreamFacts(whole_row(begins[row]), None, tuple(begins[row]), self.dissector.origin)
                connection = connection_entry(facts, [])
                entries += [connection] if connection else []
        for row in carriers:
            del begins[row]
        if begins:
            selection = select(self.dissector.core, segment, begins, self.damage)
            wants_conn = self.filter.wants_conn
            entries += self.dissector.entries(selection, with_conn=wants_conn, wants=self.filter.wants)
        return entries

    def _in_window(self, entry: Entry) -> bool:
        start_ns = entry.start_ns
        return (self.since_ns is None or start_ns >= self.since_ns) and (
            self.until_ns is None or start_ns <= self.until_ns
        )


def _first_ns(segment: Any) -> int:
    return int(segment.flows["first_ns"].min())
