"""A query of a store: which segments it opens, who does the work, and what it tells afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from kubeshark.core_capture import Predicate, load_core
from kubeshark.core_capture.store import BlockCache, ReadStats, Requests, SegmentInfo, SegmentReader, Store
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline._budget import Budget, Watch
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.dissection._secrets import Secrets
from kubeshark.pipeline.enrichment._enrich import Enricher, EnricherBinding
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.entries._order import cursor_text
from kubeshark.pipeline.executors._executor import Executor, ExecutorName, InProcess
from kubeshark.pipeline.executors._job import Job
from kubeshark.pipeline.names._named import Names
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._plan import CHUNK_BYTES, PIECE_BYTES, Plan
from kubeshark.pipeline.query._query import Query, QueryOptions
from kubeshark.pipeline.query._rows import columns_read_by
from kubeshark.pipeline.query._runs import Run
from kubeshark.pipeline.reading._choose import either_way, without_times
from kubeshark.pipeline.tables._rows_shown import SHOWN

__all__ = ["StoreQuery", "cursor_behind", "known_names", "query_store"]

T = TypeVar("T")
U = TypeVar("U")

BUDGET_CACHE_BYTES = 64 << 20
"""Under a budget chunks are small, and each needs blocks of the one before: those of a segment, for this query."""

WORTH_BYTES = {"forked": (16 << 20, 256 << 20), "executed": (64 << 20, 512 << 20)}
"""Packets chosen by the index from which on several processes pay: for entries, and where columns tell all.

A worker takes 0.03 s to be ready, or a third of a second. One process goes through 50 MB of entries in a second, and
through some 400 MB where columns tell all that is asked.
"""


class StoreQuery(Struct, Generic[T]):
    """Entries of a store, or what was made of them: iterate it once.

    Then `problems` says what could not be read, `stopped` why it ended early ("": it did not), `cursor` where to go on
    with `after` (None: there is no more), `cursor_back` where with `before`, `explain()` what was done.
    """

    _filter: EntryFilter
    _plugins: Plugins
    _query: Query[T]
    _readers: list[SegmentReader]
    problems: list[KubesharkError] = field(default_factory=list)
    _notes: Sequence[str] = ()
    _requests: Callable[[], Requests | None] = lambda: None  # what a server was asked for this query

    def __iter__(self) -> Iterator[T]:
        return self._finishing(iter(self._query))

    def lists(self) -> Iterator[Sequence[T]]:
        """Iterate it for what `iter` gives, many at once: what is done for each costs less."""
        return self._finishing(self._query.lists())

    def batches(self, fields: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
        """Return KFL variables instead of entries, many at once: each field with one value an entry.

        Only for a `Pipeline.query`. Lists and charts need no more, and most of it costs no dissection. Raises KeyError
        for a name that is no variable.
        """
        names = list(fields)
        return self._finishing({name: run.column(name) for name in names} for run in self._query.runs(names))

    def runs(self, fields: Sequence[str], *, beats: bool = False) -> Generator[Run, None, None]:
        """Return the entries many at once, to be read as columns: those named, the id and the times.

        Fields are KFL variables, CELLS or SIZE. Only for a `Pipeline.query`. With `beats` an empty run comes before
        each chunk of packets, so that whoever reads can do something else in between.
        """
        return self._finishing(self._query.runs(list(fields), beats=beats))

    def _finishing(self, items: Iterator[U]) -> Generator[U, None, None]:
        heard: Mapping[str, KubesharkError] = {}
        try:
            with self._plugins.listening() as heard:
                yield from items
        finally:
            self.problems += self._query.problems
            self.problems += heard.values()
            for reader in self._readers:
                reader.close()

    def cancel(self) -> None:
        """End the query soon, from any thread: what it gave stays good, and `cursor` says where it came to."""
        self._query.cancel()

    @property
    def stopped(self) -> str:
        return self._query.stopped

    @property
    def bytes_read(self) -> int:
        """Decrypted so far, of indexes and packets."""
        return self._query.read.index_bytes + self._query.read.data_bytes

    @property
    def cursor(self) -> str | None:
        place = self._query.next_place
        return None if place is None else cursor_text(place)

    @property
    def reached_ns(self) -> int | None:
        """When what was not given yet begins: what begins earlier was given. None: all was. In ascending order."""
        place = self._query.next_place
        return None if place is None else place[0]

    @property
    def cursor_back(self) -> str | None:
        place = self._query.previous_place
        return None if place is None else cursor_text(place)

    @property
    def notices(self) -> list[str]:
        return [*self._notes, *self._filter.notices, *([self._filter.error_note] if self._filter.error_note else [])]

    def _cost_of_segment(self, asked: Requests | None) -> list[str]:
        """Say what a segment cost on average, where that is not all in this process and on this disk."""
        segments, cpu_s = self._query.stats.segments_touched, self._query.cpu_s
        if not segments or (asked is None and not self._query.workers):
            return []
        parts = [f"{cpu_s / segments:.3f} s of CPU"]
        if asked is not None:
            parts += [f"{asked.total / segments:.1f} requests", f"{asked.bytes_read / segments:,.0f} bytes"]
        return [f"per segment   {', '.join(parts)}"]

    def explain(self) -> list[str]:
        """Return lines about the filter, the segments and blocks touched, the bytes decrypted, the entries built."""
        stats, read = self._query.stats, self._query.read
        asked, elsewhere = self._requests(), self._query.requests
        asked = asked + elsewhere if asked and elsewhere else asked or elsewhere
        return [
            *self._filter.explain(),
            f"segments      {stats.segments_touched} read of {stats.segments} opened",
            f"flows         {stats.flows_selected} selected of {stats.flows}",
            f"decrypted     {read.index_bytes:,} bytes of indexes, {read.data_bytes:,} bytes of packets"
            f" in {read.blocks} blocks",
            *([f"from memory   {_kept(read)}"] if read.kept_indexes or read.kept_blocks else []),
            f"entries       {stats.matched} matched of {stats.entries}, {stats.built} built in full",
            *Enricher((), stats.redacted, stats.dropped, stats.withheld).explain(),
            *([f"requests      {asked}"] if asked else []),
            *self._cost_of_segment(asked),
            f"done by       {self._query.workers or 'this process'}",
        ]


def known_names(store: Store, problems: list[KubesharkError]) -> Names | None:
    """Return who had an address when, for a store that was just listed; None if nobody knows."""
    try:
        records = store.names()
    except StoreError as error:  # what is asked for is the traffic
        problems.append(error)
        return None
    return Names.of(records) if records else None


def cursor_behind(run: Run) -> str:
    """Return where a query goes on behind the last of these entries, with `after`."""
    return cursor_text(run.place(len(run) - 1))


class Outside(Struct):
    """The segments outside of a query's window (`_continued.Elsewhere`); those opened join its readers."""

    store: Store
    infos: Sequence[SegmentInfo]
    readers: list[SegmentReader]
    problems: list[KubesharkError]
    cache: BlockCache | None = None

    def spans(self) -> Sequence[tuple[str, int, int]]:
        return [(info.name, info.first_ns, info.last_ns) for info in self.infos]

    def holding(self, predicate: Predicate) -> Collection[str]:
        return {info.name for info in self.store.segments(predicate)}

    def open(self, name: str) -> SegmentReader | None:
        known = next((reader for reader in self.readers if reader.name == name), None)
        if known is None:
            try:
                known = self.store.open_segment(name, cache=self.cache)
            except StoreError as error:
                self.problems.append(error)
                return None
            self.readers.append(known)
        return known


def query_store(
    store: Store,
    plugins: Plugins,
    entry_filter: EntryFilter,
    predicate: Predicate,
    secrets: Secrets,
    make: Callable[[Entry], T],
    options: QueryOptions,
    *,
    jobs: int | None = 1,
    executor: ExecutorName = "process",
    enrichers: Sequence[EnricherBinding] = (),
    notes: Sequence[str] = (),
    requests: Callable[[], Requests | None] = lambda: None,
) -> StoreQuery[T]:
    """Open the segments that the catalogue does not rule out, and return the query; no packet is read yet.

    With `jobs` other than 1 processes or actors may do the work: `make` is picklable, they can load the plugins, and
    there are no `enrichers` beside those of plugins.
    """
    cache = None if options.budget == Budget() else BlockCache(BUDGET_CACHE_BYTES)
    problems: list[KubesharkError] = []
    readers: list[SegmentReader] = []
    outside: list[SegmentInfo] = []
    untimed, low_ns, high_ns = without_times(predicate)
    span = options.span(wants_flow=entry_filter.wants_flow).within(low_ns, high_ns)
    chosen: list[SegmentInfo] = []
    for info in store.segments(either_way(untimed)):
        (chosen if span.overlaps(info.first_ns, info.last_ns) else outside).append(info)
    store.prefetch(info.name for info in chosen)
    for info in chosen:
        try:
            readers.append(store.open_segment(info.name, cache=cache))
        except StoreError as error:
            if str(error) not in map(str, problems):  # whoever is away is so for all its segments
                problems.append(error)
    problems += (problem for problem in secrets.problems if str(problem) not in map(str, problems))
    problems += store.problems
    names = known_names(store, problems)
    origin = Origin("file", "", entry_filter.variables, plugins.display, store.is_joined, names)
    dissector = Dissector(load_core(), plugins, [], origin, secrets.step, enrichers)

    def choose(plan: Plan, watch: Watch, here: InProcess) -> Executor | None:
        if executor == "inline" or not plan.tasks:
            return None
        job = Job(
            store.location,
            tuple(identity.secret() for identity in store.identities),
            secrets.secret_text(),
            entry_filter.kfl,
            entry_filter.now_ns,
            options.window,
            options.running_order,
            options.limit,
            make,
            store.is_joined,
            names,
            plugins.macros,
        )
        if executor == "ray":
            from kubeshark.pipeline.executors._ray import RayActors, actors

            away = replace(job, store="", secret_keys=())
            return RayActors(
                away, actors(jobs, sum(len(task.chunks) for task in plan.tasks)), watch, entry_filter.errors, here
            )
        reads = columns_read_by(make, entry_filter.variables)
        is_quick = reads is not None and SHOWN.keys().isdisjoint(reads)
        count = _processes(jobs, plan, options, WORTH_BYTES["forked"][is_quick])
        if not (count and store.can_travel):  # they would open one store
            return None
        from kubeshark.pipeline.executors._processes import Processes, can_fork  # one process needs none of it

        forks = plugins.are_built_in and type(make).__module__.startswith("kubeshark.") and can_fork()
        if not (forks or _processes(jobs, plan, options, WORTH_BYTES["executed"][is_quick])):
            return None
        piece_bytes = PIECE_BYTES if store.requests is None else CHUNK_BYTES  # blocks are read again for each piece
        return Processes(job, count, watch, entry_filter.errors, here, piece_bytes, may_fork=forks)

    query = Query(
        readers,
        dissector,
        entry_filter,
        predicate,
        make,
        options,
        Outside(store, outside, readers, problems, cache) if outside else None,
        choose,
    )
    return StoreQuery(entry_filter, plugins, query, readers, problems, notes, requests)


def _kept(read: ReadStats) -> str:
    asked = read.kept_blocks + read.blocks
    return f"{read.kept_indexes} indexes, {read.kept_blocks} of {asked} blocks: {read.kept_bytes:,} bytes of packets"


def _processes(jobs: int | None, plan: Plan, options: QueryOptions, worth_bytes: int) -> int:
    """Return how many processes do the work; 0: none but this."""
    pieces = sum(len(task.chunks) for task in plan.tasks)
    if jobs == 1 or pieces < 2:
        return 0
    if jobs is None:
        if options.limit is not None or plan.size < worth_bytes:
            return 0
        jobs = len(os.sched_getaffinity(0))
    return min(jobs, pieces) if jobs > 1 else 0
