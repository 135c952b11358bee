"""A query: plan by the index, run the plan chunk by chunk, and hand out what is found in the one order of entries.

Invariants:

1. An entry is handed out once nothing that comes before it can be in a chunk that has not run.
2. Only connections that the pushed-down predicate lets through are read, each with its parts in other segments.
3. Plugins' `enrich` sees every entry before the filter does.
4. The whole filter is evaluated on every entry: a predicate may let too much through, never too little.
5. Wherever a query ends (limit, budget, cancel), everything before its `next_place` was handed out and nothing behind.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from msgspec import Struct

from kubeshark.core_capture import Predicate
from kubeshark.core_capture.store import ReadStats, Requests, SegmentReader
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._budget import Budget, Stop, Watch, never
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._flows import flow_entries
from kubeshark.pipeline.entries._order import Order, Place, Spot, Window
from kubeshark.pipeline.executors._executor import Executor, InProcess
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._plan import Plan, make_plan
from kubeshark.pipeline.query._rows import columns_read_by, itself, small_columns
from kubeshark.pipeline.query._run import QueryStats, Runner
from kubeshark.pipeline.query._runs import Piece, Run, TablePiece, in_order
from kubeshark.pipeline.reading._choose import without_times
from kubeshark.pipeline.reading._continued import Elsewhere
from kubeshark.pipeline.reading._segments import Segment
from kubeshark.pipeline.tables._table import EntryTable, Found

__all__ = ["Query", "QueryOptions", "QueryProgress"]

T = TypeVar("T")

LISTED = 1024
"""Most that `lists` gives at once."""


class QueryProgress(Struct, frozen=True):
    """How far a query is."""

    done: int  # bytes of packets gone through, of those chosen by the index; about
    total: int
    segments: int  # read so far
    bytes_read: int  # decrypted
    entries: int  # handed out


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What of the matching entries a query gives, and what it may take.

    `after` and `before` are places of entries, left out themselves: in this order, the page behind the one, or the page
    that ends before the other. With `before`, a limit counts from the end.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    order: Order = "asc"
    after: Place | None = None
    before: Place | None = None
    budget: Budget = field(default_factory=Budget)
    on_progress: Callable[[QueryProgress], None] | None = None
    gave_up: Callable[[], bool] = never
    """Asked often while the query works; True ends it, as `cancel` does."""
    prefer: str = ""
    """A segment: of a connection that several nodes saw, the copy that lies there."""

    @property
    def window(self) -> Window:
        ends = (self.after, self.before) if self.order == "asc" else (self.before, self.after)
        return Window(self.since_ns, self.until_ns, *ends)

    def span(self, *, wants_flow: bool) -> Window:
        """Return the times of which connections are looked up: those of all pages, where connections are added up."""
        return Window(self.since_ns, self.until_ns) if wants_flow else self.window

    @property
    def is_backwards(self) -> bool:
        """The entries nearest to `before` are wanted, so they are looked for first."""
        return self.before is not None and self.limit is not None

    @property
    def running_order(self) -> Order:
        turned: dict[Order, Order] = {"asc": "desc", "desc": "asc"}
        return turned[self.order] if self.is_backwards else self.order


_Where = Spot | tuple[Piece[T], int] | None


def _bytes_read(query: Query[Any] | None) -> int:
    return query.read.index_bytes + query.read.data_bytes if query else 0


def _place(where: _Where[Any]) -> Place | None:
    if where is None:
        return None
    return where.place if isinstance(where, Spot) else where[0].spot(where[1]).place


@dataclass(slots=True, weakref_slot=True)
class Query(Generic[T]):
    """Iterate it once. `segments` may come in any order; `make` is what is given of an entry.

    `elsewhere` are the store's segments outside the window; `executor` may choose, by the plan, who does the work.
    Afterwards `next_place` is where to go on, None at the end; `previous_place` where to go back; `stopped` says why a
    query ended early.
    """

    segments: Sequence[Segment]
    dissector: Dissector
    filter: EntryFilter
    pushed: Predicate
    make: Callable[[Entry], T] = itself  # type: ignore[assignment]  # then T is Entry
    options: QueryOptions = field(default_factory=QueryOptions)
    elsewhere: Elsewhere | None = None
    executor: Callable[[Plan, Watch, InProcess], Executor | None] | None = None
    problems: list[KubesharkError] = field(default_factory=list)
    stats: QueryStats = field(default_factory=QueryStats)
    _next: _Where[T] = None
    _previous: _Where[T] = None
    stopped: str = ""
    workers: str = ""  # who did the work, if not this process
    _reads: Sequence[str] | None = None
    _beats: bool = False
    _cpu_s: float = 0.0
    _watch: Watch = field(init=False)
    _work: Executor | None = None

    def __post_init__(self) -> None:
        mine = weakref.ref(self)  # a cycle would keep the last chunk's packets until the collector comes round
        self._reads = columns_read_by(self.make, self.dissector.origin.variables)
        self._watch = Watch(self.options.budget, lambda: _bytes_read(mine()), gave_up=self.options.gave_up)

    def cancel(self) -> None:
        """End the query at the next chance, from any thread; what was handed out stays good."""
        self._watch.cancel()

    @property
    def read(self) -> ReadStats:
        """What was decrypted so far, here and elsewhere."""
        total = ReadStats()
        for segment in self.segments:
            if isinstance(segment, SegmentReader):
                total += segment.stats
        if self._work is not None:
            total += self._work.read
        return total

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU from the plan to the end, here and elsewhere."""
        return self._cpu_s + (self._work.cpu_s if self._work is not None else 0.0)

    @property
    def requests(self) -> Requests | None:
        """What workers asked of a server."""
        return self._work.requests if self._work is not None else None

    @property
    def next_place(self) -> Place | None:
        """Where to go on with `after`; None if there is nothing more."""
        return _place(self._next)

    @property
    def previous_place(self) -> Place | None:
        """Where to go back with `before`; None if nothing lies before, as far as is known."""
        return _place(self._previous)

    def __iter__(self) -> Iterator[T]:
        for piece in self.pieces():
            # What a budget was used up for is handed out; one that is used up by who reads it ends it between entries.
            can_stop = not self.options.is_backwards and not self._watch.must_stop()
            for at, made in enumerate(piece):
                self._come_to(piece, at)
                yield made
                if self._watch.must_stop() if can_stop else self._watch.is_cancelled:
                    self.stopped = self._watch.reason()
                    return

    def lists(self) -> Iterator[Sequence[T]]:
        """Yield what iterating gives, many at once where that is small; a budget ends it behind such a list."""
        if self._reads is None:  # what is made of bodies and documents may be large
            yield from ([made] for made in self)
            return
        for piece in self.pieces():
            can_stop = not self.options.is_backwards and not self._watch.must_stop()
            for at in range(0, len(piece), LISTED):
                stop = min(at + LISTED, len(piece))
                self._come_to(piece, at)
                self._come_to(piece, stop - 1)
                yield piece.made(at, stop)
                if self._watch.must_stop() if can_stop else self._watch.is_cancelled:
                    self.stopped = self._watch.reason()
                    return

    def pieces(self) -> Iterator[Piece[T]]:
        """Yield what the query gives, many at once: for whoever reads columns of it."""
        options = self.options
        self.stats.segments = len(self.segments)
        if options.limit == 0:
            return
        if not options.is_backwards:
            yield from self._run()
            return
        page = [piece.part(at, at + 1) for piece in self._run() for at in range(len(piece))]
        reached, self._previous = self._next, None  # in the order in which it ran
        for one in reversed(page):
            yield one
            self._come_to(one, 0)
        self._previous = reached

    def runs(self, reads: Sequence[str], *, beats: bool = False) -> Iterator[Run]:
        """Yield the entries of a query that runs in this process, many at once, for these KFL variables of them.

        With `beats` an empty run comes before each chunk: whoever reads can tell how far it is, or let others work.
        """
        self._reads, self._beats = small_columns(reads, self.dissector.origin.variables), beats
        for piece in self.pieces():
            assert isinstance(piece, TablePiece)
            yield piece.run

    def _come_to(self, piece: Piece[T], at: int) -> None:
        self._next = (piece, at)
        if self._previous is None:  # for as long as the query lives: its place, not its packets
            self._previous = Spot.of(piece.spot(at).place, self.options.order)

    def _run(self) -> Iterator[Piece[T]]:
        self._watch.start()
        began = time.process_time()
        try:
            yield from self._handed_out()
        finally:
            self._cpu_s = time.process_time() - began
            if self._work is not None:
                self._work.close()
                self.problems += self._work.problems

    def _handed_out(self) -> Iterator[Piece[T]]:
        watch, left, count = self._watch, self.options.limit, 0
        options, plan = self.options, self._make_plan()
        begun: Spot | None = None
        try:
            for element in self._begin(plan):
                if isinstance(element, Spot):
                    begun = begun or element
                    watch.has_moved = watch.has_moved or begun < element
                    self._next = element
                    self._tell(plan, count)
                    if self._beats:
                        yield TablePiece(in_order([], options.running_order), options.running_order, self.make)
                elif len(element):
                    piece = element if left is None else element.part(0, left)
                    watch.has_moved = True
                    yield piece
                    self._come_to(piece, 0)
                    self._come_to(piece, len(piece) - 1)
                    count += len(piece)
                    if left is not None and (left := left - len(piece)) <= 0:
                        return
                if watch.must_stop():
                    self.stopped = watch.reason()
                    return
        except Stop:
            self.stopped = watch.reason()
            return
        self._next = None
        self._tell(plan, count)

    def _make_plan(self) -> Plan:
        options = self.options
        predicate, low_ns, high_ns = without_times(self.pushed)
        span = options.span(wants_flow=self.filter.wants_flow).within(low_ns, high_ns)
        reach = options.window.within(low_ns, high_ns)
        plan = make_plan(
            self.segments,
            predicate,
            reach,
            options.running_order,
            span=span,
            elsewhere=self.elsewhere,
            stops_early=options.limit is not None,
            has_budget=options.budget != Budget(),
            keeps_columns=self._reads is not None,
            prefer=options.prefer,
        )
        self.stats.segments = len(self.segments)
        self.stats.flows, self.stats.flows_selected = plan.flows, plan.flows_selected
        return plan

    def _begin(self, plan: Plan) -> Iterator[Piece[T] | Spot]:
        """Choose who does the work, and begin it; the flow entries need no packets."""
        options, order, origin = self.options, self.options.running_order, self.dissector.origin
        runner = Runner(
            self.dissector,
            self.filter,
            options.window,
            order,
            options.limit,
            self._reads,
            self.stats,
            self._watch.go_on,
        )
        flows = flow_entries(plan.joined, origin) if self.filter.wants_flow else []
        here = InProcess(runner, self.make, self.stats)
        elsewhere = self.executor(plan, self._watch, here) if self.executor else None
        if elsewhere is not None:
            elsewhere.stats = self.stats
            self.workers = elsewhere.name
        self._work = elsewhere or here
        return self._work.run(plan.tasks, runner.choose(EntryTable(Found.of(flows, origin)), is_by_id=False))

    def _tell(self, plan: Plan, entries: int) -> None:
        if self.options.on_progress and self._work:
            read = self.read
            told = QueryProgress(
                self._work.done, plan.size, self.stats.segments_touched, read.index_bytes + read.data_bytes, entries
            )
            self.options.on_progress(told)
