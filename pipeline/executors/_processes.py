"""Does the tasks of a query in processes of this machine, several at once; the query's own is one of them.

1. The query's own process has begun while a worker starts, and what it makes goes through no socket: with two
   processes it is half of the work. Between any two batches of rows it takes what the workers sent.
2. A worker that dies costs what it had not sent of its task: the query says so, and another takes its place.

Otherwise as `_spread.py` has it.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
from collections import deque
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from kubeshark.errors import KubesharkError
from kubeshark.pipeline.executors._job import TaskSpec
from kubeshark.pipeline.executors._spread import LOOK_SECONDS, Spread, WorkerDied
from kubeshark.pipeline.executors._start import Started, can_fork, start_worker
from kubeshark.pipeline.executors._worker import DONE, FAILED, READY
from kubeshark.pipeline.query._runs import RowPiece

__all__ = ["Processes", "WorkerDied", "can_fork"]

END_SECONDS = 2.0
READY_WEIGHT = 4_000  # of 8 to 30 bytes; sockets of 208 KiB are usual
AT_ONCE = 16  # messages of a worker between two batches of rows that are made here


@dataclass(slots=True, eq=False)
class _Worker:
    process: Started
    channel: Connection
    is_ready: bool = False
    tasks: deque[TaskSpec] = field(default_factory=deque)  # the first is worked on

    def is_about(self, numbers: Container[int]) -> bool:
        """Say whether the next message may be of one of these tasks, or of none."""
        return not self.tasks or self.tasks[0].number in numbers

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
class Processes(Spread):
    """An `Executor` with `count` processes, of which this is one."""

    may_fork: bool = False  # nothing but our own code runs in workers
    _workers: list[_Worker] = field(default_factory=list)
    _mine: Iterator[RowPiece[Any]] | None = None  # of the task that is done here
    _my_number: int = -1  # of that task

    @property
    def name(self) -> str:
        return f"{self.count} processes"

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
        self._tell_of_here()

    def _start_all(self) -> None:
        count = min(self.count, len(self._waiting)) - 1
        self._begin_here()
        for _ in range(count):
            self._start()
        self._give_out()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = start_worker(theirs, may_fork=self.may_fork)
        worker = _Worker(process, Connection(ours.detach()))
        self._workers.append(worker)
        with suppress(OSError):  # it is gone: the end of its socket says so
            worker.channel.send(self.job)

    def _collect(self, takes: Container[int]) -> None:
        self._give_out()
        seconds = 0.0 if self._work(takes) else LOOK_SECONDS
        for _ in range(AT_ONCE):
            if not self._listen(takes, seconds):
                break
            seconds = 0.0

    def _listen(self, takes: Container[int], seconds: float) -> bool:
        """Take a message of each worker that has one; say whether one had."""
        listened = {worker.channel: worker for worker in self._workers if worker.is_about(takes)}
        ready = wait(list(listened), seconds)
        for channel in ready:
            worker = listened[channel]  # type: ignore[index]
            try:
                self._take(worker, worker.channel.recv_bytes())
            except (EOFError, OSError):
                self._lose(worker)
        self._give_out()
        return bool(ready)

    def _is_at_work_on(self, number: int) -> bool:
        at_work = [worker.tasks[0].number for worker in self._workers if worker.tasks]
        return number in at_work or (number == self._my_number and self._mine is not None)

    def _begin_here(self) -> None:
        self._my_number = self._waiting.popleft().number
        self._mine = self._do_here(self._my_number)

    def _work(self, takes: Container[int]) -> bool:
        """Do a bit of a task here, if there is one to do."""
        if self._mine is None and self._waiting and self._waiting[0].number in takes:
            self._begin_here()
        if self._mine is None or self._my_number not in takes:
            return False
        rows = next(self._mine, None)
        self._keep(self._my_number, rows, _size_of(rows.values) if rows else 0)
        if rows is None:
            self._mine = None
        return True

    def _take(self, worker: _Worker, message: bytes) -> None:
        kind = message[:1]
        if kind == READY:
            worker.is_ready = True
        elif kind == FAILED:
            error: KubesharkError = pickle.loads(message[1:])  # noqa: S301 - our own worker's
            self._lose(worker, error)
        elif worker.tasks:
            self._keep(worker.tasks[0].number, message, len(message))
            if kind == DONE:
                worker.tasks.popleft()

    def _give_out(self) -> None:
        """Have a task lie ready for each worker, but for the last ones: who is done first takes those."""
        for worker in self._workers:
            with suppress(OSError):  # it is gone: the end of its socket says so, after what it had sent
                while self._waiting and (not worker.tasks or (len(worker.tasks) < 2 and self._may_lie_ready())):
                    worker.channel.send(self._waiting[0])
                    worker.tasks.append(self._waiting.popleft())

    def _may_lie_ready(self) -> bool:
        """Say whether the next task may wait in a socket: it fits in, and there are enough for all."""
        return len(self._waiting) > 2 * self.count and self._waiting[0].weight < READY_WEIGHT

    def _lose(self, worker: _Worker, error: KubesharkError | None = None) -> None:
        """Take a worker that is gone off the list; start another while there is work that nobody has."""
        self._workers.remove(worker)
        worker.channel.close()
        how = worker.end
        if not worker.is_ready:
            raise error or WorkerDied(f"a worker process {how} before it could begin", hint="try again with --jobs 1")
        if worker.tasks:
            what = f"a worker process {how} while it dissected {{}}" if error is None else f"{{}}: {error}"
            self._lost(worker.tasks.popleft().number, f"{what}: entries are missing")
        self._waiting.extendleft(reversed(worker.tasks))
        if self._waiting:
            self._start()


def _size_of(rows: Sequence[Any]) -> int:
    """Return about how many bytes rows are."""
    if all(isinstance(row, str) for row in rows):
        return sum(map(len, rows))
    return len(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))
