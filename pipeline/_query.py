"""A query: pick flows by the index, dissect them segment by segment, filter, and hand out entries in time order.

Invariants:

1. Segments are visited by their first time stamp; an entry is handed out once no later segment can hold an earlier one.
2. Only flows that the pushed-down predicate lets through are read, each with its parts in other segments (_choose).
3. Plugins' `enrich` sees every entry before the filter does.
4. The whole filter is evaluated on every entry: a predicate may let too much through, never too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
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
from kubeshark.pipeline._segments import Begins, Damage, Segment, chains, select, whole_row
from kubeshark.pipeline._table import EntryTable, Found, Run

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
        return chain.from_iterable(self.runs())

    def runs(self) -> Iterator[Run]:
        """Yield the entries in time order, many at once: for whoever reads columns of them."""
        left = self.limit
        if left == 0:
            return
        for run in self._runs():
            if left is None:
                yield run
                continue
            yield run.part(0, left)
            left -= len(run)
            if left <= 0:
                return

    def predicate(self) -> Predicate:
        if self.since_ns is None and self.until_ns is None:
            return self.pushed
        return And((self.pushed, Overlaps(self.since_ns, self.until_ns)))

    def _runs(self) -> Iterator[Run]:
        predicate = self.predicate()
        segments = sorted((segment for segment in self.segments if len(segment.flows)), key=_first_ns)
        is_alone = len(segments) == 1
        selected = [(segment, choose_rows(segment, predicate, is_alone=is_alone)) for segment in segments]
        self.stats.segments = len(self.segments)
        self.stats.flows = sum(len(segment.flows) for segment in segments)
        self.stats.flows_selected = sum(len(rows) for _, rows in selected)
        joined = chains(selected)
        flows = flow_entries(joined, self.dissector.origin) if self.filter.wants_flow else []
        waiting = [self._matching(self._enriched(EntryTable(Found.of(flows, self.dissector.origin))))]
        for at, begins in enumerate(joined):
            found = self._of_segment(begins)
            self.stats.entries += len(found)
            waiting.append(self._matching(self._enriched(found)))
            self.stats.built += sum(entry.is_built for entry in found.found.existing())
            if self.on_progress:
                self.on_progress(at + 1, len(segments))
            horizon = _first_ns(segments[at + 1]) if at + 1 < len(segments) else None
            ready, waiting = _before(waiting, horizon)
            if len(ready):
                yield ready

    def _enriched(self, found: EntryTable) -> EntryTable:
        """Let plugins annotate, redact and drop: before any filter, so that none may find out what was redacted."""
        if not self.enricher.bindings:
            return found
        return EntryTable(Found.of(self.enricher.apply(found.made()), self.dissector.origin))

    def _matching(self, found: EntryTable) -> EntryTable:
        """Return the entries that match, by time."""
        matched = self.filter.select(found)
        starts = matched.start_ns
        keep = np.ones(len(matched), dtype=np.bool_)
        if self.since_ns is not None:
            keep &= starts >= self.since_ns
        if self.until_ns is not None:
            keep &= starts <= self.until_ns
        order = np.flatnonzero(keep)
        self.stats.matched += len(order)
        return matched.take(order[np.argsort(starts[order], kind="stable")])  # equal times stay as they were found

    def _of_segment(self, begins: Begins) -> EntryTable:
        origin = self.dissector.origin
        if not len(begins.rows):
            return EntryTable(Found.of([], origin))
        self.stats.segments_touched += 1
        is_carrier = (begins.segment.flows["bits"][begins.rows] & FlowBit.CARRIER) != 0
        outer: list[Entry] = []
        if self.filter.wants_conn and is_carrier.any():
            for row in begins.rows[is_carrier].tolist():  # a tunnel's outer flow has no packets of its own
                parts = begins.parts(row)
                connection = connection_entry(StreamFacts(whole_row(parts), None, tuple(parts), origin), [])
                outer += [connection] if connection else []
        begins = begins.only(~is_carrier)
        if not len(begins.rows):
            return EntryTable(Found.of(outer, origin))
        selection = select(self.dissector.core, begins, self.damage)
        return self.dissector.entries(
            selection, with_conn=self.filter.wants_conn, wants=self.filter.wants, before=outer
        )


def _before(waiting: list[EntryTable], horizon: int | None) -> tuple[Run, list[EntryTable]]:
    """Split tables that are each by time: (what comes before the horizon, in time order, and what is left)."""
    ready, rest = [], []
    for table in waiting:
        place = len(table) if horizon is None else int(np.searchsorted(table.start_ns, horizon, side="left"))
        ready += [table.take(slice(0, place))] if place else []
        rest += [table.take(slice(place, None))] if place < len(table) else []
    return Run.merged(ready), rest


def _first_ns(segment: Any) -> int:
    return int(segment.flows["first_ns"].min())
