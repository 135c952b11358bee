"""What a query will do: which connections it reads, in pieces of bounded size, in the order of its entries.

1. A connection is read whole or not at all, whatever the window cuts: so it has the same entries and ids every time.
2. A chunk holds connections that begin in one segment; no more than `chunk_bytes`, unless it is one connection.
3. A task holds the chunks that one worker does: those of the segment where their connections begin, or in descending
   order where they end, so that the newest come first without the whole store being read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import Predicate
from kubeshark.core_capture._groups import distinct
from kubeshark.pipeline.entries._order import Order, Spot, Window, begin_of
from kubeshark.pipeline.reading._choose import choose_rows
from kubeshark.pipeline.reading._continued import Elsewhere, parts_elsewhere
from kubeshark.pipeline.reading._segments import Begins, Segment, chains
from kubeshark.pipeline.reading._twins import leave_out_twins

__all__ = ["CHUNK_BYTES", "FIRST_CHUNK_BYTES", "PIECE_BYTES", "Chunk", "Plan", "Task", "make_plan"]

CHUNK_BYTES = 16 << 20
"""Records decoded at once: bounds memory, and how long a query takes to notice that it is cancelled.

A chunk costs a millisecond or two, however little it holds: with 4 MiB a query for columns took a sixth longer, with 8
a tenth. With 32 whole entries took 3 % longer: more memory is touched for the first time.
"""

PIECE_BYTES = 4 << 20
"""Where several processes share the work: one that is done early waits for the others' last pieces."""

CHUNK_FLOWS = 50_000
"""A connection is some four kilobytes of objects, however little it holds: a million of a byte took 1.3 GB."""

BUDGET_CHUNK_BYTES = 4 << 20
"""Under a budget, which ends a query between chunks: a tenth of a second's work."""

FIRST_CHUNK_BYTES = 2 << 20
"""Where a query may stop early it begins with this little, and doubles: a first page needs no whole segment."""

RECORD_BYTES = 80
"""Headers of a packet and its record, beside the payload that flows count."""


class Chunk(Struct):
    """Connections that begin in one segment. Their entries lie between the two times."""

    begins: Begins
    first_ns: int
    last_ns: int
    size: int  # bytes of records, about

    def cut(self, order: Order, most_bytes: int) -> Iterator[Chunk]:
        """Cut it into smaller ones."""
        yield from _Connections.of(self.begins).chunks(order, most_bytes, most_bytes)

    def spot(self, order: Order, window: Window) -> Spot:
        """Return a spot that none of its entries comes before."""
        bound = begin_of(self.first_ns if order == "asc" else self.last_ns, order)
        return Spot.of(window.clamp(bound, order), order)


class Task(Struct):
    """Chunks sorted by bound."""

    chunks: list[Chunk]

    def spot(self, order: Order, window: Window) -> Spot:
        return self.chunks[0].spot(order, window)

    @property
    def size(self) -> int:
        return sum(chunk.size for chunk in self.chunks)

    def split(self, order: Order, most_bytes: int) -> list[Task]:
        """Return the same work in tasks of one chunk, of at most so many bytes where connections allow it."""
        return [Task([piece]) for chunk in self.chunks for piece in chunk.cut(order, most_bytes)]


class Plan(Struct):
    """Tasks sorted by bound, and all connections for who wants to add them up."""

    tasks: list[Task]
    joined: list[Begins]
    flows: int  # in all segments that were opened
    flows_selected: int

    @property
    def size(self) -> int:
        return sum(task.size for task in self.tasks)


def make_plan(
    segments: Sequence[Segment],
    predicate: Predicate,
    window: Window,
    order: Order,
    *,
    span: Window | None = None,
    elsewhere: Elsewhere | None = None,
    stops_early: bool = False,
    has_budget: bool = False,
    keeps_columns: bool = False,
    prefer: str = "",
) -> Plan:
    """Choose the connections of `segments` that the predicate lets through and that reach into the window.

    `elsewhere` are segments outside of it, asked for the other parts of those connections; None: there are none. `span`
    is the window of which `joined` has all connections, where that is wider: a page must add up what the whole does.
    `prefer` is a segment whose copy of a connection is taken where several nodes saw it.
    """
    span = span or window
    present = [segment for segment in segments if len(segment.flows)]
    is_alone = len(present) == 1 and elsewhere is None
    selected = [(segment, choose_rows(segment, predicate, is_alone=is_alone)) for segment in present]
    if elsewhere is not None:
        selected += parts_elsewhere(selected, elsewhere, span)
    selected, seen = leave_out_twins(selected, prefer)
    selected.sort(key=lambda each: (int(each[0].flows["first_ns"].min()), each[0].name))
    places = {each.name: number for number, (each, _) in enumerate(selected)}
    groups: defaultdict[int, list[_Connections]] = defaultdict(list)
    joined = []
    for number, begins in enumerate(chains(selected)):
        begins.seen = seen.get(begins.segment.name, {})
        found = _Connections.of(begins).reaching_into(span)
        joined.append(found.begins)
        found = found.reaching_into(window)
        ends = np.full(len(found.begins.rows), number)
        if order == "desc":
            for row, parts in found.begins.chained.items():
                ends[found.begins.rows == row] = places[parts[-1].segment.name]
        for end in distinct(ends).tolist():
            groups[end].append(found.only(ends == end))
    most = min(BUDGET_CHUNK_BYTES, CHUNK_BYTES) if has_budget else CHUNK_BYTES
    first = FIRST_CHUNK_BYTES if stops_early or has_budget else most
    tasks = []
    for members in groups.values():
        if keeps_columns and not (stops_early or has_budget):
            chunks = [chunk for connections in members for chunk in connections.columns_chunks(order)]
        else:
            chunks = [chunk for connections in members for chunk in connections.chunks(order, first, most)]
        chunks.sort(key=lambda chunk: chunk.first_ns if order == "asc" else -chunk.last_ns)
        tasks.append(Task(chunks))
    tasks.sort(key=lambda task: task.chunks[0].first_ns if order == "asc" else -task.chunks[0].last_ns)
    chosen = sum(len(begins.rows) + sum(len(parts) - 1 for parts in begins.chained.values()) for begins in joined)
    return Plan(tasks, joined, sum(len(segment.flows) for segment, _ in selected), chosen)


class _Connections(Struct):
    """Connections that begin in the same segment: first and last time, and bytes of records, over all their parts."""

    begins: Begins
    firsts: NDArray[Any]
    lasts: NDArray[Any]
    sizes: NDArray[Any]

    @classmethod
    def of(cls, begins: Begins) -> _Connections:
        flows = begins.segment.flows[begins.rows]
        firsts, lasts = flows["first_ns"].astype(np.int64), flows["last_ns"].astype(np.int64)
        sizes = (flows["bytes"].sum(axis=1) + flows["packets"].sum(axis=1, dtype=np.int64) * RECORD_BYTES).astype("<i8")
        for at in np.flatnonzero(np.isin(begins.rows, list(begins.chained))).tolist() if begins.chained else ():
            for part in begins.parts(int(begins.rows[at]))[1:]:
                flow = part.segment.flows[part.row]
                firsts[at] = min(firsts[at], int(flow["first_ns"]))
                lasts[at] = max(lasts[at], int(flow["last_ns"]))
                sizes[at] += int(flow["bytes"].sum()) + int(flow["packets"].sum()) * RECORD_BYTES
        return cls(begins, firsts, lasts, sizes)

    def reaching_into(self, window: Window) -> _Connections:
        """Return those that have packets in the window."""
        low, high = window.low_ns, window.high_ns
        if low is None and high is None:
            return self
        flows = self.begins.segment.flows[self.begins.rows]
        reaches = window.overlap(flows["first_ns"].astype(np.int64), flows["last_ns"].astype(np.int64))
        for row, parts in self.begins.chained.items():
            others = [part.segment.flows[part.row] for part in parts[1:]]
            if any(window.overlaps(int(flow["first_ns"]), int(flow["last_ns"])) for flow in others):
                reaches[self.begins.rows == row] = True
        return self.only(reaches)

    def only(self, keep: NDArray[np.bool_]) -> _Connections:
        return _Connections(self.begins.only(keep), self.firsts[keep], self.lasts[keep], self.sizes[keep])

    def chunks(self, order: Order, first_bytes: int, most_bytes: int) -> Iterator[Chunk]:
        """Cut them into chunks, those whose entries come first in the first one."""
        yield from self._cut(self.firsts if order == "asc" else -self.lasts, first_bytes, most_bytes)

    def columns_chunks(self, order: Order) -> Iterator[Chunk]:
        """Cut them into chunks as they lie in the segment, but for those that run on.

        Those lie in several segments: read with their neighbours in one of them, a query took an eighth longer.
        """
        runs_on = np.isin(self.begins.rows, list(self.begins.chained))
        yield from self.only(runs_on).chunks(order, CHUNK_BYTES, CHUNK_BYTES)
        alone = self.only(~runs_on)
        places = alone.begins.segment.placed(alone.begins.rows)
        yield from alone._cut(places, CHUNK_BYTES, CHUNK_BYTES)

    def _cut(self, places: NDArray[Any], first_bytes: int, most_bytes: int) -> Iterator[Chunk]:
        """Cut them into chunks by these places; the first has `first_bytes`, each next twice as many up to the most."""
        in_order = np.argsort(places, kind="stable")
        ends = np.cumsum(self.sizes[in_order])
        at, limit = 0, first_bytes
        while at < len(in_order):
            done = int(ends[at - 1]) if at else 0
            stop = max(at + 1, int(np.searchsorted(ends, done + limit, side="right")))
            stop = min(stop, at + CHUNK_FLOWS)
            keep = np.zeros(len(in_order), dtype=np.bool_)
            keep[in_order[at:stop]] = True
            some = self.only(keep)
            yield Chunk(some.begins, int(some.firsts.min()), int(some.lasts.max()), int(some.sizes.sum()))
            at, limit = stop, min(2 * limit, most_bytes)
