"""Messages of foreign plugins as rows of columns: what scanners of the C core are for built-in protocols.

A plugin's result stays as it was checked; its messages are placed, ordered and paired as `_matcher.pair` does, without
an object each. Streams with gaps, lost bytes or messages that have an error are left out: those become entries at once.
Invariant: the rows of a stream are the entries that its messages would be (test_plugin_rows.py).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import EXCHANGE, MESSAGE, NO_MESSAGE, Scanned
from kubeshark.core_capture._groups import distinct
from kubeshark.extension_api import MessageKind
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.dissectors import Column
from kubeshark.pipeline.kfl._variables import default_of
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._streams import FlowSide, FlowStream

if TYPE_CHECKING:
    from kubeshark.hosts._answered import Answer, Answered, AnsweredItem
    from kubeshark.hosts._feed import Taken

__all__ = ["PluginRows", "joined", "rows_of"]

_SAID = np.dtype(  # as in a result frame: docs/adr/0003-batch-abi.md
    [
        ("item", "<u4"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("fields", "<u2"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("key", "<u8"),
        ("first", "<u4"),
        ("zero", "<u4"),
    ]
)
_FIELD = np.dtype([("number", "<u2"), ("type", "u1"), ("zero", "u1"), ("zeros", "<u4"), ("raw", "<u8")])
_ITEM = np.dtype([("stream", "<i4"), ("direction", "u1"), ("datagram", "<u4"), ("start", "<u4")])
ONE_WAY, HAS_ERROR, INTERIM = 1, 2, 4
IS_ONE_WAY, IS_INTERIM = 1, 2  # bits of MESSAGE
REQUEST, EVENT = int(MessageKind.REQUEST), int(MessageKind.EVENT)
NOBODY = -1
Items = Sequence[tuple["Taken", "AnsweredItem"]]


@dataclass(eq=False)
class PluginRows:
    """Rows of one plugin's messages, as a scanner's; their streams are places in the selection."""

    binding: Binding
    answered: dict[int, Answered]  # by stream: all of those that have rows
    messages: NDArray[Any]  # MESSAGE
    exchanges: NDArray[Any]  # EXCHANGE
    answers: Sequence[Answer]
    fields: NDArray[Any]  # _FIELD of all answers
    bounds: NDArray[Any]  # where each answer's fields begin
    owner: NDArray[Any]  # the message of each field, NOBODY for those of streams that have no rows
    items: NDArray[Any]  # the item of each field, in its answer

    def columns(self, base: int) -> dict[str, list[Column]]:
        """Return what reads the variables, where the messages lie from row `base` on."""
        exchange = np.zeros(len(self.messages), dtype=np.int64)
        for half in ("event", "response", "request"):
            rows = self.exchanges[half]
            exchange[rows[rows != NO_MESSAGE]] = np.flatnonzero(rows != NO_MESSAGE)
        (said, *_) = self.answered.values()

        def column(name: str, number: int) -> Column:
            halves = ("request", "response", "event")
            return Column(lambda _, rows: self._read(name, number, exchange[rows.astype(np.int64) - base]), halves)

        return {name: [column(name, number)] for number, (name, _) in enumerate(said.fields) if name}

    def _read(self, name: str, number: int, exchanges: NDArray[Any]) -> list[Any]:
        """Return a variable of these exchanges: what the first of their halves that says it says."""
        said = np.full(len(self.messages) + 1, NOBODY, dtype=np.int64)  # the last one is nobody's
        fields = np.flatnonzero((self.fields["number"] == number) & (self.owner != NOBODY))
        said[self.owner[fields]] = fields
        places = np.full(len(exchanges), NOBODY, dtype=np.int64)
        for half in ("request", "response", "event"):
            rows = np.minimum(self.exchanges[half][exchanges], len(self.messages))
            places = np.where(places == NOBODY, said[rows], places)
        default = default_of(self.binding.protocol.variables[name])
        values = np.empty(len(places), dtype=object)
        values[:] = [default] * len(places)
        answers = np.searchsorted(self.bounds, places, side="right") - 1
        for at in distinct(answers[places != NOBODY]).tolist():
            mine = np.flatnonzero((answers == at) & (places != NOBODY))
            rows = places[mine]
            read = self.answers[at].columns.values((rows - self.bounds[at]).tolist(), self.items[rows].tolist())
            values[mine] = np.fromiter(read, dtype=object, count=len(mine))
        whole: list[Any] = values.tolist()
        return whole


def rows_of(
    binding: Binding, places: Sequence[int], streams: Sequence[FlowStream], answered: Sequence[Answered]
) -> PluginRows | None:
    """Return the rows of the streams whose messages need no objects; `places` are theirs in the selection."""
    lying: dict[int, tuple[Answer, Any]] = {}
    for number, (stream, of_stream) in enumerate(zip(streams, answered, strict=True)):
        items = of_stream.items()
        if items is None or any(side.gaps or len(side.data) >= NO_MESSAGE for side in stream.sides):
            continue
        for (direction, datagram, start, _), (answer, item) in items:
            if id(answer) not in lying:
                where = np.zeros(len(answer.consumed), dtype=_ITEM)
                where["stream"] = NOBODY
                lying[id(answer)] = answer, where
            lying[id(answer)][1][item] = number, direction, datagram, start
    if not lying:
        return None
    answers = [answer for answer, _ in lying.values()]
    raw = [np.frombuffer(answer.columns.messages, dtype=_SAID) for answer in answers]
    fields = [np.frombuffer(answer.columns.fields, dtype=_FIELD) for answer in answers]
    where = np.concatenate([items[rows["item"]] for rows, (_, items) in zip(raw, lying.values(), strict=True)])
    said = np.concatenate(raw)
    has_error = np.zeros(len(streams) + 1, dtype=np.bool_)  # the last one is nobody's
    has_error[where["stream"][said["flags"] & HAS_ERROR != 0]] = True
    has_error[NOBODY] = True
    kept = np.flatnonzero(~has_error[where["stream"]])
    messages = _placed(said[kept], where[kept], streams)
    order = np.lexsort((messages["start"], messages["place"], messages["stream"]))
    row = np.full(len(said), NOBODY, dtype=np.int64)
    row[kept[order]] = np.arange(len(kept))
    owner = np.repeat(np.arange(len(said)), said["fields"])  # fields lie in the order of their messages
    messages = messages[order]
    exchanges = _paired(messages, binding.protocol.matcher)
    numbers = distinct(exchanges["stream"]).tolist()  # a lone interim response is none: its stream has no rows
    if not numbers:
        return None
    for part in (messages, exchanges):
        part["stream"] = np.asarray(places, dtype=np.uint32)[part["stream"]]
    return PluginRows(
        binding,
        {places[number]: answered[number] for number in numbers},
        messages,
        exchanges,
        answers,
        np.concatenate(fields),
        np.cumsum([0, *map(len, fields)])[:-1],
        row[owner],
        said["item"][owner],
    )


def _placed(said: NDArray[Any], where: NDArray[Any], streams: Sequence[FlowStream]) -> NDArray[Any]:
    """Return messages with their place in the stream, in capture order, and the packets they lie in."""
    messages = np.zeros(len(said), dtype=MESSAGE)
    for name in ("stream", "direction"):
        messages[name] = where[name]
    for name in ("kind", "key"):
        messages[name] = said[name]
    for name in ("start", "end"):
        messages[name] = said[name] + where["start"]
    messages["bits"] = (said["flags"] & ONE_WAY != 0) * IS_ONE_WAY + (said["flags"] & INTERIM != 0) * IS_INTERIM
    numbers = distinct(messages["stream"]).tolist()
    by_stream = np.argsort(messages["stream"], kind="stable")
    bounds = np.searchsorted(messages["stream"][by_stream], [*numbers, len(streams)])
    for number, low, high in zip(numbers, bounds, bounds[1:], strict=False):
        mine = by_stream[low:high]
        stream = streams[number]
        if not stream.sides:
            places = where["datagram"][mine]
            messages["place"][mine] = places
            messages["packet"][mine] = messages["last_packet"][mine] = stream.packets_of(places)
            continue
        for direction, side in enumerate(stream.flow_sides):
            its = mine[messages["direction"][mine] == direction]
            start, end = messages["start"][its].astype(np.int64), messages["end"][its].astype(np.int64)
            messages["packet"][its] = messages["place"][its] = _packets(side, start)
            messages["last_packet"][its] = _packets(side, np.maximum(end - 1, start))
    return messages


def _packets(side: FlowSide, offsets: NDArray[Any]) -> NDArray[Any]:
    """Do what `FlowSide.packet_at` does."""
    starts, packets = side.direction.chunk_starts, side.direction.chunk_packets
    at = np.maximum(np.searchsorted(starts, offsets, side="right") - 1, 0)
    found: NDArray[Any] = packets[at]
    return found


def _paired(messages: NDArray[Any], matcher: str) -> NDArray[Any]:
    """Return the exchanges of messages in order, by the rules of `_matcher.pair`."""
    found: list[list[int]] = []
    waiting: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
    columns = (messages[name].tolist() for name in ("stream", "kind", "key", "bits"))
    by_key = matcher == "key"
    for row, (stream, kind, key, bits) in enumerate(zip(*columns, strict=True)):
        lane = stream, key if by_key else 0
        if kind == EVENT:
            found.append([stream, NO_MESSAGE, NO_MESSAGE, row])
        elif kind == REQUEST:
            if matcher != "none" and not bits & IS_ONE_WAY:
                waiting[lane].append(len(found))
            found.append([stream, row, NO_MESSAGE, NO_MESSAGE])
        elif matcher != "none" and waiting[lane]:
            if not bits & IS_INTERIM:
                found[waiting[lane].popleft()][2] = row
        elif matcher == "none" or not bits & IS_INTERIM:
            found.append([stream, NO_MESSAGE, row, NO_MESSAGE])
    table = np.array(found, dtype=np.uint32).reshape(-1, 4)
    exchanges = np.empty(len(table), dtype=EXCHANGE)
    for at, name in enumerate(EXCHANGE.names or ()):
        exchanges[name] = table[:, at]
    return exchanges


def joined(scanned: ScannedStreams | None, plugins: Sequence[PluginRows], streams: int) -> ScannedStreams | None:
    """Return the rows of scanners, those of plugins behind them."""
    if not plugins:
        return scanned
    messages = [scanned.found.messages] if scanned else []
    exchanges = [scanned.found.exchanges] if scanned else []
    owners = [scanned.found.owner] if scanned else []
    bindings, columns, specs, bounds = (
        (list(scanned.bindings), list(scanned.columns), list(scanned.specs), list(scanned.bounds))
        if scanned
        else ([], [], [], [0])
    )
    taken = scanned.found.taken.copy() if scanned else np.zeros(streams, dtype=np.bool_)
    for rows in plugins:
        base = sum(map(len, messages))
        moved = rows.exchanges.copy()
        for half in ("request", "response", "event"):
            moved[half] = np.where(moved[half] == NO_MESSAGE, NO_MESSAGE, moved[half] + np.uint32(base))
        columns.append(rows.columns(base))
        messages.append(rows.messages)
        exchanges.append(moved)
        owners.append(np.full(len(moved), len(bindings)))
        bindings.append(rows.binding)
        specs.append([rows.binding.protocol])
        bounds.append(bounds[-1] + len(moved))
        taken[list(rows.answered)] = True
    found = Scanned(
        np.concatenate(messages),
        np.concatenate(exchanges),
        scanned.found.text if scanned else b"",
        np.concatenate(owners),
        taken,
    )
    return ScannedStreams(found, bindings, columns, bounds, specs)
