"""What another process needs to do a part of a query: the job once, then tasks; and the report it gives back.

All of it is plain data. A job holds secrets (identities, TLS keys): it goes through a private socket and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubeshark.errors import KubesharkError
from kubeshark.pipeline.query._plan import Chunk
from kubeshark.pipeline.reading._segments import Begins, FlowPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kubeshark.core_capture.store import ReadStats, Requests, SegmentReference
    from kubeshark.pipeline.entries._entry import Entry
    from kubeshark.pipeline.entries._order import Order, Window
    from kubeshark.pipeline.names._named import Names
    from kubeshark.pipeline.query._plan import Task
    from kubeshark.pipeline.query._run import QueryStats
    from kubeshark.pipeline.reading._segments import Segment

__all__ = ["ChunkSpec", "Errand", "Job", "Report", "TaskSpec", "chunk_of", "spec_of"]


@dataclass(frozen=True, slots=True)
class Job:
    """A query of a store. `make` must be picklable: it is found again by its name, and runs where the entries are."""

    store: str  # folder or URL; "" where segments come with the tasks (`Errand`)
    secret_keys: tuple[str, ...] = field(repr=False)  # identities, AGE-SECRET-KEY-1…
    keylog: bytes = field(repr=False)  # TLS secrets, NSS format
    kfl: str
    now_ns: int
    window: Window
    order: Order
    limit: int | None
    make: Callable[[Entry], Any]
    names_nodes: bool = False
    names: Names | None = field(default=None, repr=False)
    macros: Mapping[str, str] = field(default_factory=dict)


class ChunkSpec(Struct, frozen=True):
    """A chunk by names: rows that begin in its segment, and where some of them go on."""

    segment: str
    rows: NDArray[Any]
    tails: dict[int, tuple[tuple[str, int], ...]]  # of those that go on, all their parts
    first_ns: int
    last_ns: int
    size: int
    seen: dict[int, tuple[str, ...]]  # other nodes that have the same connection, by row


class TaskSpec(Struct, frozen=True):
    number: int
    chunks: tuple[ChunkSpec, ...]

    @property
    def weight(self) -> int:
        """Connections, and their parts in other segments: how large it is on its way."""
        return sum(
            len(chunk.rows) + sum(map(len, (*chunk.tails.values(), *chunk.seen.values()))) for chunk in self.chunks
        )


@dataclass(frozen=True, slots=True)
class Errand:
    """A task for somebody without identity: with what opens its segments, and no others."""

    task: TaskSpec
    segments: dict[str, SegmentReference] = field(repr=False)


class Report(Struct):
    """What was done for a task."""

    stats: QueryStats
    read: ReadStats
    problems: list[KubesharkError]
    failed: int  # entries that the filter failed on
    first_failure: str
    requests: Requests | None = None  # asked of a server
    cpu_s: float = 0.0


def spec_of(number: int, task: Task) -> TaskSpec:
    return TaskSpec(number, tuple(map(_chunk_spec, task.chunks)))


def _chunk_spec(chunk: Chunk) -> ChunkSpec:
    begins = chunk.begins
    tails = {row: tuple((part.segment.name, part.row) for part in parts) for row, parts in begins.chained.items()}
    rows = set(begins.rows.tolist()) if begins.seen else set()
    seen = {row: nodes for row, nodes in begins.seen.items() if row in rows}
    return ChunkSpec(begins.segment.name, begins.rows, tails, chunk.first_ns, chunk.last_ns, chunk.size, seen)


def chunk_of(spec: ChunkSpec, opened: Callable[[str], Segment]) -> Chunk:
    """Return the chunk with its segments open; raise StoreError for one that cannot be read."""
    chained = {row: [FlowPart(opened(name), at) for name, at in tail] for row, tail in spec.tails.items()}
    begins = Begins(opened(spec.segment), spec.rows, chained, spec.seen)
    return Chunk(begins, spec.first_ns, spec.last_ns, spec.size)
