"""Columns of entries without the packets they were read from.

A query that only reads KFL variables reads them some megabytes of packets at a time: what it keeps of those is small,
so the next ones lie in memory that is warm. Touching new memory took half of a query over everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.pipeline.entries._order import Place
from kubeshark.pipeline.tables._column import Column
from kubeshark.pipeline.tables._ids import Ids
from kubeshark.pipeline.tables._table import EntryTable

__all__ = ["SettledTable", "Table", "settled"]


class SettledTable:
    """Rows like an `EntryTable`'s, of which only some variables, the times and the ids are known."""

    __slots__ = ("_columns", "_ids", "_places", "_rows", "start_ns")

    def __init__(
        self, start_ns: NDArray[Any], ids: Ids, columns: dict[str, Column], rows: NDArray[Any] | None = None
    ) -> None:
        self.start_ns = start_ns
        self._ids = ids
        self._columns = columns
        self._rows = rows  # those of the columns' that are here, in this order; None: all
        self._places: dict[int, NDArray[Any]] = {}  # by id of a column's places: those of our rows

    def __len__(self) -> int:
        return len(self.start_ns)

    def take(self, places: NDArray[Any] | slice) -> SettledTable:
        """Return some of the rows, or all in another order."""
        rows = np.arange(len(self)) if self._rows is None else self._rows
        return SettledTable(self.start_ns[places], self._ids.take(places), self._columns, rows[places])

    def replaced(self, places: NDArray[Any], values: Mapping[str, list[Any]]) -> SettledTable:
        """Return the table with other values in some rows."""
        columns = {}
        for name in self._columns:
            column = self.objects(name)
            if name in values:
                for place, value in zip(places.tolist(), values[name], strict=True):
                    column[place] = value
            columns[name] = Column.of(column)
        return SettledTable(self.start_ns, self._ids, columns)

    def place(self, at: int) -> Place:
        return (self.start_ns.item(at), *self._ids.place(at))

    def column(self, name: str) -> Column:
        """Return a KFL variable of these rows, one of those that were kept; not picked yet."""
        if name == "id":
            return Column.of(self._ids.texts())
        if name not in self._columns:
            raise KeyError(f"{name} was not kept")
        column = self._columns[name]
        if self._rows is None:
            return column
        key = id(column.places)  # many columns have the same, and live as long as we do
        if key not in self._places:
            self._places[key] = column.places[self._rows]
        return Column(column.lists, self._places[key])

    def objects(self, name: str) -> list[Any]:
        """Return a KFL variable of these rows, one of those that were kept."""
        return self.column(name).values()


Table = EntryTable | SettledTable


def settled(table: EntryTable, names: Sequence[str]) -> SettledTable:
    """Return the table with these variables read, and let go of its packets."""
    columns = {name: table.column(name) for name in dict.fromkeys(names) if name != "id"}
    return SettledTable(table.start_ns, table.ids(), columns)
