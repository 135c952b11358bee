"""Does the tasks of a query in processes of this machine, several at once.

1. Tasks are given out in order, one at a time to each worker, so what is wanted next is being worked on.
2. What workers send ahead of the order is held up to AHEAD_BYTES, then their sockets fill up and they wait. Only where
   more segments overlap in time than there are workers must more be held: order over time needs all of them.
3. A worker that dies costs what it had not sent of its task: the query says so, and another takes its place.
4. Nothing here waits without looking at the query's watch.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from kubeshark.core_capture.store import ReadStats, Requests
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._budget import Stop, Watch
from kubeshark.pipeline._job import Job, Report, TaskSpec, spec_of
from kubeshark.pipeline._merge import Unit, merge
from kubeshark.pipeline._order import Spot
from kubeshark.pipeline._plan import Task
from kubeshark.pipeline._run import QueryStats
from kubeshark.pipeline._runs import Piece, RowPiece, TablePiece, in_order
from kubeshark.pipeline._table import EntryTable
from kubeshark.pipeline._worker import DONE, FAILED, MARK, READY, ROWS
from kubeshark.pipeline.kfl import FilterErrors

__all__ = ["Processes", "WorkerDied"]

AHEAD_BYTES = 256 << 20
"""Of all workers together: what several segments give as documents. With 16 MiB each, two workers did the work of 1.4,
because the second one waited for the first one's segment to end."""

LOOK_SECONDS = 0.2  # how soon a waiting query sees that it is cancelled
END_SECONDS = 2.0

GONE = b"g"
"""First byte of what the query itself adds for a task whose worker is gone."""


class WorkerDied(KubesharkError):
    """A worker process ended before its task did."""

    exit_code = 3


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: Connection
    is_ready: bool = False
    task: int | None = None

    @property
    def end(self) -> str:
        """Say how the process ended; it is ended if it did not."""
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code < 0:
            return f"was ended by signal {-code}"
        return f"ended with code {code}"


@dataclass(slots=True)
class Processes:
    """An `Executor` with `count` workers. `errors` gets what the filter failed on in any of them."""

    job: Job
    count: int
    watch: Watch
    errors: FilterErrors
    stats: QueryStats = field(default_factory=QueryStats)
    problems: list[KubesharkError] = field(default_factory=list)
    done: int = 0
    requests: Requests | None = None
    _workers: list[_Worker] = field(default_factory=list)
    _tasks: Sequence[Task] = ()
    _waiting: deque[TaskSpec] = field(default_factory=deque)
    _arrived: list[deque[bytes]] = field(default_factory=list)  # messages by task
    _held: list[int] = field(default_factory=list)  # their bytes
    _read: dict[int, ReadStats] = field(default_factory=dict)  # by task, the latest

    @property
    def name(self) -> str:
        return f"{self.count} processes"

    @property
    def read(self) -> ReadStats:
        total = ReadStats()
        for each in self._read.values():
            total += each
        return total

    def run(self, tasks: Sequence[Task], flows: EntryTable) -> Iterator[Piece[Any] | Spot]:
        """Start the workers and merge their streams, one a chunk: a few segments spread badly over several workers."""
        order, window, make = self.job.order, self.job.window, self.job.make
        tasks = sorted((task for each in tasks for task in each.split()), key=lambda task: task.spot(order, window))
        self._tasks = tasks
        self._waiting = deque(spec_of(number, task) for number, task in enumerate(tasks))
        self._arrived = [deque() for _ in tasks]
        self._held = [0] * len(tasks)
        for _ in range(min(self.count, len(tasks))):
            self._start()
        units: list[Unit[Any]] = [
            Unit(task.spot(order, window), partial(self._stream, number)) for number, task in enumerate(tasks)
        ]
        if len(flows):
            found = TablePiece(in_order([flows], order), order, make)
            units.append(Unit(found.spot(0), lambda: iter([found])))
        return merge(sorted(units, key=lambda unit: unit.bound))

    def close(self) -> None:
        """End all workers: those at work at once."""
        for worker in self._workers:
            worker.channel.close()  # a worker ends with its socket
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(END_SECONDS)
                continue
            worker.process.kill()
            worker.process.wait()
        self._workers.clear()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kubeshark.pipeline._worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the command, which ends its workers
            )
        worker = _Worker(process, Connection(ours.detach()))
        self._workers.append(worker)
        try:
            worker.channel.send(self.job)
        except OSError:
            self._lose(worker)

    def _stream(self, number: int) -> Iterator[Piece[Any] | Spot]:
        """Yield what a task gives, as it comes."""
        size, marks = self._tasks[number].size, 0
        chunks = self._tasks[number].chunks
        while True:
            while not self._arrived[number]:
                self._receive(number)
            message = self._arrived[number].popleft()
            self._held[number] -= len(message)
            kind, content = message[:1], pickle.loads(memoryview(message)[1:])  # noqa: S301 - our own worker's
            if kind == ROWS:
                yield RowPiece(content[0], content[1], self.job.order)
            elif kind == MARK:
                place, self._read[number] = content
                if marks:  # the first is where the task begins
                    self.done += chunks[marks - 1].size
                    size -= chunks[marks - 1].size
                    yield Spot.of(place, self.job.order)
                marks += 1
            else:
                self._finish(number, kind, content)
                self.done += size
                return

    def _finish(self, number: int, kind: bytes, content: Any) -> None:
        if kind == GONE:
            self.problems.append(content)
            return
        report: Report = content
        self.stats.add(report.stats)
        self._read[number] = report.read
        if report.requests:
            self.requests = report.requests + (self.requests or Requests())
        told = {str(problem) for problem in self.problems}
        self.problems += [problem for problem in report.problems if str(problem) not in told]
        self.errors.count += report.failed
        self.errors.first = self.errors.first or (report.first_failure if report.failed else "")

    def _receive(self, wanted: int) -> None:
        """Wait for messages, of the task that is wanted above all."""
        if self.watch.must_stop():
            raise Stop
        self._give_out()
        is_given_out = not any(spec.number == wanted for spec in self._waiting)
        is_room = sum(self._held) < AHEAD_BYTES
        listened = {
            worker.channel: worker
            for worker in self._workers
            if worker.task in (None, wanted) or is_room or not is_given_out
        }
        for channel in wait(list(listened), LOOK_SECONDS):
            worker = listened[channel]  # type: ignore[index]
            try:
                self._take(worker, worker.channel.recv_bytes())
            except (EOFError, OSError):
                self._lose(worker)

    def _take(self, worker: _Worker, message: bytes) -> None:
        kind = message[:1]
        if kind == READY:
            worker.is_ready = True
        elif kind == FAILED:
            error: KubesharkError = pickle.loads(message[1:])  # noqa: S301 - our own worker's
            self._lose(worker, error)
        elif worker.task is not None:
            self._arrived[worker.task].append(message)
            self._held[worker.task] += len(message)
            if kind == DONE:
                worker.task = None

    def _give_out(self) -> None:
        for worker in [worker for worker in self._workers if worker.is_ready and worker.task is None]:
            if not self._waiting:
                return
            try:
                worker.channel.send(self._waiting[0])
            except OSError:
                self._lose(worker)
            else:
                worker.task = self._waiting.popleft().number

    def _lose(self, worker: _Worker, error: KubesharkError | None = None) -> None:
        """Take a worker that is gone off the list; start another while there is work that nobody has."""
        self._workers.remove(worker)
        worker.channel.close()
        how = worker.end
        if not worker.is_ready:
            raise error or WorkerDied(f"a worker process {how} before it could begin", hint="try again with --jobs 1")
        if worker.task is not None:
            task = self._tasks[worker.task]
            names = ", ".join(sorted({chunk.begins.segment.name for chunk in task.chunks}))
            lost = WorkerDied(
                f"a worker process {how} while it dissected {names}: entries are missing"
                if error is None
                else f"{names}: {error}: entries are missing"
            )
            self._arrived[worker.task].append(GONE + pickle.dumps(lost))
            self._held[worker.task] += len(self._arrived[worker.task][-1])
        if self._waiting:
            self._start()
