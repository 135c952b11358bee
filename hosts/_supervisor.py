"""Keeps one plugin running and answers batches with it, whatever the plugin does.

Invariants of `PluginProcess.call`:

1. It returns one answer a unit, and raises nothing for what a plugin did: a unit that could not be answered gets a
   `Poison` that says why.
2. A unit that breaks the plugin is found (named by the decoder, or by bisection), and costs no other unit its answer.
3. It ends: each exchange has a deadline, each poison unit counts as one crash, and after `crashes` of them within
   `window_s` the plugin is quarantined, so that nothing more is run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.errors import PluginCrashed, PluginRejected
from kubeshark.extension_api._answers import AnswerError, Report, parse_report
from kubeshark.extension_api._batch import Batch
from kubeshark.extension_api._frame import (
    CONFIGURE,
    DISSECT,
    START,
    STOP,
    FrameError,
    FrameItem,
    decode_texts,
    encode_request,
    encode_values,
)
from kubeshark.extension_api._manifest import Manifest
from kubeshark.extension_api._models import Value
from kubeshark.hosts._children import Child, ChildError
from kubeshark.hosts._frame_size import FrameSize
from kubeshark.hosts._isolate import PartFailedError, isolate
from kubeshark.hosts.broker import Broker
from kubeshark.hosts.broker._broker import BROKER_S

__all__ = ["Decoder", "HookTime", "PluginProcess", "PluginState", "PluginStatus", "Poison", "Supervision"]

MIN_DEADLINE_S = 0.25
STOP_S = 1.0  # for the stop hook, and for what it asks the broker
BEGIN_S = 10.0  # for what configure and start ask it
HURRIED_START_S = 2.0  # for a process that a hurried call starts: it forks in 10 ms, and loads in 200
MAX_LOG = 1000  # lines kept until somebody takes them
RECYCLE_MEMORY_SHARE = 0.75  # of its memory limit: replaced between batches rather than crashed inside one

T = TypeVar("T")
Decoder = Callable[[memoryview, Sequence[FrameItem]], Sequence[T]]
"""Turns a result frame into one answer a unit, in order; FrameError if it is wrong."""


class Supervision(Struct, frozen=True):
    """What the operator allows; a manifest may ask for less, never for more."""

    max_batch_ms: int = 10_000
    max_memory_mb: int = 1024
    start_s: float = 30.0  # loading and constructors: compiling a Go module takes about a second
    crashes: int = 5  # this many ...
    window_s: float = 300.0  # ... within this time are enough for quarantine
    hurry_s: float = 0.1  # for a batch of packets that an import must not wait for
    backoff_s: float = 0.05  # doubled with each crash in the window
    max_backoff_s: float = 2.0
    recycle_cpu_s: float = 1800.0  # far below the child's RLIMIT_CPU
    check_every: int = 64  # calls between two looks at its memory and CPU
    cache: Path | None = None  # for compiled WebAssembly; default ~/.cache/kubeshark


class PluginState(Enum):
    STOPPED = "stopped"  # not started yet, or closed
    RUNNING = "running"
    FAILED = "failed"  # the last start or call ended badly; the next call starts it again
    QUARANTINED = "quarantined"  # until `release`


class HookTime(Struct):
    """What one hook took so far."""

    calls: int = 0
    items: int = 0
    seconds: float = 0.0


class PluginStatus(Struct, frozen=True):
    """What lists, metrics and messages show."""

    state: PluginState
    reason: str  # why it is FAILED or QUARANTINED, "" otherwise
    calls: int
    crashes: int  # ever
    starts: int
    poison: int  # units ever marked
    pid: int  # 0 while it does not run
    busy_s: float  # time spent in exchanges
    hooks: Mapping[int, HookTime]  # by hook number
    resident_bytes: int  # most that was seen at the end of a call or of a process
    trouble: str = ""  # the last failure, also when it runs again
    trouble_at: float = 0.0  # seconds since 1970


class Poison(Struct, frozen=True):
    """Stands for the answer to a unit that the plugin could not give."""

    reason: str
    skipped: bool = False  # True: never tried, the plugin is quarantined or cannot be started


class PluginProcess:
    """One plugin, in its own process, which is started when first needed.

    Thread-safe: calls take turns. `close` may come from any thread and ends a call that is under way.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        supervision: Supervision | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Sequence[Value] = (),
        broker: Broker | None = None,
    ) -> None:
        """`broker` serves what the plugin asks for, by what it was granted; it is closed with this process."""
        self.folder = folder
        self.manifest = manifest
        self.supervision = supervision or Supervision()
        self.environment = dict(environment or {})
        self.settings = tuple(settings)  # for the configure hook, in the manifest's order
        self.broker = broker or Broker()
        self._asks_in = self.broker.hooks & manifest.hook_bits
        self._log: deque[str] = deque(maxlen=MAX_LOG)
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._state = PluginState.STOPPED
        self._reason = self._trouble = ""
        self._trouble_at = 0.0
        self._closed = False
        self._crash_times: deque[float] = deque()
        self._calls = self._crashes = self._starts = self._poison = 0
        self._busy_s = 0.0
        self._taken: dict[int, HookTime] = {}
        self._resident = 0
        self._resident_at_start = 0
        self._batch_s = min(manifest.limits.batch_ms, self.supervision.max_batch_ms) / 1000
        self._memory_mb = min(manifest.limits.memory_mb, self.supervision.max_memory_mb)
        self.frame_size = FrameSize(self._memory_mb)  # of `dissect`

    def __enter__(self) -> PluginProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def status(self) -> PluginStatus:
        child = self._child
        return PluginStatus(
            self._state,
            self._reason,
            self._calls,
            self._crashes,
            self._starts,
            self._poison,
            child.pid if child else 0,
            self._busy_s,
            {hook: replace(taken) for hook, taken in self._taken.items()},
            max(self._resident, child.usage()[0] if child else 0),
            self._trouble,
            self._trouble_at,
        )

    @property
    def state(self) -> PluginState:
        return self._state

    def start(self) -> None:
        """Start it now; PluginCrashed if it will not. Without this the first call starts it."""
        with self._lock:
            if not self._ready():
                raise PluginCrashed(self._reason, plugin=self.manifest.label)

    def close(self) -> None:
        """End the process for good; a call under way gets Poison. Bounded in time, any thread, twice is fine."""
        self._closed = True
        if self._lock.acquire(blocking=False):  # no call is under way: it may say goodbye
            try:
                self._drop_child(politely=True)
            finally:
                self._lock.release()
        self.broker.cancel()
        child = self._child
        if child:
            child.kill()
        with self._lock:
            self._drop_child()
            self.broker.close()
            if self._state is not PluginState.QUARANTINED:
                self._state, self._reason = PluginState.STOPPED, "was closed"

    def take_log(self) -> list[str]:
        """Return the lines that the plugin logged since the last time, at most MAX_LOG."""
        lines = []
        while self._log:
            lines.append(self._log.popleft())
        return lines

    def _drop_child(self, *, politely: bool = False) -> None:
        child = self._child
        if child and politely and self._has(STOP):
            with suppress(ChildError, FrameError):
                self._exchange_report(STOP, [], min(self._batch_s, STOP_S))
        child, self._child = self._child, None
        if child:
            child.end()

    def _has(self, hook: int) -> bool:
        return bool(self.manifest.hook_bits >> hook & 1)

    def _exchange_report(self, hook: int, values: Sequence[Value], seconds: float) -> Report:
        """Let a life-cycle hook run; ChildError or FrameError if it does not."""
        result = self._exchange(hook, [FrameItem(encode_values(values))], seconds)
        try:
            report = parse_report(decode_texts(result, hook, 1)[0])
        except AnswerError as error:
            raise FrameError(error.message) from error
        self._log.extend(report.log)
        return report

    def log(self, lines: Sequence[str]) -> None:
        """Keep lines that the plugin said in an answer."""
        self._log.extend(lines)

    def release(self) -> None:
        """Lift the quarantine: an operator said so, or the plugin was replaced."""
        with self._lock:
            self._crash_times.clear()
            if self._state is PluginState.QUARANTINED:
                self._state, self._reason = PluginState.STOPPED, ""

    def call_hurried(self, hook: int, items: Sequence[FrameItem], decode: Decoder[T]) -> list[T | Poison]:
        """Like `call`, for who must not wait: within `hurry_s`, without back-off, repetition or bisection.

        A process that is not there is started if its back-off is over; else the items are skipped.
        """
        if not self._lock.acquire(timeout=self.supervision.hurry_s):
            return [Poison("is busy", skipped=True)] * len(items)
        try:
            self._recycle()
            self._calls += 1
            if not self._child and (self._backoff_left() > 0 or not self._ready(hurried=True)):
                return [Poison(self._reason or "was closed", skipped=True)] * len(items)
            try:
                seconds = min(self._batch_s, self.supervision.hurry_s)
                return [*decode(self._exchange(hook, items, seconds), items)]
            except ChildError as error:
                reason = error.reason
            except FrameError as error:
                self._drop_child()
                reason = f"answered nonsense: {error.message}"
            self._count_crash(reason)
            return [Poison(reason)] * len(items)
        finally:
            self._lock.release()

    def call(
        self, hook: int, items: Sequence[FrameItem], decode: Decoder[T], *, per_unit: int = 1
    ) -> Sequence[T | Poison]:
        """Let the plugin's `hook` answer the items, `per_unit` of them a unit; return one answer a unit, in order.

        All items together must fit one frame (MAX_FRAME_ITEMS, MAX_FRAME_PAYLOAD, `frame_size`, or a single unit).
        """
        with self._lock:
            self._recycle()
            self._calls += 1
            is_grown = hook == DISSECT and self.frame_size.is_grown
            if per_unit == 1 and self._child:  # the rule: it is there, and answers all at once
                try:
                    return decode(self._exchange(hook, items, self._batch_s), items)
                except (ChildError, FrameError) as error:
                    failed = self._failed(error, per_unit)
            else:
                failed = None
            units = len(items) // per_unit
            crashes = self._crashes

            def run(part: range) -> Sequence[T | Poison]:
                if not self._ready():
                    return [Poison(self._reason or "was closed", skipped=True)] * len(part)
                # A part of a batch gets a part of its time, but not too little: bisecting a hang must not take minutes.
                seconds = max(self._batch_s * len(part) / units, min(self._batch_s, MIN_DEADLINE_S))
                part_items = items[part.start * per_unit : part.stop * per_unit]
                try:
                    return decode(self._exchange(hook, part_items, seconds), part_items)
                except (ChildError, FrameError) as error:
                    raise self._failed(error, per_unit) from None

            answers, failure = isolate(units, run, self._poisoned, failed)
            if failure and self._crashes == crashes:  # no unit alone does it
                if is_grown:
                    self.frame_size.lose()
                else:
                    self._count_crash(failure)  # the plugin is unwell
        return answers

    def _failed(self, error: ChildError | FrameError, per_unit: int) -> PartFailedError:
        """Return what `isolate` is told; a child that answered nonsense is ended."""
        if isinstance(error, ChildError):
            return PartFailedError(error.reason)
        self._drop_child()
        unit = None if error.item is None else error.item // per_unit
        return PartFailedError(f"answered nonsense: {error.message}", unit)

    def _poisoned(self, reason: str) -> Poison:
        self._poison += 1
        self._count_crash(reason)
        return Poison(reason)

    def _ready(self, *, hurried: bool = False) -> bool:
        """Have a child: start one if there is none, after the back-off; False if it cannot be had.

        `hurried`: one attempt, with little time.
        """
        if self._child:
            return True
        start_s = min(self.supervision.start_s, HURRIED_START_S) if hurried else self.supervision.start_s
        while not self._closed and self._state is not PluginState.QUARANTINED:
            time.sleep(self._backoff_left())
            self._starts += 1
            try:
                compiled = self._compiled()
            except PluginRejected as error:
                self._quarantine(error.message)
                return False
            try:
                child = Child(
                    self.folder,
                    self.manifest.language,
                    self._memory_mb,
                    start_s,
                    compiled,
                    self.environment,
                    self._asks_in,
                )
            except ChildError as error:
                self._count_crash(f"does not start: {error.reason}")
                if hurried:
                    return False
                continue
            if child.hooks != self.manifest.hook_bits:
                child.end()
                self._quarantine(
                    f"offers the hooks {child.hooks:#x}, its manifest says {self.manifest.hook_bits:#x}: build it again"
                )
                return False
            self._child = child
            if not self._begin():
                if hurried:
                    return False
                continue
            self._resident_at_start = child.usage()[0]
            self._state, self._reason = PluginState.RUNNING, ""
            return True
        return False

    def _begin(self) -> bool:
        """Run the configure and start hooks of a new child; False if they fail or refuse."""
        for hook, values, refusal in (
            (CONFIGURE, self.settings, "refuses its settings"),
            (START, (), "does not start"),
        ):
            if not self._has(hook):
                continue
            try:
                report = self._exchange_report(hook, values, self._batch_s)
            except (ChildError, FrameError) as error:
                self._drop_child()
                self._count_crash(f"does not start: {error.reason if isinstance(error, ChildError) else error.message}")
                return False
            if report.error:
                self._quarantine(f"{refusal}: {report.error}")
                return False
        return True

    def _compiled(self) -> Path | None:
        """Return native code for a WebAssembly module, made at its first start; None for other languages."""
        if self.manifest.language != "go":
            return None
        from kubeshark.hosts.go._compiled import compiled_file  # wasmtime takes 0.1 s to import

        return compiled_file(self.folder, self.manifest, self.supervision.cache)

    def _backoff_left(self) -> float:
        """Seconds until it may be started again."""
        recent = self._recent_crashes()
        if not recent:
            return 0.0
        supervision = self.supervision
        delay: float = min(supervision.backoff_s * 2 ** (recent - 1), supervision.max_backoff_s)
        return max(0.0, self._crash_times[-1] + delay - time.monotonic())

    def _recent_crashes(self) -> int:
        oldest = time.monotonic() - self.supervision.window_s
        while self._crash_times and self._crash_times[0] < oldest:
            self._crash_times.popleft()
        return len(self._crash_times)

    def _count_crash(self, reason: str) -> None:
        self._crashes += 1
        self._crash_times.append(time.monotonic())
        self._state, self._reason, self._trouble = PluginState.FAILED, reason, reason
        self._trouble_at = time.time()
        recent = self._recent_crashes()
        if recent >= self.supervision.crashes:
            self._quarantine(f"{recent} crashes within {self.supervision.window_s:.0f} s, the last one: {reason}")

    def _quarantine(self, reason: str) -> None:
        self._drop_child()
        self._state, self._reason = PluginState.QUARANTINED, reason
        self._trouble_at = time.time()

    def _exchange(self, hook: int, items: Sequence[FrameItem], seconds: float) -> memoryview:
        """Give the items to the running child; ChildError ends it."""
        child = self._child
        assert child  # _ready() said so, and only who holds the lock drops it
        if isinstance(items, Batch):
            length = items.encode(hook, child.request)
        else:
            length = encode_request(hook, items, child.request)
        broker = self.broker if self._asks_in >> hook & 1 else None
        if broker:
            broker.begin(hook, STOP_S if hook == STOP else BEGIN_S if hook in (CONFIGURE, START) else BROKER_S)
        began = time.monotonic()
        try:
            result = child.exchange(hook, length, seconds, broker)
        except ChildError:
            self._child = None
            raise
        finally:
            spent = time.monotonic() - began
            self._busy_s += spent
            taken = self._taken.get(hook) or self._taken.setdefault(hook, HookTime())
            taken.calls += 1
            taken.items += len(items)
            taken.seconds += spent
        if hook == DISSECT:
            self.frame_size.note(length, len(result), spent / seconds)
        return result

    def _recycle(self) -> None:
        """Between batches: replace a child that grew too large or old. No crash is counted."""
        child = self._child
        if child and self._calls % self.supervision.check_every == 0:
            resident, cpu_s = child.usage()
            self._resident = max(self._resident, resident)
            grown = resident - self._resident_at_start
            if cpu_s > self.supervision.recycle_cpu_s or grown > RECYCLE_MEMORY_SHARE * (self._memory_mb << 20):
                self._drop_child(politely=True)
