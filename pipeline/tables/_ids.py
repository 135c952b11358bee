"""The ids of entries that nobody made, told by columns.

An id is the segment that holds an entry's first byte, the flow's row there, and how many entries of the connection
begin in that part before it. `Numbering` (_exchanges.py) counts so while entries are made; here the same is told of
rows, without a dissection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._groups import Groups
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.entries._entry import Entry, EntryId
from kubeshark.pipeline.entries._order import NUMBERS, place_of
from kubeshark.pipeline.reading._segments import FlowPart
from kubeshark.pipeline.reading._select import Selection
from kubeshark.pipeline.tables._kinds import MADE

__all__ = ["Ids", "ids_of"]

NAMES = {number: name for name, number in NUMBERS.items()}


class Ids(Struct):
    """The ids of some rows: arrays of i8, one element a row, whose order is that of a `Place`."""

    segments: Sequence[str]  # names, ascending
    segment: NDArray[Any]  # place in `segments`
    flow: NDArray[Any]
    number: NDArray[Any]  # as in a `Place`

    def __len__(self) -> int:
        return len(self.flow)

    def take(self, places: NDArray[Any] | slice) -> Ids:
        return Ids(self.segments, self.segment[places], self.flow[places], self.number[places])

    def joined(self, behind: Ids) -> Ids:
        """Return these, then others."""
        names = sorted({*self.segments, *behind.segments})
        segments = [
            np.array([names.index(name) for name in each.segments], dtype=np.int64)[each.segment]
            for each in (self, behind)
        ]
        return Ids(
            names,
            np.concatenate(segments),
            np.append(self.flow, behind.flow),
            np.append(self.number, behind.number),
        )

    def place(self, at: int) -> tuple[str, int, int]:
        """Return what a `Place` holds behind its time."""
        segment: int = self.segment.item(at)
        return self.segments[segment], self.flow.item(at), self.number.item(at)

    def entry_id(self, at: int) -> EntryId:
        return _named(*self.place(at))

    def texts(self) -> list[str]:
        names: Iterable[str] = map(self.segments.__getitem__, self.segment.tolist())
        return [str(_named(*each)) for each in zip(names, self.flow.tolist(), self.number.tolist(), strict=True)]


def _named(segment: str, flow: int, number: int) -> EntryId:
    return EntryId(segment, flow, NAMES.get(number) or str(number))


def ids_of(
    stream: NDArray[Any],
    code: NDArray[Any],
    made: Sequence[Entry],
    selection: Selection | None = None,
    scanned: ScannedStreams | None = None,
) -> Ids:
    """Return the ids of rows; `selection` holds their streams, unless all were made at once."""
    known = _of_made(made)
    if selection is None:
        return known.take(MADE - code)
    own = _of_streams(selection, scanned)
    place = np.where(code >= 0, code, len(own) - len(selection.rows) + stream)
    return own.joined(known).take(np.where(code <= MADE, len(own) + MADE - code, place))


def _of_streams(selection: Selection, scanned: ScannedStreams | None) -> Ids:
    """Return the ids of all exchanges, then those of the streams' own entries."""
    count = len(selection.rows)
    later = _later_parts(selection)
    part = np.arange(count)  # a stream's own entry lies in the part that it begins in
    number = np.full(count, NUMBERS["conn"], dtype=np.int64)
    if scanned is not None:
        parts = _parts_of(scanned, selection, later)
        part, number = np.append(parts, part), np.append(Groups(parts).earlier, number)
    names = sorted({selection.segment.name, *(each.segment.name for _, _, each in later)})
    segment = np.full(count + len(later), names.index(selection.segment.name))
    segment[count:] = [names.index(each.segment.name) for _, _, each in later]
    flow = np.append(selection.rows, np.array([each.row for _, _, each in later], dtype=np.int64))
    return Ids(names, segment[part], flow[part], number)


def _of_made(entries: Sequence[Entry]) -> Ids:
    """Return the ids of entries that know them."""
    places = [place_of(entry) for entry in entries]
    names = sorted({name for _, name, _, _ in places})
    rank = {name: at for at, name in enumerate(names)}
    columns = np.array([(rank[name], flow, number) for _, name, flow, number in places], dtype=np.int64)
    return Ids(names, *columns.reshape(-1, 3).T)


def _later_parts(selection: Selection) -> list[tuple[int, int, FlowPart]]:
    """Return (stream, offset, part) of all parts but those that streams begin in, by stream, then in order."""
    chained = sorted(selection.chained.items())
    return [(at, offset, part) for at, parts in chained for offset, part in parts[1:]]


def _parts_of(
    scanned: ScannedStreams, selection: Selection, later: Sequence[tuple[int, int, FlowPart]]
) -> NDArray[Any]:
    """Return the part that holds each exchange's first byte: its stream's number, or, behind those, a later one's."""
    stream = scanned.found.exchanges["stream"].astype(np.int64)
    if not later:
        return stream
    owner, start = np.array([(at, offset) for at, offset, _ in later]).T
    offset = selection.decoded.packets["offset"][scanned.first_packets]  # u4
    last = np.searchsorted((owner << 32) + start, (stream << 32) + offset, side="right") - 1  # that begins before it
    return np.where((last >= 0) & (owner[last] == stream), len(selection.rows) + last, stream)
