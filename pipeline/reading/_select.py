"""Reads the packets of chosen connections and decodes them: each whole, each packet once, in order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import Core, Decoded
from kubeshark.core_capture._records import PROBED
from kubeshark.core_capture.store import Away
from kubeshark.errors import Damaged, KubesharkError
from kubeshark.pipeline.reading._repeats import without_repeats
from kubeshark.pipeline.reading._segments import Begins, FlowPart, MemorySegment, Segment, joined, node_of

__all__ = ["Damage", "Selection", "select"]


@dataclass
class Selection:
    """Decoded records of chosen flows, and where each comes from: flow i begins in `segment` as `rows[i]`.

    `starts[i]` is the offset of its records in the decoded data. Flows are by row, so in the order of their first
    packets.
    """

    decoded: Decoded
    flows: NDArray[Any]  # rows of decoded.flows
    segment: Segment
    rows: NDArray[Any]
    starts: NDArray[Any]
    chained: dict[int, list[tuple[int, FlowPart]]] = field(default_factory=dict)
    """By place: the parts of connections that run through several segments, each with its offset."""

    seen: dict[int, tuple[str, ...]] = field(default_factory=dict)  # by row, as in Begins

    @cached_property
    def probed(self) -> NDArray[np.bool_] | None:
        """Which of the flows probes took in the clear from processes that encrypted them; None for none."""
        if self.segment.link_type not in PROBED:
            return None
        from kubeshark.core_capture.ebpf._tls_packets import marked_flows

        found = marked_flows(self.decoded, self.flows)
        return found if found.any() else None

    def parts(self, at: int) -> list[tuple[int, FlowPart]]:
        return self.chained.get(at) or [(int(self.starts[at]), FlowPart(self.segment, int(self.rows[at])))]


@dataclass(slots=True)
class Damage:
    """What of a store could not be read: each damaged place once."""

    problems: list[KubesharkError] = field(default_factory=list)

    def note(self, error: KubesharkError) -> None:
        if str(error) not in map(str, self.problems):
            error.forget_frames()
            self.problems.append(error)

    def records(self, segment: Segment, rows: Sequence[int]) -> list[bytes | memoryview]:
        """Return the records of these flows; b"" for those whose bytes are damaged."""
        try:
            return segment.records(rows)
        except Damaged as error:
            self.note(error)
            is_away = isinstance(error, Away)
        if is_away or len(rows) == 1:
            return [b""] * len(rows)
        half = len(rows) // 2  # flows are clustered: halves find the damaged ones in few reads
        return [*self.records(segment, rows[:half]), *self.records(segment, rows[half:])]

    def gathered(self, segment: Segment, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        """Return what the segment's `gathered` does, without the flows whose bytes are damaged."""
        try:
            return segment.gathered(rows)
        except Damaged:
            return joined(self.records(segment, rows.tolist()), rows)


def _records_of_parts(
    chained: Mapping[int, Sequence[FlowPart]], damage: Damage
) -> dict[tuple[int, int], bytes | memoryview]:
    """Return the records of all parts by id of their segment and row; each segment is read once.

    On object storage that is a few requests: flow by flow, connections that ran on took 80 of 90 in a query of 100 MB.
    """
    rows: dict[int, tuple[Segment, list[int]]] = {}
    for chain in chained.values():
        for part in chain:
            rows.setdefault(id(part.segment), (part.segment, []))[1].append(part.row)
    return {
        (key, row): bytes(piece)  # a view would keep its whole block
        for key, (segment, wanted) in rows.items()
        for row, piece in zip(wanted, damage.records(segment, wanted), strict=True)
    }


def _once(
    core: Core, chain: Sequence[FlowPart], records: Mapping[tuple[int, int], bytes | memoryview]
) -> list[bytes | memoryview]:
    """Return the records of a connection's parts; if several nodes saw it, all in the first, each once and by time.

    Its entries then are numbered as those of that part.
    """
    pieces = [records[id(part.segment), part.row] for part in chain]
    nodes = [node_of(part.segment) for part in chain]
    if len(set(nodes)) < 2:
        return pieces
    kept = without_repeats(core, chain[0].segment.link_type, list(zip(nodes, pieces, strict=True)))
    merged, _, _ = core.by_time([piece for piece in kept if len(piece)], None)
    return [memoryview(merged), *[b""] * (len(chain) - 1)]


def _by_time(
    core: Core,
    decoded: Decoded,
    link_type: int,
    starts: NDArray[Any],
    parts: dict[int, list[tuple[int, FlowPart]]],
) -> tuple[Decoded, dict[int, list[tuple[int, FlowPart]]]]:
    """Put the records of each connection (they begin at `starts`) in order, so that packets of it are numbered by time.

    Who captures on several interfaces, or on several queues of one, writes what came in one by one: the packets of a
    connection that crosses two of them lie behind each other. A part then begins with its oldest packet.
    """
    times, offsets = decoded.packets["time_ns"], decoded.packets["offset"].astype("<u8")
    back = offsets[np.flatnonzero(times[1:] < times[:-1]) + 1]
    if (starts.searchsorted(back, "right") > starts.searchsorted(back)).all():
        return decoded, parts  # connections lie behind each other whatever their times
    order = np.lexsort((times, np.searchsorted(starts, offsets, side="right"))).astype("<u4")
    sizes = np.diff(offsets, append=np.uint64(len(decoded.data)))
    moved = np.empty_like(offsets)
    moved[order] = np.cumsum(sizes[order]) - sizes[order]
    ends = np.array([*starts, *(at for placed in parts.values() for at, _ in placed), len(decoded.data) + 1])
    ends.sort()
    placed_anew = {}
    for row, placed in parts.items():
        (first, _), *others = placed
        placed_anew[row], reached = placed[:1], first
        for at, part in others:
            low, high = np.searchsorted(offsets, [at, ends[np.searchsorted(ends, at, side="right")]])
            if low < high:
                reached = max(reached, int(moved[low:high].min()))
            placed_anew[row].append((reached, part))
    return core.decode(core.gather(decoded.data, offsets, order), link_type), placed_anew


def select(core: Core, begins: Begins, damage: Damage) -> Selection:
    """Decode the records of the flows that begin in a segment, with their continuations; at least one flow.

    Flows in damaged places are left out and noted in `damage`.
    """
    segment, chained = begins.segment, begins.chained
    if isinstance(segment, MemorySegment) and not chained and not segment.is_disordered:
        where = segment.decoded.packets["offset"][segment.flows["first_packet"]]
        return Selection(segment.decoded, begins.rows, segment, begins.rows, where[begins.rows], seen=begins.seen)
    is_chained = np.isin(begins.rows, list(chained)) if chained else np.zeros(len(begins.rows), dtype=np.bool_)
    data, rows, starts = damage.gathered(segment, begins.rows[~is_chained])
    parts: dict[int, list[tuple[int, FlowPart]]] = {}
    if chained:
        pieces, at = [data], len(data)
        records = _records_of_parts(chained, damage)
        for row, chain in chained.items():
            parts[row] = []
            for part, piece in zip(chain, _once(core, chain, records), strict=True):
                parts[row].append((at, part))
                pieces.append(piece)
                at += len(piece)
        rows = np.append(rows, list(chained))
        starts = np.append(starts, [placed[0][0] for placed in parts.values()])
        data = b"".join(pieces)
    decoded, parts = _by_time(core, core.decode(data, segment.link_type), segment.link_type, starts, parts)
    # A chain's records give one decoded flow; where a port was reused just at a segment's end they may give more, which
    # then share the chain. Carriers among the decoded flows have no packets and drop out.
    flow_of_packet = decoded.packets["flow"]
    has_packets = np.zeros(len(decoded.flows) + 1, dtype=np.bool_)
    has_packets[np.minimum(flow_of_packet, len(decoded.flows))] = True
    used = np.flatnonzero(has_packets[:-1])
    first = decoded.packets["offset"][decoded.flows["first_packet"][used]]
    owner = np.searchsorted(starts, first, side="right") - 1
    order = np.argsort(rows[owner], kind="stable")
    used, owner = used[order], owner[order]
    by_place = {at: parts[row] for at, row in enumerate(rows[owner].tolist()) if row in parts} if parts else {}
    return Selection(decoded, used, segment, rows[owner], starts[owner], by_place, begins.seen)
