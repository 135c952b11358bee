"""Writes a live capture: packets are safe in the log at once, and sealed into segments behind the capture's back.

1. `add` copies packets, if they were not written into its `room`, and returns; two threads write, one the log, one
   segments. Memory holds `held_segments` of them at most: three are enough for a disk that keeps up.
2. `acknowledged` counts packets that survive kill -9 and power loss: their piece of the log, or their segment, is
   synced, and its name too. A segment's log goes when the segment lasts.
3. A disk that is full, slow or broken ends no capture: packets that find no room are counted as lost, and work goes on
   when there is room again.
4. Only recipients are known here: who writes cannot read what was written, and file keys are forgotten.
5. A source that has a hash, a file that grows, is continued behind what the store has of it, and can be waited with.
6. Beyond its share of the processors sealing waits, as long as there is memory; capturing and the log never do.
7. Segments begin and end where schedules do (`turn`): none holds packets of two sets of them.

Time comes in through `tick` alone, from a clock that never jumps; packets keep their order whatever theirs does.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Condition, Lock, Thread
from typing import Self

from msgspec.structs import replace

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store._limits import LEAST_HELD_SEGMENTS, MAX_SEGMENT_BYTES, PIECE_BYTES
from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.segments._info import Counters, SegmentInfo
from kubeshark.core_capture.store.segments._marks import Marks
from kubeshark.core_capture.store.segments._scheduled import Scheduled
from kubeshark.core_capture.store.segments._segment import Draft
from kubeshark.core_capture.store.writing._builder import Buffers, Builder, SourceInfo, split
from kubeshark.core_capture.store.writing._live_counts import LiveCounters, Tally
from kubeshark.core_capture.store.writing._live_segment import LiveSegment, LogWriter
from kubeshark.core_capture.store.writing._pace import Pace
from kubeshark.core_capture.store.writing._sealer import Sealer
from kubeshark.core_capture.store.writing._turns import SETTLED_NS, Turns
from kubeshark.core_capture.store.writing._writer import ImportState
from kubeshark.errors import KubesharkError, StoreError, UsageError

__all__ = ["LiveWriter"]

_NS = 1_000_000_000
_RETRY_NS = 1 * _NS
_PRUNE_NS = 60 * _NS
_LINKTYPE_ETHERNET = 1

_Kind = tuple[int, Scheduled | None]
"""Link type, and the schedules that packets of a segment belong to."""

Prune = Callable[[Sealer, int, bool], int]
"""Apply the retention with room for so many bytes to come, beyond what it asks if the disk is full; segments gone."""


class LiveWriter:
    """Takes batches of a capture. Made by `Store.live_writer`; use it as a context manager.

    `room` and `add` are one thread's, `tick` and `finish` one's, everything else anybody's. Leaving the block without
    `finish` keeps what was added, as a source that is not complete.
    """

    def __init__(
        self,
        begin: Callable[[], Sealer],
        source: SourceInfo,
        *,
        node: str,
        core: Core,
        segment_bytes: int,
        held_segments: int,
        segment_seconds: float,
        log_seconds: float,
        cpu: float,
        recover: Callable[[Sealer], list[Entry]],
        prune: Prune,
        marks: Marks,
        on_sealed: Callable[[SegmentInfo], None] | None,
        on_entries: Callable[[list[Entry], bool], None],
        stored: Callable[[], ImportState] = ImportState,
    ) -> None:
        if not 1 <= segment_bytes <= MAX_SEGMENT_BYTES:
            raise UsageError(f"segments of {segment_bytes:,} bytes", hint=f"use 1 to {MAX_SEGMENT_BYTES:,}")
        if held_segments < LEAST_HELD_SEGMENTS:
            raise UsageError(f"memory for {held_segments} segments", hint=f"use {LEAST_HELD_SEGMENTS} or more")
        if not 0 <= cpu < inf:
            raise UsageError(f"a limit of {cpu} processors", hint="use 0.5 for half of one, 0 for no limit")
        if segment_seconds <= 0 or log_seconds < 0:
            raise UsageError(f"segments of {segment_seconds} s with a log every {log_seconds} s")
        self._source, self._node, self._core = source, node, core
        self._segment_bytes = segment_bytes
        self._held_bytes = held_segments * segment_bytes
        self._segment_ns, self._log_ns = int(segment_seconds * _NS), int(log_seconds * _NS)
        self._pace = Pace(cpu)
        self._recover, self._prune, self._marks = recover, prune, marks
        self._on_sealed, self._on_entries = on_sealed, on_entries
        self._buffers = Buffers(segment_bytes, keep=2, small_pages=True)
        self._disk = Lock()  # held by who writes the log, and while a full disk gets room: else the log would take it
        self._tally = Tally()
        self._counts = LiveCounters()
        self._acknowledged = 0
        self._changed = Condition()  # guards all that follows
        self._filling: dict[_Kind, LiveSegment] = {}
        self._turns, self._turned_ns = Turns(), 0
        self._lender: LiveSegment | None = None  # in whose memory somebody may be writing what is added next
        self._closed: list[LiveSegment] = []  # to be sealed, in this order; the first may be under way
        self.skipped = 0  # packets that the store had already
        self._now, self._has_time = 0, False
        self._seal_at = 0  # not before
        self._prune_at = 0
        self._problems: dict[str, str] = {}  # by what fails
        self._failures = 0
        self._is_open, self._is_ending = True, False
        self._fatal: BaseException | None = None
        self._said: tuple[tuple[Counters, ...], int] = (), -1  # counters and blocks of the last segment
        self._size: int | None = None  # of the source, once it is complete
        self._sealer = begin()
        try:
            self._before = stored()
            self._blocks = self._before.blocks  # that sealed segments hold
            self._sealer.save()  # tells readers whose keys they need, and us whether we may write at all
        except OSError as error:
            self._sealer.release()
            raise StoreError(f"cannot write to {self._sealer.files.location}: {error.strerror}") from error
        except BaseException:
            self._sealer.release()
            raise
        self._buffers.prepare()
        self._log = LogWriter(self._sealer.files, self._sealer.recipients, self._sealer.key, core)
        self._threads = [
            Thread(target=self._run, args=(work,), name=f"kubeshark-{name}", daemon=True)
            for name, work in (("log", self._log_all), ("seal", self._seal_all))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        """Packets that survive a power loss from now on."""
        with self._changed:
            return self._acknowledged

    @property
    def counters(self) -> LiveCounters:
        with self._changed:
            return self._counts

    @property
    def interface_counters(self) -> tuple[Counters, ...]:
        """What became of the packets of each interface, as log and segments say it."""
        with self._changed:
            return self._counters()

    @property
    def problem(self) -> str:
        """What goes wrong now, one line; "" while all is well."""
        with self._changed:
            return "; ".join(self._problems.values())

    @property
    def leftovers(self) -> list[str]:
        """Files of a dead writer that were cleared away."""
        return self._sealer.leftovers

    def note_counters(
        self, *, received: int, dropped: int = 0, filtered: int = 0, lost: int = 0, interface: int = 0
    ) -> None:
        """Say what the capture side counted on an interface since it began; see Counters.

        What the disk lost is added here.
        """
        with self._changed:
            self._tally.note(interface, received, dropped, filtered, lost)

    def room(self, link_type: int, size: int) -> memoryview | None:
        """Lend memory for at least so many bytes of records, to be added next; None if they must be copied."""
        with self._changed:
            self._lender = segment = self._filling.get((link_type, self._turns.last))
            return segment.builder.room(size) if segment is not None else None

    def add(self, batch: RecordBatch) -> None:
        """Take packets; those that find no room are counted as lost. Waits for no disk."""
        if not self._is_open:
            raise ValueError("the writer is finished")
        known = self._before.last_ordinals.get(batch.link_type, -1)
        skipped, pieces = split(batch, self._segment_bytes, self._core, known=known)
        self.skipped += skipped
        for piece in pieces:
            with self._changed:
                for part, scheduled in self._turns.parts(piece, self._core):
                    taken = self._take(part, scheduled)
                    self._tally.add(part, stored=taken)
                    if taken:
                        self._count(stored=part.count, bytes=len(part.data))
                    else:
                        self._count(lost_by_disk=part.count)
        with self._changed:
            self._lender = None

    def turn(self, scheduled: Scheduled | None, since_ns: int) -> None:
        """Have packets of a time (nanoseconds since 1970) and later lie in segments of their own, marked so.

        None: no schedule is open, nothing is to come. What was before is sealed shortly after. From any thread.
        """
        with self._changed:
            if self._turns.turn(scheduled, since_ns):
                self._turned_ns = self._now

    def wait_for_room(self, size: int, timeout_s: float) -> bool:
        """Say whether so many bytes of records find room, at the latest after `timeout_s`: who can wait loses none."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has_room(size) or self._fatal is not None, timeout_s)

    def tick(self, now_ns: int | None = None) -> None:
        """Have log and segments written that are due; call it several times a second, also when nothing comes.

        `now_ns` is of a clock that never jumps (default: time.monotonic_ns). Raise what ended the writer's threads, if
        anything did: that is a defect, no trouble of the disk.
        """
        with self._changed:
            if self._fatal is not None:
                raise self._fatal
            self._now = now = time.monotonic_ns() if now_ns is None else now_ns
            self._has_time = True
            for segment in [*self._filling.values()]:
                segment.opened_ns = now if segment.opened_ns is None else segment.opened_ns
                if now - segment.opened_ns >= self._segment_ns or self._is_past(segment, now):
                    self._close_segment(segment)
            for segment in self._unsealed():
                if not segment.is_waiting:
                    segment.waits_ns = None
                    continue
                segment.waits_ns = now if segment.waits_ns is None else segment.waits_ns
                segment.is_due |= now - segment.waits_ns >= self._log_ns
            if self._has_work() or any(each.is_due for each in self._unsealed()):
                self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Have everything that was added written to the log; say whether it lasts. Waits for the disk."""
        with self._changed:
            failures, wanted = self._failures, self._counts.stored
            for segment in self._unsealed():
                segment.is_due = segment.is_waiting
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._acknowledged >= wanted or self._failures > failures or self._fatal is not None, timeout_s
            )
            return self._acknowledged >= wanted

    def open_drafts(self) -> list[Draft]:
        """Return what is in memory only or in the log, segment by segment, as it would be sealed now.

        Records are not copied: a draft stays what it is while packets are added, and after its segment was sealed.
        """
        with self._changed:
            counters = self._counters()
            found = list[tuple[LiveSegment, int]]()
            for segment in self._unsealed():
                if segment.builder.count:
                    segment.is_shared = True
                    found.append((segment, segment.first_block))
            marks = [segment.stop or segment.builder.mark() for segment, _block in found]
        return [
            segment.builder.draft(self._source, block, stop=mark, counters=counters)
            for (segment, block), mark in zip(found, marks, strict=True)
        ]

    def finish(self, size: int | None = None) -> None:
        """Seal what waits; the source is complete then. All that was taken is acknowledged when this returns.

        `size`: bytes of the source, where nobody knew before. Raise StoreError if something could not be sealed; it
        says what of it is lost.
        """
        if self._is_open:
            self._size = size
        self._close(complete=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(complete=False)

    # What follows until the threads' work holds the lock.

    def _take(self, piece: RecordBatch, scheduled: Scheduled | None) -> bool:
        """Copy packets of one link type and one set of schedules, if there is room."""
        kind = piece.link_type, scheduled
        segment = self._filling.get(kind)
        if segment is not None and segment.builder.size + len(piece.data) > self._segment_bytes:
            self._close_segment(segment)
            segment = None
        filling = [*self._filling.values()]
        if sum(each.builder.size for each in filling) + len(piece.data) > 2 * self._segment_bytes and filling:
            largest = max(filling, key=lambda each: each.builder.size)  # many link types at once
            self._close_segment(largest)
            segment = None if largest is segment else segment
        if not self._has_room(len(piece.data)):
            return False
        if segment is None:
            builder = Builder(self._sealer.reserve(), self._node, piece.link_type, self._buffers.take(), scheduled)
            segment = self._filling[kind] = LiveSegment(builder, self._blocks)
            segment.opened_ns = self._now if self._has_time else None
        segment.builder.add(piece)
        if segment.builder.size - segment.logged.size >= PIECE_BYTES:
            segment.is_due = True
            self._changed.notify_all()
        return True

    def _has_room(self, size: int) -> bool:
        held = sum(each.builder.size for each in self._unsealed())
        return not held or held + size <= self._held_bytes

    def _unsealed(self) -> list[LiveSegment]:
        return [*self._closed, *self._filling.values()]

    def _close_segment(self, segment: LiveSegment) -> None:
        del self._filling[segment.builder.link_type, segment.builder.scheduled]
        segment.stop = segment.builder.mark()
        self._closed.append(segment)
        self._changed.notify_all()

    def _is_past(self, segment: LiveSegment, now: int) -> bool:
        """Say whether the windows of a segment are closed, and what was under way is in it."""
        if segment.builder.scheduled == self._turns.open or segment.opened_ns is None:
            return False
        return now - max(segment.opened_ns, self._turned_ns) >= SETTLED_NS

    def _mark(self, segment: LiveSegment) -> None:
        """Have what schedules say of a segment last; before its packets do. Raise OSError, StoreError."""
        if segment.builder.scheduled is not None:
            self._marks.note(segment.builder.number, segment.builder.scheduled)

    def _counters(self) -> tuple[Counters, ...]:
        if self._source.sha256:  # of a file there is nothing to say: whatever finds no room is waited with
            return ()
        return self._tally.counters(len(self._source.metadata.interfaces))

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + by for name, by in more.items()})

    def _failed(self, what: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) else getattr(error, "message", str(error))
        self._problems[what] = f"cannot write {what} in {self._sealer.files.location}: {why}"
        self._failures += 1
        self._changed.notify_all()

    # The threads' work.

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - `tick` raises it where somebody can hear it
            with self._changed:
                self._fatal = error
                self._changed.notify_all()

    def _log_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending or any(each.is_due for each in self._unsealed()))
                if self._is_ending:
                    return
                segment = next(each for each in self._unsealed() if each.is_due)
            self._log_segment(segment)

    def _log_segment(self, segment: LiveSegment) -> None:
        """Write to the log what waits of a segment."""
        with self._changed:
            segment.is_due, segment.waits_ns = False, None
            stop, counters = segment.stop or segment.builder.mark(), self._counters()
        try:
            with self._disk:
                self._mark(segment)
                for packets, written in segment.log(self._log, stop, self._source, counters):
                    with self._changed:
                        segment.acknowledged += packets
                        self._acknowledged += packets
                        self._count(log_pieces=1, log_bytes=written)
                        self._problems.pop("the log", None)
                        self._changed.notify_all()
        except (OSError, StoreError) as error:
            with self._changed:
                self._failed("the log", error)

    def _seal_all(self) -> None:
        self._report(self._recover(self._sealer))
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if not self._closed and self._is_ending:
                    return
                segment = self._closed[0] if self._may_seal() else None
                is_ending = self._is_ending
                self._prune_at = self._now + _PRUNE_NS
            self._retain(segment.builder.size if segment else 0)
            if segment is None and not (is_ending and self._closed):
                continue
            segment = segment or self._closed[0]
            if not self._seal(segment) and is_ending and not self._seal(segment):  # retention may have made room
                return
            self._retain(0)

    def _has_work(self) -> bool:
        return self._is_ending or self._now >= self._prune_at or self._may_seal()

    def _may_seal(self) -> bool:
        """Say whether a segment is to be sealed now: while too much CPU is used, only to lose no packets."""
        if not self._closed or self._now < self._seal_at:
            return False
        return not self._pace.is_over(self._now) or len(self._closed) >= LEAST_HELD_SEGMENTS - 1

    def _retain(self, coming: int, *, is_full: bool = False) -> None:
        """Delete what the retention lets go."""
        try:
            gone = self._prune(self._sealer, coming, is_full)
        except (OSError, StoreError) as error:
            with self._changed:
                self._failed("what retention deletes", error)
        else:
            with self._changed:
                self._problems.pop("what retention deletes", None)
                self._count(pruned=gone)

    def _seal(self, segment: LiveSegment) -> bool:
        """Make a segment, and drop its log; say whether it was made."""
        with self._changed:
            counters = self._counters()
        source = self._source
        if segment.is_complete and self._size is not None:
            source = replace(source, size=self._size)
        draft = segment.builder.draft(
            source, self._blocks, stop=segment.stop, complete=segment.is_complete, counters=counters
        )
        try:
            self._mark(segment)
            entry = self._sealer.seal(draft)
        except (OSError, StoreError) as error:
            with self._changed:
                self._failed("a segment", error)
                self._seal_at = self._now + _RETRY_NS
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                with self._disk:
                    self._retain(segment.builder.size, is_full=True)
            return False
        segment.drop_log(self._sealer.files)
        self._marks.settle(segment.builder.number)
        with self._changed:
            self._closed.remove(segment)
            self._acknowledged += segment.builder.count - segment.acknowledged
            segment.acknowledged = segment.builder.count
            self._blocks = entry.info.source.blocks
            self._said = counters, self._blocks
            self._count(segments=1, segment_bytes=entry.info.stored_bytes)
            for trouble in ("a segment", "the log"):  # which may have nothing to write any more
                self._problems.pop(trouble, None)
            if not segment.is_shared and segment is not self._lender:
                self._buffers.give_back(segment.builder.buffer)
            self._changed.notify_all()
        self._report([entry])
        return True

    def _report(self, entries: list[Entry]) -> None:
        """Say what was sealed; nobody who hears it may stop the capture."""
        with suppress(OSError, StoreError):  # the catalogue is a copy: the packets are safe without it
            self._on_entries(entries, False)
        for entry in entries:
            try:
                if self._on_sealed is not None:
                    self._on_sealed(entry.info)
            except (OSError, KubesharkError) as error:
                with self._changed:
                    self._problems["on_sealed"] = f"after {entry.info.name} was sealed: {error}"

    # The end.

    def _close(self, *, complete: bool) -> None:
        """Seal all, give up the lock. A second call does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        with self._changed:
            for segment in [*self._filling.values()]:
                self._close_segment(segment)
            if complete and not self._closed and self._has_news():
                self._close_segment(self._last_words())
            if complete and self._closed:
                self._closed[-1].is_complete = True
            self._is_ending = True
            self._changed.notify_all()
        try:
            for thread in self._threads:
                thread.join()
            self._end()
        finally:
            self._sealer.release()
        if self._fatal is not None:
            raise self._fatal

    def _has_news(self) -> bool:
        """Say whether there is something to tell that no segment tells yet; not so where nothing ever came."""
        if self._source.sha256:
            return not self._before.complete
        said = self._counters(), len(self._source.metadata.blocks)
        is_first = self._said[1] < 0
        return said != self._said and (not is_first or said[1] > 0 or any(each != Counters() for each in said[0]))

    def _last_words(self) -> LiveSegment:
        """Return a segment without packets: it says that the source is complete, and what was counted."""
        interfaces = self._source.metadata.interfaces
        link_type = interfaces[0].link_type if interfaces else _LINKTYPE_ETHERNET
        builder = Builder(self._sealer.reserve(), self._node, link_type, self._buffers.take())
        segment = self._filling[link_type, None] = LiveSegment(builder, self._blocks)
        return segment

    def _end(self) -> None:
        """Keep in the log what could not be sealed, count what cannot be kept there."""
        waiting, why = [*self._closed], self.problem
        for segment in waiting:
            if segment.is_waiting:
                self._log_segment(segment)
        self._sealer.arrived()
        with suppress(OSError, StoreError):
            self._on_entries([], True)
        if not waiting:
            return
        packets = sum(segment.builder.count for segment in waiting)
        lost = sum(segment.builder.count - segment.acknowledged for segment in waiting)
        for segment in waiting:
            self._tally.lose(segment.interfaces_waiting())
        self._count(stored=-lost, lost_by_disk=lost)
        rest = f", {lost:,} of them are lost" if lost else ""
        raise StoreError(
            f"{packets:,} packets are not sealed{rest}: {why}",
            hint='"kubeshark store recover --yes" seals what lies in the log' if packets > lost else "",
        )
