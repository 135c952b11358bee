"""The connections that a live view keeps in mind: where their packets lie, and which of their entries were told.

Packets stay where they are, in the store or in the segment that is open. What is here is some hundred bytes a
connection, and there are at most MAX_CONNECTIONS of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct, field

from kubeshark.pipeline.follow._settle import QUIET_S, Wait
from kubeshark.pipeline.reading._repeats import SKEW_NS
from kubeshark.pipeline.reading._segments import MAX_CHAIN_BYTES, has_ended, may_be_quiet_ns

__all__ = ["MAX_CONNECTIONS", "TWIN_S", "Connection", "Connections", "Part", "Told"]

MAX_CONNECTIONS = 100_000
"""Of more, those that were quiet for longest are let go of: what they wait for is not told any more."""

IDLE_S = 1_200.0
"""Whoever was quiet for so long is let go of, too: what comes later is read from the store again."""

TWIN_S = 1.0
"""Where several nodes capture, a connection waits so long for what others saw of it: a piece of the log waits half of
that, and is fetched a quarter of a second later."""

READ_SHARE = 4
"""A connection that goes on is read from its beginning each time; that may take a fifth of a processor."""

Part = tuple[str, int]
"""(segment, row of its flow table)."""


class Told(Struct):
    """Which entries of a part were told: all numbers below `below`, and some behind."""

    below: int = 0
    others: set[int] = field(default_factory=set)

    def __contains__(self, number: int) -> bool:
        return 0 <= number < self.below or number in self.others

    def add(self, number: int) -> None:
        if number in self:
            return
        self.others.add(number)
        while self.below in self.others:
            self.others.remove(self.below)
            self.below += 1


class Connection(Struct, eq=False):
    """One connection, by the parts that it has in segments, in order. Times without unit are seconds of the clock."""

    key: bytes
    parts: list[Part]
    since_ns: int = -1  # what ended until then was there before the view began
    bits: int = 0
    last_ns: int = 0
    size: int = 0  # bytes of payload
    grown_at: float = 0.0
    read_at: float = 0.0
    cost: float = 0.0  # seconds of its last reading
    waits: Wait = Wait.NOTHING  # what its next untold entry waits for
    has_news: bool = False  # it grew since it was read
    is_over: bool = False  # nothing can follow
    is_gone: bool = False  # it was let go of
    is_queued: bool = False
    told: dict[Part, Told] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # that saw it
    first_ns: int = 1 << 62
    isn: tuple[int, int] = (0, 0)  # 0: not seen yet
    held_until: float = 0.0  # for what other nodes saw of it
    _before: tuple[int, int] = (0, 0)  # bits and size of parts that were there at first
    _counted: dict[Part, tuple[int, int]] | None = None  # the same of each other part, if there are several

    def grow(self, flow: Any, now: float, part: Part | None = None) -> None:
        """Take the FLOW row that a part has by now, by default the last."""
        counted = int(flow["bits"]), int(flow["bytes"].sum())
        self.bits, self.size = self._before
        if self._counted is not None:
            self._counted[part or self.parts[-1]] = counted
        for bits, size in [counted] if self._counted is None else self._counted.values():
            self.bits |= bits
            self.size += size
        self._take_times(flow)
        self.grown_at = now
        self.has_news = True

    def seen_before(self, flow: Any) -> None:
        """Take the FLOW row of a part before its last one."""
        bits, size = self._before
        self._before = bits | int(flow["bits"]), size + int(flow["bytes"].sum())
        self._take_times(flow)

    def _take_times(self, flow: Any) -> None:
        self.first_ns = min(self.first_ns, int(flow["first_ns"]))
        self.last_ns = max(self.last_ns, int(flow["last_ns"]))
        (a, b), (seen_a, seen_b) = self.isn, flow["isn"].tolist()
        self.isn = a or seen_a, b or seen_b

    def add_part(self, part: Part, node: str = "", *, is_first: bool = False) -> None:
        """Go on in another segment, or have what another node saw; `is_first`: its entries are numbered there."""
        if self._counted is None:
            self._counted = {self.parts[-1]: (self.bits, self.size - self._before[1])}
        self.parts.insert(0 if is_first else len(self.parts), part)
        if node not in self.nodes:
            self.nodes = (*self.nodes, node)

    def may_be(self, node: str, flow: Any) -> bool:
        """Say whether a node that has no part of it yet saw it, too; the rule is that of `chains`."""
        if node in self.nodes or not self.goes_on(flow):
            return False
        if int(flow["first_ns"]) > self.last_ns + SKEW_NS or int(flow["last_ns"]) < self.first_ns - SKEW_NS:
            return False
        theirs = flow["isn"].tolist()
        return all(not (mine and other) or mine == other for mine, other in zip(self.isn, theirs, strict=True))

    def goes_on(self, flow: Any) -> bool:
        """Say whether a part in a later segment is its own; the rule is that of `chains`."""
        quiet_ns = may_be_quiet_ns(int(flow["transport"]), has_ended=bool(has_ended(self.bits)))
        is_late = quiet_ns is not None and int(flow["first_ns"]) > self.last_ns + quiet_ns
        return not is_late and self.size + int(flow["bytes"].sum()) <= MAX_CHAIN_BYTES

    def may_go_on(self, name: str, flow: Any) -> bool:
        """Say whether a row of the segment of this name is its own, which has none yet."""
        return all(segment != name for segment, _ in self.parts) and self.goes_on(flow)

    def patience(self, now: float) -> Wait:
        """Return the longest wait that is over."""
        quiet = now - self.grown_at
        if self.is_over or (has_ended(self.bits) and quiet >= QUIET_S[Wait.GROWTH]):
            return Wait.OVER
        return max(wait for wait in Wait if quiet >= QUIET_S[wait])

    def due(self) -> float | None:
        """Return when it is to be read again; None: not before it grows."""
        if self.has_news:
            return max(self.read_at + READ_SHARE * self.cost, self.held_until)
        if self.waits is Wait.NOTHING:
            return None
        is_ended = self.is_over or has_ended(self.bits)
        return self.grown_at + QUIET_S[Wait.GROWTH if is_ended else self.waits]

    def told_below(self, part: Part) -> int:
        """Return the number below which every entry of a part was told."""
        told = self.told.get(part)
        return told.below if told else 0

    def was_told(self, part: Part, number: int) -> bool:
        told = self.told.get(part)
        return told is not None and number in told

    def tell(self, part: Part, number: int) -> None:
        self.told.setdefault(part, Told()).add(number)


class Connections:
    """All of them, by their ends, and in the order in which they are to be read again."""

    def __init__(self, most: int = MAX_CONNECTIONS) -> None:
        self.dropped = 0  # let go of while something of them was not told
        self._most = most
        self._by_key: dict[bytes, Connection] = {}  # the latest with these ends; the one that grew last comes last
        self._queue: list[tuple[float, int, Connection]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def latest(self, key: bytes) -> Connection | None:
        return self._by_key.get(key)

    def begin(self, key: bytes, parts: Sequence[Part], since_ns: int, nodes: Iterable[str] = ()) -> Connection:
        connection = self._by_key[key] = Connection(key, list(parts), since_ns, nodes=tuple(dict.fromkeys(nodes)))
        return connection

    def queue(self, connection: Connection) -> None:
        """Have it read when it is due."""
        due = connection.due()
        if due is not None and not connection.is_queued:
            connection.is_queued = True
            self._count += 1
            heapq.heappush(self._queue, (due, self._count, connection))

    def grown(self, connection: Connection) -> None:
        """Have one read that grew, and put it behind all others."""
        if self._by_key.get(connection.key) is connection:
            self._by_key[connection.key] = self._by_key.pop(connection.key)
        connection.is_queued = False  # it may be due earlier than it was: what lies in the queue is passed over
        self.queue(connection)

    def take_due(self, now: float) -> Iterator[Connection]:
        while self._queue and self._queue[0][0] <= now:
            _, _, connection = heapq.heappop(self._queue)
            due = connection.due()
            if connection.is_gone or not connection.is_queued or due is None:
                continue
            connection.is_queued = False
            if due <= now:
                yield connection
            else:
                self.queue(connection)

    def forget(self, now: float) -> None:
        """Let go of those that were quiet for long, and of too many."""
        while self._by_key:
            oldest = next(iter(self._by_key.values()))
            if len(self._by_key) <= self._most and now - oldest.grown_at < IDLE_S:
                return
            self.dropped += oldest.waits is not Wait.NOTHING or oldest.has_news
            oldest.is_gone = True
            del self._by_key[oldest.key]
