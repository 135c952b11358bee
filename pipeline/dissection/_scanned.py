"""What scanners took, and the variables of its exchanges that no protocol needs to be asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture import NO_MESSAGE, ROW, Scanned
from kubeshark.core_capture._groups import Groups
from kubeshark.extension_api import ProtocolSpec
from kubeshark.pipeline.dissectors import Column, MessageRow
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES, address_text

if TYPE_CHECKING:
    from kubeshark.pipeline.tables._table import Found

__all__ = ["COMMON", "OF_STREAMS", "ScannedStreams", "by_place", "errors", "filled", "message_bytes"]

ONE_WAY = 1  # a bit of a scanned message: it has no answer by design


@dataclass(slots=True)
class ScannedStreams:
    """What the scanners took: exchanges [bounds[i], bounds[i + 1]) are of bindings[i], whose columns are columns[i].

    Each of them belongs to one of specs[i], the protocols of that plugin: HTTP/2 or gRPC.
    """

    found: Scanned
    bindings: Sequence[Binding]
    columns: Sequence[Mapping[str, Sequence[Column]]]
    bounds: Sequence[int]
    specs: Sequence[Sequence[ProtocolSpec]]
    first_message: NDArray[Any] = field(init=False)  # of each exchange
    place: NDArray[Any] = field(init=False)  # of each exchange's protocol in its specs: that of its first message
    present: Sequence[Sequence[ProtocolSpec]] = field(init=False)  # those of specs[i] that have exchanges
    first: dict[int, int] = field(init=False)  # by stream: its first exchange; the others follow
    _begins: list[int] = field(init=False)  # the first exchange of each stream, and how many there are of all
    _rows: memoryview | None = None  # messages as bytes

    def __post_init__(self) -> None:
        self.first_message = _first_message(self.found.exchanges)
        self.place = self.found.messages["protocol"][self.first_message]
        self.present = []
        for specs, start, stop in zip(self.specs, self.bounds, self.bounds[1:], strict=False):
            counts = np.bincount(self.place[start:stop], minlength=len(specs)).tolist()
            self.present.append([spec for spec, count in zip(specs, counts, strict=True) if count])
        streams = self.found.exchanges["stream"]
        is_first = np.ones(len(streams), dtype=np.bool_)
        is_first[1:] = streams[1:] != streams[:-1]
        begins = np.flatnonzero(is_first)
        self._begins = [*begins.tolist(), len(streams)]
        self.first = dict(zip(streams[begins].tolist(), self._begins, strict=False))

    def number(self, exchange: int) -> int:
        """Return the place in `bindings` of the protocol an exchange belongs to."""
        return bisect_right(self.bounds, exchange) - 1

    def spec(self, exchange: int) -> ProtocolSpec:
        """Return the protocol of an exchange."""
        return self.specs[self.number(exchange)][int(self.place.item(exchange))]

    def halves(self, stream: int) -> list[tuple[MessageRow | None, ...]]:
        """Return the (request, response, event) of each exchange of a stream that was taken."""
        exchanges = self.found.exchanges[self._exchanges_of(stream)].tolist()
        if self._rows is None:
            self._rows = self.found.messages.view(np.uint8).data
        read, rows, size = ROW.unpack_from, self._rows, ROW.size
        return [
            tuple(None if number == NO_MESSAGE else read(rows, number * size) for number in numbers)
            for _, *numbers in exchanges
        ]

    def by_protocol(self) -> Iterator[tuple[ProtocolSpec, NDArray[Any]]]:
        """Yield each protocol with its exchanges, ascending."""
        for specs, start, stop in zip(self.specs, self.bounds, self.bounds[1:], strict=False):
            places = self.place[start:stop]
            for place, spec in enumerate(specs):
                if len(mine := np.flatnonzero(places == place)):
                    yield spec, start + mine

    def wanted(self, wants: Callable[[ProtocolSpec], bool] | None) -> NDArray[Any]:
        """Return the exchanges of protocols that are asked for."""
        if wants is None:
            return np.arange(len(self.place))
        return np.sort(np.concatenate([np.arange(0), *(each for spec, each in self.by_protocol() if wants(spec))]))

    def detected(self, stream: int) -> list[ProtocolSpec]:
        """Return the protocols of a stream that was taken: the dissector's, then those inside."""
        if stream not in self.first:
            return []
        number = self.number(self.first[stream])
        mine = set(self.place[self._exchanges_of(stream)].tolist())
        own = self.bindings[number]
        inside = [
            spec for place, spec in enumerate(self.specs[number]) if spec.name != own.protocol.name and place in mine
        ]
        return [own.protocol, *inside]

    @property
    def first_packets(self) -> NDArray[Any]:
        """The packet that brought the first byte of each exchange."""
        packets: NDArray[Any] = self.found.messages["packet"][self.first_message]
        return packets

    def start_times(self, times: NDArray[Any]) -> NDArray[Any]:
        """Return the time of the first packet of each exchange, i8; `times` are those of the packets."""
        starts: NDArray[Any] = times[self.first_packets].astype(np.int64)
        return starts

    def _exchanges_of(self, stream: int) -> slice:
        first = self.first[stream]
        return slice(first, self._begins[bisect_right(self._begins, first)])


def by_place(places: NDArray[Any], values: Sequence[Any]) -> list[Any]:
    """Return the value of each exchange's protocol."""
    return [values[place] for place in places.tolist()]


def filled(columns: Sequence[Column], scanned: Scanned, exchanges: NDArray[Any], default: Any) -> list[Any]:
    """Let the first column and half that is there say each value."""
    values = [default] * len(exchanges)
    places = np.arange(len(exchanges))
    for column in columns:
        for half in column.halves:
            messages = exchanges[half][places]
            is_there = messages != NO_MESSAGE
            if column.protocol is not None:
                is_there[is_there] = scanned.messages["protocol"][messages[is_there]] == column.protocol
            if is_there.all() and len(places) == len(values):
                return column.read(scanned, messages)
            for place, value in zip(places[is_there].tolist(), column.read(scanned, messages[is_there]), strict=True):
                values[place] = value
            places = places[~is_there]
    return values


def _first_message(exchanges: NDArray[Any]) -> NDArray[Any]:
    """Return the message of each exchange that came first: its request, its lone response, its event."""
    lone = np.where(exchanges["request"] == NO_MESSAGE, exchanges["response"], NO_MESSAGE)
    first: NDArray[Any] = np.minimum(np.minimum(exchanges["request"], exchanges["event"]), lone)
    return first


def message_bytes(scanned: Scanned, exchanges: NDArray[Any]) -> NDArray[Any]:
    """Return the bytes of all messages of each exchange."""
    lengths = np.append(scanned.messages["end"] - scanned.messages["start"], 0).astype(np.int64)
    missing = len(scanned.messages)  # the last one is nobody's
    total = np.zeros(len(exchanges), dtype=np.int64)
    for half in ("request", "response", "event"):
        total += lengths[np.minimum(exchanges[half], missing)]
    return total


def _elapsed(found: Found, exchanges: NDArray[Any]) -> list[Any]:
    """Microseconds from a request's first packet to its response's last."""
    assert found.scanned is not None
    messages, times = found.scanned.found.messages, found.times
    both = (exchanges["request"] != NO_MESSAGE) & (exchanges["response"] != NO_MESSAGE)
    begun = times[messages["packet"][exchanges["request"][both]]].astype(np.int64)
    ended = times[messages["last_packet"][exchanges["response"][both]]].astype(np.int64)
    elapsed = np.zeros(len(exchanges), dtype=np.int64)
    elapsed[both] = np.maximum(ended - begun, 0) // 1000
    values: list[Any] = elapsed.tolist()
    return values


def errors(scanned: Scanned, exchanges: NDArray[Any], is_paired: NDArray[np.bool_]) -> list[Any]:
    """Say which exchanges lack a half that somebody would have sent: a stream that was taken has no other damage."""
    lone = np.where(exchanges["request"] == NO_MESSAGE, exchanges["response"], exchanges["request"])
    is_half = (exchanges["request"] == NO_MESSAGE) != (exchanges["response"] == NO_MESSAGE)
    is_expected = np.append(scanned.messages["bits"] & ONE_WAY == 0, False)[np.minimum(lone, len(scanned.messages))]
    values: list[Any] = (is_half & is_expected & is_paired & (exchanges["event"] == NO_MESSAGE)).tolist()
    return values


def _address(end: int) -> Callable[[Found, NDArray[Any]], list[Any]]:
    """Read addresses, of the client (0) or the server (1); each address is written out once."""

    def read(found: Found, exchanges: NDArray[Any]) -> list[Any]:
        flows = found.flows
        is_b = (flows["client"] == 0) == bool(end)
        keys = np.empty((len(flows), 17), dtype=np.uint8)
        keys[:, :16] = np.where(is_b[:, None], flows["b"], flows["a"])
        keys[:, 16] = flows["ip_version"]
        addresses = Groups(keys.view("V17").reshape(-1))
        texts = [address_text(raw[:16], raw[16]) for raw in map(bytes, addresses.known.tolist())]
        return [texts[at] for at in addresses.number[exchanges["stream"]].tolist()]

    return read


def _port(end: int) -> Callable[[Found, NDArray[Any]], list[Any]]:
    def read(found: Found, exchanges: NDArray[Any]) -> list[Any]:
        flows = found.flows
        is_b = (flows["client"] == 0) == bool(end)
        values: list[Any] = np.where(is_b, flows["port_b"], flows["port_a"])[exchanges["stream"]].tolist()
        return values

    return read


def _starts(found: Found, exchanges: NDArray[Any]) -> list[Any]:
    assert found.scanned is not None
    values: list[Any] = found.times[found.scanned.found.messages["packet"][_first_message(exchanges)]].tolist()
    return values


def _transports(found: Found, exchanges: NDArray[Any]) -> list[Any]:
    numbers = found.flows["transport"][exchanges["stream"]].tolist()
    return [TRANSPORT_NAMES.get(number, "ip") for number in numbers]


COMMON: Mapping[str, Callable[[Found, NDArray[Any]], list[Any]]] = {
    "timestamp": _starts,
    "src.ip": _address(0),
    "src.port": _port(0),
    "dst.ip": _address(1),
    "dst.port": _port(1),
    "transport": _transports,
    "tls": lambda _found, exchanges: [False] * len(exchanges),  # scanned as it was captured
    "elapsed_time": _elapsed,
}
"""Variables that every entry has, of exchanges."""

OF_STREAMS = frozenset({"src.ip", "src.port", "dst.ip", "dst.port", "transport", "tls"})
"""Those of them that are the stream's."""
