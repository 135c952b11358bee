"""Restarts, back-off and recycling of a plugin's process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeshark.errors import PluginCrashed
from kubeshark.extension_api._frame import DISSECT, FrameItem, decode_dissect
from kubeshark.hosts import _supervisor
from kubeshark.hosts._children import the_zygote
from kubeshark.hosts._supervisor import PluginProcess, PluginState, Poison, Supervision


def test_it_starts_with_the_first_call_and_stays(faulty_c: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_c)
    assert plugin.process.state is PluginState.STOPPED
    plugin.say(["say 1"])
    pid = plugin.process.status.pid
    plugin.say(["say 2"])
    status = plugin.process.status
    assert (status.state, status.pid, status.starts, status.calls) == (PluginState.RUNNING, pid, 1, 2)
    assert plugin.say([]) == []


def test_restarts_wait_longer_with_each_crash(
    faulty_c: Any, start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(_supervisor, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time, sleep=sleep))
    plugin = start(faulty_c, backoff_s=0.1, max_backoff_s=0.3)
    for _ in range(3):
        plugin.say(["abort"])
        assert plugin.say(["say 1"]) == [["1"]]
    assert [seconds for seconds in slept if seconds] == pytest.approx([0.1, 0.2, 0.3])


def test_old_crashes_are_forgotten(faulty_c: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_c, crashes=2, window_s=0.2)
    for _ in range(3):
        plugin.say(["abort"])
        time.sleep(0.25)
    assert plugin.say(["say 1"]) == [["1"]]
    assert plugin.process.status.crashes == 3


def test_an_old_process_is_replaced_between_batches(faulty_c: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_c, check_every=1, recycle_cpu_s=-1.0)
    pids = set()
    for _ in range(3):
        assert plugin.say(["say 1"]) == [["1"]]
        pids.add(plugin.process.status.pid)
    assert len(pids) == 3
    assert plugin.process.status.crashes == 0


def test_it_gets_the_environment_it_was_granted(faulty_c: Any) -> None:
    folder, manifest = faulty_c
    with PluginProcess(folder, manifest, environment={"SALT": "granted"}) as process:
        ((said,),) = process.call(
            DISSECT,
            [FrameItem(b"secrets")],
            lambda result, _: [[decode_dissect(result, [b"secrets"], ("string",)).messages[0].fields[0]]],
        )
    assert set(said.split(";")) <= {"SALT=granted", "LC_CTYPE=C.UTF-8", ""}  # Python coerces the C locale
    assert "SALT=granted" in said


def test_a_closed_process_answers_no_more(faulty_c: Any) -> None:
    process = PluginProcess(*faulty_c, Supervision())
    process.close()
    process.close()
    answers = process.call(4, [], lambda *_: [])
    assert answers == []
    with pytest.raises(PluginCrashed, match="was closed"):
        process.start()


def test_a_forked_process_has_a_zygote_of_its_own(faulty_c: Any) -> None:
    ours = the_zygote().pid
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            theirs = the_zygote()
            status = 0 if theirs.pid != ours else 2
            theirs.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert the_zygote().pid == ours
    assert the_zygote().request({"do": "end", "pid": 0}) == {"status": 0}


def test_poison_is_told_from_skipped() -> None:
    assert Poison("x") != Poison("x", skipped=True)


def test_the_helper_threads_of_v8_are_in_the_sandbox(faulty_js: Any, start: Callable[..., Any]) -> None:
    plugin = start(faulty_js)
    plugin.process.start()
    tasks = sorted(Path(f"/proc/{plugin.process.status.pid}/task").iterdir())
    assert len(tasks) > 2
    for task in tasks:
        status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16)) == ("1", "2", 0), status["Name"]
