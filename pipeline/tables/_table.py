"""The entries of some streams as rows of columns; an `Entry` is made when somebody looks at one.

A stream that a scanner took (core_capture/_messages) is dissected only for an entry that is looked at beyond its
columns: once, as a whole, by its protocol's dissector. Lists, counts and most filters never do.

1. A row is a scanned exchange, an entry that was made at once, or a connection; rows are by stream, then in order.
2. What a row answers is what its entry would: `value` and `entry(…).get` agree (tests/pipeline/tables/test_table.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from kubeshark.core_capture import EXCHANGE
from kubeshark.core_capture._groups import distinct
from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.dissection._scanned import (
    COMMON,
    OF_STREAMS,
    ScannedStreams,
    by_place,
    errors,
    filled,
)
from kubeshark.pipeline.dissectors import CONN, CONN_COLUMNS
from kubeshark.pipeline.entries._entry import LATE, Entry, protocol_name
from kubeshark.pipeline.entries._facts import Origin, StreamFacts
from kubeshark.pipeline.entries._order import Place
from kubeshark.pipeline.names._named import NAMED
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._select import Selection
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES
from kubeshark.pipeline.tables._column import Column
from kubeshark.pipeline.tables._groups import by_protocol
from kubeshark.pipeline.tables._ids import Ids, ids_of
from kubeshark.pipeline.tables._kinds import CONNECTION, MADE, Kinds
from kubeshark.pipeline.tables._lazy_entry import LazyEntry
from kubeshark.pipeline.tables._rows_shown import INTERLEAVING, SHOWN

__all__ = ["EntryTable", "Found", "Makers"]


NAMED_BY = ("src.ip", "dst.ip", "timestamp")
"""What `Names.value` goes by."""

NEVER = {"error": False, "elapsed_time": 0}
"""What a connection's own entry has none of: it is one event, and nothing was dissected for it."""

CARRYING_ON = INTERLEAVING
"""Dissectors whose messages may have an error in a stream without damage: a header named before the capture."""


class Makers(Struct):
    """How entries are made of streams, by their place in the selection."""

    dissect: Callable[[int, Binding], Sequence[Entry]]  # a scanned stream's entries, in order
    connect: Callable[[int], Entry]  # the connection's own
    facts: Callable[[int], StreamFacts]
    miss: Callable[[int, Found], Entry]  # a row that a scanner found, and its stream's dissector did not


class Found:
    """All entries of a selection. `stream`, `code` and `start_ns` have one element a row."""

    def __init__(
        self,
        origin: Origin,
        stream: NDArray[Any],
        code: NDArray[Any],
        start_ns: NDArray[Any],
        made: Sequence[Entry],
        selection: Selection | None = None,
        scanned: ScannedStreams | None = None,
        makers: Makers | None = None,
    ) -> None:
        self.origin = origin
        self.stream = stream  # place in the selection
        self.code = code  # >= 0: scanned exchange; CONNECTION; MADE and below
        self.start_ns = start_ns
        self.scanned = scanned
        self._made = made
        self._selection = selection
        self._probed = selection.probed if selection is not None else None
        self._makers = makers
        self._dissected: dict[int, Sequence[Entry]] = {}
        self._left: dict[int, int] = {}  # by stream dissected: its entries that no document was made of yet
        self._connections: dict[int, Entry] = {}
        self._facts: dict[int, StreamFacts] = {}
        self._columns: dict[tuple[int, str], list[Any] | None] = {}
        self._exchange_columns: dict[str, Sequence[list[Any]] | None] = {}  # of all protocols
        self._flows: NDArray[Any] | None = None
        self._ids: Ids | None = None
        self._kinds: Kinds | None = None

    @classmethod
    def of(cls, entries: Sequence[Entry], origin: Origin) -> Found:
        """Return entries that exist already."""
        count = len(entries)
        starts = np.fromiter((entry.start_ns for entry in entries), dtype=np.int64, count=count)
        return cls(origin, np.zeros(count, dtype=np.int64), MADE - np.arange(count), starts, entries)

    def entry(self, at: int) -> Entry:
        """Return the entry of a row."""
        code = int(self.code.item(at))
        return self._made[MADE - code] if code <= MADE else LazyEntry(self, at)

    def resolve(self, at: int) -> Entry:
        """Return the entry of a row with everything in it, dissected if need be."""
        code, stream = int(self.code.item(at)), int(self.stream.item(at))
        if code <= MADE:
            return self._made[MADE - code]
        assert self._makers is not None
        if code == CONNECTION:
            if stream not in self._connections:
                self._connections[stream] = self._makers.connect(stream)
            return self._connections[stream]
        dissected = self._dissected.get(stream)
        if dissected is None:
            dissected = self._dissected[stream] = self._makers.dissect(stream, self.binding(code))
            self._left[stream] = len(dissected)
        assert self.scanned is not None
        place = code - self.scanned.first[stream]
        return dissected[place] if place < len(dissected) else self._makers.miss(at, self)

    def document(self, at: int) -> dict[str, Any]:
        """Return the document of a row and keep nothing of it: exports look at each entry of a chunk once.

        A stream of which as many have been made as it has entries is let go: whoever looks again dissects it again.
        """
        made = self.resolve(at)
        if made.is_built:
            return made.to_dict()
        document = made.passing_document()
        made.unbuild()
        self.pass_by(at)
        return document

    def pass_by(self, at: int) -> None:
        """Take note that a row's entry was looked at for the last time."""
        stream = self.stream.item(at)
        if self.code.item(at) == CONNECTION:
            self._connections.pop(stream, None)
        elif stream in self._left:
            self._left[stream] -= 1
            if self._left[stream] <= 0:
                del self._left[stream], self._dissected[stream]

    def is_built(self, at: int) -> bool:
        """Say whether a row's entry has been built in full."""
        stream = self.stream.item(at)
        is_there = stream in (self._connections if self.code.item(at) == CONNECTION else self._dissected)
        return is_there and self.resolve(at).is_built

    def existing(self) -> Iterator[Entry]:
        """Yield the entries that have been made so far."""
        return chain(self._made, self._connections.values(), *self._dissected.values())

    def facts(self, at: int) -> StreamFacts:
        """Return what the entries of the row's stream share."""
        stream = self.stream.item(at)
        if stream not in self._facts:
            assert self._makers is not None
            self._facts[stream] = self._makers.facts(stream)
        return self._facts[stream]

    def binding(self, exchange: int) -> Binding:
        assert self.scanned is not None
        return self.scanned.bindings[self.scanned.number(exchange)]

    def protocol(self, exchange: int) -> ProtocolSpec:
        assert self.scanned is not None
        return self.scanned.spec(exchange)

    @property
    def ids(self) -> Ids:
        """The id of each row."""
        if self._ids is None:
            self._ids = ids_of(self.stream, self.code, self._made, self._selection, self.scanned)
        return self._ids

    @property
    def flows(self) -> NDArray[Any]:
        """The FLOW row of each stream."""
        if self._flows is None:
            assert self._selection is not None
            self._flows = self._selection.decoded.flows[self._selection.flows]
        return self._flows

    @property
    def times(self) -> NDArray[Any]:
        """Nanoseconds of each packet."""
        assert self._selection is not None
        times: NDArray[Any] = self._selection.decoded.packets["time_ns"]
        return times

    def value(self, at: int, name: str) -> Any:
        """Return a KFL variable of a row; without dissecting anything if its columns know it."""
        code = self.code.item(at)
        if code > MADE and (names := self.origin.names) is not None and name in NAMED:
            return names.value(name, *(self.value(at, key) for key in NAMED_BY))
        if code == CONNECTION and (of_connections := self.of_connections(name)) is not None:
            return of_connections[self.stream.item(at)]
        if code < 0 or self.scanned is None:
            return self.resolve(at).variables[name]
        number = self.scanned.number(code)
        column = self.column(number, name)
        if column is not None:
            return column[code - self.scanned.bounds[number]]
        return LATE[name](self.entry(at)) if name in LATE else self.resolve(at).variables[name]

    def read(self, rows: NDArray[Any], name: str) -> Column:
        """Return a KFL variable of many rows, or what `SHOWN` names."""
        if name in SHOWN:
            return Column.of(SHOWN[name](self, rows))
        kinds = self._kinds_of(rows)
        if (names := self.origin.names) is not None and name in NAMED and not len(kinds.made):
            keys = (self.read(rows, key).values() for key in NAMED_BY)
            return Column.of([names.value(name, *each) for each in zip(*keys, strict=True)])
        made = self._of_made(kinds.entries, name)
        if name == "timestamp":
            values: list[Any] = self.start_ns[rows].tolist()
            for place, value in zip(kinds.made.tolist(), made, strict=True):
                values[place] = value
            return Column.of(values)
        is_of_streams = name in OF_STREAMS  # of a connection and of its exchanges
        asked = kinds.lazy if is_of_streams else kinds.connections
        connections = self.of_connections(name) if len(asked) and self._selection is not None else []
        left = [] if connections is not None else asked.tolist()
        connections = [None] * len(self.flows) if connections is None else connections
        if is_of_streams:
            column = Column([made, connections], kinds.of_stream)
        else:
            known = self._known(name) if len(kinds.exchanges) else [[None] * self._exchanges]
            if known is None:
                left += kinds.exchanges.tolist()
                known = [[None] * self._exchanges]
            column = Column([made, *known, connections], kinds.place)
        if not left:
            return column
        values = column.values()
        for place in left:
            values[place] = self.value(int(rows[place]), name)
        return Column.of(values)

    def _of_made(self, places: Sequence[int], name: str) -> list[Any]:
        """Return a KFL variable of entries that exist; most have the default of most."""
        variables = [self._made[place].variables for place in places]
        if not self._has_default(name):
            return [each[name] for each in variables]
        default = self.origin.variables[name].default
        return [dict.get(each, name, default) for each in variables]

    def _has_default(self, name: str) -> bool:
        """Say whether an entry that was made without a variable has its default: nothing else tells it."""
        variable = self.origin.variables.get(name)
        is_told_late = name in LATE or name in NAMED or name.endswith("_total_size")
        if variable is None or is_told_late or variable.is_heavy:
            return False
        return not isinstance(variable.default, (list, dict))  # each entry has its own

    @property
    def _exchanges(self) -> int:
        """How many exchanges scanners found."""
        return len(self.scanned.place) if self.scanned is not None else 0

    def _kinds_of(self, rows: NDArray[Any]) -> Kinds:
        """Return which of these rows are what; for all columns of the same rows it is worked out once."""
        if self._kinds is None or self._kinds.rows is not rows:
            self._kinds = Kinds.of(rows, self.code, self.stream, self._exchanges)
        return self._kinds

    def _known(self, name: str) -> Sequence[list[Any]] | None:
        """Return a KFL variable of all exchanges, protocol by protocol; None if some must be dissected for it."""
        if name not in self._exchange_columns:
            columns = (
                [self.column(number, name) for number in range(len(self.scanned.bindings))] if self.scanned else []
            )
            known = [column for column in columns if column is not None]
            self._exchange_columns[name] = known if len(known) == len(columns) else None
        return self._exchange_columns[name]

    def of_connections(self, name: str) -> list[Any] | None:
        """Return a KFL variable of every stream's connection; None if they must be made for it."""
        if self.origin.names is not None and name in NAMED:
            return None
        key = CONNECTION, name
        if key not in self._columns:
            self._columns[key] = self._read_of_connections(name)
        return self._columns[key]

    def _read_of_connections(self, name: str) -> list[Any] | None:
        flows = self.flows
        streams = np.zeros(len(flows), dtype=EXCHANGE)
        streams["stream"] = np.arange(len(flows))
        variable = self.origin.variables.get(name)
        if name == "timestamp":
            values: list[Any] = flows["first_ns"].tolist()
            return values
        if name == "tls":
            return [False] * len(flows) if self._probed is None else self._probed.tolist()
        if name in OF_STREAMS:
            return COMMON[name](self, streams)
        if read := CONN_COLUMNS.get(name):
            return read(flows)
        if name in NEVER:
            return [NEVER[name]] * len(flows)
        if name == "protocol":
            return self._by_transport(lambda spec: protocol_name(spec) if spec else "")
        if any(name in spec.flags for spec in CONN.values()):
            return self._by_transport(lambda spec: spec is not None and name in spec.flags)
        said = any(name in spec.variables or name == f"{spec.flag}_total_size" for spec in CONN.values())
        if said or name in LATE or variable is None or variable.is_heavy:
            return None
        return [variable.default] * len(flows)

    def _by_transport(self, say: Callable[[ProtocolSpec | None], Any]) -> list[Any]:
        """Return, for every stream, what is said of its transport's connections; of each transport once."""
        transports = self.flows["transport"]
        said = np.empty(256, dtype=object)
        for number in distinct(transports).tolist():
            said[number] = say(CONN.get(TRANSPORT_NAMES.get(number, "ip")))
        values: list[Any] = said[transports].tolist()
        return values

    def column(self, number: int, name: str) -> list[Any] | None:
        """Return a KFL variable of all exchanges of one protocol; None if they must be dissected for it."""
        key = number, name
        if self.origin.names is not None and name in NAMED:
            return None
        if key not in self._columns:
            is_empty = self.scanned is not None and self.scanned.bounds[number] == self.scanned.bounds[number + 1]
            self._columns[key] = [] if is_empty else self._read(number, name)
        return self._columns[key]

    def _read(self, number: int, name: str) -> list[Any] | None:
        assert self.scanned is not None
        scanned, specs = self.scanned, self.scanned.specs[number]
        bounds = slice(scanned.bounds[number], scanned.bounds[number + 1])
        exchanges, places = scanned.found.exchanges[bounds], scanned.place[bounds]
        variable = self.origin.variables.get(name)
        if columns := scanned.columns[number].get(name):
            return filled(columns, scanned.found, exchanges, variable.default if variable else None)
        if common := COMMON.get(name):
            return common(self, exchanges)
        if name == "error" and scanned.bindings[number].plugin not in CARRYING_ON:
            return errors(scanned.found, exchanges, np.array([spec.matcher != "none" for spec in specs])[places])
        if name == "protocol":
            return by_place(places, list(map(protocol_name, specs)))
        if any(name in spec.flags for spec in specs):
            return by_place(places, [name in spec.flags for spec in specs])
        is_late = name in LATE or any(
            name in spec.variables or name == f"{spec.flag}_total_size" for spec in scanned.present[number]
        )
        if is_late or variable is None or variable.is_heavy:
            return None
        return [variable.default] * len(exchanges)  # no message of these protocols says it


class EntryTable(Sequence[Entry]):
    """Rows of a `Found`, in an order of their own: a sequence of entries, made one by one."""

    __slots__ = ("found", "rows")

    def __init__(self, found: Found, rows: NDArray[Any] | None = None) -> None:
        self.found = found
        self.rows: NDArray[Any] = np.arange(len(found.code)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> EntryTable: ...
    def __getitem__(self, at: int | slice) -> Entry | EntryTable:
        return self.take(at) if isinstance(at, slice) else self.entry(at)

    def entry(self, at: int) -> Entry:
        return self.found.entry(self.rows.item(at))

    def __iter__(self) -> Iterator[Entry]:
        return map(self.found.entry, self.rows.tolist())

    @property
    def start_ns(self) -> NDArray[Any]:
        """Times of the entries' first packets, i8."""
        times: NDArray[Any] = self.found.start_ns[self.rows]
        return times

    def take(self, places: NDArray[Any] | slice) -> EntryTable:
        """Return some of the entries, or all in another order."""
        return EntryTable(self.found, self.rows[places])

    def made(self) -> list[Entry]:
        """Return the entries with everything in them, for whoever changes them."""
        return list(map(self.found.resolve, self.rows.tolist()))

    def pass_by(self) -> None:
        """Let go of what was made to look at these entries, as nobody will again."""
        for row in self.rows.tolist():
            self.found.pass_by(row)

    def place(self, at: int) -> Place:
        row = self.rows.item(at)
        return (self.found.start_ns.item(row), *self.found.ids.place(row))

    def objects(self, name: str) -> list[Any]:
        """Return a KFL variable of these entries."""
        return self.column(name).values()

    def column(self, name: str) -> Column:
        """Return a KFL variable of these entries, not picked yet."""
        return self.found.read(self.rows, name)

    def ids(self) -> Ids:
        return self.found.ids.take(self.rows)

    def by_time_and_id(self) -> NDArray[Any]:
        """Return the places of the entries in the one order of entries."""
        ids = self.ids()
        return np.lexsort((ids.number, ids.flow, ids.segment, self.start_ns))

    def matching(self, decide: Callable[[ProtocolSpec], bool | None], matches: Callable[[Any], bool]) -> EntryTable:
        """Return the entries that match: what `decide` says of their protocol, else what `matches` says of a row."""
        found, codes = self.found, self.found.code[self.rows]
        keep = np.zeros(len(codes), dtype=np.bool_)
        for group in by_protocol(found, self.rows):
            answer = decide(group.spec)
            keep[group.places] = list(map(matches, group.each())) if answer is None else answer
        for place in np.flatnonzero(codes <= MADE).tolist():
            keep[place] = matches(found.resolve(int(self.rows[place])).variables)
        return self.take(keep)
