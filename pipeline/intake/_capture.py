"""Captures: what a live source gives into the store, as it comes.

1. The thread that reads waits for nothing but packets: not for plugins, not for the disk. Where the queue behind it is
   full, packets of an interface are counted as lost (a sender over TCP or a pipe is made to wait instead). Where no
   plugin and nobody else looks at the packets of interfaces there is no queue: the writer does not wait either.
2. The sum is exact: received = dropped by the kernel + damaged + lost + beyond a limit + filtered by plugins + stored.
3. What was lost is written into the store with the packets, by interface.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture import RecordBatch, load_core
from kubeshark.core_capture.store import HELD_SEGMENTS, LIVE_SEGMENT_BYTES, SourceInfo, Store
from kubeshark.pipeline.intake._capture_queue import BatchQueue
from kubeshark.pipeline.intake._hooks import hooks_of

if TYPE_CHECKING:
    from kubeshark.core_capture.live import Counters, LiveSource, PacketSource
    from kubeshark.core_capture.store import LiveWriter, Retention, Scheduled, SegmentInfo
    from kubeshark.pipeline.plugins._manager import Plugins

__all__ = ["Capture", "CaptureLimits", "CaptureProgress", "CaptureResult"]

QUEUE_BYTES = 64 << 20  # as much again as the ring of an interface: a segment is sealed meanwhile
READ_S = 0.25
TICK_S = 0.1  # the log is looked after so often, also when nothing comes
TELL_S = 0.2
FILTER_BUDGET_S = 0.1  # of packet filters, for a batch of about a MiB: they are passed over for the rest of it
_RECORD_HEADER = 16


class CaptureLimits(Struct, frozen=True):
    """When a capture ends by itself; None: not for that."""

    duration_s: float | None = None
    packets: int | None = None  # exactly, as the source gives them
    bytes: int | None = None  # captured; the packet that reaches it is the last


@dataclass(frozen=True, slots=True)
class CaptureProgress:
    """Where a capture is. Packets, where nothing else is said."""

    seconds: float = 0.0
    received: int = 0
    dropped: int = 0  # by the kernel, which had no room
    lost: int = 0  # here, because storing did not keep up
    filtered: int = 0  # by plugins
    excluded: int = 0  # beside received: the filter or the choice left out in the kernel, about
    stored: int = 0
    acknowledged: int = 0  # of those: would survive a power loss now
    bytes: int = 0  # captured, of those stored


@dataclass(frozen=True, slots=True)
class CaptureResult(CaptureProgress):
    """How a capture ended."""

    damaged: int = 0  # the kernel's ring contradicted itself
    beyond: int = 0  # came behind the limit
    truncated: int = 0  # stored, but not whole: the snap length
    flows: int = 0
    segments: int = 0
    problems: tuple[str, ...] = ()


class _Counted(Struct):
    lost: Counter[int] = field(default_factory=Counter)  # by interface
    taken: int = 0  # given to the queue, or lost
    taken_bytes: int = 0
    beyond: int = 0
    sources: list[Counters] = field(default_factory=list)


class Capture:
    """One capture into one store for `recipients`. `run` it once."""

    def __init__(
        self,
        store: Store,
        recipients: list[str],
        source: PacketSource,
        *,
        limits: CaptureLimits,
        plugins: Plugins | None,
        node: str = "",
        segment_seconds: float = 300,
        segment_bytes: int = LIVE_SEGMENT_BYTES,
        held_segments: int = HELD_SEGMENTS,
        retention: Retention | None = None,
        cpu: float = 0.0,
        queue_bytes: int = QUEUE_BYTES,
        filter_budget_s: float = FILTER_BUDGET_S,
        on_progress: Callable[[CaptureProgress], None] | None = None,
        on_batch: Callable[[RecordBatch], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        """`plugins` are those with hooks for packets and segments, None if there are none."""
        self._store, self._recipients, self._source = store, recipients, source
        self._limits = limits
        self._segment_bytes, self._held_segments, self._cpu = segment_bytes, held_segments, cpu
        self._node, self._segment_seconds, self._retention = node, segment_seconds, retention
        self._plugins = plugins
        self._budget_s = filter_budget_s
        self._on_progress, self._on_batch, self._on_notice = on_progress, on_batch, on_notice
        self._queue = BatchQueue(queue_bytes)
        self._counted = _Counted()
        self._failure: BaseException | None = None
        self._direct: tuple[LiveSource, LiveWriter] | None = None  # what the thread that reads takes goes there at once
        self._started = time.monotonic()
        self._turns: list[tuple[Scheduled | None, int]] = []  # of before there was a writer
        self._writer: LiveWriter | None = None
        self._turning = threading.Lock()
        self._bytes = 0
        self._filtered = Counter[int]()  # by interface

    def turn(self, scheduled: Scheduled | None, since_ns: int) -> None:
        """Have packets of a time and later belong to these schedules, see `LiveWriter.turn`; from any thread."""
        with self._turning:
            if self._writer is None:
                self._turns.append((scheduled, since_ns))
            else:
                self._writer.turn(scheduled, since_ns)

    def run(self) -> CaptureResult:
        """Capture until the source ends or a limit is reached. Raises StoreError, CaptureError."""
        self._started = time.monotonic()
        source = self._source
        hooks = hooks_of(self._plugins, self._store.location, budget_s=self._budget_s)
        sealed: list[SegmentInfo] = []

        def on_sealed(info: SegmentInfo) -> None:
            sealed.append(info)
            hooks.tell(info)

        info = SourceInfo(source.name, metadata=source.metadata)
        reader = threading.Thread(target=self._read, name="kubeshark-capture", daemon=True)
        with hooks:
            with self._store.live_writer(
                self._recipients,
                source=info,
                node=self._node,
                segment_bytes=self._segment_bytes,
                held_segments=self._held_segments,
                segment_seconds=self._segment_seconds,
                cpu=self._cpu,
                retention=self._retention,
                on_sealed=on_sealed,
            ) as writer:
                with self._turning:
                    self._writer = writer
                    for turn in self._turns:
                        writer.turn(*turn)
                if not hooks.filters_packets:
                    self._direct = self._may_be_direct(writer)
                reader.start()
                try:
                    self._write(writer, hooks.apply)
                finally:
                    source.stop()
                    self._queue.abandon()
                    reader.join()
                if self._failure is not None:
                    raise self._failure
                self._note(writer)
                writer.finish()
            self._tell(writer)
        counted = self._counted.sources
        trouble = [writer.problem] if writer.problem else []
        return CaptureResult(
            **asdict(self._progress(writer)),
            damaged=sum(one.damaged for one in counted),
            beyond=self._counted.beyond,
            truncated=sum(one.truncated for one in counted),
            flows=sum(info.flows for info in sealed),
            segments=sum(info.packets > 0 for info in sealed),
            problems=(*trouble, *source.problems, *map(str, hooks.problems())),
        )

    def _write(self, writer: LiveWriter, apply: Callable[[RecordBatch], RecordBatch]) -> None:
        """Store what comes until nothing will."""
        ticked = told = 0.0
        while not self._queue.is_over:
            batch = self._queue.get(TICK_S)
            if batch is not None:
                self._store_batch(writer, apply(batch), batch)
            now = time.monotonic()
            if now - ticked >= TICK_S or batch is None:
                ticked = now
                self._note(writer)
                writer.tick()
            if now - told >= TELL_S:
                told = now
                self._tell(writer)

    def _may_be_direct(self, writer: LiveWriter) -> tuple[LiveSource, LiveWriter] | None:
        """Say whether nothing that takes its time stands between interfaces and the writer, which waits for no disk.

        Packets are then copied once, from the kernel's memory to where they stay.
        """
        from kubeshark.core_capture.live import LiveSource

        source = self._source
        return (source, writer) if isinstance(source, LiveSource) and self._on_batch is None else None

    def _next(self, wait_s: float) -> RecordBatch | None:
        if self._direct is None:
            return self._source.read(wait_s)
        source, writer = self._direct
        return source.read(wait_s, writer.room)

    def _hand_on(self, batch: RecordBatch) -> None:
        if self._direct is not None:
            self._keep(self._direct[1], batch)
        elif not self._queue.put(batch, waits=self._source.waits):
            self._counted.lost[_interface_of(batch)] += batch.count

    def _read(self) -> None:
        """What the reading thread does."""
        source, counted = self._source, self._counted
        ends_at = None if self._limits.duration_s is None else self._started + self._limits.duration_s
        counted_at = 0.0
        try:
            while not source.is_finished:
                wait_s = READ_S if ends_at is None else min(max(ends_at - time.monotonic(), 0.0), READ_S)
                batch = self._next(wait_s)
                if batch is not None and (batch := self._within_limits(batch)):
                    counted.taken += batch.count
                    counted.taken_bytes += len(batch.data) - _RECORD_HEADER * batch.count
                    self._hand_on(batch)
                now = time.monotonic()
                if self._has_reached_limit() or (ends_at is not None and now >= ends_at):
                    ends_at = None
                    source.stop()
                if now - counted_at >= TICK_S or batch is None:
                    counted_at = now
                    counted.sources = source.counters()
            counted.sources = source.counters()
        except BaseException as error:  # noqa: BLE001 (the thread that stores raises it)
            self._failure = error
        finally:
            self._queue.end()

    def _has_reached_limit(self) -> bool:
        packets, size = self._limits.packets, self._limits.bytes
        counted = self._counted
        return (packets is not None and counted.taken >= packets) or (size is not None and counted.taken_bytes >= size)

    def _within_limits(self, batch: RecordBatch) -> RecordBatch | None:
        """Return the batch as far as the limits go."""
        counted, limits = self._counted, self._limits
        count = 0 if self._has_reached_limit() else batch.count
        if limits.packets is not None:
            count = min(count, limits.packets - counted.taken)
        if limits.bytes is not None and count:
            left = limits.bytes - counted.taken_bytes
            if len(batch.data) - _RECORD_HEADER * batch.count > left:
                offsets, end = load_core().offsets(batch.data)
                ends = [*offsets.tolist()[1:], end]
                behind = (n for n, at in enumerate(ends, 1) if at - _RECORD_HEADER * n >= left)
                count = min(count, next(behind, batch.count))
        counted.beyond += batch.count - count
        return batch if count == batch.count else _first(batch, count)

    def _store_batch(self, writer: LiveWriter, kept: RecordBatch, batch: RecordBatch) -> None:
        if kept.count != batch.count:
            self._filtered[_interface_of(batch)] += batch.count - kept.count
        if kept.count:
            if self._source.waits:
                self._wait_for_room(writer, kept)
            self._keep(writer, kept)

    def _wait_for_room(self, writer: LiveWriter, kept: RecordBatch) -> None:
        """Make a sender wait for the disk; on one that fails, not beyond the end of what it sends."""
        while not writer.wait_for_room(len(kept.data), TICK_S):
            writer.tick()
            if self._queue.has_ended and writer.problem:
                return

    def _keep(self, writer: LiveWriter, kept: RecordBatch) -> None:
        writer.add(kept)
        self._bytes += len(kept.data) - _RECORD_HEADER * kept.count
        if self._on_batch is not None:
            self._on_batch(kept)

    def _note(self, writer: LiveWriter) -> None:
        """Say what was counted by interface, so that the segments say it."""
        for number, one in enumerate(self._counted.sources):
            writer.note_counters(
                received=one.received,
                dropped=one.dropped,
                filtered=self._filtered[number],
                lost=self._counted.lost[number] + one.damaged,
                interface=number,
            )

    def _tell(self, writer: LiveWriter) -> None:
        if self._on_notice is not None:
            for notice in self._source.take_notices():
                self._on_notice(notice)
        if self._on_progress is not None:
            self._on_progress(self._progress(writer))

    def _progress(self, writer: LiveWriter) -> CaptureProgress:
        counted = self._counted
        return CaptureProgress(
            seconds=time.monotonic() - self._started,
            received=sum(one.received for one in counted.sources),
            dropped=sum(one.dropped for one in counted.sources),
            lost=counted.lost.total() + writer.counters.lost_by_disk,
            filtered=self._filtered.total(),
            excluded=sum(one.excluded for one in counted.sources),
            stored=writer.counters.stored,
            acknowledged=writer.acknowledged,
            bytes=self._bytes,
        )


def _interface_of(batch: RecordBatch) -> int:
    """Return the interface of a batch's first packet; a live source gives batches of one."""
    extra = batch.extras.get(0)
    return extra.interface if extra else 0


def _first(batch: RecordBatch, count: int) -> RecordBatch | None:
    """Return the first `count` packets of a batch, None for none."""
    if not count:
        return None
    offsets, end = load_core().offsets(batch.data)
    stop = int(offsets[count]) if count < len(offsets) else end
    extras = {at: extra for at, extra in batch.extras.items() if at < count}
    return replace(batch, data=batch.data[:stop], ordinals=batch.ordinals[:count], extras=extras)
