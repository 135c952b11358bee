"""The live view: entries of a store as they become complete, with the ids that every later query gives them.

Each look at the store asks what grew, reads the connections with new packets from their beginning, and tells the
entries that are settled (`_settle`) and were not told yet. So what is told is what a query would give, and a connection
that runs through several segments is read with all its parts. Between looks only `_followed` is kept.

1. An entry is told once. It comes at most one look after it is settled, in time order within that look.
2. What the store held before is not told, unless `since_ns` asks for it; of connections that go on, only what ended
   later; with `begun_later` only what began later, for whoever queried the rest.
3. What several nodes saw is told once, with all their names: where several capture, a connection that begins waits
   TWIN_S for them. One that another node shows later is joined to it, and nothing of it is told again.
4. Whoever reads too slowly gets everything late, as long as no more than MAX_BEHIND wait: older segments are passed
   over then, and counted in `dropped`.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from kubeshark.core_capture import Predicate, load_core
from kubeshark.core_capture._groups import Groups
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.pipeline.dissection._dissect import Dissector
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._facts import Origin
from kubeshark.pipeline.entries._order import Window
from kubeshark.pipeline.follow._feed import Change, Feed, StoreFeed
from kubeshark.pipeline.follow._followed import TWIN_S, Connection, Connections, Part
from kubeshark.pipeline.follow._settle import Wait, settle
from kubeshark.pipeline.query._filter import EntryFilter
from kubeshark.pipeline.query._rows import itself, made_of, small_columns
from kubeshark.pipeline.query._run import Runner
from kubeshark.pipeline.query._runs import Run, in_order
from kubeshark.pipeline.query._store_query import known_names
from kubeshark.pipeline.reading._choose import choose_rows, without_times
from kubeshark.pipeline.reading._continued import parts_before
from kubeshark.pipeline.reading._segments import Begins, FlowPart, Segment, chains, flow_keys, is_fresh, node_of
from kubeshark.pipeline.reading._twins import twins_among
from kubeshark.pipeline.tables._settled import Table, settled
from kubeshark.pipeline.tables._table import EntryTable

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Store
    from kubeshark.pipeline.dissection._secrets import LiveSecrets
    from kubeshark.pipeline.enrichment._enrich import EnricherBinding
    from kubeshark.pipeline.plugins._manager import Plugins

T = TypeVar("T")

__all__ = ["MAX_BEHIND", "Dropped", "Follow", "follow_store"]

LOOK_S = 0.05
"""Seconds between two looks at a store that is quiet."""

LOOK_SHARE = 1
"""A look is followed by a pause of what it took: decoding an open segment anew takes half a processor at most."""

NODE_S = 300.0
"""A node that had nothing new for so long is not waited for."""

KEPT_FIRSTS = 1024  # segments
CHUNK_BYTES = 16 << 20
MAX_BEHIND = 256 << 20
"""Bytes of packets in sealed segments that wait to be looked at."""


class Dropped(Struct):
    """What a live view did not show: queries do."""

    segments: int = 0
    packets: int = 0
    connections: int = 0  # with something that was not told yet

    def __bool__(self) -> bool:
        return bool(self.segments or self.connections)

    def __str__(self) -> str:
        return (
            f"too slow: {self.packets:,} packets in {self.segments:,} segments and"
            f" {self.connections:,} connections were passed over; a query shows them"
        )


class _Watched(Struct):
    """A segment that is open, or is being looked at."""

    segment: Segment
    packets: NDArray[Any]  # seen, by row
    last_ns: NDArray[Any]  # by row, as of then
    rows: dict[int, Connection] = field(default_factory=dict)


class Follow:
    """Iterate it for entries; it ends after `stop`, which any thread may call.

    `problems` says what could not be read, `dropped` what was passed over.
    """

    def __init__(
        self,
        feed: Feed,
        dissector: Dissector,
        entry_filter: EntryFilter,
        predicate: Predicate,
        *,
        secrets: LiveSecrets | None = None,
        since_ns: int | None = None,
        begun_later: bool = False,
        clock: Callable[[], float] = time.monotonic,
        max_behind: int = MAX_BEHIND,
    ) -> None:
        self.dropped = Dropped()
        self._feed = feed
        self._predicate = predicate
        self._secrets = secrets
        self._since_ns = since_ns
        self._begun_later = begun_later
        self.last_ns = 0  # of the packets that were there at first
        self._clock = clock
        self._max_behind = max_behind
        self._runner = Runner(dissector, entry_filter, Window(since_ns))
        self._connections = Connections()
        self._watched: dict[str, _Watched] = {}
        self._before: list[tuple[str, int, int]] = []  # segments that were there at first: name, first and last time
        self._heard: dict[str, float] = {}  # when a node last had something new
        self._firsts: dict[str, int] = {}  # time of the first packet, by segment
        self._has_begun = False
        self._took = 0.0  # seconds of the last look
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End it soon, from any thread or signal handler."""
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    @property
    def problems(self) -> list[KubesharkError]:
        found = [*self._feed.problems, *self._runner.problems, *(self._secrets.problems if self._secrets else ())]
        return list({str(problem): problem for problem in found}.values())

    @property
    def notices(self) -> list[str]:
        """What the user should know of the filter."""
        told = self._runner.filter
        sums = ["flow entries are sums that have no end: a live view shows connections (conn) instead"]
        return [*told.notices, *(sums if told.wants_flow and told.kfl else []), *filter(None, [told.error_note])]

    def __iter__(self) -> Iterator[Entry]:
        return self.map(itself)

    def map(self, make: Callable[[Entry], T]) -> Iterator[T]:
        """Yield what is made of each entry (`_rows`)."""
        for run in self.runs(getattr(make, "reads", None)):
            yield from made_of(run, make)

    def runs(self, fields: Sequence[str] | None = ()) -> Iterator[Run]:
        """Yield what each look finds, many entries at once; an empty run for a look that finds nothing.

        With `fields`, only these KFL variables (or CELLS, LINE, SIZE) will be read of them.
        """
        if fields is not None:
            self.reads(fields)
        try:
            while not self.is_stopped:
                yield from self.look()
                self.pause()
        finally:
            self.close()

    def reads(self, fields: Sequence[str]) -> None:
        """Say that only these KFL variables (or CELLS, LINE, SIZE) will be read: the packets need not be kept."""
        self._runner.reads = small_columns(list(fields), self._runner.dissector.origin.variables)

    def pause(self) -> None:
        """Wait until it is time to look again, or `stop`."""
        self._stopped.wait(max(LOOK_S, LOOK_SHARE * self._took))

    def close(self) -> None:
        """Let go of what is open."""
        self.stop()
        self._feed.close()

    def look(self) -> Iterator[Run]:
        """Look once: yield what is settled now, at least one run, and take note of what is not."""
        now = self._clock()
        changes = self._affordable(self._feed.poll())
        if self._secrets is not None:
            brings_some = any(change.brings_secrets for change in changes)
            self._runner.dissector.decrypt = self._secrets.step(brings_some=brings_some)
        for change in changes:
            self._take(change, now)
            if change.is_sealed:  # its rows grow no more, and its packets are let go of
                yield from self._tell(now)
                self._watched.pop(change.segment.name, None)
        self._has_begun = True
        yield from self._tell(now)
        self._connections.forget(now)
        self.dropped.connections = self._connections.dropped
        self._took = self._clock() - now
        yield in_order([], "asc")

    def _affordable(self, changes: list[Change]) -> list[Change]:
        """Leave out the oldest of too much; at first all is looked at that was asked for."""
        if not self._has_begun:
            return changes
        behind = sum(change.size for change in changes)
        kept = []
        for change in changes:
            if change.size and behind > self._max_behind:
                behind -= change.size
                self.dropped.segments += 1
                self.dropped.packets += int(change.segment.flows["packets"].sum())
                self._watched.pop(change.segment.name, None)
            else:
                kept.append(change)
        return kept

    def _take(self, change: Change, now: float) -> None:
        """Note which connections of a segment grew."""
        segment, flows = change.segment, change.segment.flows
        counts = flows["packets"].sum(axis=1, dtype=np.int64)
        watched = self._watched.get(segment.name)
        self._hear(change, now)
        is_old = not self._has_begun and (self._since_ns is None or change.last_ns < self._since_ns)
        if watched is None:
            none = np.zeros(0, dtype=np.int64)
            watched = self._watched[segment.name] = _Watched(segment, none, none)
        known = len(watched.packets)
        before = np.pad(watched.packets, (0, max(0, len(counts) - known)))[: len(counts)]
        grown = np.flatnonzero(counts != before)
        watched.segment = segment
        if is_old:
            self.last_ns = max(self.last_ns, change.last_ns)
            if change.is_sealed and len(flows):
                first, last = int(flows["first_ns"].min()), int(flows["last_ns"].max())
                self._before.append((segment.name, first, last))
        elif len(grown):
            chosen = choose_rows(segment, self._predicate, is_alone=False)
            self._grow(watched, grown[np.isin(grown, chosen)], now, is_last=change.is_last)
        watched.packets, watched.last_ns = counts, flows["last_ns"].astype(np.int64)

    def _grow(self, watched: _Watched, rows: NDArray[Any], now: float, *, is_last: bool) -> None:
        flows = watched.segment.flows
        missing = np.array([row for row in rows.tolist() if not self._knows(watched, row)], dtype=np.int64)
        self._begin(watched, missing, now)
        for row in rows.tolist():
            connection = watched.rows[row]
            connection.grow(flows[row], now, (watched.segment.name, row))
            connection.is_over |= is_last
            self._connections.grown(connection)

    def _knows(self, watched: _Watched, row: int) -> bool:
        connection = watched.rows.get(row)
        return connection is not None and not connection.is_gone

    def _hear(self, change: Change, now: float) -> None:
        """Note who captures now, and where segments begin."""
        segment = change.segment
        if self._has_begun or not change.is_sealed:
            self._heard[node_of(segment)] = now
        if segment.name not in self._firsts and len(segment.flows):
            self._firsts[segment.name] = int(segment.flows["first_ns"].min())
            if len(self._firsts) > KEPT_FIRSTS:
                del self._firsts[next(iter(self._firsts))]

    def _capturing(self, now: float) -> int:
        """Return how many nodes capture."""
        return sum(now - heard < NODE_S for heard in self._heard.values())

    def _comes_before(self, name: str, other: str) -> bool:
        """Say whether a query numbers what both segments hold in the first of them."""
        return name in self._firsts and (self._firsts[name], name) < (self._firsts.get(other, 0), other)

    def _begin(self, watched: _Watched, rows: NDArray[Any], now: float) -> None:
        """Find the connections that these rows are parts of; the others begin here."""
        segment, name = watched.segment, watched.segment.name
        node, capturing = node_of(segment), self._capturing(now)
        keys = [key.tobytes() for key in flow_keys(segment, rows)]
        flows = segment.flows[rows]
        orphans: list[tuple[int, bytes]] = []
        for at, (row, key) in enumerate(zip(rows.tolist(), keys, strict=True)):
            before = self._connections.latest(key)
            if before is not None and before.may_be(node, flows[at]):
                is_first = not before.told and self._comes_before(name, before.parts[0][0])
                before.add_part((name, row), node, is_first=is_first)
                if len(before.nodes) >= capturing:
                    before.held_until = now
                watched.rows[row] = before
            elif before is not None and not is_fresh(flows[at]) and before.may_go_on(name, flows[at]):
                before.add_part((name, row), node)
                watched.rows[row] = before
            else:
                orphans.append((row, key))
        parts = self._parts_before(segment, [row for row, _ in orphans])
        for row, key in orphans:
            since_ns = int(watched.last_ns[row]) if row < len(watched.last_ns) else -1
            mine = parts.get(row, [])
            if mine and self._since_ns is None:
                since_ns = max(since_ns, *(int(part.segment.flows[part.row]["last_ns"]) for part in mine))
            names = [*((part.segment.name, part.row) for part in mine), (name, row)]
            nodes = [*(node_of(part.segment) for part in mine), node]
            connection = self._connections.begin(key, names, since_ns, nodes)
            if capturing > 1 and not mine:
                connection.held_until = now + TWIN_S
            for part in mine:
                connection.seen_before(part.segment.flows[part.row])
            watched.rows[row] = connection

    def _parts_before(self, segment: Segment, rows: Sequence[int]) -> dict[int, list[FlowPart]]:
        """Return the parts that connections of these rows have in segments from before the view began."""
        if not self._before or not rows:
            return {}
        flows = segment.flows[list(rows)]
        going_on = np.array(rows, dtype=np.int64)[~is_fresh(flows)]
        if not len(going_on):
            return {}
        there = [span for span in self._before if span[0] != segment.name]
        found = parts_before(segment, going_on, there, self._feed)
        found.sort(key=lambda each: (int(each[0].flows["first_ns"].min()), each[0].name))
        joined = chains([*found, (segment, going_on)])
        result = {}
        for begins in joined:
            for parts in begins.chained.values():
                if parts[-1].segment is segment:
                    result[parts[-1].row] = list(parts[:-1])
        return result

    def _tell(self, now: float) -> Iterator[Run]:
        """Read the connections that are due, and yield what is settled of them."""
        due = list(self._connections.take_due(now))
        for connections in _chunks(due):
            if self.is_stopped:
                return
            began = self._clock()
            read = [self._settled(begins, owners, now) for begins, owners in self._grouped(connections)]
            tables = [table for table in read if len(table)]
            cost = self._clock() - began
            total = sum(connection.size + 1 for connection in connections)
            for connection in connections:
                connection.read_at, connection.has_news = now, False
                connection.cost = cost * (connection.size + 1) / total
                self._connections.queue(connection)
            if tables:
                yield in_order(tables, "asc")

    def _grouped(self, connections: Iterable[Connection]) -> Iterator[tuple[Begins, dict[int, Connection]]]:
        """Yield connections by where they begin."""
        groups: defaultdict[str, list[Connection]] = defaultdict(list)
        for connection in connections:
            groups[connection.parts[0][0]].append(connection)
        for name, members in groups.items():
            try:
                segment = self._segment(name)
                parts = {c.parts[0][1]: [FlowPart(self._segment(n), row) for n, row in c.parts] for c in members}
            except StoreError as error:
                self._runner.damage.note(error)
                for connection in members:
                    connection.waits = Wait.NOTHING
                continue
            owners = {connection.parts[0][1]: connection for connection in members}
            seen = {row: twins_among(each) for row, each in parts.items() if len(each) > 1}
            chained = {row: each for row, each in parts.items() if len(each) > 1 and not seen[row]}
            yield Begins(segment, np.array(sorted(parts), dtype=np.int64), chained, seen), owners

    def _segment(self, name: str) -> Segment:
        if name in self._watched:
            return self._watched[name].segment
        segment = self._feed.open(name)
        if segment is None:
            raise StoreError(f"segment {name} cannot be read")
        return segment

    def _settled(self, begins: Begins, owners: dict[int, Connection], now: float) -> Table:
        """Return what can be told of these connections and matches; note what waits."""
        found = self._runner.entries(begins)
        state = settle(found)
        decisive_ns = found.start_ns if self._begun_later else state.end_ns
        patience = {row: connection.patience(now) for row, connection in owners.items()}
        for connection in owners.values():
            connection.waits = Wait.NOTHING
        keep = []
        for at, part, number, row in _identified(found, begins, owners):
            connection = owners[row]
            if connection.was_told(part, number):
                continue
            is_old = decisive_ns[at] <= connection.since_ns
            if state.waits[at] <= patience[row]:
                connection.tell(part, number)
                if not is_old:
                    keep.append(at)
            elif not is_old:
                waits = Wait(int(state.waits[at]))
                connection.waits = min(connection.waits, waits) if connection.waits else waits
        chosen = self._runner.choose(found.take(np.array(keep, dtype=np.int64)), is_by_id=False)
        return chosen if self._runner.reads is None else settled(chosen, self._runner.reads)


def _identified(
    found: EntryTable, begins: Begins, owners: Mapping[int, Connection]
) -> Iterator[tuple[int, Part, int, int]]:
    """Yield (place, part, number, row where its connection begins) of the entries that may not have been told."""
    ids = found.ids()
    first = {(part.segment.name, part.row): row for row, parts in begins.chained.items() for part in parts}
    parts = Groups((ids.segment << 32) + ids.flow)
    known: list[int] = parts.known.tolist()
    named = [(ids.segments[part >> 32], part & 0xFFFF_FFFF) for part in known]
    rows = [first.get(part, part[1]) for part in named]
    told = [owners[row].told_below(part) for row, part in zip(rows, named, strict=True)]
    below = np.array(told, dtype=np.int64)[parts.number]
    left = np.flatnonzero((ids.number < 0) | (ids.number >= below))
    for at, part, number in zip(left.tolist(), parts.number[left].tolist(), ids.number[left].tolist(), strict=True):
        yield at, named[part], number, rows[part]


def _chunks(connections: Sequence[Connection]) -> Iterator[list[Connection]]:
    chunk: list[Connection] = []
    size = 0
    for connection in connections:
        if chunk and size + connection.size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(connection)
        size += connection.size
    if chunk:
        yield chunk


def follow_store(
    store: Store,
    plugins: Plugins,
    entry_filter: EntryFilter,
    secrets: LiveSecrets,
    since_ns: int | None,
    enrichers: Sequence[EnricherBinding] = (),
    *,
    begun_later: bool = False,
) -> Follow:
    """Return the live view of a store; nothing is read before it is iterated."""
    store.segments()  # which looks whether there are names
    names = known_names(store, [])
    origin = Origin("file", "", entry_filter.variables, plugins.display, store.is_joined, names)
    dissector = Dissector(load_core(), plugins, [], origin, None, enrichers)
    untimed, _, _ = without_times(entry_filter.predicate)
    return Follow(
        StoreFeed(store),
        dissector,
        entry_filter,
        untimed,
        secrets=secrets,
        since_ns=since_ns,
        begun_later=begun_later,
    )
