"""What a query will do: which connections it reads, in pieces of bounded size, in the order of its entries.

1. A connection is read whole or not at all, whatever the window cuts: so it has the same entries and ids every time.
2. A chunk holds connections that begin in one segment; no more than `chunk_bytes`, unless it is one connection.
3. A task holds the chunks that one worker does: those of the segment where their connections begin, or in descending
   order where they end, so that the newest come first without the whole store being read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubeshark.core_capture import Predicate
from kubeshark.pipeline._choose import choose_rows
from kubeshark.pipeline._continued import Elsewhere, parts_elsewhere
from kubeshark.pipeline._order import Order, Place, Window, begin_of
from kubeshark.pipeline._segments import FlowPart, Segment, chains

__all__ = ["CHUNK_BYTES", "FIRST_CHUNK_BYTES", "Chunk", "Plan", "Task", "make_plan"]

CHUNK_BYTES = 32 << 20
"""Records decoded at once: bounds memory, and how long a query takes to notice that it is cancelled."""

FIRST_CHUNK_BYTES = 2 << 20
"""Where a query may stop early it begins with this little, and doubles: a first page needs no whole segment."""

RECORD_BYTES = 80
"""Headers of a packet and its record, beside the payload that flows count."""


@dataclass(slots=True)
class Chunk:
    """Connections that begin in one segment: row → parts. Their entries lie between the two times."""

    segment: Segment
    begins: dict[int, list[FlowPart]]
    first_ns: int
    last_ns: int
    size: int  # bytes of records, about

    def bound(self, order: Order) -> Place:
        return begin_of(self.first_ns if order == "asc" else self.last_ns, order)


@dataclass(slots=True)
class Task:
    """Chunks sorted by bound."""

    chunks: list[Chunk]

    def bound(self, order: Order) -> Place:
        return self.chunks[0].bound(order)

    @property
    def size(self) -> int:
        return sum(chunk.size for chunk in self.chunks)


@dataclass(slots=True)
class Plan:
    """Tasks sorted by bound, and all connections for who wants to add them up."""

    tasks: list[Task]
    joined: list[Mapping[int, Sequence[FlowPart]]]
    flows: int  # in all segments that were opened
    flows_selected: int

    @property
    def size(self) -> int:
        return sum(task.size for task in self.tasks)


def make_plan(
    segments: Sequence[Segment],
    predicate: Predicate,
    window: Window,
    order: Order,
    *,
    elsewhere: Elsewhere | None = None,
    stops_early: bool = False,
) -> Plan:
    """Choose the connections of `segments` that the predicate lets through and that reach into the window.

    `elsewhere` are segments outside of it, asked for the other parts of those connections; None: there are none.
    """
    present = [segment for segment in segments if len(segment.flows)]
    is_alone = len(present) == 1 and elsewhere is None
    selected = [(segment, choose_rows(segment, predicate, is_alone=is_alone)) for segment in present]
    if elsewhere is not None:
        selected += parts_elsewhere(selected, elsewhere, window)
    selected.sort(key=lambda each: (int(each[0].flows["first_ns"].min()), each[0].name))
    places = {each.name: number for number, (each, _) in enumerate(selected)}
    groups: defaultdict[int, list[_Connections]] = defaultdict(list)
    joined: list[Mapping[int, Sequence[FlowPart]]] = []
    for number, begins in enumerate(chains(selected)):
        found = _reaching_into(window, begins)
        joined.append({row: begins[row] for row, *_ in found})
        for row, first_ns, last_ns, size in found:
            end = number if order == "asc" else places[begins[row][-1].segment.name]
            if not groups[end] or groups[end][-1].segment is not selected[number][0]:
                groups[end].append(_Connections(selected[number][0], begins, []))
            groups[end][-1].spans.append((row, first_ns, last_ns, size))
    first = FIRST_CHUNK_BYTES if stops_early else CHUNK_BYTES
    tasks = []
    for members in groups.values():
        chunks = [chunk for connections in members for chunk in connections.chunks(order, first)]
        chunks.sort(key=lambda chunk: chunk.first_ns if order == "asc" else -chunk.last_ns)
        tasks.append(Task(chunks))
    tasks.sort(key=lambda task: task.chunks[0].first_ns if order == "asc" else -task.chunks[0].last_ns)
    chosen = sum(len(parts) for begins in joined for parts in begins.values())
    return Plan(tasks, joined, sum(len(segment.flows) for segment, _ in selected), chosen)


_Span = tuple[int, int, int, int]  # row, first and last time of all parts, bytes of records


@dataclass(slots=True)
class _Connections:
    """Connections that begin in the same segment."""

    segment: Segment
    begins: dict[int, list[FlowPart]]
    spans: list[_Span]

    def chunks(self, order: Order, first_bytes: int) -> Iterator[Chunk]:
        """Cut them into chunks, those whose entries come first in the first one."""
        spans = sorted(self.spans, key=lambda span: span[1] if order == "asc" else -span[2])
        limit, held, size = first_bytes, list[_Span](), 0
        for span in spans:
            if held and size + span[3] > limit:
                yield self._chunk(held, size)
                limit, held, size = min(2 * limit, CHUNK_BYTES), [], 0
            held.append(span)
            size += span[3]
        yield self._chunk(held, size)

    def _chunk(self, spans: Sequence[_Span], size: int) -> Chunk:
        begins = {row: self.begins[row] for row in sorted(span[0] for span in spans)}
        return Chunk(self.segment, begins, min(span[1] for span in spans), max(span[2] for span in spans), size)


def _reaching_into(window: Window, begins: dict[int, list[FlowPart]]) -> list[_Span]:
    """Return the connections that have packets in the window, with their times and sizes over all their parts."""
    if not begins:
        return []
    segment = next(iter(begins.values()))[0].segment
    rows = segment.flows[list(begins)]
    firsts, lasts = rows["first_ns"].tolist(), rows["last_ns"].tolist()
    sizes = (rows["bytes"].sum(axis=1) + rows["packets"].sum(axis=1) * RECORD_BYTES).tolist()
    found = []
    for row, first_ns, last_ns, size in zip(begins, firsts, lasts, sizes, strict=True):
        parts, reaches = begins[row], window.overlaps(first_ns, last_ns)
        for part in parts[1:]:
            other: Any = part.segment.flows[part.row]
            reaches |= window.overlaps(int(other["first_ns"]), int(other["last_ns"]))
            first_ns, last_ns = min(first_ns, int(other["first_ns"])), max(last_ns, int(other["last_ns"]))
            size += int(other["bytes"].sum()) + int(other["packets"].sum()) * RECORD_BYTES
        if reaches:
            found.append((row, first_ns, last_ns, size))
    return found
