"""A forked worker does what an exec'ed one does, and nothing that the process had open is in it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kubeshark.pipeline import Plugins
from kubeshark.pipeline.executors import _start
from tests.pipeline._stores import long_talk, make_store
from tests.pipeline.executors.test_processes import ended, eventually


def in_one_thread(script: str, *arguments: str | Path, root: Path) -> Any:
    """Run a script where nothing has started a thread, as the command is; return the JSON that it prints."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ONE_WORKER = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path
from kubeshark.pipeline.executors import _start

print("[", end="")  # stays in the buffer of this process: nobody else may write it, too
signal.signal(signal.SIGTERM, lambda *_: None)
kept = open(os.devnull), socket.socket()
ours, theirs = socket.socketpair()
worker = _start.start_worker(theirs, may_fork=True)
number = theirs.fileno()
theirs.close()
pid, process = worker._pid, Path(f"/proc/{worker._pid}")
while os.getsid(pid) != pid or len(os.listdir(process / "fd")) != 4:
    time.sleep(0.01)
told = {
    "open": {int(path.name): os.readlink(path) for path in (process / "fd").iterdir() if int(path.name) != 2},
    "socket": number,
    "is_forked": (process / "cmdline").read_bytes() == Path("/proc/self/cmdline").read_bytes(),
}
try:
    worker.wait(0.05)
except subprocess.TimeoutExpired:
    told["goes_on"] = True
{"close": ours.close, "kill": worker.kill, "terminate": lambda: os.kill(pid, signal.SIGTERM)}[sys.argv[1]]()
told["codes"] = [worker.wait(20), worker.wait()]
worker.kill()  # of one that has ended
print(json.dumps(told) + "]")
"""


@pytest.mark.parametrize(("how", "codes"), [("close", {0, 70}), ("kill", {-9}), ("terminate", {-15})])
def test_a_forked_worker_has_nothing_of_the_process(root: Path, how: str, codes: set[int]) -> None:
    (told,) = in_one_thread(ONE_WORKER, how, root=root)
    assert told["is_forked"]
    assert told["goes_on"]
    assert told["open"].keys() == {"0", "1", str(told["socket"])}
    assert told["open"]["0"] == told["open"]["1"] == os.devnull
    assert set(told["codes"]) <= codes


QUERIES = """
import json, os, sys, time
from pathlib import Path
from kubeshark.pipeline import Pipeline, keep_freed_memory
from kubeshark.pipeline.executors import _processes, _start, _worker

how = sys.argv[2]
keep_freed_memory()
started = []
start = _start.start_worker
def watched(*args, **kwargs):
    worker = start(*args, **kwargs)
    started.append(type(worker).__name__)
    return worker
_processes.start_worker = watched
if how == "executed":
    _start.can_fork = lambda: False
elif how == "no memory":
    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    os.fork = fork
elif how == "dies":
    def do(self, task):
        time.sleep(0.3)  # it has said that it is ready
        os.kill(os.getpid(), 9)
    _worker.Worker.do = do
told = {}
with Pipeline.open(sys.argv[1]) as opened:
    for order in ("asc", "desc"):
        for kfl in ("", "http", "http && path_segments[9] == 'x'"):
            query = opened.rows(kfl, order=order, jobs=1 if how == "alone" else 3)
            told[order + kfl] = list(query), query.notices
            told["problems"] = told.get("problems", []) + [str(problem) for problem in query.problems]
    told["started"] = sorted(set(started))
    started.clear()
    try:
        sum(1 for _ in opened.map(vars, jobs=2))
    except Exception:  # none of our own: a worker dies of it
        told["of strangers"] = started[0]
print(json.dumps(told, default=str))
"""


def test_a_forked_worker_gives_what_one_process_gives(root: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", long_talk(6), (17, 35, 52))
    alone = in_one_thread(QUERIES, store, "alone", root=root)
    assert alone.pop("started") == []
    assert alone["problems"] == []
    for how, kind in (("forked", "_Forked"), ("executed", "Popen"), ("no memory", "Popen")):
        told = in_one_thread(QUERIES, store, how, root=root)
        assert told.pop("started") == [kind], how
        assert told == alone | {"of strangers": "Popen"}, how


def test_a_forked_worker_that_dies_is_told_of(root: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", long_talk(6), (17, 35, 52))
    told = in_one_thread(QUERIES, store, "dies", root=root)
    assert told["problems"]
    assert all("was ended by signal 9 while it dissected" in problem for problem in told["problems"])


LEFT_ALONE = """
import socket, time
from kubeshark.pipeline.executors import _start

ours, theirs = socket.socketpair()
worker = _start.start_worker(theirs, may_fork=True)
theirs.close()
print(worker._pid, flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_forked_worker_ends_with_its_parent(root: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", LEFT_ALONE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not ended(worker)
        parent.send_signal(number)
        parent.wait(20)
    assert eventually(lambda: ended(worker))


WAITED_FOR = """
import json, os, signal, socket
from kubeshark.pipeline.executors import _start

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets children that end
ours, theirs = socket.socketpair()
worker = _start.start_worker(theirs, may_fork=True)
theirs.close()
ours.close()
print(json.dumps([type(worker).__name__, worker.wait(20)]))
"""


def test_a_forked_worker_that_somebody_else_waited_for(root: Path) -> None:
    assert in_one_thread(WAITED_FOR, root=root) == ["_Forked", 0]


def test_a_process_with_threads_does_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    thread = threading.Thread(target=goes_on.wait)
    thread.start()
    try:
        assert not _start.can_fork()
        ours, theirs = socket.socketpair()
        with theirs:
            worker = _start.start_worker(theirs, may_fork=True)
        assert isinstance(worker, subprocess.Popen)
        ours.close()
        assert worker.wait(20) in (0, 70)
    finally:
        goes_on.set()
        thread.join()
    monkeypatch.setattr(_start, "TASKS", Path("/proc/none"))
    assert not _start.can_fork()


def test_plugins_of_others_are_known() -> None:
    with Plugins() as plugins:
        assert plugins.are_built_in
    with Plugins(local=[("mine", object())]) as plugins:
        assert not plugins.are_built_in
