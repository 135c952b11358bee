"""Runs chunks of a plan: reads, dissects and filters their connections, and puts the entries in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import FlowBit
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._budget import go_on
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.dissection._exchanges import connection_entry
from kubeshark.pipeline.enrichment._enrich import Enricher
from kubeshark.pipeline.enrichment._redact import LEAST_HIDDEN, TOLD_BY_BRIEF, is_brief, is_steady
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._facts import StreamFacts
from kubeshark.pipeline.entries._order import Order, Window
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._plan import Chunk
from kubeshark.pipeline.reading._segments import Begins, whole_row
from kubeshark.pipeline.reading._select import Damage, select
from kubeshark.pipeline.tables._settled import Table, settled
from kubeshark.pipeline.tables._table import EntryTable, Found

if TYPE_CHECKING:
    from kubeshark.pipeline.scripts._runtime import Scripts

__all__ = ["QueryStats", "Runner"]

SCRIPT_BATCH = 256


@dataclass(slots=True)
class QueryStats:
    """What a query did, for --explain and progress."""

    segments: int = 0  # opened
    touched: set[str] = field(default_factory=set)  # names of segments whose packets were read
    flows: int = 0
    flows_selected: int = 0
    entries: int = 0
    matched: int = 0
    built: int = 0
    redacted: int = 0  # by plugins, as are the others
    dropped: int = 0
    withheld: int = 0

    @property
    def segments_touched(self) -> int:
        return len(self.touched)

    def add(self, other: QueryStats) -> None:
        """Take over what somebody else did for the same plan."""
        self.touched |= other.touched
        self.entries += other.entries
        self.matched += other.matched
        self.built += other.built
        self.redacted += other.redacted
        self.dropped += other.dropped
        self.withheld += other.withheld


@dataclass(slots=True)
class Runner:
    """Everything a chunk needs. `limit`: no more entries of a chunk can be asked for.

    With `reads` only these KFL variables of them are: they are read at once, and the packets let go.
    """

    dissector: Dissector
    filter: EntryFilter
    window: Window
    order: Order = "asc"
    limit: int | None = None
    reads: Sequence[str] | None = None
    stats: QueryStats = field(default_factory=QueryStats)
    go_on: Callable[[], None] = go_on  # raises Stop where nobody wants the rest of a chunk
    damage: Damage = field(default_factory=Damage)
    enricher: Enricher = field(init=False)
    _asks_brief: tuple[str, ...] | None = field(init=False)  # see `_hides_late`; None: everything is hidden first
    _reads_brief: tuple[str, ...] | None = field(
        init=False
    )  # of what is read; None: others that may be hidden are, too
    _hides_long: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.enricher = Enricher([*self.dissector.plugins.enrichers, *self.dissector.enrichers])
        may_wait = self.dissector.plugins.scripts is None and all(each.hides_only for each in self.enricher.bindings)
        self._asks_brief = self.filter.brief if may_wait else None
        unsteady = [name for name in self.reads or () if not is_steady(name)]
        is_short = all(is_brief(name) or name in TOLD_BY_BRIEF for name in unsteady)
        self._reads_brief = tuple(filter(is_brief, unsteady)) if self.reads is not None and is_short else None

    def _hides_late(self, found: EntryTable) -> bool:
        """Say whether what filter, order and limit leave of these is all that must be looked at (ADR 26)."""
        return self._asks_brief is not None and not any(_are_long(found, name).any() for name in self._asks_brief)

    @property
    def problems(self) -> list[KubesharkError]:
        """What could not be read, and what plugins did wrong: each thing once, however many segments met it."""
        failures = (*self.dissector.problems, *self.filter.failures, *self.enricher.problems)
        problems = (*self.damage.problems, *failures)
        return list({str(problem): problem for problem in problems}.values())

    def run(self, chunk: Chunk) -> Table:
        """Return the entries that match, in order. Raises Stop in the middle of it if nobody wants them any more."""
        self.dissector.go_on = self.go_on
        try:
            return self._run(chunk)
        finally:
            self.dissector.go_on = go_on  # what is looked at later is whole, whoever looks

    def _run(self, chunk: Chunk) -> Table:
        found = self.entries(chunk.begins)
        self.stats.entries += len(found)
        flows = chunk.begins.segment.flows["bits"][chunk.begins.rows]
        has_tunnels = bool((flows & FlowBit.CARRIER).any())
        chosen = self.choose(found, is_by_id=not (chunk.begins.chained or has_tunnels), settles=True)
        matched = chosen if self.reads is None else self._settled(chosen, self.reads)
        self.stats.built += sum(entry.is_built for entry in found.found.existing())
        return matched

    def _settled(self, chosen: EntryTable, reads: Sequence[str]) -> Table:
        """Return what is read of them, with what rules hide in it."""
        table = settled(chosen, reads)
        if not self._hides_long:
            return table
        long = np.zeros(len(chosen), dtype=np.bool_)
        for name in self._reads_brief or ():
            long |= _are_long(chosen, name)
        places = np.flatnonzero(long)
        if not len(places):
            return table
        hidden = self._enriched(chosen.take(places))  # all of them: who hides only drops nothing
        return table.replaced(places, {name: hidden.objects(name) for name in reads if name != "id"})

    def choose(self, found: EntryTable, *, is_by_id: bool, settles: bool = False) -> EntryTable:
        """Return those that match and lie in the window, in order; `is_by_id`: they come by id as they are.

        With `settles`, `_settled` does what is left to hide, if it is but in columns of numbers.
        """
        hides_late = self._hides_late(found)
        matched = self.filter.select(found if hides_late else self._enriched(found))
        keep = self.window.holds(matched.start_ns, matched.place)
        self.stats.matched += int(keep.sum())
        places = np.flatnonzero(keep)
        left = matched if len(places) == len(matched) else matched.take(places)
        places = places[np.argsort(left.start_ns, kind="stable") if is_by_id else left.by_time_and_id()]
        if self.order == "desc":
            places = places[::-1]
        if scripts := self.dissector.plugins.scripts:
            return self._queried(matched.take(places), scripts)
        chosen = matched.take(places[: self.limit])
        self._hides_long = settles and hides_late and self._reads_brief is not None
        return chosen if not hides_late or self._hides_long else self._enriched(chosen)

    def _queried(self, matched: EntryTable, scripts: Scripts) -> EntryTable:
        """Let scripts look at the entries that are about to leave: they may mark, change and drop them."""
        left: list[Entry] = []
        for start in range(0, len(matched), SCRIPT_BATCH):
            if self.limit is not None and len(left) >= self.limit:
                break
            left += scripts.queried(matched.take(slice(start, start + SCRIPT_BATCH)).made(), self.filter.kfl)
        return EntryTable(Found.of(left[: self.limit], self.dissector.origin))

    def _enriched(self, found: EntryTable) -> EntryTable:
        """Let plugins annotate, redact and drop: before any filter, so that none may find out what was redacted."""
        enricher, stats = self.enricher, self.stats
        if not enricher.bindings:
            return found
        enriched = EntryTable(Found.of(enricher.apply(found.made(), self.go_on), self.dissector.origin))
        stats.redacted, stats.dropped, stats.withheld = enricher.redacted, enricher.dropped, enricher.withheld
        return enriched

    def entries(self, begins: Begins) -> EntryTable:
        """Return all entries of these connections that the filter may want, by connection."""
        origin = self.dissector.origin
        self.stats.touched.add(begins.segment.name)
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


def _are_long(table: EntryTable, name: str) -> NDArray[np.bool_]:
    """Say of each row whether its number is one that hiding could change."""
    found = [abs(value) >= LEAST_HIDDEN for value in table.objects(name)]
    return np.array(found, dtype=np.bool_)
