"""A store's connections as rows of flow tables, for who counts or judges them; packets are read only if a filter asks.

A connection counts once, in the segment where it begins, with its parts added up. ICMP is the exception: each segment's
part stands for itself, because what it is about lies in its packets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import And, Overlaps, Predicate
from kubeshark.core_capture.store import SegmentReader
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.extension_api import MessageKind
from kubeshark.pipeline._budget import never
from kubeshark.pipeline.entries._entry import EntryId
from kubeshark.pipeline.reading._segments import Begins, chains, whole_row

if TYPE_CHECKING:
    from kubeshark.pipeline._pipeline import Pipeline

__all__ = ["Connections", "Found", "find_connections", "recorded_answers"]

ICMP = (1, 58)
WITH_ENTRY = {6: "conn", 17: "conn", 1: "0", 58: "0"}
"""Transport → the number of the entry that shows the connection, or its first message."""


class Connections(Struct):
    """Those that begin in one segment."""

    segment: SegmentReader
    rows: NDArray[Any]  # in the segment's flow table
    flows: NDArray[Any]  # FLOW rows, parts added up

    def entry_id(self, at: int) -> str:
        """Return the id of an entry that shows the connection at a place of `rows`; "" if none does."""
        number = WITH_ENTRY.get(int(self.flows["transport"][at]))
        return str(EntryId(self.segment.name, int(self.rows[at]), number)) if number else ""


class Found(Struct):
    connections: list[Connections]
    problems: list[KubesharkError]  # what could not be read
    nodes: tuple[str, ...]  # whose segments were looked at


def find_connections(
    pipeline: Pipeline,
    kfl: str = "",
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    gave_up: Callable[[], bool] = never,
) -> Found:
    """Return the connections with packets in the window; with KFL, those of entries that match.

    Raises UsageError for a bad filter, StoreError if the store cannot be opened.
    """
    problems: list[KubesharkError] = []
    within: Predicate = (
        And((Overlaps(since_ns, until_ns),)) if since_ns is not None or until_ns is not None else And(())
    )
    rows: defaultdict[str, list[int]] | None = None
    if kfl.strip() or pipeline.shows_some_only:
        exact = pipeline.exact(kfl)
        if exact is not None:
            within = And((within, exact.predicate))
        else:
            rows = defaultdict(list)
            query = pipeline.query(kfl, since_ns=since_ns, until_ns=until_ns, gave_up=gave_up)
            for entry in query:
                for segment, row in entry.facts.parts:
                    rows[segment.name].append(row)
            problems += query.problems
    selected: list[tuple[SegmentReader, NDArray[Any]]] = []
    infos = [info for info in pipeline.store.segments(within) if rows is None or info.name in rows]
    pipeline.store.prefetch(info.name for info in infos)
    for info in infos:
        try:
            reader = pipeline.store.open_segment(info.name)
            chosen = (
                np.flatnonzero(reader.match(within))
                if rows is None
                else np.array(sorted(set(rows[info.name])), dtype=np.int64)
            )
        except StoreError as error:
            problems.append(error)
            continue
        if len(chosen):
            selected.append((reader, chosen))
    problems += (problem for problem in pipeline.store.problems if str(problem) not in map(str, problems))
    return Found(_joined(selected), problems, tuple(sorted({info.node for info in infos})))


def _joined(selected: list[tuple[SegmentReader, NDArray[Any]]]) -> list[Connections]:
    """Join the parts of each connection but ICMP's."""
    alone: list[NDArray[Any]] = []
    others: list[tuple[SegmentReader, NDArray[Any]]] = []
    for reader, rows in selected:
        is_icmp = np.isin(reader.flows["transport"][rows], ICMP)
        alone.append(rows[is_icmp])
        others.append((reader, rows[~is_icmp]))
    begins: list[Begins] = chains(others)
    found = []
    for (reader, _), begun, icmp in zip(others, begins, alone, strict=True):
        rows = np.concatenate((begun.rows, icmp))
        flows = reader.flows[rows]
        for row, parts in begun.chained.items():
            flows[np.flatnonzero(begun.rows == row)] = whole_row(parts)
        found.append(Connections(reader, rows, flows))
    return found


def recorded_answers(pipeline: Pipeline) -> Iterator[tuple[int, bytes]]:
    """Yield the answers of name servers that were recorded: nanoseconds since 1970, and the message on the wire."""
    for entry in pipeline.query("dns && dst.port == 53 && size(dns_answers) > 0"):
        if message := entry.raw(MessageKind.RESPONSE):
            yield entry.start_ns, message
