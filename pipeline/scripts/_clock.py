"""When jobs and timers of scripts are due: one thread waits, each job runs in a thread of its own.

A run that is due while the one before goes on is skipped and counted; what was due while the machine slept is not made
up. Schedules have six fields, second first; `@every 30s`, `@hourly` and their like are taken, too.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from kubeshark.pipeline.scripts._isolate import Isolate, Role

__all__ = ["Clock", "ScriptJob", "next_run", "normal_cron"]

_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = re.compile(r"@every\s+((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
STOP_S = 1.0


@dataclass(slots=True)
class ScriptJob:
    """One job of a script in one role, as lists show it."""

    script: str
    role: Role
    tag: str
    cron: str
    limit: int
    next_s: float  # seconds since 1970
    runs: int = 0
    failures: int = 0
    skipped: int = 0
    last_s: float = 0.0  # when it last began; 0: never
    last_ms: float = 0.0
    last_error: str = ""
    _thread: threading.Thread | None = field(default=None, repr=False)


def normal_cron(cron: str) -> str | float:
    """Return six fields, or the seconds of `@every`; ValueError for what is no schedule."""
    text = cron.strip()
    if found := _EVERY.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(found[1]))
        if seconds <= 0:
            raise ValueError(f"{cron[:80]!r} is no schedule")
        return max(1.0, seconds)
    fields = _NAMED.get(text, text)
    if len(fields.split()) != 6 or not croniter.is_valid(fields, second_at_beginning=True):
        raise ValueError(f'{cron[:80]!r} is no schedule of six fields, second first, like "0 */5 * * * *"')
    return fields


def next_run(cron: str, after_s: float, zone: str = "UTC") -> float:
    """Return when a schedule is next due after a time, in seconds since 1970."""
    normal = normal_cron(cron)
    if not isinstance(normal, str):
        return after_s + normal
    start = datetime.fromtimestamp(int(after_s), ZoneInfo(zone))
    due: datetime = croniter(normal, start, second_at_beginning=True).get_next(datetime)
    return due.timestamp()


class Clock:
    """`run_job` runs one; `isolates` says whose timers to look after. Runs from `start` to `close`."""

    def __init__(
        self,
        isolates: Callable[[], list[Isolate]],
        run_job: Callable[[ScriptJob], None],
        zone: str = "UTC",
        now: Callable[[], float] = time.time,
        look: Callable[[], None] = lambda: None,
        ticked: Callable[[], None] = lambda: None,
    ) -> None:
        """`look` is called about once a second, `ticked` after timers ran."""
        self._isolates, self._run_job, self._zone, self._now = isolates, run_job, zone, now
        self._look, self._ticked = look, ticked
        self._jobs: dict[tuple[str, Role, str], ScriptJob] = {}
        self._paused: set[tuple[str, Role]] = set()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def schedule(self, script: str, role: Role, tag: str, cron: str, limit: int) -> None:
        """Add or replace a job; ValueError for what is no schedule."""
        job = ScriptJob(script, role, tag, cron, limit, next_run(cron, self._now(), self._zone))
        with self._wake:
            self._jobs[script, role, tag] = job
            self._wake.notify()

    def remove(self, script: str, role: Role, tag: str | None = None) -> None:
        with self._wake:
            for key in [key for key in self._jobs if key[:2] == (script, role) and tag in (None, key[2])]:
                del self._jobs[key]

    def pause(self, script: str, role: Role, *, paused: bool) -> None:
        with self._wake:
            (self._paused.add if paused else self._paused.discard)((script, role))

    def began(self, script: str, role: Role, tag: str) -> None:
        if job := self._jobs.get((script, role, tag)):
            job.last_s = self._now()

    def ended(self, script: str, role: Role, tag: str, error: str, milliseconds: float) -> None:
        if job := self._jobs.get((script, role, tag)):
            job.runs += 1
            job.failures += bool(error)
            job.last_error, job.last_ms = error, milliseconds

    def skipped(self, script: str, role: Role, tag: str) -> None:
        if job := self._jobs.get((script, role, tag)):
            job.skipped += 1

    def jobs(self, script: str = "") -> list[ScriptJob]:
        with self._wake:
            return [job for job in self._jobs.values() if script in ("", job.script)]

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kubeshark-scripts", daemon=True)
            self._thread.start()

    def poke(self) -> None:
        """A timer was set: look again."""
        with self._wake:
            self._wake.notify()

    @property
    def is_stopped(self) -> bool:
        return self._stopped

    def close(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify()
        deadline = time.monotonic() + STOP_S
        for thread in (self._thread, *(job._thread for job in self.jobs())):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def run_now(self, job: ScriptJob) -> None:
        """Run a job in a thread of its own, unless it is running."""
        if job._thread is not None and job._thread.is_alive():
            job.skipped += 1
            return
        name = f"kubeshark-script-{job.script}-{job.tag}"[:60]
        job._thread = threading.Thread(target=self._run_job, args=(job,), name=name, daemon=True)
        job._thread.start()

    def _run(self) -> None:
        looked = time.monotonic()
        while True:
            with self._wake:
                if self._stopped:
                    return
                now = self._now()
                due = [job for job in self._jobs.values() if job.next_s <= now]
                for job in due:
                    job.next_s = next_run(job.cron, now, self._zone)
                due = [job for job in due if (job.script, job.role) not in self._paused]
            for job in due:
                self.run_now(job)
            ready = time.monotonic()
            for isolate in self._isolates():
                if isolate.timer_at is not None and isolate.timer_at <= ready:
                    isolate.tick()
                    self._ticked()
            if time.monotonic() - looked >= 1.0:
                looked = time.monotonic()
                self._look()
            with self._wake:
                if self.is_stopped:  # while jobs began
                    return
                waits = [job.next_s - self._now() for job in self._jobs.values()]
                timers = [isolate.timer_at for isolate in self._isolates()]
                waits += [at - time.monotonic() for at in timers if at is not None]
                self._wake.wait(min(1.0, max(0.0, min(waits, default=1.0))))  # at most a second: the clock may be set
