"""What executors share that have work done elsewhere: tasks are given out in order, what comes back is merged.

1. Tasks are given out in their order, one or two to each worker, so what is wanted next is being worked on.
2. What workers send ahead of the order is held up to AHEAD_BYTES, then they wait. Only where more segments overlap in
   time than there are workers must more be held: order over time needs all of them.
3. Nothing here waits without looking at the query's watch.
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kubeshark.core_capture.store import ReadStats, Requests
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._budget import Stop, Watch
from kubeshark.pipeline.entries._order import Spot
from kubeshark.pipeline.executors._executor import InProcess
from kubeshark.pipeline.executors._job import Job, Report, TaskSpec, spec_of
from kubeshark.pipeline.executors._merge import Unit, merge
from kubeshark.pipeline.executors._worker import DONE, ROWS
from kubeshark.pipeline.kfl import FilterErrors
from kubeshark.pipeline.query._plan import CHUNK_BYTES, Task
from kubeshark.pipeline.query._run import QueryStats
from kubeshark.pipeline.query._runs import Piece, RowPiece, TablePiece, in_order
from kubeshark.pipeline.tables._table import EntryTable

__all__ = ["AHEAD_BYTES", "GONE", "LOOK_SECONDS", "Spread", "WorkerDied"]

AHEAD_BYTES = 256 << 20
"""Of all workers together: what several segments give as documents. With 16 MiB each, two workers did the work of 1.4,
because the second one waited for the first one's segment to end."""

LOOK_SECONDS = 0.1  # how soon a waiting query sees that it is cancelled

GONE = b"g"
"""First byte of what the query itself adds for a task whose worker is gone."""


_Arrived = bytes | RowPiece[Any] | None
"""A message, or rows of a task that is done here and None behind the last."""


class WorkerDied(KubesharkError):
    """A worker process ended before its task did."""

    exit_code = 3


@dataclass(slots=True)
class Spread(ABC):
    """An `Executor` with up to `count` workers, and `here`, which does what is not done elsewhere.

    `errors` gets what the filter failed on in any of them.
    """

    job: Job
    count: int
    watch: Watch
    errors: FilterErrors
    here: InProcess
    piece_bytes: int = CHUNK_BYTES
    stats: QueryStats = field(default_factory=QueryStats)
    problems: list[KubesharkError] = field(default_factory=list)
    done: int = 0
    read: ReadStats = field(default_factory=ReadStats)
    requests: Requests | None = None
    cpu_s: float = 0.0
    _tasks: Sequence[Task] = ()
    _waiting: deque[TaskSpec] = field(default_factory=deque)
    _arrived: list[deque[tuple[_Arrived, int]]] = field(default_factory=list)  # by task; and bytes
    _held: list[int] = field(default_factory=list)  # bytes, by task

    def run(self, tasks: Sequence[Task], flows: EntryTable) -> Iterator[Piece[Any] | Spot]:
        """Start the workers and merge their streams, one a piece: a few segments spread badly over several workers."""
        order, window, make = self.job.order, self.job.window, self.job.make
        pieces = (piece for task in tasks for piece in task.split(order, self.piece_bytes))
        self._tasks = tasks = sorted(pieces, key=lambda piece: piece.spot(order, window))
        self._waiting = deque(spec_of(number, task) for number, task in enumerate(tasks) if self._goes(task))
        self._arrived = [deque() for _ in tasks]
        self._held = [0] * len(tasks)
        self._start_all()
        units: list[Unit[Any]] = [
            Unit(task.spot(order, window), partial(self._begin, number)) for number, task in enumerate(tasks)
        ]
        if len(flows):
            found = TablePiece(in_order([flows], order), order, make)
            units.append(Unit(found.spot(0), found.rows))
        return merge(sorted(units, key=lambda unit: unit.bound), order)

    def _goes(self, task: Task) -> bool:  # noqa: ARG002 - of those where it depends
        """Say whether a task can be done elsewhere."""
        return True

    def _begin(self, number: int) -> Iterator[RowPiece[Any]]:
        return self._stream(number)

    def _do_here(self, number: int) -> Iterator[RowPiece[Any]]:
        """Yield what a task gives that nobody else does."""
        yield from self.here.rows(self._tasks[number])
        self.done += self._tasks[number].size

    def _start_all(self) -> None:
        for _ in range(min(self.count, len(self._waiting))):
            self._start()

    @abstractmethod
    def _start(self) -> None:
        """Start a worker."""

    @abstractmethod
    def _collect(self, takes: Container[int]) -> None:
        """Give out tasks, and take what workers of the tasks `takes` sent; wait for LOOK_SECONDS at most."""

    def _stream(self, number: int) -> Iterator[RowPiece[Any]]:
        """Yield what a task gives, as it comes."""
        while True:
            while not self._arrived[number]:
                self._receive(number)
            arrived, size = self._arrived[number].popleft()
            self._held[number] -= size
            if arrived is None:
                return
            if not isinstance(arrived, bytes):
                yield arrived
                continue
            kind, content = arrived[:1], pickle.loads(memoryview(arrived)[1:])  # noqa: S301 - our own worker's
            if kind != ROWS:
                self._finish(kind, content)
                self.done += self._tasks[number].size
                return
            yield RowPiece(content[0], content[1], self.job.order)

    def _finish(self, kind: bytes, content: Any) -> None:
        if kind == GONE:
            self.problems.append(content)
            return
        assert kind == DONE
        report: Report = content
        self.stats.add(report.stats)
        self.read += report.read
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
        is_room = sum(self._held) < AHEAD_BYTES
        self._collect(range(len(self._tasks)) if is_room or not self._is_at_work_on(wanted) else {wanted})

    def _is_at_work_on(self, number: int) -> bool:
        """Say whether a task goes on if nothing of any other is taken."""
        return not any(spec.number == number for spec in self._waiting)

    def _keep(self, number: int, arrived: _Arrived, size: int) -> None:
        """Hold what came of a task, and takes so many bytes, until it is asked for."""
        self._arrived[number].append((arrived, size))
        self._held[number] += size

    def _tell_of_here(self) -> None:
        self.problems += [each for each in self.here.problems if str(each) not in map(str, self.problems)]

    def _lost(self, number: int, how: str) -> None:
        """Have the query say that a task was not done."""
        names = ", ".join(sorted({chunk.begins.segment.name for chunk in self._tasks[number].chunks}))
        message = GONE + pickle.dumps(WorkerDied(how.replace("{}", names, 1)))
        self._keep(number, message, len(message))
