"""What was found in a stream as entries: messages in pairs, numbered, with what is wrong with them."""

from __future__ import annotations

import functools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from importlib import import_module
from struct import Struct

import msgspec

from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, StreamSide
from kubeshark.pipeline.dissection._matcher import Exchange, Timed, pair
from kubeshark.pipeline.dissection._scanned import ScannedStreams
from kubeshark.pipeline.dissectors import CONN, ReadRows, conn_message
from kubeshark.pipeline.dissectors._message_rows import LAST_PACKET, PACKET, PLACE
from kubeshark.pipeline.entries._entry import Entry, EntryError, EntryId
from kubeshark.pipeline.entries._facts import StreamFacts
from kubeshark.pipeline.plugins._bindings import Binding
from kubeshark.pipeline.plugins._manager import Plugins
from kubeshark.pipeline.reading._segments import FlowPart
from kubeshark.pipeline.reading._streams import FlowStream
from kubeshark.pipeline.tls import begins_tls

__all__ = ["ANSWER_TIMEOUT_NS", "Exchanges", "Numbering", "connection_entry", "reader_of"]

ANSWER_TIMEOUT_NS = 10_000_000_000
"""A request is called unanswered for good after this much packet time without a response (entries.md §1)."""


_TIMES = Struct("<56xQQ32x")  # of a FLOW row: its first and its last packet's

_ENDED = ("Reset:", "CloseWait:")
"""How the error of a message begins whose connection, or stream of many in it, ended before the message did."""

ONE_SIDED = "no packet of the other side was captured"

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-5]\d\d[ \r\n][^\r\n]{0,80}")
HEAD_BYTES = 128
"""Of an answer, to know another protocol by: more than a status line that is shown."""

SHOWN_FIELDS = 4
"""Fields of a message in doubt that its error tells."""

SHOWN_CHARACTERS = 200
"""Of each of them: a query may be megabytes long."""


class Exchanges(msgspec.Struct):
    """Makes the entries of what one protocol has in a stream."""

    plugins: Plugins
    binding: Binding
    facts: StreamFacts
    stream: FlowStream
    number: Numbering

    def of_messages(self, messages: Sequence[Message]) -> Iterable[Entry]:
        """Yield the entries of a dissector's messages."""
        stream = self.stream
        timed = [_timed(stream, message) for message in messages]
        has_gaps = any(side.gaps for side in stream.sides)
        is_sound = not has_gaps and not any(message.error for message in messages)
        if has_gaps:
            _guess(timed, stream)
            _note_gaps(timed, stream)
        for exchange in pair(timed, self.binding.protocol.matcher):
            yield self._entry(exchange, is_sound=is_sound)

    def of_rows(self, scanned: ScannedStreams, at: int) -> list[Entry] | None:
        """Return the entries of a stream as its scanner found them; None where its dissector must read it again."""
        read = reader_of(self.binding.plugin) if self.binding.is_builtin else None
        if read is None:
            return None
        halves = scanned.halves(at)
        rows = [row for exchange in halves for row in exchange if row]
        messages = read(self.stream, rows, scanned.found.text)
        if messages is None:
            return None
        time, found = self.stream.times.item, zip(rows, messages, strict=True)
        timed = iter([Timed(each, row[PLACE], time(row[PACKET]), time(row[LAST_PACKET])) for row, each in found])
        entries = []
        for request, response, event in halves:
            exchange = Exchange(
                next(timed) if request else None, next(timed) if response else None, next(timed) if event else None
            )
            entries.append(self._entry(exchange, is_sound=True))
        return entries

    def _entry(self, exchange: Exchange, *, is_sound: bool) -> Entry:
        """Number an exchange; `is_sound`: its stream has no gap, and none of its messages an error."""
        first, binding = exchange.first, self.binding
        protocol = self.plugins.protocols.of_message(binding, first.message)
        error = None
        if not (is_sound and (exchange.event or (exchange.request and exchange.response))):  # seldom
            if self.stream.sides:  # a datagram says by itself that it was cut
                _doubt(exchange)
            error = _error(exchange, self.facts, protocol, self.stream)
        plugin = "" if binding.is_builtin else binding.plugin
        number = self.number.next(self.stream.packet_of(first.order))
        return Entry(number, protocol, exchange, self.facts, error, plugin)


@functools.cache
def reader_of(plugin: str) -> ReadRows | None:
    """Return how a built-in dissector makes messages of a scanner's rows; None if it cannot."""
    read: ReadRows | None = getattr(import_module(plugin), "read_rows", None)
    return read


class Numbering:
    """Hands out entry ids: the segment that holds an entry's first byte, and the count of entries that begin there."""

    def __init__(self, parts: Sequence[tuple[int, FlowPart]], stream: FlowStream) -> None:
        self._parts = parts
        self._stream = stream
        self._counts = [0] * len(parts)

    def next(self, packet: int) -> EntryId:
        at = 0
        if len(self._parts) > 1:
            offset = int(self._stream.decoded.packets["offset"][packet])
            at = bisect_right([start for start, _ in self._parts], offset) - 1
        segment, row = self._parts[at][1]
        self._counts[at] += 1
        return EntryId(segment.name, row, str(self._counts[at] - 1))


def connection_entry(facts: StreamFacts, detected: Sequence[str]) -> Entry | None:
    """Return the entry of the connection itself; None for transports that have none."""
    if facts.transport not in CONN:
        return None
    message = conn_message(facts.row, detected, facts.network_props(), facts.flow_id)
    event = Timed(message, 0, *_TIMES.unpack(facts.row))
    segment, row = facts.parts[0]
    return Entry(EntryId(segment.name, row, "conn"), CONN[facts.transport], Exchange(event=event), facts)


def _timed(stream: FlowStream, message: Message) -> Timed:
    if stream.sides:
        packet_at, times = stream.sides[message.direction].packet_at, stream.times
        first = packet_at(message.start)
        last = packet_at(message.end - 1) if message.end > message.start else first
        return Timed(message, first, times.item(first), times.item(last))
    time_ns = stream.datagrams[message.datagram].time_ns
    return Timed(message, message.datagram, time_ns, time_ns)


def _guess(messages: Sequence[Timed], stream: FlowStream) -> None:
    """Mark the messages of a TCP stream that only a guess found: behind a gap, and nothing confirms where they begin.

    Of what nobody answers, one that begins where the one before ends confirms the framing, its own and that of what
    follows. Requests and responses are confirmed by each other alone (`_doubt`).
    """
    for direction, side in enumerate(stream.sides):
        gaps, at, is_sure, end = side.gaps, 0, True, -1
        mine = (each for each in messages if each.message.direction == direction)
        for timed in sorted(mine, key=lambda timed: (timed.message.start, timed.message.end)):
            message = timed.message
            if at < len(gaps) and gaps[at][0] < message.end:
                at = bisect_left(gaps, message.end, at, key=lambda gap: gap[0])
                is_sure = False
            elif message.start == end and _is_one_way(message):
                is_sure = True
            timed.is_guess, end = not is_sure, message.end


def _note_gaps(messages: Sequence[Timed], stream: FlowStream) -> None:
    """Say which messages of a TCP stream lie behind a gap, and what the sender of each had read (see `pair`)."""
    if stream.sides is not stream.flow_sides:  # something inside of the stream: it has no sequence numbers of its own
        return
    for timed in messages:
        gaps = stream.flow_sides[timed.message.direction].gaps
        timed.is_behind_gap = bool(gaps) and gaps[0][0] < timed.message.start
        timed.had_read = stream.had_read(timed.order)


def _is_one_way(message: Message) -> bool:
    return message.one_way or message.kind == MessageKind.EVENT


def _doubt(exchange: Exchange) -> None:
    """Mark the messages that were not captured whole, or that are a guess.

    A request and a response that found each other confirm each other, also behind a gap.
    """
    is_pair = exchange.request is not None and exchange.response is not None
    for timed in (exchange.request, exchange.response, exchange.event):
        if timed is not None:
            is_cut = timed.message.error.startswith(("gap:", "truncated:"))
            timed.is_whole = not (is_cut or (timed.is_guess and not is_pair))


def _error(exchange: Exchange, facts: StreamFacts, protocol: ProtocolSpec, stream: FlowStream) -> EntryError | None:
    """Say what is wrong with an exchange: a damaged message, else the reason why a half is missing."""
    for timed in (exchange.request, exchange.response, exchange.event):
        if timed is None or (timed.is_whole and not timed.message.error):
            continue
        if timed.message.error.startswith(_ENDED):
            return EntryError("connection", timed.message.error)
        reason = timed.message.error or "gap: bytes before this message were not captured: where it begins is a guess"
        seen = "" if timed.is_whole else _seen(timed.message)
        return EntryError("dissection", f"{protocol.name}: {reason}{seen}")
    request, response = exchange.request, exchange.response
    if exchange.event or (request and response) or protocol.matcher == "none":
        return None
    if request is None:
        if response and response.message.one_way:
            return None  # nobody asks: mDNS announcements
        assert response is not None
        why = ONE_SIDED if facts.is_unseen(1 - response.message.direction) else "the capture began after it, or lost it"
        return EntryError("pair-not-found", f"the request was never seen: {why}")
    if request.message.one_way:
        return None
    if exchange.is_lost:
        return EntryError("pair-not-found", "gap: the response lay in bytes that were not captured")
    if stream.sides and (other := _other_protocol(stream.sides[1 - request.message.direction], protocol)):
        return EntryError("pair-not-found", f"the answering side speaks {other}, and not {protocol.abbr}")
    if facts.is_unseen(1 - request.message.direction):
        return EntryError("pair-not-found", f"the response was never seen: {ONE_SIDED}")
    if left := _left(request, facts, protocol):
        return left
    if facts.ended(by_server=request.message.direction == 0) == "reset":
        return EntryError("connection", "Reset: the answering side reset the connection")
    if int(facts.row["last_ns"]) - request.end_ns >= ANSWER_TIMEOUT_NS:
        return EntryError("timeout", "no response within 10 s")
    if facts.ended(by_server=request.message.direction == 0) == "closed":
        return EntryError("connection", "CloseWait: the answering side closed the connection without a response")
    return EntryError("pair-not-found", "the response was never seen: the capture ended before it, or lost it")


def _other_protocol(side: StreamSide, protocol: ProtocolSpec) -> str:
    """Name what a side speaks in place of the protocol of the requests; "" if that is not certain."""
    head = b"" if side.starts_midway else bytes(side.data[:HEAD_BYTES])
    if "http" not in protocol.flags and (line := _STATUS_LINE.match(head)):
        said = line[0].decode("latin-1").strip()
        return f"HTTP ({said})" if said.isprintable() else "HTTP"
    return "TLS" if "tlsx" not in protocol.flags and begins_tls(head, midway=False) else ""


def _left(request: Timed, facts: StreamFacts, protocol: ProtocolSpec) -> EntryError | None:
    """Say that the asking side did not wait: it left the connection first, before a response and before a time-out.

    Where responses come in order, one that came after the request says that the connection went on.
    """
    first, asking = facts.first_end, request.message.direction
    if first is None or first[0] != asking or first[2] - request.end_ns >= ANSWER_TIMEOUT_NS:
        return None
    if protocol.matcher == "fifo" and not facts.is_silent(1 - asking, request.end_ns):
        return None
    if first[1] == "reset":
        return EntryError("connection", "Reset: the asking side reset the connection before a response came")
    return EntryError("connection", "LastAck: the asking side closed the connection before a response came")


def _seen(message: Message) -> str:
    """Return what a message in doubt says for itself: the first of its fields that have a value."""
    fields = [(name, value) for name, value in message.fields.items() if value not in ("", None, [], ())]
    said = [f"{name} {_shortened(value)}" for name, value in fields[:SHOWN_FIELDS]]
    return f" ({', '.join(said)})" if said else ""


def _shortened(value: object) -> str:
    items = value[:SHOWN_CHARACTERS] if isinstance(value, list | tuple) else [value]
    told = ", ".join(each[: SHOWN_CHARACTERS + 1] if isinstance(each, str) else str(each) for each in items)
    return told if len(told) <= SHOWN_CHARACTERS else f"{told[:SHOWN_CHARACTERS]}…"
