"""Leaves out connections that a second node saw in the same way, by the indexes alone: no packet of them is read.

Twins are TCP connections between the same ends with the same first sequence numbers, whose two nodes counted the same
packets and bytes in each direction, at the same time but for the clocks. Where the counts differ somebody missed
something: then both copies are read, and repeated packets are left out (`_repeats.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import FLOW
from kubeshark.core_capture._groups import Groups
from kubeshark.pipeline.reading._repeats import SKEW_NS
from kubeshark.pipeline.reading._segments import KEY, TCP, FlowPart, Segment, node_of

__all__ = ["Seen", "leave_out_twins", "twins_among"]

Seen = dict[str, dict[int, tuple[str, ...]]]
"""Segment and row of a connection → the other nodes that saw it."""

_Chosen = tuple[Segment, NDArray[Any]]
_SAME = (*KEY, "isn", "packets", "bytes")


def leave_out_twins(selected: Sequence[_Chosen], prefer: str = "") -> tuple[list[_Chosen], Seen]:
    """Return what is left, and who saw what was left out.

    The copy in `prefer` stays, else that of the segment with the earliest packet, which is where `chains` begins.
    """
    if len({node_of(segment) for segment, _ in selected}) < 2:
        return list(selected), {}
    candidates = [_with_beginning(*each) for each in selected]
    keys = [_keys(segment, rows) for (segment, _), rows in zip(selected, candidates, strict=True)]
    groups = Groups(np.concatenate(keys))
    shared = groups.known[groups.counts > 1]
    twins: defaultdict[bytes, list[tuple[bool, int, str, int, int]]] = defaultdict(list)
    for number, ((segment, _), rows, own) in enumerate(zip(selected, candidates, keys, strict=True)):
        first_ns = int(segment.flows["first_ns"].min())
        for at in np.flatnonzero(np.isin(own, shared)).tolist():
            place = segment.name != prefer, first_ns, segment.name, int(rows[at]), number
            twins[own[at].tobytes()].append(place)
    left_out: defaultdict[int, list[int]] = defaultdict(list)
    seen: Seen = {}
    for members in twins.values():
        members.sort()
        _, _, name, row, first = members[0]
        mine, node = selected[first][0], node_of(selected[first][0])
        for *_, other_row, number in members[1:]:
            other = selected[number][0]
            if node_of(other) != node and _at_once(mine.flows[row], other.flows[other_row]):
                left_out[number].append(other_row)
                nodes = seen.setdefault(name, {}).get(row, ())
                seen[name][row] = tuple(dict.fromkeys((*nodes, node_of(other))))
    kept = [(segment, rows[~np.isin(rows, left_out[number])]) for number, (segment, rows) in enumerate(selected)]
    return [each for each in kept if len(each[1])], seen


def twins_among(parts: Sequence[FlowPart]) -> tuple[str, ...]:
    """Return the other nodes that saw the connection of the first part just as its own did; () if one of them did not.

    Then the others need not be read.
    """
    nodes = [node_of(part.segment) for part in parts]
    if len(set(nodes)) < len(parts):
        return ()
    rows = [np.array([part.row]) for part in parts]
    if not all(len(_with_beginning(part.segment, row)) for part, row in zip(parts, rows, strict=True)):
        return ()
    keys = {_keys(part.segment, row).tobytes() for part, row in zip(parts, rows, strict=True)}
    flows = [part.segment.flows[part.row] for part in parts]
    are_same = len(keys) == 1 and all(_at_once(flows[0], flow) for flow in flows[1:])
    return tuple(nodes[1:]) if are_same else ()


def _with_beginning(segment: Segment, rows: NDArray[Any]) -> NDArray[Any]:
    flows = segment.flows[rows]
    chosen: NDArray[Any] = rows[(flows["transport"] == TCP) & (flows["isn"] != 0).any(axis=1)]
    return chosen


def _keys(segment: Segment, rows: NDArray[Any]) -> NDArray[Any]:
    """Return what twins share, as one void a flow."""
    flows = segment.flows[rows]
    keys = np.zeros(len(flows), dtype=[(name, FLOW[name]) for name in _SAME])
    for name in _SAME:
        keys[name] = flows[name]
    return keys.view(f"V{keys.dtype.itemsize}")


def _at_once(one: Any, other: Any) -> bool:
    return all(abs(int(one[name]) - int(other[name])) <= SKEW_NS for name in ("first_ns", "last_ns"))
