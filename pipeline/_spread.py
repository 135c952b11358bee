"""What executors share that have the work done elsewhere: tasks are given out in order, what comes back is merged.

1. Tasks are given out one at a time to each worker, so what is wanted next is being worked on.
2. What workers send ahead of the order is held up to AHEAD_BYTES, then they wait. Only where more segments overlap in
   time than there are workers must more be held: order over time needs all of them.
3. Nothing here waits without looking at the query's watch.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from kubeshark.pipeline._worker import DONE, MARK, ROWS
from kubeshark.pipeline.kfl import FilterErrors

__all__ = ["AHEAD_BYTES", "GONE", "LOOK_SECONDS", "Spread", "WorkerDied"]

AHEAD_BYTES = 256 << 20
"""Of all workers together: what several segments give as documents. With 16 MiB each, two workers did the work of 1.4,
because the second one waited for the first one's segment to end."""

LOOK_SECONDS = 0.1  # how soon a waiting query sees that it is cancelled

GONE = b"g"
"""First byte of what the query itself adds for a task whose worker is gone."""


class WorkerDied(KubesharkError):
    """A worker process ended before its task did."""

    exit_code = 3


@dataclass(slots=True)
class Spread(ABC):
    """An `Executor` with up to `count` workers. `errors` gets what the filter failed on in any of them."""

    job: Job
    count: int
    watch: Watch
    errors: FilterErrors
    stats: QueryStats = field(default_factory=QueryStats)
    problems: list[KubesharkError] = field(default_factory=list)
    done: int = 0
    requests: Requests | None = None
    cpu_s: float = 0.0
    _tasks: Sequence[Task] = ()
    _waiting: deque[TaskSpec] = field(default_factory=deque)
    _arrived: list[deque[bytes]] = field(default_factory=list)  # messages by task
    _held: list[int] = field(default_factory=list)  # their bytes
    _read: dict[int, ReadStats] = field(default_factory=dict)  # by task, the latest

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
        self._waiting = deque(spec_of(number, task) for number, task in enumerate(tasks) if self._goes(task))
        self._arrived = [deque() for _ in tasks]
        self._held = [0] * len(tasks)
        for _ in range(min(self.count, len(self._waiting))):
            self._start()
        units: list[Unit[Any]] = [
            Unit(task.spot(order, window), partial(self._begin, number)) for number, task in enumerate(tasks)
        ]
        if len(flows):
            found = TablePiece(in_order([flows], order), order, make)
            units.append(Unit(found.spot(0), lambda: iter([found])))
        return merge(sorted(units, key=lambda unit: unit.bound))

    def _goes(self, task: Task) -> bool:  # noqa: ARG002 - of those where it depends
        """Say whether a task can be done elsewhere."""
        return True

    def _begin(self, number: int) -> Iterator[Piece[Any] | Spot]:
        return self._stream(number)

    @abstractmethod
    def _start(self) -> None:
        """Start a worker."""

    @abstractmethod
    def _collect(self, takes: set[int]) -> None:
        """Give out tasks, and take what workers of the tasks `takes` sent; wait for LOOK_SECONDS at most."""

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
        assert kind == DONE
        report: Report = content
        self.stats.add(report.stats)
        self._read[number] = report.read
        self.cpu_s += report.cpu_s
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
        is_given_out = not any(spec.number == wanted for spec in self._waiting)
        is_room = sum(self._held) < AHEAD_BYTES
        takes = set(range(len(self._tasks))) if is_room or not is_given_out else {wanted}
        self._collect(takes)

    def _keep(self, number: int, message: bytes) -> None:
        """Hold a message of a task until it is asked for."""
        self._arrived[number].append(message)
        self._held[number] += len(message)

    def _lost(self, number: int, how: str) -> None:
        """Have the query say that a task was not done."""
        names = ", ".join(sorted({chunk.begins.segment.name for chunk in self._tasks[number].chunks}))
        self._keep(number, GONE + pickle.dumps(WorkerDied(how.replace("{}", names, 1))))
