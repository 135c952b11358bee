"""Several processes give what one gives; those that die cost their task and nothing else, and none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.pipeline import Entry, Pipeline, Plugins
from kubeshark.pipeline.entries._order import Window
from kubeshark.pipeline.executors import _spread, _worker
from kubeshark.pipeline.executors._job import Job
from kubeshark.pipeline.executors._processes import WorkerDied
from tests.pipeline._stores import long_talk, make_store

CUTS = (17, 35, 52)


@pytest.fixture(scope="module")
def talk() -> Any:
    return long_talk(6)


@pytest.fixture(autouse=True)
def workers_find_this_module(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(root))


@pytest.fixture
def store(tmp_path: Path, talk: Any) -> Path:
    return make_store(tmp_path / "store", talk, CUTS)


@pytest.fixture
def pipeline(store: Path) -> Iterator[Pipeline]:
    with Pipeline.open(store) as opened:
        yield opened


class Slow:
    """Makes a row slowly, in whatever process."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, entry: Entry) -> tuple[int, str]:
        time.sleep(self.seconds)
        return os.getpid(), entry.id


class Stuck(Slow):
    """A worker never ends its first row; the query's own process waits for it to come there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(100)
        self.marker, self.own = folder / "stuck", os.getpid()

    def __call__(self, entry: Entry) -> tuple[int, str]:
        if os.getpid() == self.own:
            eventually(self.marker.exists)
            return self.own, entry.id
        self.marker.touch()
        return super().__call__(entry)


class Meeting(Slow):
    """Waits at its first row until another process is at its own; nobody waits twice, nor for ever."""

    def __init__(self, folder: Path) -> None:
        super().__init__(0)
        self.folder = folder
        folder.mkdir()

    def __call__(self, entry: Entry) -> tuple[int, str]:
        mine = self.folder / str(os.getpid())
        if not mine.exists():
            mine.touch()
            eventually(lambda: len(list(self.folder.iterdir())) > 1)
        return super().__call__(entry)


class Dying(Slow):
    """Ends a worker at the first short connection of its first task; the query's own process waits for that."""

    def __init__(self, folder: Path, how: str) -> None:
        super().__init__(0)
        self.marker, self.how, self.own = folder / "dies", how, os.getpid()

    def __call__(self, entry: Entry) -> tuple[int, str]:
        if os.getpid() == self.own:
            eventually(self.marker.exists)
        elif str(entry.get("path")).startswith("/short") and not self.marker.exists():
            self.marker.write_text(entry.entry_id.segment)
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exit":
                os._exit(3)
            raise ValueError("no idea")
        return super().__call__(entry)


def ended(pid: int) -> bool:
    """Say whether a process is gone, or a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return True
    return state == "Z"


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    stop = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > stop:
            return False
        time.sleep(0.05)
    return True


def children() -> set[int]:
    """Return the worker processes of this one."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"kubeshark.pipeline.executors._worker" in (path / "cmdline").read_bytes():
                parent = int((path / "stat").read_text().rpartition(") ")[2].split()[1])
                found |= {int(path.name)} if parent == os.getpid() else set()
        except OSError:
            continue
    return {pid for pid in found if not ended(pid)}


def test_the_same_rows_in_the_same_order(pipeline: Pipeline) -> None:
    for options in ({}, {"order": "desc"}, {"limit": 7}, {"order": "desc", "limit": 3}):
        for kfl in ("", "http", "flow || http"):
            one = list(pipeline.rows(kfl, **options))  # type: ignore[arg-type]
            two = list(pipeline.rows(kfl, jobs=2, **options))  # type: ignore[arg-type]
            assert two == one != []
    fields = ["url", "status_code", "src.ip", "response_body"]
    one, two = (pipeline.rows("http", fields=fields, jobs=jobs) for jobs in (1, 3))
    assert list(two) == list(one)
    assert "3 processes" in "\n".join(two.explain())
    assert [line for line in two.explain() if line.startswith("entries")] == [
        line for line in one.explain() if line.startswith("entries")
    ]
    assert children() == set()


def test_the_work_is_spread_and_a_share_is_done_here(pipeline: Pipeline, tmp_path: Path) -> None:
    found = list(pipeline.map(Meeting(tmp_path / "met"), "http", jobs=2))
    assert len({pid for pid, _ in found}) == 2
    assert os.getpid() in {pid for pid, _ in found}


def test_notices_and_pages_are_the_same(pipeline: Pipeline) -> None:
    failing = [pipeline.rows("http && path_segments[9] == 'x'", fields=["url"], jobs=jobs) for jobs in (1, 2)]
    for query in failing:
        assert list(query) == []
    assert failing[0].notices == failing[1].notices != []
    whole = [row["id"] for row in pipeline.rows("http", fields=[])]
    found: list[str] = []
    after: str | None = None
    while True:
        page = pipeline.rows("http", fields=[], jobs=2, limit=5, after=after)
        found += [row["id"] for row in page]
        after = page.cursor
        if after is None:
            break
    assert found == whole


@pytest.mark.parametrize(
    ("how", "text"), [("kill", "ended by signal 9"), ("exit", "ended with code 3"), ("raise", "ValueError: no idea")]
)
def test_a_worker_that_dies_costs_its_segment_only(pipeline: Pipeline, tmp_path: Path, how: str, text: str) -> None:
    whole = [(entry.id, entry.get("path")) for entry in pipeline.query("http")]
    dying = Dying(tmp_path, how)
    query = pipeline.map(dying, "http", jobs=2)
    found = [number for _, number in query]
    (problem,) = query.problems
    segment = dying.marker.read_text()
    assert text in str(problem)
    assert segment in str(problem)
    assert found == [number for number, _ in whole if number in found]
    assert {number for number, path in whole if path.startswith("/long")} <= set(found)  # it began before
    assert {number for number, _ in whole if not number.startswith(segment)} <= set(found)
    assert len(found) < len(whole)
    assert children() == set()


def test_workers_that_cannot_begin_are_an_error(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(WorkerDied, match="before it could begin"):
            list(pipeline.map(Slow(0.2), "http", jobs=2))
    assert children() == set()


def test_a_query_that_is_left_leaves_no_worker(pipeline: Pipeline) -> None:
    running = iter(pipeline.map(Slow(0.01), "", jobs=2))
    next(running)
    assert children() != set()
    running.close()  # type: ignore[attr-defined]
    assert children() == set()


def test_cancelling_while_it_waits(pipeline: Pipeline, tmp_path: Path) -> None:
    whole = list(pipeline.rows("http", fields=[]))
    query = pipeline.map(Stuck(tmp_path), "http", jobs=2)
    threading.Timer(1.5, query.cancel).start()
    started = time.monotonic()
    assert len(list(query)) < len(whole)
    assert time.monotonic() - started < 60, "of 100"
    assert query.stopped == "cancelled"
    assert children() == set()


def test_budgets(pipeline: Pipeline) -> None:
    query = pipeline.rows("http", fields=[], jobs=2, max_bytes=1)
    first = [row["id"] for row in query]
    assert query.stopped.startswith("stopped after 1 bytes")
    rest = pipeline.rows("http", fields=[], after=query.cursor)
    assert first + [row["id"] for row in rest] == [row["id"] for row in pipeline.rows("http", fields=[])]


def test_a_slow_reader_holds_the_workers_back(tmp_path: Path, talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spread, "AHEAD_BYTES", 1)
    store = make_store(tmp_path / "slow", talk, CUTS)
    with Pipeline.open(store) as opened:
        query = opened.rows("", jobs=2)
        held: list[int] = []
        for _ in query:
            work = query._query._work
            held.append(sum(work._held))  # type: ignore[union-attr]
    assert max(held) < 200_000


SCRIPT = """
import os, sys, time
from kubeshark.pipeline import Pipeline
from tests.pipeline.executors.test_processes import Slow
with Pipeline.open(sys.argv[1]) as opened:
    for pid, _ in opened.map(Slow(0.3), "", jobs=2):
        if pid != os.getpid():
            print(pid, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(store: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert not ended(worker)
    parent.send_signal(number)
    parent.wait(20)
    parent.stdout.close()
    assert eventually(lambda: ended(worker))


def test_what_was_given_its_plugins_works_alone(store: Path) -> None:
    with Pipeline.open(store, plugins=Plugins()) as opened:
        query = opened.rows("http", fields=["url"], jobs=4)
        assert list(query)
        assert "this process" in "\n".join(query.explain())


def test_fields_must_exist(pipeline: Pipeline) -> None:
    with pytest.raises(UsageError, match="nope"):
        pipeline.rows("", fields=["nope"])


def test_a_damaged_segment_is_told_as_one_process_tells_it(pipeline: Pipeline) -> None:
    name = pipeline.store.segments()[2].name
    path = Path(pipeline.store.location) / f"{name}.pcap.zst.age"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    one, two = (pipeline.rows("http", fields=["url"], jobs=jobs) for jobs in (1, 2))
    assert list(one) == list(two)
    assert [str(problem) for problem in one.problems] == [str(problem) for problem in two.problems] != []


def test_no_secret_is_shown(pipeline: Pipeline) -> None:
    secret = pipeline.store.identities[0].secret()
    job = Job("s", (secret,), b"CLIENT_RANDOM aa bb", "", 0, Window(), "asc", None, Slow(0))
    assert secret not in repr(job)
    assert "CLIENT_RANDOM" not in repr(job)


def test_a_worker_whose_socket_closes_ends(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _worker.__name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
    ours.close()
    assert process.wait(20) in (0, 70)


def test_the_store_is_left_as_it_was(pipeline: Pipeline) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(pipeline.store.location).iterdir()}
    list(pipeline.rows("", jobs=2))
    assert {path: path.stat().st_mtime_ns for path in Path(pipeline.store.location).iterdir()} == before
