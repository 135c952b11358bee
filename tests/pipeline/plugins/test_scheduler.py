"""Jobs: due when their six fields say so, never twice at a time, and ended with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api import JobSpec, hookimpl
from kubeshark.pipeline.plugins._manager import JobBinding
from kubeshark.pipeline.plugins._scheduler import Scheduler, next_due
from tests.pipeline._plugins import Foreign, with_plugins

SECOND = 10**9


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("*/5 * * * * *", "2026-01-01T00:00:00", "2026-01-01T00:00:05"),
        ("0 0 2 * * MON", "2026-01-01T00:00:00", "2026-01-05T02:00:00"),
        ("30 59 23 29 2 *", "2026-01-01T00:00:00", "2028-02-29T23:59:30"),
        ("0 0 0 1 1 *", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_when_it_is_due(cron: str, after: str, due: str) -> None:
    assert next_due(cron, at(after)) == at(due)


def binding(call: Callable[..., Any], cron: str = "* * * * * *") -> JobBinding:
    return JobBinding(JobSpec("tick", cron), "p@1", call)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ns = at("2026-01-01T00:00:00")

    def __call__(self) -> int:
        return self.ns


def test_runs_are_given_their_due_time() -> None:
    clock, runs = Clock(), []
    tick = binding(lambda job, due_ns: runs.append((job, due_ns)))
    with Scheduler([tick], print, clock) as scheduler:
        first = clock.ns + SECOND
        for count in (1, 2):
            clock.ns += SECOND
            wait_for(lambda count=count: scheduler.status()[0].runs == count)  # type: ignore[misc]
        clock.ns += 3600 * SECOND  # it slept: one run, not 3,600
        wait_for(lambda: scheduler.status()[0].runs == 3)
        (status,) = scheduler.status()
    assert runs == [("tick", first), ("tick", first + SECOND), ("tick", first + 2 * SECOND)]
    assert (status.failures, status.skipped, status.next_ns) == (0, 0, clock.ns + SECOND)


def test_a_run_that_goes_on_is_not_started_again_and_not_waited_for() -> None:
    clock, until = Clock(), threading.Event()
    with Scheduler([binding(lambda job, due_ns: until.wait(60))], print, clock) as scheduler:
        clock.ns += SECOND
        wait_for(lambda: scheduler.status()[0].last_ns > 0)
        clock.ns += SECOND
        wait_for(lambda: scheduler.status()[0].skipped == 1)
        began = time.monotonic()
    assert time.monotonic() - began < 30, "of 60"
    until.set()


def test_failures_are_told_and_the_job_stays() -> None:
    clock, lines = Clock(), []

    def fail(job: str, due_ns: int) -> None:
        raise PluginError("not today", plugin="p@1") if due_ns % (2 * SECOND) else ValueError("never")

    logged = [[("p@1", "one"), ("p@1", "two")], []]
    with Scheduler([binding(fail)], lines.append, clock, take_log=lambda: logged.pop(0)) as scheduler:
        for count in (1, 2):
            clock.ns += SECOND
            wait_for(lambda count=count: scheduler.status()[0].failures == count)  # type: ignore[misc]
    told = ["job tick: plugin p@1 in job: ValueError: never", "job tick: plugin p@1: not today"]
    assert sorted(lines) == [*told, "plugin p@1: one", "plugin p@1: two"]


def test_without_jobs_there_is_no_thread() -> None:
    before = set(threading.enumerate())
    with Scheduler([], print) as scheduler:
        assert set(threading.enumerate()) <= before
        assert scheduler.status() == []


def test_a_bad_schedule_is_told_when_the_plugin_is_loaded() -> None:
    class Jobs(Foreign):
        @hookimpl
        def jobs(self) -> Sequence[JobSpec]:
            return JobSpec("good", "0 */5 * * * *"), JobSpec("bad", "0 61 * * * *"), JobSpec("short", "* * * * *")

        @hookimpl
        def job(self, job: str, due_ns: int) -> None:
            return None

    with with_plugins(jobs=Jobs()) as plugins:
        assert [each.spec.name for each in plugins.jobs] == ["good"]
        assert [str(problem).partition(": write")[0] for problem in plugins.take_problems()] == [
            "plugin jobs@1.0.0: job bad: '0 61 * * * *' is no schedule of six fields",
            "plugin jobs@1.0.0: job short: '* * * * *' is no schedule of six fields",
        ]
