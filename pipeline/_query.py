"""A query: plan by the index, run the plan chunk by chunk, and hand out what is found in the one order of entries.

Invariants:

1. An entry is handed out once nothing that comes before it can be in a chunk that has not run.
2. Only connections that the pushed-down predicate lets through are read, each with its parts in other segments.
3. The whole filter is evaluated on every entry: a predicate may let too much through, never too little.
4. Wherever a query ends (limit, budget, cancel), everything before its `next_place` was handed out and nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kubeshark.core_capture import Predicate
from kubeshark.core_capture.store import ReadStats, SegmentReader
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._budget import Budget, Stop, Watch
from kubeshark.pipeline._choose import without_times
from kubeshark.pipeline._continued import Elsewhere
from kubeshark.pipeline._dissect import Dissector
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._executor import Executor, InProcess, spotted
from kubeshark.pipeline._filter import EntryFilter
from kubeshark.pipeline._flows import flow_entries
from kubeshark.pipeline._merge import Mark, Unit, merge
from kubeshark.pipeline._order import Order, Place, Spot, Window, place_of
from kubeshark.pipeline._plan import Plan, make_plan
from kubeshark.pipeline._run import QueryStats, Runner
from kubeshark.pipeline._segments import Segment
from kubeshark.pipeline._table import EntryTable, Found

__all__ = ["Query", "QueryOptions", "QueryProgress"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueryProgress:
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

    @property
    def window(self) -> Window:
        ends = (self.after, self.before) if self.order == "asc" else (self.before, self.after)
        return Window(self.since_ns, self.until_ns, *ends)

    @property
    def is_backwards(self) -> bool:
        """The entries nearest to `before` are wanted, so they are looked for first."""
        return self.before is not None and self.limit is not None

    @property
    def running_order(self) -> Order:
        turned: dict[Order, Order] = {"asc": "desc", "desc": "asc"}
        return turned[self.order] if self.is_backwards else self.order


@dataclass(slots=True)
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
    make: Callable[[Entry], T]
    options: QueryOptions = field(default_factory=QueryOptions)
    elsewhere: Elsewhere | None = None
    executor: Callable[[Plan, Watch], Executor | None] | None = None
    problems: list[KubesharkError] = field(default_factory=list)
    stats: QueryStats = field(default_factory=QueryStats)
    _next: Spot | None = None
    _previous: Spot | None = None
    stopped: str = ""
    workers: str = ""  # who did the work, if not this process
    _watch: Watch = field(init=False)
    _work: Executor | None = None

    def __post_init__(self) -> None:
        self._watch = Watch(self.options.budget, lambda: self.read.index_bytes + self.read.data_bytes)

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
    def next_place(self) -> Place | None:
        """Where to go on with `after`; None if there is nothing more."""
        return None if self._next is None else self._next.place

    @property
    def previous_place(self) -> Place | None:
        """Where to go back with `before`; None if nothing lies before, as far as is known."""
        return None if self._previous is None else self._previous.place

    def __iter__(self) -> Iterator[T]:
        self.stats.segments = len(self.segments)
        if self.options.limit == 0:
            return
        if not self.options.is_backwards:
            yield from (made for _, made in self._run())
            return
        page = list(self._run())
        page.reverse()
        reached, self._previous = self._next, None  # in the order in which it ran
        for spot, made in page:
            self._next = spot
            yield made
        self._previous = reached

    def _run(self) -> Iterator[tuple[Spot, T]]:
        self._watch.start()
        try:
            yield from self._handed_out()
        finally:
            if self._work is not None:
                self._work.close()
                self.problems += self._work.problems

    def _handed_out(self) -> Iterator[tuple[Spot, T]]:
        options, watch, count = self.options, self._watch, 0
        plan = self._make_plan()
        begun: Spot | None = None
        try:
            for spot, element in merge(self._units(plan)):
                begun = begun or spot
                watch.has_moved = watch.has_moved or begun < spot
                self._next = spot
                if isinstance(element, Mark):
                    self._tell(plan, count)
                else:
                    count += 1
                    self._previous = self._previous or spot
                    yield spot, element
                    if count == options.limit:
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
        reach = options.window.within(low_ns, high_ns)
        stops_early = options.limit is not None or options.budget != Budget()
        order = options.running_order
        plan = make_plan(self.segments, predicate, reach, order, elsewhere=self.elsewhere, stops_early=stops_early)
        self.stats.segments = len(self.segments)
        self.stats.flows, self.stats.flows_selected = plan.flows, plan.flows_selected
        return plan

    def _units(self, plan: Plan) -> list[Unit[T]]:
        """Return the plan's work, and the flow entries, which need no packets."""
        options, order = self.options, self.options.running_order
        runner = Runner(self.dissector, self.filter, options.window, order, options.limit, self.stats)
        elsewhere = self.executor(plan, self._watch) if self.executor else None
        if elsewhere is not None:
            elsewhere.stats = self.stats
            self.workers = elsewhere.name
        self._work = work = elsewhere or InProcess(runner, self.make, self.stats)
        units = list(work.units(plan.tasks))
        if self.filter.wants_flow:
            origin = self.dissector.origin
            flows = runner.choose(EntryTable(Found.of(flow_entries(plan.joined, origin), origin)), is_by_id=False)
            if len(flows):
                first = Spot.of(place_of(flows[0]), order)
                units.append(Unit(first, lambda: spotted(flows, self.make, order)))
        return sorted(units, key=lambda unit: unit.bound)

    def _tell(self, plan: Plan, entries: int) -> None:
        if self.options.on_progress and self._work:
            read = self.read
            told = QueryProgress(
                self._work.done, plan.size, self.stats.segments_touched, read.index_bytes + read.data_bytes, entries
            )
            self.options.on_progress(told)
