"""Finds the other parts of a window's connections in segments outside of it.

What a message is, and which number it has, may depend on everything the connection said before. So a connection that
reaches into a window is read with all its parts. Only indexes are looked at to find them, and few of them:

* backwards, a TCP flow is followed until its SYN, which most have in the window; the catalogue says where not to look;
* other transports are followed as long as they were never quiet for IDLE_NS (`chains` holds the same rule);
* forwards, a TCP flow that has ended is followed for LINGER_NS.

More may be found than belongs together: `chains` decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import And, InNetwork, Or, PortBetween, Predicate
from kubeshark.pipeline.entries._order import Window
from kubeshark.pipeline.reading._segments import Segment, flow_keys, has_ended, is_fresh, may_be_quiet_ns

__all__ = ["Elsewhere", "parts_before", "parts_elsewhere"]

MAX_LOOKED_UP = 64
"""Connections that the catalogue is asked for; with more, nearly every segment would hold one."""

_Span = tuple[str, int, int]  # name, first and last time of a segment
_Towards = Literal["back", "ahead"]


class Elsewhere(Protocol):
    """The segments that have no packets in a window."""

    def spans(self) -> Sequence[_Span]:
        """Return (name, first time, last time) of each."""
        ...

    def holding(self, predicate: Predicate) -> Collection[str]:
        """Return the names of those that may hold a matching flow."""
        ...

    def open(self, name: str) -> Segment | None:
        """Open one, the same object each time; None if it cannot be read, which is noted elsewhere."""
        ...


class _Open(Struct):
    """A connection that may have more parts in one direction."""

    row: Any  # FLOW, of one of its parts
    edge_ns: int  # its first time so far, looking back; its last one, looking ahead
    bits: int = 0

    def may_reach(self, span: _Span, towards: _Towards) -> bool:
        """Say whether a part in a segment of these times could belong to it."""
        has_end = towards == "ahead" and bool(has_ended(self.bits))  # of parts not seen nobody knows
        quiet_ns = may_be_quiet_ns(int(self.row["transport"]), has_ended=has_end)
        if quiet_ns is None:
            return True
        return span[2] + quiet_ns >= self.edge_ns if towards == "back" else span[1] <= self.edge_ns + quiet_ns


def parts_elsewhere(
    selected: Sequence[tuple[Segment, NDArray[Any]]], elsewhere: Elsewhere, window: Window
) -> list[tuple[Segment, NDArray[Any]]]:
    """Return (segment, rows) of flows outside the window that may belong to connections inside, by 5-tuple."""
    low, high = window.low_ns, window.high_ns
    spans = elsewhere.spans()
    before = sorted((span for span in spans if low is not None and span[2] < low), key=lambda s: s[1], reverse=True)
    behind = sorted((span for span in spans if high is not None and span[1] > high), key=lambda s: s[1])
    found: dict[str, tuple[Segment, NDArray[Any]]] = {}
    for towards, there in (("back", before), ("ahead", behind)):
        if there:
            _follow(_opened(selected, window, towards), there, elsewhere, towards, found)  # type: ignore[arg-type]
    return list(found.values())


def parts_before(
    segment: Segment, rows: NDArray[Any], spans: Iterable[_Span], elsewhere: Elsewhere
) -> list[tuple[Segment, NDArray[Any]]]:
    """Return (segment, rows) of flows in the segments of `spans` that these rows of another one may continue."""
    keys, flows = flow_keys(segment, rows), segment.flows[rows]
    waiting = {key.tobytes(): _Open(flow, int(flow["first_ns"])) for key, flow in zip(keys, flows, strict=True)}
    found: dict[str, tuple[Segment, NDArray[Any]]] = {}
    latest_first = sorted(spans, key=lambda span: span[1], reverse=True)
    _follow(waiting, latest_first, elsewhere, "back", found)
    return list(found.values())


def _opened(selected: Sequence[tuple[Segment, NDArray[Any]]], window: Window, towards: _Towards) -> dict[bytes, _Open]:
    """Return the connections that reach into the window and may have parts on that side of it."""
    reaching: set[bytes] = set()
    candidates: list[tuple[bytes, Any]] = []
    for segment, rows in selected:
        flows = segment.flows[rows]
        reaches = window.overlap(flows["first_ns"].astype(np.int64), flows["last_ns"].astype(np.int64))
        keys = flow_keys(segment, rows)
        reaching.update(key.tobytes() for key in keys[reaches])
        may_go_on = ~is_fresh(flows) if towards == "back" else np.ones(len(flows), dtype=np.bool_)
        candidates += [(keys[at].tobytes(), flows[at]) for at in np.flatnonzero(may_go_on).tolist()]
    found: dict[bytes, _Open] = {}
    for key, row in candidates:
        if key in reaching:
            edge_ns = int(row["first_ns"] if towards == "back" else row["last_ns"])
            _note(found.setdefault(key, _Open(row, edge_ns)), row, towards)
    return found


def _note(connection: _Open, row: Any, towards: _Towards) -> None:
    connection.bits |= int(row["bits"])
    if towards == "back":
        connection.edge_ns = min(connection.edge_ns, int(row["first_ns"]))
    else:
        connection.edge_ns = max(connection.edge_ns, int(row["last_ns"]))


def _follow(
    waiting: dict[bytes, _Open],
    spans: Iterable[_Span],
    elsewhere: Elsewhere,
    towards: _Towards,
    found: dict[str, tuple[Segment, NDArray[Any]]],
) -> None:
    """Go from segment to segment, away from the window, as long as some connection may go on there."""
    looked_up: Collection[str] | None = None
    if 0 < len(waiting) <= MAX_LOOKED_UP:
        looked_up = elsewhere.holding(Or(tuple(_same_ends(each.row) for each in waiting.values())))
    for span in spans:
        if looked_up is not None and span[0] not in looked_up:
            continue
        reached = {key: each for key, each in waiting.items() if each.may_reach(span, towards)}
        segment = elsewhere.open(span[0]) if reached else None
        if segment is None:
            continue
        keys = flow_keys(segment, np.arange(len(segment.flows)))
        rows = np.flatnonzero(np.isin(keys, np.frombuffer(b"".join(reached), dtype=keys.dtype)))
        if not len(rows):
            continue
        for row, begins in zip(rows.tolist(), is_fresh(segment.flows[rows]).tolist(), strict=True):
            key = keys[row].tobytes()
            _note(reached[key], segment.flows[row], towards)
            if begins:
                waiting.pop(key, None)
        found[span[0]] = (segment, rows)


def _same_ends(row: Any) -> Predicate:
    """Return what the catalogue can say of a flow's two ends, whichever of them is the client."""
    size = 4 if row["ip_version"] == 4 else 16
    terms: list[Predicate] = []
    for end in "ab":
        port = int(row[f"port_{end}"])
        address = ip_network(ip_address(row[end].tobytes()[:size]))
        terms += [And((InNetwork("src", address), PortBetween("src", port, port)))]
    return And(tuple(terms))
