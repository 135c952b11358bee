"""The dissect stage: decoded flows in, entries out.

1. reassemble (core)  2. claim: classifiers, then probes, by the protocols' priority  3. dissect, one call a protocol
4. raw entries for what nobody took  5. pair  6. number  7. the connection's own entry

Nothing is kept between calls, so the same packets give the same entries, in a query and in `show`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubeshark.core_capture import Core
from kubeshark.errors import PluginError
from kubeshark.extension_api import PROBE_BYTES, Classifier, Message, ProtocolSpec, Verdict
from kubeshark.pipeline._entry import Entry, EntryError, EntryId
from kubeshark.pipeline._facts import Origin, StreamFacts
from kubeshark.pipeline._matcher import Exchange, Timed, pair
from kubeshark.pipeline._plugins import Binding, Plugins
from kubeshark.pipeline._segments import FlowPart, Selection
from kubeshark.pipeline._streams import FlowStream
from kubeshark.pipeline.dissectors import CONN, conn_message

__all__ = ["Dissector", "connection_entry"]

ANSWER_TIMEOUT_NS = 10_000_000_000
"""A request is called unanswered for good after this much packet time without a response (entries.md §1)."""


SHOWN_FIELDS = 4
"""Fields of a message in doubt that its error tells."""


@dataclass(slots=True)
class Dissector:
    """The stage with its tools. `problems` collects what plugins did wrong; other entries are not affected."""

    core: Core
    plugins: Plugins
    problems: list[PluginError]
    origin: Origin

    def entries(self, selection: Selection, *, with_conn: bool) -> list[Entry]:
        """Return all entries of the selected flows, by flow, then in order of capture."""
        streams = [
            FlowStream(selection.decoded, streams, selection.decoded.flows[streams.flow])
            for streams in self.core.assemble(selection.decoded, selection.flows)
        ]
        claims = self._claim(streams)
        found = self._dissect(streams, claims)
        entries: list[Entry] = []
        for at, stream in enumerate(streams):
            parts = selection.parts[at]
            facts = StreamFacts(stream.row, stream, tuple(part for _, part in parts), self.origin)
            number = Numbering(parts, stream)
            detected = []
            for binding, messages in found[at]:
                detected.append(binding.protocol.abbr)
                plugin = "" if binding.is_builtin else binding.plugin
                timed = [_timed(stream, message) for message in messages]
                for exchange in pair(timed, binding.protocol.matcher):
                    _doubt(exchange, stream)
                    error = _error(exchange, facts, binding.protocol)
                    identity = number.next(exchange.first.order)
                    entries.append(Entry(identity, binding.protocol, exchange, facts, error, plugin))
            if with_conn and (connection := connection_entry(facts, detected)):
                entries.append(connection)
        return entries

    def _claim(self, streams: Sequence[FlowStream]) -> list[Binding | None]:
        """Return for each stream the protocol that takes it."""
        claims: list[Binding | None] = [None] * len(streams)
        open_streams = [at for at, stream in enumerate(streams) if _has_payload(stream)]
        heads = {at: _heads(streams[at]) for at in open_streams}
        for by_content in (False, True):  # declared classifiers of all protocols come before anybody's probe
            for binding in self.plugins.bindings:
                protocol = binding.protocol
                if by_content:
                    candidates = (
                        [at for at in open_streams if _may_carry(protocol, streams[at])] if binding.probe else []
                    )
                else:
                    candidates = [at for at in open_streams if _classified(protocol, streams[at], heads[at])]
                if not candidates:
                    continue
                taken = set(self._probe(binding, streams, candidates))
                for at in taken:
                    claims[at] = binding
                open_streams = [at for at in open_streams if at not in taken]
        return claims

    def _probe(self, binding: Binding, streams: Sequence[FlowStream], candidates: list[int]) -> Iterator[int]:
        if binding.probe is None:
            yield from candidates
            return
        try:
            verdicts = binding.probe(protocol=binding.protocol, streams=[streams[at] for at in candidates])
        except PluginError as error:
            self.problems.append(error)
            return
        yield from (at for at, verdict in zip(candidates, verdicts, strict=True) if verdict is Verdict.MINE)

    def _dissect(
        self, streams: Sequence[FlowStream], claims: Sequence[Binding | None]
    ) -> list[list[tuple[Binding, Sequence[Message]]]]:
        """Return per stream what each protocol found in it; raw messages where nothing was found."""
        found: list[list[tuple[Binding, Sequence[Message]]]] = [[] for _ in streams]
        by_binding: defaultdict[int, list[int]] = defaultdict(list)
        for at, binding in enumerate(claims):
            if binding is not None:
                by_binding[id(binding)].append(at)
        for binding in self.plugins.bindings:
            mine = by_binding.get(id(binding))
            if not mine:
                continue
            try:
                results = binding.dissect(protocol=binding.protocol, streams=[streams[at] for at in mine])
            except PluginError as error:
                self.problems.append(error)
                continue
            for at, messages in zip(mine, results, strict=True):
                if messages:
                    found[at].append((binding, messages))
        for at, stream in enumerate(streams):
            if not found[at] and _has_payload(stream) and (raw := self.plugins.fallbacks.get(stream.transport)):
                found[at].append((raw, raw.dissect(protocol=raw.protocol, streams=[stream])[0]))
        return found


class Numbering:
    """Hands out entry ids: the segment that holds an entry's first byte, and the count of entries that begin there."""

    def __init__(self, parts: Sequence[tuple[int, FlowPart]], stream: FlowStream) -> None:
        self._parts = parts
        self._stream = stream
        self._counts = [0] * len(parts)

    def next(self, order: int) -> EntryId:
        at = 0
        if len(self._parts) > 1:
            offset = int(self._stream.decoded.packets["offset"][self._stream.packet_of(order)])
            at = bisect_right([start for start, _ in self._parts], offset) - 1
        segment, row = self._parts[at][1]
        self._counts[at] += 1
        return EntryId(segment.name, row, str(self._counts[at] - 1))


def connection_entry(facts: StreamFacts, detected: Sequence[str]) -> Entry | None:
    """Return the entry of the connection itself; None for transports that have none."""
    if facts.transport not in CONN:
        return None
    message = conn_message(facts.row, detected, facts.network_props(), facts.flow_id)
    event = Timed(message, 0, int(facts.row["first_ns"]), int(facts.row["last_ns"]))
    segment, row = facts.parts[0]
    return Entry(EntryId(segment.name, row, "conn"), CONN[facts.transport], Exchange(event=event), facts)


def _has_payload(stream: FlowStream) -> bool:
    if stream.sides:
        return any(len(side.data) for side in stream.sides)
    return bool(stream.datagrams)


def _heads(stream: FlowStream) -> tuple[bytes, bytes]:
    """First bytes of (client, server)."""
    if stream.sides:
        client, server = (bytes(side.data[:PROBE_BYTES]) for side in stream.sides)
        return client, server
    heads = [b"", b""]
    for datagram in stream.datagrams:
        heads[datagram.direction] = heads[datagram.direction] or bytes(datagram.data[:PROBE_BYTES])
        if all(heads):
            break
    return heads[0], heads[1]


def _may_carry(protocol: ProtocolSpec, stream: FlowStream) -> bool:
    return stream.transport == protocol.layer4 or any(c.transport == stream.transport for c in protocol.classifiers)


def _classified(protocol: ProtocolSpec, stream: FlowStream, heads: tuple[bytes, bytes]) -> bool:
    return any(_matches(classifier, stream, heads) for classifier in protocol.classifiers)


def _matches(classifier: Classifier, stream: FlowStream, heads: tuple[bytes, bytes]) -> bool:
    if classifier.transport != stream.transport:
        return False
    if classifier.ports and stream.server.port not in classifier.ports and stream.client.port not in classifier.ports:
        return False
    if not classifier.prefix:
        return bool(classifier.ports)
    sides = {"client": heads[:1], "server": heads[1:], "any": heads}[classifier.side]
    return any(head[classifier.offset :].startswith(classifier.prefix) for head in sides)


def _timed(stream: FlowStream, message: Message) -> Timed:
    if stream.sides:
        side = stream.sides[message.direction]
        last = max(message.start, message.end - 1)
        order = side.packet_at(message.start)
        return Timed(message, order, side.time_at(message.start), side.time_at(last))
    time_ns = stream.datagrams[message.datagram].time_ns
    return Timed(message, message.datagram, time_ns, time_ns)


def _doubt(exchange: Exchange, stream: FlowStream) -> None:
    """Mark the messages of a TCP stream that were not captured whole, or that only a guess found behind a gap.

    A request and a response that found each other confirm each other, also behind a gap.
    """
    if not stream.sides:
        return
    for timed in (exchange.request, exchange.response, exchange.event):
        if timed is None:
            continue
        gaps = stream.sides[timed.message.direction].gaps
        is_cut = timed.message.error.startswith(("gap:", "truncated:"))
        is_guess = not (exchange.request and exchange.response) and any(
            start < timed.message.end for start, _, _ in gaps
        )
        timed.is_whole = not (is_cut or is_guess)


def _error(exchange: Exchange, facts: StreamFacts, protocol: ProtocolSpec) -> EntryError | None:
    """Say what is wrong with an exchange: a damaged message, else the reason why a half is missing."""
    for timed in (exchange.request, exchange.response, exchange.event):
        if timed and (timed.message.error or not timed.is_whole):
            reason = (
                timed.message.error or "gap: bytes before this message were not captured: where it begins is a guess"
            )
            seen = ", ".join(f"{name} {value!s}" for name, value in list(timed.message.fields.items())[:SHOWN_FIELDS])
            return EntryError("dissection", f"{protocol.name}: {reason}" + ("" if timed.is_whole else f" ({seen})"))
    request, response = exchange.request, exchange.response
    if exchange.event or (request and response) or protocol.matcher == "none":
        return None
    if request is None:
        if response and response.message.one_way:
            return None  # nobody asks: mDNS announcements
        return EntryError("pair-not-found", "the request was never seen: the capture began after it, or lost it")
    if request.message.one_way:
        return None
    if facts.ended(by_server=request.message.direction == 0) == "reset":
        return EntryError("connection", "Reset: the answering side reset the connection")
    if int(facts.row["last_ns"]) - request.end_ns >= ANSWER_TIMEOUT_NS:
        return EntryError("timeout", "no response within 10 s")
    if facts.ended(by_server=request.message.direction == 0) == "closed":
        return EntryError("connection", "CloseWait: the answering side closed the connection without a response")
    return EntryError("pair-not-found", "the response was never seen: the capture ended before it, or lost it")
