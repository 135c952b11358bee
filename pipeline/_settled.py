"""Columns of entries without the packets they were read from.

A query that only reads KFL variables reads them a few megabytes of packets at a time: what it keeps of those is small,
so the next ones lie in memory that is warm. Touching new memory took half of a query over everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from kubeshark.pipeline._entry import EntryId
from kubeshark.pipeline._objects import pick
from kubeshark.pipeline._order import NUMBERS, Place
from kubeshark.pipeline._table import WHOLE, EntryTable

__all__ = ["SettledTable", "Table", "settled"]

NUMBER_NAMES = {number: name for name, number in NUMBERS.items()}


class SettledTable:
    """Rows like an `EntryTable`'s, of which only some variables, the times and the ids are known."""

    __slots__ = ("_columns", "_segment", "flow", "number", "start_ns")

    def __init__(
        self,
        segment: str,
        start_ns: NDArray[Any],
        flow: NDArray[Any],
        number: NDArray[Any],
        columns: dict[str, list[Any]],
    ) -> None:
        self._segment = segment
        self._columns = columns
        self.start_ns = start_ns
        self.flow = flow
        self.number = number

    def __len__(self) -> int:
        return len(self.start_ns)

    def take(self, places: NDArray[Any] | slice) -> SettledTable:
        """Return some of the rows, or all in another order."""
        columns = {name: _some(column, places) for name, column in self._columns.items()}
        return SettledTable(self._segment, self.start_ns[places], self.flow[places], self.number[places], columns)

    def replaced(self, places: NDArray[Any], values: Mapping[str, list[Any]]) -> SettledTable:
        """Return the table with other values in some rows."""
        columns = {name: column.copy() for name, column in self._columns.items()}
        for name, column in values.items():
            for place, value in zip(places.tolist(), column, strict=True):
                columns[name][place] = value
        return SettledTable(self._segment, self.start_ns, self.flow, self.number, columns)

    def place(self, at: int) -> Place:
        return int(self.start_ns[at]), self._segment, int(self.flow[at]), int(self.number[at])

    def objects(self, name: str, places: NDArray[Any] | slice = WHOLE) -> list[Any]:
        """Return a KFL variable of these rows, one of those that were kept."""
        if name in self._columns:
            return _some(self._columns[name], places)
        if name == "id":
            return list(self._ids(self.flow[places], self.number[places]))
        raise KeyError(f"{name} was not kept")

    def _ids(self, flows: NDArray[Any], numbers: NDArray[Any]) -> Iterable[str]:
        for flow, number in zip(flows.tolist(), numbers.tolist(), strict=True):
            yield str(EntryId(self._segment, flow, NUMBER_NAMES.get(number) or str(number)))


def _some(column: list[Any], places: NDArray[Any] | slice) -> list[Any]:
    return column[places] if isinstance(places, slice) else pick(column, places)


Table = EntryTable | SettledTable


def settled(table: EntryTable, names: Sequence[str]) -> Table:
    """Return the table with these variables read, and let go of its packets.

    Tables of connections that run through several segments stay as they are: their ids are found by dissecting them.
    """
    identified = table.identified()
    if identified is None:
        return table
    segment, flow, number = identified
    columns = {name: table.objects(name) for name in dict.fromkeys(names) if name != "id"}
    return SettledTable(segment, table.start_ns, flow, number, columns)
