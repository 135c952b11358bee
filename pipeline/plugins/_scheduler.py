"""Runs plugins' jobs by their schedules, in processes that live long.

One thread waits for the next due time and starts runs in threads of their own. A run that is due while the one before
goes on is skipped and counted; what was due while the machine slept is not made up. Times are UTC.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from croniter import croniter
from msgspec import Struct, field

from kubeshark.errors import PluginError
from kubeshark.pipeline.plugins._manager import JobBinding

__all__ = ["JobStatus", "Scheduler", "next_due", "run_job"]

STOP_S = 1.0
_NS = 1_000_000_000


class JobStatus(Struct):
    """What lists show of one job."""

    plugin: str
    job: str
    cron: str
    next_ns: int
    runs: int = 0
    failures: int = 0
    skipped: int = 0  # due while it still ran
    last_ns: int = 0  # when it last began; 0: never
    last_s: float = 0.0  # how long that took
    last_error: str = ""


def next_due(cron: str, after_ns: int) -> int:
    """Return when a schedule is next due after a time; ValueError for what is no schedule."""
    start = datetime.fromtimestamp(after_ns // _NS, UTC)
    due: datetime = croniter(cron, start, second_at_beginning=True).get_next(datetime)
    return round(due.timestamp()) * _NS


def run_job(binding: JobBinding, due_ns: int) -> str:
    """Run a job now; return why it failed, "" if it did not."""
    try:
        binding.call(job=binding.spec.name, due_ns=due_ns)
    except PluginError as error:
        return error.message
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a Python plugin raises, the others run)
        return f"plugin {binding.plugin} in job: {type(error).__name__}: {error}"
    return ""


class _Planned(Struct):
    binding: JobBinding
    status: JobStatus
    thread: threading.Thread | None = None


class Scheduler(Struct):
    """A context manager: jobs run inside it. `log` gets a line for each failure, and for each that a job logged."""

    jobs: Sequence[JobBinding]
    log: Callable[[str], None]
    now_ns: Callable[[], int] = time.time_ns
    take_log: Callable[[], Sequence[tuple[str, str]]] = tuple  # (plugin, line) of what plugins logged
    _planned: list[_Planned] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        for binding in self.jobs:
            spec = binding.spec
            status = JobStatus(binding.plugin, spec.name, spec.cron, next_due(spec.cron, self.now_ns()))
            self._planned.append(_Planned(binding, status))
        if self._planned:
            self._thread = threading.Thread(target=self._run, name="kubeshark-jobs", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Start no more runs; wait for those that go on, together at most STOP_S."""
        self._stopped.set()
        deadline = time.monotonic() + STOP_S
        for thread in (self._thread, *(planned.thread for planned in self._planned)):
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def status(self) -> list[JobStatus]:
        return [planned.status for planned in self._planned]

    def _run(self) -> None:
        while not self._stopped.is_set():
            now_ns = self.now_ns()
            for planned in self._planned:
                if planned.status.next_ns <= now_ns:
                    self._begin(planned, now_ns)
            earliest_ns = min(planned.status.next_ns for planned in self._planned)
            # at most a second: the clock may be set
            self._stopped.wait(min(1.0, max(0.0, (earliest_ns - self.now_ns()) / _NS)))

    def _begin(self, planned: _Planned, now_ns: int) -> None:
        status = planned.status
        due_ns, status.next_ns = status.next_ns, next_due(status.cron, now_ns)
        if planned.thread is not None and planned.thread.is_alive():
            status.skipped += 1
            return
        name = f"kubeshark-job-{status.job}"
        planned.thread = threading.Thread(target=self._one, args=(planned, due_ns), name=name, daemon=True)
        planned.thread.start()

    def _one(self, planned: _Planned, due_ns: int) -> None:
        status = planned.status
        status.last_ns = self.now_ns()
        began = time.monotonic()
        status.last_error = run_job(planned.binding, due_ns)
        status.last_s = time.monotonic() - began
        for plugin, line in self.take_log():
            self.log(f"plugin {plugin}: {line}")
        status.runs += 1
        if status.last_error:
            status.failures += 1
            self.log(f"job {status.job}: {status.last_error}")
