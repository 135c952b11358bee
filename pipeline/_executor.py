"""Where the work of a query is done: an interface, and the executor that does it here.

An executor turns a plan into units, each a stream of what `make` makes of entries, in order. Others do the same
elsewhere: `_processes` in processes of this machine; one for other machines has to send a `Job` and the tasks'
specifications (`_job`), and to give the streams that come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from kubeshark.core_capture.store import ReadStats
from kubeshark.errors import KubesharkError
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._merge import Unit
from kubeshark.pipeline._order import Order, Place, Spot, place_of
from kubeshark.pipeline._plan import Chunk, Task
from kubeshark.pipeline._rows import made_of
from kubeshark.pipeline._run import QueryStats, Runner
from kubeshark.pipeline._table import EntryTable

__all__ = ["Executor", "InProcess", "spotted"]


def spotted(found: EntryTable, make: Callable[[Entry], Any], order: Order) -> Iterator[tuple[Spot, Any]]:
    """Yield what is made of entries that are in order, each with its place, as it is asked for."""

    def place(at: int) -> Place:
        return place_of(found[at])

    times = found.start_ns.tolist()
    for at, made in enumerate(made_of(found, make)):
        yield Spot(times[at], order, place, at), made


class Executor(Protocol):
    """Does the tasks of one query."""

    def units(self, tasks: Sequence[Task]) -> Sequence[Unit[Any]]:
        """Return the work in order of what it gives; a stream raises Stop if the query's watch wants it to."""
        ...

    @property
    def done(self) -> int:
        """Bytes of the tasks' sizes that are done."""
        ...

    @property
    def name(self) -> str:
        """Who does the work, for --explain."""
        ...

    stats: QueryStats

    @property
    def read(self) -> ReadStats:
        """What was decrypted elsewhere."""
        ...

    @property
    def problems(self) -> list[KubesharkError]: ...
    def close(self) -> None:
        """End what is running; twice is fine."""
        ...


@dataclass(slots=True)
class InProcess:
    """Runs one chunk after the other when its entries are asked for: no work ahead of who reads."""

    runner: Runner
    make: Callable[[Entry], Any]
    stats: QueryStats  # the runner's
    done: int = 0

    def units(self, tasks: Sequence[Task]) -> Sequence[Unit[Any]]:
        order, window = self.runner.order, self.runner.window
        chunks = [chunk for task in tasks for chunk in task.chunks]
        return [
            Unit(Spot.of(window.clamp(chunk.bound(order), order), order), partial(self._run, chunk)) for chunk in chunks
        ]

    def _run(self, chunk: Chunk) -> Iterator[tuple[Spot, Any]]:
        found = self.runner.run(chunk)
        self.done += chunk.size
        yield from spotted(found, self.make, self.runner.order)

    @property
    def name(self) -> str:
        return "this process"

    @property
    def read(self) -> ReadStats:
        return ReadStats()

    @property
    def problems(self) -> list[KubesharkError]:
        return self.runner.problems

    def close(self) -> None:
        """Nothing runs."""
