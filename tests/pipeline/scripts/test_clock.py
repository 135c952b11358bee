from __future__ import annotations

import threading
from typing import Any

import pytest

from kubeshark.pipeline.scripts._clock import Clock, ScriptJob, next_run, normal_cron

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC


@pytest.mark.parametrize(
    ("cron", "after", "zone", "expected"),
    [
        ("*/5 * * * * *", 1, "UTC", 5),
        ("0 0 12 * * *", 0, "UTC", 24 * 3600),
        ("0 0 12 * * *", 0, "Europe/Berlin", 23 * 3600),
        ("0 0 0 ? * MON", 0, "UTC", (12 + 4 * 24) * 3600),
        ("0 0 0 1 JAN ?", 0, "UTC", (12 + 46 * 24) * 3600),
        ("@hourly", 1, "UTC", 3600),
        ("@every 1m30s", 1, "UTC", 91),
    ],
)
def test_schedules(cron: str, after: float, zone: str, expected: float) -> None:
    assert next_run(cron, NOON + after, zone) == NOON + expected


@pytest.mark.parametrize("cron", ["* * * * *", "soon", "@every 0s", "@every x", "99 * * * * *"])
def test_what_is_no_schedule(cron: str) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        normal_cron(cron)


def test_due_jobs_run_and_one_that_still_runs_is_skipped() -> None:
    began, go_on = threading.Semaphore(0), threading.Event()
    times: list[float] = []

    def run(job: ScriptJob) -> None:
        times.append(job.next_s)
        began.release()
        go_on.wait(60)

    clock = Clock(list, run, now=lambda: NOON)
    clock.schedule("s", "hub", "t", "* * * * * *", 0)
    [job] = clock.jobs("s")
    clock.run_now(job)
    assert began.acquire(timeout=60)
    clock.run_now(job)
    assert (job.skipped, len(times)) == (1, 1)
    go_on.set()
    clock.remove("s", "hub")
    assert clock.jobs() == []
    clock.close()


def test_the_thread_runs_what_is_due() -> None:
    ran = threading.Event()
    now: list[float] = [NOON]
    clock = Clock(list, lambda _: ran.set(), now=lambda: now[0])
    clock.schedule("s", "hub", "t", "@every 30s", 0)
    now[0] += 31
    clock.start()
    assert ran.wait(60)
    clock.close()


def test_a_paused_scheduler_runs_nothing() -> None:
    looked = threading.Semaphore(0)
    ran: list[Any] = []
    now: list[float] = [NOON]
    clock = Clock(list, ran.append, now=lambda: now[0], look=looked.release)
    clock.schedule("s", "hub", "t", "@every 1s", 0)
    clock.pause("s", "hub", paused=True)
    now[0] += 5
    clock.start()
    assert looked.acquire(timeout=60) and ran == []
    clock.close()
