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
from kubeshark.pipeline._order import Place
from kubeshark.pipeline._plan import Chunk, Task
from kubeshark.pipeline._run import QueryStats, Runner

__all__ = ["Executor", "InProcess"]


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
        order = self.runner.order
        chunks = [chunk for task in tasks for chunk in task.chunks]
        chunks.sort(key=lambda chunk: chunk.first_ns if order == "asc" else -chunk.last_ns)
        return [
            Unit(self.runner.window.clamp(chunk.bound(order), order), partial(self._run, chunk)) for chunk in chunks
        ]

    def _run(self, chunk: Chunk) -> Iterator[tuple[Place, Any]]:
        size, chunk_size = 0, chunk.size
        for place, entry in self.runner.run(chunk):
            self.done += chunk_size - size
            size = chunk_size
            yield place, self.make(entry)
        self.done += chunk_size - size

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
