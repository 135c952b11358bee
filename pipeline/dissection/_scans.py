"""Which streams go to a scanner of the C core: those that its protocol would be the first to be asked about.

The rules are those of `_claim`, a column at a time: the lowest of the protocols whose classifiers name a stream by port
or by content, else the first of its transport that has a probe. A scanner that takes a stream says what the probe
would have said; one that does not leaves it to `_claim`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from importlib import import_module
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from kubeshark.core_capture import SCANNERS, Assembled
from kubeshark.extension_api import Classifier, ProtocolSpec
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.dissectors import Column, Columns
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES

__all__ = ["Scanners"]

WORD = 8  # bytes of a head that are compared at once
MAX_HEAD = 31 * WORD  # the core counts them in a byte
SIDES = {"client": slice(0, 1), "server": slice(1, 2), "any": slice(0, 2)}
BEHIND = {"http2": "http"}
"""A scanner → that of the protocol asked before it, of whose streams it knows, too, when its probe says no."""
INSIDE = {"http": ("ws",)}
"""A scanner → flags of protocols of other plugins that it reads inside its own, behind those of its own plugin."""
NOBODY = np.iinfo(np.int32).max
TRANSPORTS = ("tcp", "udp", "icmp")
TRANSPORT_OF = np.array(
    [{name: at for at, name in enumerate(TRANSPORTS)}.get(TRANSPORT_NAMES.get(number, ""), -1) for number in range(256)]
)
"""By number in IP: the place in TRANSPORTS, -1 for others."""


class Scanners:
    """The scanners of some bindings, by place (the bindings are by priority)."""

    def __init__(self, bindings: Sequence[Binding]) -> None:
        self._bindings = bindings
        self._by_place: dict[int, str] = {}
        for place, binding in enumerate(bindings):
            flag = binding.protocol.flag
            if binding.is_builtin and flag in SCANNERS and flag not in self._by_place.values():
                self._by_place[place] = flag
        self._transports = [_Transport(name, bindings) for name in TRANSPORTS]
        self._of_place: dict[int, tuple[list[ProtocolSpec], dict[str, list[Column]]]] = {}

    def scan(self, streams: Assembled, without: Set[str] = frozenset()) -> ScannedStreams:
        """Run scanners over the streams that are their protocols' to claim, all but some protocols' by name."""
        places = np.where(streams.has_payload, self._first_asked(streams), NOBODY)
        chosen: list[tuple[str, NDArray[Any]]] = []
        asked: list[int] = []
        for place, name in self._by_place.items():
            if self._bindings[place].protocol.name in without:
                continue
            is_mine = places == place
            if name in BEHIND and (before := self._asked_before(place, BEHIND[name])) is not None:
                is_mine |= places == before
            mine = np.flatnonzero(is_mine)
            if len(mine):
                chosen.append((name, mine))
                asked.append(place)
        found = streams.scan(chosen)
        bounds = np.searchsorted(found.owner, np.arange(len(chosen) + 1)).tolist()
        read = list(map(self._specs_and_columns, asked))
        bindings = [self._bindings[place] for place in asked]
        return ScannedStreams(found, bindings, [columns for _, columns in read], bounds, [specs for specs, _ in read])

    def _specs_and_columns(self, place: int) -> tuple[list[ProtocolSpec], dict[str, list[Column]]]:
        if place not in self._of_place:
            specs = self._protocols_with(self._bindings[place])
            self._of_place[place] = specs, self._columns(self._bindings[place], specs)
        return self._of_place[place]

    def _asked_before(self, place: int, flag: str) -> int | None:
        """Return the place of the protocol with this flag, if none but its own plugin's probes come between."""
        before = next((at for at, name in self._by_place.items() if name == flag and at < place), None)
        if before is None or any(each.plugin != self._bindings[before].plugin for each in self._bindings[before:place]):
            return None
        return before

    def _protocols_with(self, binding: Binding) -> list[ProtocolSpec]:
        """Return a binding's protocol, the others of its plugin, and those inside: a message may be of any of them."""
        others = [each.protocol for each in self._bindings if each.plugin == binding.plugin and each is not binding]
        inside = INSIDE.get(binding.protocol.flag, ())
        return [
            *(binding.protocol, *others),
            *(each.protocol for each in self._bindings if each.is_builtin and each.protocol.flag in inside),
        ]

    def _columns(self, binding: Binding, specs: Sequence[ProtocolSpec]) -> dict[str, list[Column]]:
        """Return what its messages say, and those of protocols inside, of which each speaks for itself."""
        inside = INSIDE.get(binding.protocol.flag, ())
        columns = {
            name: [replace(column, protocol=0) if inside else column] for name, column in _columns_of(binding).items()
        }
        for place, spec in enumerate(specs):
            if spec.flag in inside:
                other = next(each for each in self._bindings if each.protocol is spec)
                for name, column in _columns_of(other).items():
                    columns.setdefault(name, []).append(replace(column, protocol=place))
        return columns

    def _first_asked(self, streams: Assembled) -> NDArray[Any]:
        """Return the place of the protocol that each stream is offered to first, NOBODY for some without a scanner."""
        places = np.full(len(streams.flows), NOBODY, dtype=np.int32)
        transports = TRANSPORT_OF[streams.decoded.flows["transport"][streams.flows]]
        for number, transport in enumerate(self._transports):
            mine = np.flatnonzero(transports == number)
            if len(mine):
                places[mine] = transport.first_asked(mine, streams)
        return places


class _Transport:
    """The claims of all protocols on streams of one transport."""

    def __init__(self, name: str, bindings: Sequence[Binding]) -> None:
        self._by_port = np.full(1 << 16, NOBODY, dtype=np.int32)
        by_content: list[tuple[int, Classifier]] = []
        self._probed = NOBODY
        for place, binding in enumerate(bindings):
            classifiers = [each for each in binding.protocol.classifiers if each.transport == name]
            for classifier in classifiers:
                ports = list(classifier.ports)  # where a prefix must match, too: whoever is named by less is asked
                self._by_port[ports] = np.minimum(self._by_port[ports], place)
                if not ports and classifier.prefix:
                    by_content.append((place, classifier))
            if binding.probe and self._probed == NOBODY and name in binding.protocol.carriers:
                self._probed = place
        self._first_by_content = min((place for place, _ in by_content), default=NOBODY)
        longest = max((each.offset + len(each.prefix) for _, each in by_content), default=0)
        self._words = -(-longest // WORD)
        self._is_too_long = longest > MAX_HEAD
        self._prefixes = [_Prefix.of(place, classifier) for place, classifier in reversed(by_content)]

    def first_asked(self, numbers: NDArray[Any], streams: Assembled) -> NDArray[Any]:
        """Return a place for each of the streams with these numbers."""
        if self._is_too_long:  # no built-in looks so far
            return np.full(len(numbers), NOBODY, dtype=np.int32)
        rows, table = streams.flows[numbers], streams.decoded.flows
        places: NDArray[Any] = np.minimum(self._by_port[table["port_a"][rows]], self._by_port[table["port_b"][rows]])
        left = np.flatnonzero(places > self._first_by_content)  # the ports of the others have decided
        if len(left):
            places[left] = np.minimum(places[left], self._by_content(numbers[left], streams))
        return np.where(places == NOBODY, np.int32(self._probed), places)

    def _by_content(self, numbers: NDArray[Any], streams: Assembled) -> NDArray[Any]:
        """Return the first place that the content of each of these streams names, NOBODY where it names none."""
        heads, lengths = (each[numbers] for each in streams.heads(self._words * WORD))
        words = np.ascontiguousarray(heads.view("<u8").T)  # (words, sides, streams): all of a word lie together
        places = np.full((2, len(numbers)), NOBODY, dtype=np.int32)
        for prefix in self._prefixes:  # the first place is written last
            begins = prefix.begins(words)
            if begins.any():
                begins &= lengths.T[prefix.sides] >= prefix.end  # zeros behind a head may look like a prefix
                places[prefix.sides][begins] = prefix.place
        first: NDArray[Any] = places.min(axis=0)
        return first


class _Prefix(Struct, frozen=True):
    """A classifier's prefix as bits of the words of a head."""

    place: int
    sides: slice  # of (client, server)
    end: int  # bytes that a head must have
    bits: Sequence[tuple[int, np.uint64, np.uint64]]  # (word, which of its bits, what they are)

    @classmethod
    def of(cls, place: int, classifier: Classifier) -> _Prefix:
        end = classifier.offset + len(classifier.prefix)
        masks = _words(bytes(classifier.offset) + b"\xff" * len(classifier.prefix))
        values = _words(bytes(classifier.offset) + classifier.prefix)
        bits = [(at, mask, value) for at, (mask, value) in enumerate(zip(masks, values, strict=True)) if mask]
        return cls(place, SIDES[classifier.side], end, bits)

    def begins(self, words: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each head on its sides whether it has these bits; `words` are (words, sides, streams) u8."""
        (at, mask, value), *others = self.bits
        begins: NDArray[np.bool_] = words[at, self.sides] & mask == value
        for at, mask, value in others:
            begins &= words[at, self.sides] & mask == value
        return begins


def _words(head: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(head + bytes(-len(head) % WORD), dtype="<u8")


def _columns_of(binding: Binding) -> Columns:
    columns: Columns = import_module(binding.plugin).COLUMNS
    return columns
