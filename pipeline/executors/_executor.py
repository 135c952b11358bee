"""Where the work of a query is done: an interface, and the executor that does it here.

Others do the same elsewhere (`_spread`): `_processes` in processes of this machine, `_ray` on those of a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from msgspec import Struct

from kubeshark.core_capture.store import ReadStats, Requests
from kubeshark.errors import KubesharkError
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._order import Spot
from kubeshark.pipeline.query._plan import Chunk, Task
from kubeshark.pipeline.query._run import QueryStats, Runner
from kubeshark.pipeline.query._runs import Piece, RowPiece, TablePiece, merge_tables
from kubeshark.pipeline.tables._settled import Table
from kubeshark.pipeline.tables._table import EntryTable, Found

__all__ = ["Executor", "ExecutorName", "InProcess"]

ExecutorName = Literal["inline", "process", "ray"]


class Executor(Protocol):
    """Does the tasks of one query."""

    stats: QueryStats
    done: int  # bytes of the tasks' sizes that are done

    def run(self, tasks: Sequence[Task], flows: EntryTable) -> Iterator[Piece[Any] | Spot]:
        """Yield in order what the tasks give, with the flow entries, and spots: all before one has been yielded.

        Raises Stop if the query's watch wants it to.
        """
        ...

    @property
    def name(self) -> str:
        """Who does the work, for --explain."""
        ...

    @property
    def read(self) -> ReadStats:
        """What was decrypted elsewhere."""
        ...

    @property
    def requests(self) -> Requests | None:
        """What was asked of a server elsewhere."""
        ...

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that were spent elsewhere."""
        ...

    @property
    def problems(self) -> list[KubesharkError]: ...
    def close(self) -> None:
        """End what is running; twice is fine."""
        ...


class InProcess(Struct):
    """Runs one chunk after the other when its entries are asked for: no work ahead of who reads."""

    runner: Runner
    make: Callable[[Entry], Any]
    stats: QueryStats  # the runner's
    done: int = 0

    def run(self, tasks: Sequence[Task], flows: EntryTable) -> Iterator[Piece[Any] | Spot]:
        order = self.runner.order
        units: list[tuple[Spot, Callable[[], Table]]] = [
            (chunk.spot(order, self.runner.window), partial(self._run, chunk))
            for task in tasks
            for chunk in task.chunks
        ]
        if len(flows):
            units.append((Spot.of(flows.place(0), order), lambda: flows))
        units.sort(key=lambda unit: unit[0])
        return merge_tables(units, order, self.make)

    def rows(self, task: Task) -> Iterator[RowPiece[Any]]:
        """Yield what a task gives, made, in batches: for executors that do others elsewhere."""
        for piece in self.run([task], EntryTable(Found.of([], self.runner.dissector.origin))):
            if isinstance(piece, TablePiece):
                yield from piece.rows()

    def _run(self, chunk: Chunk) -> Table:
        found = self.runner.run(chunk)
        self.done += chunk.size
        return found

    @property
    def name(self) -> str:
        return "this process"

    @property
    def read(self) -> ReadStats:
        return ReadStats()

    @property
    def requests(self) -> Requests | None:
        return None

    @property
    def cpu_s(self) -> float:
        return 0.0

    @property
    def problems(self) -> list[KubesharkError]:
        return self.runner.problems

    def close(self) -> None:
        """Nothing runs."""
