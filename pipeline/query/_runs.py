"""Entries in order, many at once: what executors give, and how the tables of several chunks become one order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture._groups import distinct
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._order import Order, Place, Spot
from kubeshark.pipeline.query._rows import made_at_once, made_of
from kubeshark.pipeline.tables._column import Column
from kubeshark.pipeline.tables._objects import pick
from kubeshark.pipeline.tables._settled import SettledTable, Table

__all__ = ["Piece", "RowPiece", "Run", "TablePiece", "in_order", "merge_tables"]

FIRST_ROWS, BATCH_ROWS = 16, 64

_Part = tuple[Table, NDArray[Any]]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Run:
    """Entries of several tables in one order."""

    def __init__(self, tables: Sequence[Table], table: NDArray[Any], place: NDArray[Any]) -> None:
        self._tables = tables
        self._table = table  # of each entry
        self._place = place  # in its table
        self._parts: Sequence[_Part] | None = None
        self._places: dict[tuple[tuple[int, int], ...], tuple[Sequence[Column], NDArray[Any]]] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Entry]:
        entries = list(map(_entries, self._tables))
        return (entries[table](at) for table, at in zip(self._table.tolist(), self._place.tolist(), strict=True))

    @property
    def start_ns(self) -> NDArray[Any]:
        """Times of the entries' first packets, i8."""
        starts = np.empty(len(self), dtype=np.int64)
        for table, mine in self._by_table():
            starts[mine] = table.start_ns
        return starts

    def place(self, at: int) -> Place:
        return self._tables[int(self._table[at])].place(int(self._place[at]))

    def part(self, start: int, stop: int) -> Run:
        """Return entries [start, stop)."""
        return Run(self._tables, self._table[start:stop], self._place[start:stop])

    def only(self, places: Sequence[int]) -> Run:
        """Return some of the entries."""
        return Run(self._tables, self._table[list(places)], self._place[list(places)])

    def column(self, name: str) -> list[Any]:
        """Return a KFL variable of each entry."""
        columns = [table.column(name) for table, _ in self._by_table()]
        return pick([each for column in columns for each in column.lists], self._joined(columns))

    def pass_by(self) -> None:
        """Let go of what was made to look at these entries, as nobody will again."""
        for table, _ in self._by_table():
            if not isinstance(table, SettledTable):
                table.pass_by()

    def _joined(self, columns: Sequence[Column]) -> NDArray[Any]:
        """Return where each entry's value is in the lists of all parts' columns laid end to end."""
        key = tuple((id(column.places), column.size) for column in columns)
        if key not in self._places:
            joined, size = np.empty(len(self), dtype=np.int64), 0
            for (_, mine), column in zip(self._by_table(), columns, strict=True):
                joined[mine] = column.places + size
                size += column.size
            self._places[key] = columns, joined  # they live on, so that nobody else gets their ids
        return self._places[key][1]

    def _by_table(self) -> Sequence[_Part]:
        """Return what each table has of the entries, and which of them that are."""
        if self._parts is None:
            tables = [(number, np.flatnonzero(self._table == number)) for number in range(len(self._tables))]
            self._parts = [(self._tables[number].take(self._place[mine]), mine) for number, mine in tables if len(mine)]
        return self._parts


def _entries(table: Table) -> Callable[[int], Entry]:
    assert not isinstance(table, SettledTable), "only the columns that were asked for are here"
    return table.entry


class Piece(Protocol[T_co]):
    """Some of what a query gives, in order; made when it is iterated."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[T_co]: ...
    def spot(self, at: int) -> Spot: ...
    def part(self, start: int, stop: int) -> Piece[T_co]: ...
    def made(self, start: int, stop: int) -> Sequence[T_co]: ...


class TablePiece(Struct, Generic[T]):
    """Entries that are here."""

    run: Run
    order: Order
    make: Callable[[Entry], T]

    def __len__(self) -> int:
        return len(self.run)

    def __iter__(self) -> Iterator[T]:
        return made_of(self.run, self.make)

    def spot(self, at: int) -> Spot:
        one = self.run.part(at, at + 1)
        return Spot(int(one.start_ns[0]), self.order, lambda _: one.place(0), at)

    def part(self, start: int, stop: int) -> TablePiece[T]:
        return TablePiece(self.run.part(start, stop), self.order, self.make)

    def made(self, start: int, stop: int) -> Sequence[T]:
        """Return what is made of elements [start, stop), all at once."""
        return list(made_at_once(self.run.part(start, stop), self.make))

    def rows(self) -> Iterator[RowPiece[T]]:
        """Yield what is made of the entries, in batches; the first are small: somebody may wait for them."""
        size, at = FIRST_ROWS, 0
        while at < len(self):
            run = self.run.part(at, at + size)
            places = [run.place(each) for each in range(len(run))]
            yield RowPiece(places, list(made_of(run, self.make)), self.order)
            size, at = min(2 * size, BATCH_ROWS), at + size


class RowPiece(Struct, Generic[T]):
    """What was made elsewhere."""

    places: Sequence[Place]
    values: Sequence[T]
    order: Order

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[T]:
        return iter(self.values)

    def spot(self, at: int) -> Spot:
        return Spot.of(self.places[at], self.order)

    def part(self, start: int, stop: int) -> RowPiece[T]:
        return RowPiece(self.places[start:stop], self.values[start:stop], self.order)

    def made(self, start: int, stop: int) -> Sequence[T]:
        return self.values[start:stop]


def merge_tables(
    units: Sequence[tuple[Spot, Callable[[], Table]]], order: Order, make: Callable[[Entry], T]
) -> Iterator[TablePiece[T] | Spot]:
    """Yield the entries of all tables in order, and before each is loaded, its bound: all before that was yielded.

    `units` are (bound, how to load the table), sorted by bound; each table is in order, and nothing in it lies before
    its bound.
    """
    waiting: list[Table] = []
    for bound, load in units:
        ready, waiting = _parted(waiting, bound)
        if len(ready):
            yield TablePiece(in_order(ready, order), order, make)
        yield bound
        waiting.append(load())
    yield TablePiece(in_order(waiting, order), order, make)


def _parted(tables: Sequence[Table], bound: Spot) -> tuple[list[Table], list[Table]]:
    """Split tables into (what surely comes before the bound: by its time, what is left)."""
    sign = 1 if bound.order == "asc" else -1
    ready, rest = [], []
    for table in tables:
        stop = int(np.searchsorted(sign * table.start_ns, sign * bound.time_ns, side="left"))
        ready += [table.take(slice(0, stop))] if stop else []
        rest += [table.take(slice(stop, None))] if stop < len(table) else []
    return ready, rest


def in_order(tables: Sequence[Table], order: Order) -> Run:
    """Join tables that are each in order."""
    sizes = np.array(list(map(len, tables)), dtype=np.int64)
    table = np.repeat(np.arange(len(tables)), sizes)
    place = np.concatenate([np.arange(size) for size in sizes]) if tables else table
    if len(tables) < 2:
        return Run(tables, table, place)
    starts = np.concatenate([each.start_ns for each in tables])
    by_time = np.argsort(starts if order == "asc" else -starts, kind="stable")
    table, place, starts = table[by_time], place[by_time], starts[by_time]
    for low, high in _mixed_ties(starts, table):
        places = [tables[table[at]].place(int(place[at])) for at in range(low, high)]
        settled = low + np.array(
            sorted(range(high - low), key=places.__getitem__, reverse=order == "desc"), dtype=np.int64
        )
        table[low:high], place[low:high] = table[settled], place[settled]
    return Run(tables, table, place)


def _mixed_ties(starts: NDArray[Any], table: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of equal times in which more than one table has entries."""
    edges = np.flatnonzero(starts[1:] != starts[:-1]) + 1
    mixed = np.flatnonzero((starts[1:] == starts[:-1]) & (table[1:] != table[:-1]))
    for group in distinct(np.searchsorted(edges, mixed, side="right")).tolist():
        yield int(edges[group - 1]) if group else 0, int(edges[group]) if group < len(edges) else len(starts)
