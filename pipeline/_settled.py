"""Columns of entries without the packets they were read from.

A query that only reads KFL variables reads them a few megabytes of packets at a time: what it keeps of those is small,
so the next ones lie in memory that is warm. Touching new memory took half of a query over everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from kubeshark.pipeline._ids import Ids
from kubeshark.pipeline._objects import pick
from kubeshark.pipeline._order import Place
from kubeshark.pipeline._table import WHOLE, EntryTable

__all__ = ["SettledTable", "Table", "settled"]


class SettledTable:
    """Rows like an `EntryTable`'s, of which only some variables, the times and the ids are known."""

    __slots__ = ("_columns", "_ids", "start_ns")

    def __init__(self, start_ns: NDArray[Any], ids: Ids, columns: dict[str, list[Any]]) -> None:
        self.start_ns = start_ns
        self._ids = ids
        self._columns = columns

    def __len__(self) -> int:
        return len(self.start_ns)

    def take(self, places: NDArray[Any] | slice) -> SettledTable:
        """Return some of the rows, or all in another order."""
        columns = {name: _some(column, places) for name, column in self._columns.items()}
        return SettledTable(self.start_ns[places], self._ids.take(places), columns)

    def replaced(self, places: NDArray[Any], values: Mapping[str, list[Any]]) -> SettledTable:
        """Return the table with other values in some rows."""
        columns = {name: column.copy() for name, column in self._columns.items()}
        for name, column in values.items():
            for place, value in zip(places.tolist(), column, strict=True):
                columns[name][place] = value
        return SettledTable(self.start_ns, self._ids, columns)

    def place(self, at: int) -> Place:
        return (self.start_ns.item(at), *self._ids.place(at))

    def objects(self, name: str, places: NDArray[Any] | slice = WHOLE) -> list[Any]:
        """Return a KFL variable of these rows, one of those that were kept."""
        if name in self._columns:
            return _some(self._columns[name], places)
        if name == "id":
            return self._ids.take(places).texts()
        raise KeyError(f"{name} was not kept")


def _some(column: list[Any], places: NDArray[Any] | slice) -> list[Any]:
    return column[places] if isinstance(places, slice) else pick([column], places)


Table = EntryTable | SettledTable


def settled(table: EntryTable, names: Sequence[str]) -> SettledTable:
    """Return the table with these variables read, and let go of its packets."""
    columns = {name: table.objects(name) for name in dict.fromkeys(names) if name != "id"}
    return SettledTable(table.start_ns, table.ids(), columns)
