"""Where a query reads from: sealed segments of a store, or packets held in memory, behind one small interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import FLOW, NO_FLOW, Core, Decoded, FlowBit, Predicate, RecordBatch, match
from kubeshark.core_capture._groups import Groups
from kubeshark.core_capture.store import SegmentReader
from kubeshark.pipeline.reading._repeats import SKEW_NS

__all__ = [
    "Begins",
    "FlowPart",
    "MemorySegment",
    "Segment",
    "chains",
    "flow_keys",
    "has_ended",
    "is_fresh",
    "joined",
    "may_be_quiet_ns",
    "node_of",
    "whole_row",
]

TCP = 6
MAX_CHAIN_BYTES = 256 << 20
"""A connection that runs through many segments is read together up to this; the rest begins a new stream."""

LINGER_NS = 60 * 1_000_000_000
"""Packets of a TCP connection that has ended may come this much later (RFC 9293 §3.6.1, a usual TIME-WAIT)."""

IDLE_NS = 1_200 * 1_000_000_000
"""Datagrams between the same ends belong together unless a segment begins after so long a silence."""

RESET, FINISHED = int(FlowBit.RST_A | FlowBit.RST_B), int(FlowBit.FIN_A | FlowBit.FIN_B)

MAX_ALIKE = 64
"""Connections of the same two ports among which one that another node saw is looked for, the latest first."""

_LOOPBACK_6 = np.array([*bytes(15), 1], dtype=np.uint8)

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

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        """Return the records of these flows one behind the other: (data, its flows in order, their offsets in it)."""
        ...

    def placed(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return a number for each of these flows: neighbours are read together for less."""
        ...


class FlowPart(NamedTuple):
    """A flow as one segment holds it."""

    segment: Segment
    row: int


@dataclass(slots=True)
class Begins:
    """The chosen connections that begin in a segment; `chained` has all parts of those that go on in others, by row."""

    segment: Segment
    rows: NDArray[Any]
    chained: dict[int, list[FlowPart]] = field(default_factory=dict)
    seen: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """By row: other nodes that have the same connection, which is left out there (`_twins.py`)."""

    def parts(self, row: int) -> list[FlowPart]:
        return self.chained.get(row) or [FlowPart(self.segment, row)]

    def only(self, keep: NDArray[np.bool_]) -> Begins:
        """Return some of them."""
        rows = self.rows[keep]
        kept = set(rows.tolist()) if self.chained else set()
        chained = {row: parts for row, parts in self.chained.items() if row in kept}
        return Begins(self.segment, rows, chained, self.seen)


@dataclass(slots=True)
class MemorySegment:
    """Packets of a file that is dissected without a store."""

    name: str
    link_type: int
    decoded: Decoded
    core: Core
    _order: NDArray[Any] = field(init=False)
    _bounds: NDArray[Any] = field(init=False)
    is_disordered: bool = field(init=False)
    """A flow has packets that are older than one before them."""

    def __post_init__(self) -> None:
        flow_of_packet = self.decoded.packets["flow"]
        self._order = np.argsort(flow_of_packet, kind="stable").astype("<u4")
        flows, times = flow_of_packet[self._order], self.decoded.packets["time_ns"][self._order]
        self._bounds = np.searchsorted(flows, np.arange(len(self.decoded.flows) + 1))
        back = (times[1:] < times[:-1]) & (flows[1:] == flows[:-1]) & (flows[1:] != NO_FLOW)
        self.is_disordered = bool(back.any())

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

    def gathered(self, rows: NDArray[Any]) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
        return joined(self.records(rows.tolist()), rows)

    def placed(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rows


class _Running(Struct):
    """A connection that may go on in the next segment."""

    parts: list[FlowPart]
    size: int
    first_ns: int
    last_ns: int
    bits: int
    isn: NDArray[Any]

    @classmethod
    def of(cls, part: FlowPart, flow: Any) -> _Running:
        times = int(flow["first_ns"]), int(flow["last_ns"])
        return cls([part], int(flow["bytes"].sum()), *times, int(flow["bits"]), flow["isn"].copy())

    def goes_on(self, flow: Any) -> bool:
        quiet_ns = may_be_quiet_ns(int(flow["transport"]), has_ended=bool(has_ended(self.bits)))
        is_late = quiet_ns is not None and int(flow["first_ns"]) > self.last_ns + quiet_ns
        return not is_late and self.size + int(flow["bytes"].sum()) <= MAX_CHAIN_BYTES

    def may_be(self, segment: Segment, flow: Any) -> bool:
        """Say whether a node that has no part of it yet saw it, too: at that time, with these sequence numbers."""
        if node_of(segment) in {node_of(part.segment) for part in self.parts}:
            return False
        if int(flow["first_ns"]) > self.last_ns + SKEW_NS or int(flow["last_ns"]) < self.first_ns - SKEW_NS:
            return False
        both = (self.isn != 0) & (flow["isn"] != 0)
        return bool((self.isn == flow["isn"])[both].all())

    def add(self, part: FlowPart, flow: Any) -> None:
        self.parts.append(part)
        self.size += int(flow["bytes"].sum())
        self.last_ns = max(self.last_ns, int(flow["last_ns"]))
        self.bits |= int(flow["bits"])
        self.isn = np.where(self.isn == 0, flow["isn"], self.isn)


def _before(running: Sequence[_Running], segment: Segment, flow: Any) -> _Running | None:
    """Return the connection that a flow is a part of, of those with the same ends; None if it begins one."""
    if not running:
        return None
    seen_too = (each for each in running[: -MAX_ALIKE - 1 : -1] if each.may_be(segment, flow))
    return next(seen_too, None if is_fresh(flow) else running[-1])


def chains(selected: Sequence[tuple[Segment, NDArray[Any]]]) -> list[Begins]:
    """Join flows that run from one segment into the next.

    `selected` are (segment, rows) in time order. A TCP flow goes on unless the later part holds a SYN, or comes long
    after its end; other transports go on by 5-tuple until they are quiet for long.
    """
    if len(selected) < 2:
        return [Begins(*each) for each in selected]
    keys = [flow_keys(segment, rows) for segment, rows in selected]
    shared = _shared(keys)
    result: list[Begins] = []
    running: dict[bytes, list[_Running]] = {}
    for (segment, rows), own in zip(selected, keys, strict=True):
        is_shared = np.isin(own, shared)
        continues = np.zeros(len(rows), dtype=np.bool_)
        chained: dict[int, list[FlowPart]] = {}
        for at in np.flatnonzero(is_shared).tolist():
            part, key = FlowPart(segment, int(rows[at])), own[at].tobytes()
            flow = segment.flows[part.row]
            before = _before(running.get(key, ()), segment, flow)
            if before is not None and before.goes_on(flow):
                before.add(part, flow)
                continues[at] = True
            else:
                begun = _Running.of(part, flow)
                running.setdefault(key, []).append(begun)
                chained[part.row] = begun.parts
        result.append(Begins(segment, rows[~continues], chained))
    for begins in result:
        begins.chained = {row: parts for row, parts in begins.chained.items() if len(parts) > 1}
    return result


def is_fresh(flows: Any) -> Any:
    """Say of FLOW rows, one or an array, which begin a connection whatever came before with the same ends."""
    return (flows["transport"] == TCP) & ((flows["bits"] & int(FlowBit.SYN_SEEN)) != 0)


def has_ended(bits: Any) -> Any:
    """Say of flow bits, a number or an array, whether TCP was closed from both sides or reset."""
    return ((bits & RESET) != 0) | ((bits & FINISHED) == FINISHED)


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


def flow_keys(segment: Segment, rows: NDArray[Any]) -> NDArray[Any]:
    """Return the link type and 5-tuple of each flow, as one void a flow; of loopback, the node besides.

    Every node has a 127.0.0.1 of its own: what is said there between the same ports is another connection.
    """
    flows = segment.flows[rows]
    keys = np.zeros(len(flows), dtype=[("link_type", "<u4"), ("node", "<u4"), *((name, FLOW[name]) for name in KEY)])
    keys["link_type"] = segment.link_type
    keys["node"] = np.where(_are_loopback(flows), crc32(node_of(segment).encode()), 0)
    for name in KEY:
        keys[name] = flows[name]
    return keys.view(f"V{keys.dtype.itemsize}")


def _are_loopback(flows: NDArray[Any]) -> NDArray[np.bool_]:
    is_v4 = flows["ip_version"] == 4
    found: NDArray[np.bool_] = np.where(is_v4, flows["a"][:, 0] == 127, (flows["a"] == _LOOPBACK_6).all(axis=1))
    return found


def _shared(keys: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the keys that more than one segment has, or one segment twice."""
    groups = Groups(np.concatenate(keys))
    shared: NDArray[Any] = groups.known[groups.counts > 1]
    return shared


def joined(
    records: Sequence[bytes | memoryview], rows: NDArray[Any]
) -> tuple[bytes | memoryview, NDArray[Any], NDArray[Any]]:
    sizes = np.fromiter(map(len, records), dtype=np.int64, count=len(records))
    return records[0] if len(records) == 1 else b"".join(records), rows, np.cumsum(sizes) - sizes


def node_of(segment: Segment) -> str:
    """Return the node that captured a segment, "" for packets that are in no store."""
    return segment.info.node if isinstance(segment, SegmentReader) else ""
