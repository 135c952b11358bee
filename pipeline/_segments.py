"""Where a query reads from: sealed segments of a store, or packets held in memory, behind one small interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import NO_FLOW, Core, Decoded, FlowBit, Predicate, RecordBatch, match
from kubeshark.errors import Damaged, KubesharkError

__all__ = [
    "Damage",
    "FlowPart",
    "MemorySegment",
    "Segment",
    "Selection",
    "chains",
    "flow_keys",
    "has_ended",
    "is_fresh",
    "may_be_quiet_ns",
    "select",
    "whole_row",
]

TCP = 6
MAX_CHAIN_BYTES = 256 << 20
"""A connection that runs through many segments is read together up to this; the rest begins a new stream."""

LINGER_NS = 60 * 1_000_000_000
"""Packets of a TCP connection that has ended may come this much later (RFC 9293 §3.6.1, a usual TIME-WAIT)."""

IDLE_NS = 1_200 * 1_000_000_000
"""Datagrams between the same ends belong together unless a segment begins after so long a silence."""

RESET = FlowBit.RST_A | FlowBit.RST_B
FINISHED = FlowBit.FIN_A | FlowBit.FIN_B

KEY = ("a", "b", "port_a", "port_b", "transport", "ip_version")


class Segment(Protocol):
    """Packets of one link type with their flow table."""

    @property
    def name(self) -> str: ...
    @property
    def link_type(self) -> int: ...
    @property
    def flows(self) -> NDArray[Any]:
        """The FLOW array; row number = flow ordinal."""
        ...

    def match(self, predicate: Predicate) -> NDArray[np.bool_]:
        """Return one bool a flow: may it hold what is looked for?"""
        ...

    def records(self, rows: Sequence[int]) -> list[bytes | memoryview]:
        """Return the pcap records of these flows, each in capture order."""
        ...


class FlowPart(NamedTuple):
    """A flow as one segment holds it."""

    segment: Segment
    row: int


@dataclass(slots=True)
class Selection:
    """Decoded records of chosen flows, and where each comes from.

    `parts[i]` are the parts of flow `flows[i]`, each with the offset of its records in the decoded data.
    """

    decoded: Decoded
    flows: list[int]  # rows of decoded.flows
    parts: list[list[tuple[int, FlowPart]]]


@dataclass(slots=True)
class MemorySegment:
    """Packets of a file that is dissected without a store."""

    name: str
    link_type: int
    decoded: Decoded
    core: Core
    _order: NDArray[Any] = field(init=False)
    _bounds: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        flow_of_packet = self.decoded.packets["flow"]
        self._order = np.argsort(flow_of_packet, kind="stable").astype("<u4")
        self._bounds = np.searchsorted(flow_of_packet[self._order], np.arange(len(self.decoded.flows) + 1))

    @classmethod
    def of(cls, name: str, batches: Sequence[RecordBatch], core: Core) -> MemorySegment:
        """Decode batches of one link type."""
        data = batches[0].data if len(batches) == 1 else b"".join(batch.data for batch in batches)
        return cls(name, batches[0].link_type, core.decode(data, batches[0].link_type), core)

    @property
    def flows(self) -> NDArray[Any]:
        return self.decoded.flows

    def match(self, predicate: Predicate) -> NDArray[np.bool_]:
        return match(predicate, self.decoded.flows)

    def records(self, rows: Sequence[int]) -> list[bytes | memoryview]:
        offsets = self.decoded.packets["offset"].astype("<u8")
        packets = [self._order[self._bounds[row] : self._bounds[row + 1]] for row in rows]
        return [memoryview(self.core.gather(self.decoded.data, offsets, each)) for each in packets]


@dataclass(slots=True)
class _Running:
    """A connection that may go on in the next segment."""

    parts: list[FlowPart]
    size: int
    last_ns: int
    bits: int

    def goes_on(self, row: Any, size: int) -> bool:
        quiet_ns = may_be_quiet_ns(int(row["transport"]), has_ended=bool(has_ended(self.bits)))
        is_late = quiet_ns is not None and int(row["first_ns"]) > self.last_ns + quiet_ns
        return not is_late and self.size + size <= MAX_CHAIN_BYTES

    def add(self, part: FlowPart, row: Any, size: int) -> None:
        self.parts.append(part)
        self.size += size
        self.last_ns = max(self.last_ns, int(row["last_ns"]))
        self.bits |= int(row["bits"])


def chains(selected: Sequence[tuple[Segment, NDArray[Any]]]) -> list[dict[int, list[FlowPart]]]:
    """Join flows that run from one segment into the next.

    `selected` are (segment, rows) in time order. Returns per segment: row of each flow that *begins* there → its parts,
    itself first. A TCP flow goes on unless the later part holds a SYN, or comes long after its end; other transports go
    on by 5-tuple until they are quiet for long.
    """
    if len(selected) == 1:
        ((segment, rows),) = selected
        return [{row: [FlowPart(segment, row)] for row in rows.tolist()}]
    result: list[dict[int, list[FlowPart]]] = []
    running: dict[tuple[int, bytes], _Running] = {}
    for segment, rows in selected:
        begins: dict[int, list[FlowPart]] = {}
        chosen = segment.flows[rows]
        keys, fresh, sizes = flow_keys(chosen), is_fresh(chosen).tolist(), chosen["bytes"].sum(axis=1).tolist()
        lasts, bits = chosen["last_ns"].tolist(), chosen["bits"].tolist()
        for at, row in enumerate(rows.tolist()):
            part, key = FlowPart(segment, row), (segment.link_type, keys[at])
            before = None if fresh[at] else running.get(key)
            if before is not None and before.goes_on(chosen[at], sizes[at]):
                before.add(part, chosen[at], sizes[at])
            else:
                begins[row] = [part]
                running[key] = _Running(begins[row], sizes[at], lasts[at], bits[at])
        result.append(begins)
    return result


def is_fresh(flows: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which flows begin a connection, whatever came before with the same ends."""
    return np.asarray((flows["transport"] == TCP) & ((flows["bits"] & FlowBit.SYN_SEEN) != 0), dtype=np.bool_)


def has_ended(bits: Any) -> Any:
    """Say of flow bits, a number or an array, whether TCP was closed from both sides or reset."""
    return ((bits & int(RESET)) != 0) | ((bits & int(FINISHED)) == int(FINISHED))


def may_be_quiet_ns(transport: int, *, has_ended: bool) -> int | None:
    """Return how long after its last packet a connection may go on in a later segment; None: however long."""
    if transport == TCP:
        return LINGER_NS if has_ended else None
    return IDLE_NS


def whole_row(parts: Sequence[FlowPart]) -> Any:
    """Return the FLOW row of a connection, added up over the segments it runs through."""
    first = parts[0].segment.flows[parts[0].row]
    if len(parts) == 1:
        return first
    rows = np.array([first, *(part.segment.flows[part.row] for part in parts[1:])])
    whole = rows[0].copy()
    whole["last_ns"] = rows["last_ns"].max()
    whole["bits"] = np.bitwise_or.reduce(rows["bits"])
    for counted in ("packets", "bytes"):
        whole[counted] = rows[counted].sum(axis=0)
    return whole


def flow_keys(flows: NDArray[Any]) -> list[bytes]:
    """Return the 5-tuple of each flow as bytes."""
    if not len(flows):
        return []
    columns = [np.ascontiguousarray(flows[name]).view(np.uint8).reshape(len(flows), -1) for name in KEY]
    return [row.tobytes() for row in np.concatenate(columns, axis=1)]


@dataclass(slots=True)
class Damage:
    """What of a store could not be read: each damaged place once."""

    problems: list[KubesharkError] = field(default_factory=list)

    def note(self, error: KubesharkError) -> None:
        if str(error) not in map(str, self.problems):
            self.problems.append(error)

    def records(self, segment: Segment, rows: Sequence[int]) -> list[bytes | memoryview]:
        """Return the records of these flows; b"" for those whose bytes are damaged."""
        try:
            return segment.records(rows)
        except Damaged as error:
            self.note(error)
        if len(rows) == 1:
            return [b""]
        half = len(rows) // 2  # flows are clustered: halves find the damaged ones in few reads
        return [*self.records(segment, rows[:half]), *self.records(segment, rows[half:])]


def select(core: Core, segment: Segment, begins: dict[int, list[FlowPart]], damage: Damage) -> Selection:
    """Decode the records of the flows that begin in a segment, with their continuations.

    Flows in damaged places are left out and noted in `damage`.
    """
    if isinstance(segment, MemorySegment) and all(len(parts) == 1 for parts in begins.values()):
        where = segment.decoded.packets["offset"][segment.flows["first_packet"]] if len(segment.flows) else []
        return Selection(segment.decoded, list(begins), [[(int(where[row]), begins[row][0])] for row in begins])
    heads = iter(damage.records(segment, list(begins)))
    records: list[bytes | memoryview] = []
    parts: list[list[tuple[int, FlowPart]]] = []
    at = 0
    for chain in begins.values():
        placed = []
        for number, part in enumerate(chain):
            piece = next(heads) if number == 0 else damage.records(part.segment, [part.row])[0]
            placed.append((at, part))
            records.append(piece)
            at += len(piece)
        parts.append(placed)
    decoded = core.decode(records[0] if len(records) == 1 else b"".join(records), segment.link_type)
    # A chain's records give one decoded flow; where a port was reused just at a segment's end they may give more, which
    # then share the chain. Carriers among the decoded flows have no packets and drop out.
    flow_of_packet = decoded.packets["flow"]
    used = np.unique(flow_of_packet[flow_of_packet != NO_FLOW])
    first = decoded.packets["offset"][decoded.flows["first_packet"][used]]
    starts = np.fromiter((placed[0][0] for placed in parts), dtype=np.int64, count=len(parts))
    owner = np.searchsorted(starts, first, side="right") - 1
    return Selection(decoded, used.tolist(), [parts[index] for index in owner.tolist()])
