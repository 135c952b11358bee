"""The dissect stage: decoded flows in, entries out.

1. reassemble (core)  2. scan what is plain (_scans): those streams become rows, and are dissected when one is looked at
3. claim (_claim)  4. dissect, one call a protocol, and again for what was handed over
5. raw entries for what nobody took  6. pair  7. number  8. the connection's own entry

Nothing is kept between calls, so the same packets give the same entries, in a query and in `show`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kubeshark.core_capture import Assembled, Core, FlowStreams
from kubeshark.errors import PluginError
from kubeshark.extension_api import CLIENT, Handover, Message, MessageKind, ProtocolSpec, StreamSide
from kubeshark.pipeline._budget import go_on
from kubeshark.pipeline.dissection._claim import Claims, has_payload
from kubeshark.pipeline.dissection._exchanges import Exchanges, Numbering, connection_entry
from kubeshark.pipeline.dissection._matcher import Exchange, Timed
from kubeshark.pipeline.dissection._plugin_rows import PluginRows, joined, rows_of
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.dissection._scans import Scanners
from kubeshark.pipeline.dissectors import CONN
from kubeshark.pipeline.enrichment._enrich import EnricherBinding
from kubeshark.pipeline.entries._entry import Entry, EntryError
from kubeshark.pipeline.entries._facts import Origin, StreamFacts
from kubeshark.pipeline.plugins._bindings import ENCRYPTED, Binding
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.reading._select import Selection
from kubeshark.pipeline.reading._streams import TRANSPORT_NAMES, FlowStream, InnerStream
from kubeshark.pipeline.tables._kinds import CONNECTION, MADE
from kubeshark.pipeline.tables._table import EntryTable, Found, Makers

if TYPE_CHECKING:
    from kubeshark.hosts._answered import Answered

__all__ = ["Dissector"]

MAX_MISSES = 100
"""Problems told of messages that only a scanner found; each of them is an entry with its error anyway."""

MAX_DEPTH = 6
"""Protocols inside each other: SMTP, TLS, … A proxy's CONNECT with TLS, HTTP/2 and WebSocket inside makes five."""


HAS_CONN = np.array([TRANSPORT_NAMES.get(number) in CONN for number in range(256)])
"""By number in IP: whether flows have an entry of their own."""

READ_STREAMS = 1_000
"""Streams that are looked up in the core's columns at once."""

ASKED_STREAMS = 64
"""Streams that a built-in dissector is given at once: in between somebody may have given up. Plugins get all."""

Wants = Callable[[ProtocolSpec], bool]


@dataclass(slots=True)
class _Layer:
    """A stream as one protocol reads it: the flow itself, or what was handed over from it."""

    root: int  # which flow
    stream: FlowStream
    forced: str = ""  # flag of the protocol that must read it
    outer: tuple[str, ...] = ()  # flags of the protocols around it
    found: list[tuple[Binding, list[Message]]] = field(default_factory=list)
    has_rows: Binding | None = None  # whose messages stay in columns


@dataclass(slots=True)
class Dissector:
    """The stage with its tools. `problems` collects what plugins did wrong; other entries are not affected."""

    core: Core
    plugins: Plugins
    problems: list[PluginError]
    origin: Origin
    decrypt: Callable[[FlowStream], Handover | None] | None = None
    enrichers: Sequence[EnricherBinding] = ()  # beside those of the plugins, and behind them
    go_on: Callable[[], None] = go_on  # raises Stop where nobody wants the chunk that is being worked on
    _scanners: Scanners = field(init=False)  # tables by port: once a query, not once a chunk
    _claims: Claims = field(init=False)  # likewise

    def __post_init__(self) -> None:
        self._scanners = Scanners(self.plugins.protocols.all)
        self._claims = Claims(self.plugins.protocols.all, self.problems, self._go_on)

    def _go_on(self) -> None:
        self.go_on()  # that of the chunk: others may have been set since the claims were made

    def entries(
        self, selection: Selection, *, with_conn: bool, wants: Wants | None = None, before: Sequence[Entry] = ()
    ) -> EntryTable:
        """Return the entries of the selected flows, by flow, then in order of capture, behind those of `before`.

        `wants` says whether messages of a protocol can be among the answers: streams of others may be left out.
        """
        wants = None if with_conn else wants
        streams = self.core.assemble(selection.decoded, selection.flows)
        opened = ENCRYPTED if self.decrypt else frozenset[str]()
        scanned = None
        if isinstance(streams, Assembled) and selection.probed is None:  # rows are of what was on the wire
            scanned = self._scanners.scan(streams, opened)
        work = _Work(self, selection, streams, scanned, is_open=selection.probed is None)
        left = range(len(streams)) if scanned is None else np.flatnonzero(~scanned.found.taken).tolist()
        entries = [(-1, entry) for entry in before] + list(work.dissect(left, wants))
        work.join()
        return work.table(entries, with_conn=with_conn, wants=wants)

    def layers(
        self, streams: Sequence[FlowStream], wants: Wants | None, keep: Callable[..., set[int]] | None = None
    ) -> Iterable[_Layer]:
        """Yield every stream, those handed over behind those that they came from; `keep` takes what can be rows."""
        level = [_Layer(at, stream) for at, stream in enumerate(streams)]
        for depth in range(MAX_DEPTH + 1):
            bindings = self._claims.claim(level) if depth < MAX_DEPTH else [None] * len(level)
            # ids count what was handed over, too
            below = self._dissect(level, bindings, None if depth else wants, None if depth else keep)
            yield from level
            if not below:
                return
            level = below

    def _dissect(
        self,
        level: Sequence[_Layer],
        claims: Sequence[Binding | None],
        wants: Wants | None,
        keep: Callable[..., set[int]] | None,
    ) -> list[_Layer]:
        """Fill in what each protocol finds, raw messages where nothing was found; return what was handed over."""
        below: list[_Layer] = []
        is_done = [False] * len(level)  # handed over, or taken by a protocol that nobody asked for
        by_binding: defaultdict[int, list[int]] = defaultdict(list)
        for at, binding in enumerate(claims):
            if binding is not None:
                by_binding[id(binding)].append(at)
        for binding in self.plugins.protocols.all:
            candidates = by_binding.get(id(binding))
            if candidates is None:
                continue
            mine = self._wanted(binding, candidates, level, wants)
            for at in candidates:
                is_done[at] = True  # what is not dissected now was not asked for
            asked = [level[at].stream for at in mine]
            if mine and keep and binding.answer:
                answered = binding.answer(asked)
                kept = keep(binding, mine, asked, answered)
                results: Sequence[Sequence[Any]] = [
                    () if at in kept else said.messages() for at, said in zip(mine, answered, strict=True)
                ]
                for at in kept:
                    level[at].has_rows = binding
            else:
                results = self.ask(binding, asked)
            for at, result in zip(mine, results, strict=True):
                handovers = self._take(level[at], binding, result)
                is_done[at] = bool(handovers)
                outer = (*level[at].outer, binding.protocol.flag)
                below += [
                    _Layer(level[at].root, InnerStream(level[at].stream, to), to.protocol, outer) for to in handovers
                ]
        for at, layer in enumerate(level):
            raw = self.plugins.protocols.fallbacks.get(layer.stream.transport)
            if (
                raw
                and not (layer.found or layer.has_rows or is_done[at])
                and has_payload(layer.stream)
                and _wants(raw, wants)
            ):
                layer.found.append((raw, list(self.ask(raw, [layer.stream])[0])))
        return below

    def ask(self, binding: Binding, streams: list[FlowStream]) -> Sequence[Sequence[Any]]:
        """Return one list of messages and handovers a stream; empty ones where the plugin failed."""
        if not streams:
            return ()
        self.go_on()
        if binding.is_builtin and len(streams) > ASKED_STREAMS:
            parts = (streams[at : at + ASKED_STREAMS] for at in range(0, len(streams), ASKED_STREAMS))
            return [result for part in parts for result in self.ask(binding, part)]
        try:
            results: Sequence[Sequence[Any]] = binding.dissect(protocol=binding.protocol, streams=streams)
        except PluginError as error:
            self.problems.append(error)
            return [()] * len(streams)
        return results

    def _take(self, layer: _Layer, binding: Binding, result: Iterable[Message | Handover]) -> list[Handover]:
        """Keep the messages of a result, return what it hands over."""
        messages: list[Message] = []
        handovers: list[Handover] = []
        for item in result:
            if isinstance(item, Handover):
                handovers.append(item)
            else:
                messages.append(item)
        if messages:
            layer.found.append((binding, messages))
        if binding.protocol.name in ENCRYPTED and self.decrypt and (opened := self.decrypt(layer.stream)):
            handovers.append(opened)
        return handovers

    def _wanted(
        self, binding: Binding, candidates: list[int], level: Sequence[_Layer], wants: Wants | None
    ) -> list[int]:
        """Return the streams of a protocol that can give entries asked for, themselves or by what is inside them."""
        if wants is None or any(map(wants, self.plugins.protocols.beside(binding))):
            return candidates
        inside = self.plugins.protocols.reached_from(binding, can_decrypt=self.decrypt is not None)
        if inside is not None and not any(map(wants, inside)):
            return []
        marks = binding.protocol.handover_marks
        return [at for at in candidates if not marks or _has_any(marks, level[at].stream)]


@dataclass(slots=True)
class _Work:
    """One selection: its streams, what was found in them, and how the rest is made."""

    dissector: Dissector
    selection: Selection
    streams: Sequence[FlowStreams]
    scanned: ScannedStreams | None
    detected: dict[int, list[str]] = field(default_factory=dict)  # protocols by stream, of those dissected
    plugins: list[PluginRows] = field(default_factory=list)
    is_open: bool = True  # rows may still be added
    _facts: dict[int, StreamFacts] = field(default_factory=dict)  # by place: of streams that have entries

    def dissect(self, places: Sequence[int], wants: Wants | None) -> Iterable[tuple[int, Entry]]:
        """Yield the entries of these streams, each with its stream."""
        dissector = self.dissector
        streams = self._flow_streams(places)
        layers: list[list[_Layer]] = [[] for _ in streams]

        def keep(
            binding: Binding, mine: Sequence[int], asked: Sequence[FlowStream], answered: Sequence[Answered]
        ) -> set[int]:
            rows = rows_of(binding, [places[at] for at in mine], asked, answered)
            if rows is None:
                return set()
            self.plugins.append(rows)
            return {at for at in mine if places[at] in rows.answered}

        for layer in dissector.layers(streams, wants, keep if self.is_open else None):
            layers[layer.root].append(layer)
        for at, stream, found in zip(places, streams, layers, strict=True):
            dissector.go_on()
            if found[0].has_rows:
                continue
            number = Numbering(self.selection.parts(at), stream)
            detected = self.detected[at] = []
            for layer in found:
                facts = self._read_facts(at, layer.stream)
                if layer.found and layer.stream is stream:
                    self._facts[at] = facts
                for binding, messages in layer.found:
                    detected.append(binding.protocol.abbr)
                    into = Exchanges(dissector.plugins, binding, facts, layer.stream, number)
                    for entry in into.of_messages(messages):
                        yield at, entry

    def join(self) -> None:
        """Put the rows of plugins behind those of scanners; from now on there are no more of them."""
        self.is_open = False
        self.scanned = joined(self.scanned, self.plugins, len(self.streams))

    def table(self, entries: Sequence[tuple[int, Entry]], *, with_conn: bool, wants: Wants | None) -> EntryTable:
        """Return rows for these entries, for what was scanned, and for connections: by stream, its connection last."""
        made = [entry for _, entry in entries]
        owners = [np.array([at for at, _ in entries], dtype=np.int64)]
        codes = [MADE - np.arange(len(made))]
        starts = [np.array([entry.start_ns for entry in made], dtype=np.int64)]
        if scanned := self.scanned:
            exchanges = scanned.wanted(wants)
            owners.append(scanned.found.exchanges["stream"][exchanges].astype(np.int64))
            codes.append(exchanges)
            starts.append(scanned.start_times(self.selection.decoded.packets["time_ns"])[exchanges])
        if with_conn:
            flows, rows = self.selection.decoded.flows, self.selection.flows
            has_own = np.flatnonzero(HAS_CONN[flows["transport"][rows]])
            owners.append(has_own)
            codes.append(np.full(len(has_own), CONNECTION))
            starts.append(flows["first_ns"][rows[has_own]].astype(np.int64))
        owner = np.concatenate(owners)
        order = np.argsort(owner, kind="stable")
        columns = owner[order], np.concatenate(codes)[order], np.concatenate(starts)[order]
        makers = Makers(self._dissect_scanned, self._connect, self._facts_of, self._miss)
        return EntryTable(Found(self.dissector.origin, *columns, made, self.selection, self.scanned, makers))

    def _flow_streams(self, places: Sequence[int]) -> list[FlowStream]:
        streams: list[FlowStream] = []
        for start in range(0, len(places), READ_STREAMS):
            self.dissector.go_on()
            assembled = [self.streams[at] for at in places[start : start + READ_STREAMS]]
            streams += FlowStream.all_of(self.selection.decoded, assembled)
        if (probed := self.selection.probed) is not None:
            for at, stream in zip(places, streams, strict=True):
                stream.is_decrypted = stream.is_probed = bool(probed[at])
        return streams

    def _read_facts(self, at: int, stream: FlowStream) -> StreamFacts:
        parts = tuple([part for _, part in self.selection.parts(at)])
        seen = self.selection.seen.get(self.selection.rows.item(at), ()) if self.selection.seen else ()
        return StreamFacts(stream.row, stream, parts, self.dissector.origin, seen)

    def _facts_of(self, at: int) -> StreamFacts:
        """Return what the entries of a stream share, those of its connection among them."""
        known = self._facts.get(at)
        if known is None:
            known = self._facts[at] = self._read_facts(at, self._flow_streams([at])[0])
        return known

    def _dissect_scanned(self, at: int, binding: Binding) -> list[Entry]:
        self.dissector.go_on()
        facts = self._facts_of(at)
        stream = facts.stream_data
        assert stream is not None
        number = Numbering(self.selection.parts(at), stream)
        into = Exchanges(self.dissector.plugins, binding, facts, stream, number)
        assert self.scanned is not None
        if (known := into.of_rows(self.scanned, at)) is not None:
            return known
        said = next((rows.answered[at] for rows in self.plugins if at in rows.answered), None)
        found = said.messages() if said else self.dissector.ask(binding, [stream])[0]
        if any(isinstance(each, Handover) for each in found):
            return [entry for _, entry in self.dissect([at], None)]
        return list(into.of_messages(found))

    def _miss(self, row: int, found: Found) -> Entry:
        """Return an entry without content: scanner and dissector disagree, which is our bug, and nobody's query ends.

        What the columns said of it stays: it was counted, and may have been handed out.
        """
        at, exchange, time_ns = int(found.stream.item(row)), int(found.code.item(row)), int(found.start_ns.item(row))
        binding, protocol = found.binding(exchange), found.protocol(exchange)
        reason = "the scanner found a message that the dissector does not"
        facts, entry_id = self._facts_of(at), found.ids.entry_id(row)
        if len(self.dissector.problems) < MAX_MISSES:
            self.dissector.problems.append(
                PluginError(f"{reason}: {entry_id}: shown without its content", plugin=binding.plugin, hook="dissect")
            )
        event = Timed(Message(MessageKind.EVENT, CLIENT, 0, 0), 0, time_ns, time_ns)
        error = EntryError("dissection", f"{protocol.name}: {reason}")
        return Entry(entry_id, protocol, Exchange(event=event), facts, error)

    def _connect(self, at: int) -> Entry:
        self.dissector.go_on()
        detected = self.detected.get(at)
        if detected is None and self.scanned:
            detected = [protocol.abbr for protocol in self.scanned.detected(at)]
        connection = connection_entry(self._facts_of(at), list(dict.fromkeys(detected or ())))
        assert connection is not None
        return connection


def _has_any(marks: Sequence[bytes], stream: FlowStream) -> bool:
    return any(mark in side for side in map(_lowered, stream.sides) for mark in marks)


def _lowered(side: StreamSide) -> bytes:
    return bytes(side.data).lower()


def _wants(binding: Binding, wants: Wants | None) -> bool:
    return wants is None or wants(binding.protocol)
