"""Rows of a `Found` by protocol: what columns know of them is read at once, or row by row without asking which.

Entries that exist are in no group: they are looked at as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.dissectors import CONN
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES
from kubeshark.pipeline.tables._kinds import CONNECTION
from kubeshark.pipeline.tables._objects import pick

if TYPE_CHECKING:
    from kubeshark.pipeline.tables._table import Found

__all__ = ["Group", "GroupRow", "by_protocol"]


class Group(Struct):
    """Rows of one protocol, at least one: the value of the row at `places[i]` is the one at `at[i]` of a column."""

    found: Found
    spec: ProtocolSpec
    places: NDArray[Any]  # i8, of all rows that were grouped
    rows: NDArray[Any]  # i8, of the `Found`
    at: NDArray[Any]  # i8
    column: Callable[[str], list[Any] | None]  # of a variable; None: each row has to be asked

    def read(self, name: str, some: Sequence[int] | None = None) -> list[Any]:
        """Return a KFL variable of these rows, or of some of them."""
        rows, at = (self.rows, self.at) if some is None else (self.rows[some], self.at[some])
        known = self.column(name)
        return pick([known], at) if known is not None else [self.found.value(row, name) for row in rows.tolist()]

    def each(self) -> Iterator[GroupRow]:
        """Yield each row as a mapping of its variables, as filters read it: the same object again and again."""
        row = GroupRow(self)
        for row.at, row.row in zip(self.at.tolist(), self.rows.tolist(), strict=True):
            yield row


class GroupRow:
    """One row of a group as a mapping of its variables."""

    __slots__ = ("_columns", "_group", "at", "row")

    def __init__(self, group: Group) -> None:
        self._group = group
        self._columns: dict[str, list[Any] | None] = {}
        self.at = self.row = 0

    def __getitem__(self, name: str) -> Any:
        try:
            column = self._columns[name]
        except KeyError:
            column = self._columns[name] = self._group.column(name)
        return self._group.found.value(self.row, name) if column is None else column[self.at]


def by_protocol(found: Found, rows: NDArray[Any]) -> Iterator[Group]:
    """Yield scanned exchanges and connections by their protocols."""
    codes, scanned = found.code[rows], found.scanned
    if scanned is not None:
        for number, specs in enumerate(scanned.specs):
            start, stop = scanned.bounds[number : number + 2]
            mine = np.flatnonzero((codes >= start) & (codes < stop))
            kinds = scanned.place[codes[mine]]
            for kind, spec in enumerate(specs):
                if len(places := mine[kinds == kind]):
                    column = partial(found.column, number)
                    yield Group(found, spec, places, rows[places], codes[places] - start, column)
    mine = np.flatnonzero(codes == CONNECTION)
    if len(mine):
        streams = found.stream[rows[mine]]
        transports = found.flows["transport"][streams]
        for transport, name in TRANSPORT_NAMES.items():
            is_its = transports == transport
            if name in CONN and is_its.any():
                yield Group(found, CONN[name], mine[is_its], rows[mine[is_its]], streams[is_its], found.of_connections)
