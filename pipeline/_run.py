"""Runs chunks of a plan: reads, dissects and filters their connections, and puts the entries in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from kubeshark.core_capture import FlowBit
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._dissect import Dissector, connection_entry
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._facts import StreamFacts
from kubeshark.pipeline._filter import EntryFilter
from kubeshark.pipeline._order import Order, Place, Window, place_of
from kubeshark.pipeline._plan import Chunk
from kubeshark.pipeline._segments import Damage, FlowPart, Segment, select, whole_row

__all__ = ["QueryStats", "Runner"]


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

    @property
    def segments_touched(self) -> int:
        return len(self.touched)

    def add(self, other: QueryStats) -> None:
        """Take over what somebody else did for the same plan."""
        self.touched |= other.touched
        self.entries += other.entries
        self.matched += other.matched
        self.built += other.built


@dataclass(slots=True)
class Runner:
    """Everything a chunk needs. `limit`: no more entries of a chunk can be asked for."""

    dissector: Dissector
    filter: EntryFilter
    window: Window
    order: Order = "asc"
    limit: int | None = None
    stats: QueryStats = field(default_factory=QueryStats)
    damage: Damage = field(default_factory=Damage)

    @property
    def problems(self) -> list[KubesharkError]:
        """What could not be read, and what plugins did wrong: each thing once, however many segments met it."""
        problems = (*self.damage.problems, *self.dissector.problems, *self.filter.failures)
        return list({str(problem): problem for problem in problems}.values())

    def run(self, chunk: Chunk) -> Iterator[tuple[Place, Entry]]:
        """Yield the entries that match, in order; nothing is read before the first is asked for."""
        found = self._entries(chunk.segment, chunk.begins)
        placed = self.choose(found)
        self.stats.entries += len(found)
        self.stats.built += sum(entry.is_built for entry in found)
        del found
        placed.reverse()
        while placed:
            yield placed.pop()

    def choose(self, entries: Sequence[Entry]) -> list[tuple[Place, Entry]]:
        """Return those that match and lie in the window, in order."""
        placed = [(place_of(entry), entry) for entry in self.filter.select(entries)]
        placed = [each for each in placed if self.window.holds(each[0])]
        self.stats.matched += len(placed)
        placed.sort(key=itemgetter(0), reverse=self.order == "desc")
        return placed if self.limit is None else placed[: self.limit]

    def _entries(self, segment: Segment, begins: dict[int, list[FlowPart]]) -> Sequence[Entry]:
        self.stats.touched.add(segment.name)
        rows = np.fromiter(begins, dtype=np.int64, count=len(begins))
        is_carrier = (segment.flows["bits"][rows] & FlowBit.CARRIER) != 0
        carriers = set(rows[is_carrier].tolist())
        entries: list[Entry] = []
        if self.filter.wants_conn:
            entries += self._tunnels(begins, carriers)
        inside: dict[int, list[FlowPart]] = {row: parts for row, parts in begins.items() if row not in carriers}
        if not inside:
            return entries
        selection = select(self.dissector.core, segment, inside, self.damage)
        found = self.dissector.entries(selection, with_conn=self.filter.wants_conn, wants=self.filter.wants)
        return [*entries, *found] if entries else found

    def _tunnels(self, begins: dict[int, list[FlowPart]], carriers: set[Any]) -> list[Entry]:
        """Return the connections of tunnels: a tunnel's outer flow has no packets of its own."""
        entries = []
        for row in sorted(carriers):
            facts = StreamFacts(whole_row(begins[row]), None, tuple(begins[row]), self.dissector.origin)
            connection = connection_entry(facts, [])
            entries += [connection] if connection else []
        return entries
