"""Handshakes of TLS and DTLS on any port, known by content: one entry each, ClientHello and what answered it.

Application data is counted, not shown: with keys the pipeline decrypts it and hands it to the protocol inside. A
HelloRetryRequest or HelloVerifyRequest and the second ClientHello belong to the same handshake: the client's random is
the same (RFC 8446 §4.1.2, RFC 6347 §4.2.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from msgspec import Struct, field

from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    Verdict,
    hookimpl,
    rest_of,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, numbers, texts
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.tls import (
    APPLICATION_DATA,
    CERTIFICATE,
    RESYNC_BYTES,
    Alert,
    ClientHello,
    Handshake,
    ServerHello,
    alert_document,
    begins_dtls,
    begins_tls,
    certificate_documents,
    certificate_warnings,
    client_document,
    client_fields,
    group_name,
    read_datagrams,
    read_flight,
    server_document,
    server_fields,
    split_records,
)

__all__ = ["COLUMNS", "STARTTLS", "TLS", "dissect", "probe", "protocols"]

PORTS = (443, 465, 636, 853, 990, 993, 995, 5061, 5671, 6443, 8443, 8883)
HEAD_BYTES = 512  # enough to know a hello
CLEAR_BYTES = 8 << 10  # what a protocol says before it starts TLS
CLEAR_TURNS = 40
RECORD = b"\x16\x03"  # how a record with a handshake message begins
_HTTP_REQUEST = re.compile(rb"[A-Z]{3,10} [!-~]+ HTTP/1\.[01]\r\n")
DATAGRAMS_PROBED = 8
LATE = 200

TLS = ProtocolSpec(
    name="tls",
    abbr="TLS",
    long_name="Transport Layer Security",
    version="1.0 … 1.3",
    macro="tlsx",
    ports=PORTS,
    priority=5,
    background="#7c3aed",
    reference="https://www.rfc-editor.org/rfc/rfc8446",
    classifiers=(
        Classifier("tcp", PORTS),
        Classifier("tcp", prefix=b"\x16\x03"),
        Classifier("udp", prefix=b"\x16\xfe"),
        Classifier("udp", prefix=b"\x16\x01\x00\x00\x00"),
    ),
    variables={
        "tlsx_info": "string",
        "tlsx_sni": "string",
        "tlsx_summary": "string",
        "tlsx_alpn": "string",
        "tlsx_version": "int",
        "tlsx_cipher_suite": "int",
        "tlsx_cipher_suites": "list",
        "tlsx_ja3": "string",
        "tlsx_ja3s": "string",
        "tlsx_ja4": "string",
        "tlsx_weak": "bool",
        "tlsx_alert": "int",
    },
)

STARTTLS = replace(TLS, name="starttls", priority=LATE, classifiers=(), hands_over=("tlsx",))
"""TLS behind some lines of a protocol that nobody knows (RFC 2595 and its like): asked when all others declined."""

UNSEEN = "the handshake was never seen: the capture began after it, or lost it"
_EITHER = ("request", "response")
HELLOS = ("ClientHello", "ServerHello")

COLUMNS: Columns = {
    "tlsx_info": Column(lambda found, rows: [HELLOS[kind] for kind in found.messages["kind"][rows].tolist()], _EITHER),
    "tlsx_summary": Column(texts(0)),
    "tlsx_sni": Column(texts(0)),
    "tlsx_alpn": Column(texts(1), _EITHER),
    "tlsx_version": Column(numbers(0), ("response",)),
    "tlsx_cipher_suite": Column(numbers(1), ("response",)),
    "tlsx_alert": Column(lambda _, rows: [0] * len(rows), _EITHER),  # streams with alerts are not scanned
}
"""What the scanner (scan_tls.c) knows."""


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (TLS, STARTTLS)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    is_mine = _starts_later if protocol.name == STARTTLS.name else _is_tls
    return [Verdict.MINE if is_mine(stream) else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message | Handover]]:
    if protocol.name == STARTTLS.name:
        return [_handover(stream) for stream in streams]
    return [_tcp_messages(stream) if stream.transport == "tcp" else _udp_messages(stream) for stream in streams]


def _is_tls(stream: Stream) -> bool:
    if stream.transport == "tcp":
        return any(map(_side_is_tls, stream.sides)) and not _asks_in_clear(stream.sides[0])
    if stream.transport != "udp":
        return False
    return any(begins_dtls(bytes(datagram.data[:64])) for datagram in stream.datagrams[:DATAGRAMS_PROBED])


def _asks_in_clear(client: StreamSide) -> bool:
    """Say whether a client speaks HTTP to a TLS port: the request is what is to be seen, and says who answered it."""
    return not client.starts_midway and _HTTP_REQUEST.match(bytes(client.data[:CLEAR_BYTES])) is not None


def _side_is_tls(side: StreamSide) -> bool:
    start = side.gaps[0][1] if side.gaps and side.gaps[0][0] == 0 else 0
    midway = side.starts_midway or bool(start)
    return begins_tls(bytes(side.data[start : start + (RESYNC_BYTES if midway else HEAD_BYTES)]), midway=midway)


def _starts_later(stream: Stream) -> bool:
    if stream.transport != "tcp" or not any(RECORD in bytes(side.data[1 : 2 * CLEAR_BYTES]) for side in stream.sides):
        return False  # most streams: their turns need not be sorted out
    return _clear_ends(stream) is not None


def _clear_ends(stream: Stream) -> tuple[int, int] | None:
    """Return where the client's and the server's TLS begin behind text in clear; None if they do not.

    A ClientHello begins a turn of the client's; what the server says from then on is TLS.
    """
    ends = [0, 0]
    for direction, start, end in stream.turns()[:CLEAR_TURNS]:
        side = stream.sides[direction]
        head = bytes(side.data[start : start + HEAD_BYTES])
        if start and head[:1] == b"\x16" and head[5:6] == b"\x01" and begins_tls(head, midway=False):
            ends[direction] = start
            return ends[0], ends[1]
        ends[direction] = end
        if max(ends) > CLEAR_BYTES:
            return None
    return None


def _handover(stream: Stream) -> list[Message | Handover]:
    ends = _clear_ends(stream)
    if ends is None:
        return []
    client, server = stream.sides
    return [Handover((rest_of(client, ends[0]), rest_of(server, ends[1])), TLS.flag)]


class _Found(Struct):
    """A hello and what belongs to it, with its place."""

    direction: int
    message: Handshake
    datagram: int = 0
    end: int = 0  # of what belongs to it
    certificates: list[bytes] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    retry: ServerHello | None = None


def _tcp_messages(stream: Stream) -> list[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    found: list[_Found] = []
    alone: list[_Found] = []
    for direction, wire in enumerate(wires):
        flight = read_flight(wire)
        mine = _group([(0, message) for message in flight.messages], direction)
        for alert in flight.alerts:
            place = _Found(direction, Handshake(0, b"", alert.start, alert.end), alerts=[alert])
            before = [hello for hello in mine if hello.message.start < alert.start]
            if before:
                before[-1].alerts.append(alert)
            else:
                alone.append(place)
        found += mine
    return [*(_messages(found, alone, "t", stream, wires) or _without_handshake(stream, wires))]


def _without_handshake(stream: Stream, wires: Sequence[Wire]) -> list[Message]:
    """Return one event for a connection that is older than the capture: all of it is encrypted."""
    firsts = [
        (stream.sides[direction].packet_at(record.start), direction, record)
        for direction, wire in enumerate(wires)
        if (record := next(split_records(wire), None))
    ]
    if not firsts:
        return []
    _, direction, record = min(firsts)
    first = _Found(direction, Handshake(0, b"", record.start, min(record.end, len(wires[direction].data)), UNSEEN))
    detail = partial(_encrypted, first, wires)
    return [_message(MessageKind.EVENT, first, {"tlsx_info": "ApplicationData"}, detail)]


def _udp_messages(stream: Stream) -> list[Message | Handover]:
    flight = read_datagrams(stream.datagrams)
    found: list[_Found] = []
    alone: list[_Found] = []
    for direction in range(2):
        mine = _group([(at, message) for way, at, message in flight.messages if way == direction], direction)
        for way, at, alert in flight.alerts:
            before = [hello for hello in mine if hello.datagram <= at]
            if way == direction and before:
                before[-1].alerts.append(alert)
            elif way == direction:
                alone.append(_Found(direction, Handshake(0, b"", alert.start, alert.end), at, alerts=[alert]))
        found += mine
    return [*_messages(found, alone, "d", stream, ())]


def _group(messages: Sequence[tuple[int, Handshake]], direction: int) -> list[_Found]:
    """Return a side's hellos with their certificates; one that comes again belongs to the first."""
    found: list[_Found] = []
    for datagram, message in messages:
        hello = message.hello
        last = found[-1] if found else None
        if isinstance(hello, ClientHello):
            before = last.message.hello if last else None
            if not (isinstance(before, ClientHello) and hello.random and before.random == hello.random):
                found.append(_Found(direction, message, datagram, message.end))
        elif isinstance(hello, ServerHello):
            before = last.message.hello if last else None
            if last and isinstance(before, ServerHello) and before.is_retry:
                found[-1] = _Found(direction, message, datagram, message.end, retry=before)
            else:
                found.append(_Found(direction, message, datagram, message.end))
        elif last:
            if message.type == CERTIFICATE:
                last.certificates.append(message.body)
            if datagram == last.datagram:
                last.end = max(last.end, message.end)
    return found


def _messages(
    found: Sequence[_Found],
    alone: Sequence[_Found],
    transport: Literal["t", "d"],
    stream: Stream,
    wires: Sequence[Wire],
) -> list[Message]:
    requests = [hello for hello in found if isinstance(hello.message.hello, ClientHello)]
    answers = [hello for hello in found if isinstance(hello.message.hello, ServerHello)]
    messages: list[Message] = []
    for at, request in enumerate(requests):
        fields = client_fields(_client(request), transport)
        answer = answers[at] if at < len(answers) else None
        if answer and _server(answer).alpn:
            fields.pop("tlsx_alpn", None)  # the negotiated one counts
        messages.append(_message(MessageKind.REQUEST, request, fields, partial(_request, request, transport, wires)))
    for at, answer in enumerate(answers):
        asked = requests[at] if at < len(requests) else None
        time_ns = _time(stream, answer)
        detail = partial(_response, answer, asked, time_ns, wires)
        messages.append(_message(MessageKind.RESPONSE, answer, server_fields(_server(answer)), detail))
    unanswered = len(requests) > len(answers)
    for refusal in alone:
        refuses = unanswered and all(refusal.direction != request.direction for request in requests)
        kind = MessageKind.RESPONSE if refuses else MessageKind.EVENT
        messages.append(_message(kind, refusal, {"tlsx_info": "Alert"}, partial(_alert, refusal)))
        unanswered = False
    return messages


def _message(kind: MessageKind, found: _Found, fields: dict[str, Value], detail: Any) -> Message:
    if found.alerts:
        fields["tlsx_alert"] = found.alerts[0].description
    start, end = found.message.start, max(found.end, found.message.end)
    error = found.message.error
    return Message(kind, found.direction, start, end, found.datagram, fields, error=error, detail=detail)


def _client(found: _Found) -> ClientHello:
    assert isinstance(found.message.hello, ClientHello)
    return found.message.hello


def _server(found: _Found) -> ServerHello:
    assert isinstance(found.message.hello, ServerHello)
    return found.message.hello


def _time(stream: Stream, found: _Found) -> int:
    if stream.transport == "tcp":
        return stream.sides[found.direction].time_at(found.message.start)
    return stream.datagrams[found.datagram].time_ns


def _request(
    found: _Found, transport: Literal["t", "d"], wires: Sequence[Wire]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document = client_document(_client(found), transport)
    return {}, document | _common(found, wires)


def _response(
    found: _Found, asked: _Found | None, time_ns: int, wires: Sequence[Wire]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    hello = _server(found)
    document = server_document(hello)
    chain = [shown for body in found.certificates for shown in certificate_documents(body)]
    document["security"] += certificate_warnings(chain, time_ns)
    document["certificates"] = chain
    document["resumed"] = hello.uses_psk or bool(
        asked and hello.session_id and hello.session_id == _client(asked).session_id and hello.version < 0x0304
    )
    if found.retry:
        document["helloRetryRequest"] = {"group": group_name(found.retry.group) if found.retry.group else ""}
    elif hello.is_retry:
        document["helloRetryRequest"] = {"group": document["group"]}
    return {}, document | _common(found, wires)


def _encrypted(found: _Found, wires: Sequence[Wire]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, _common(found, wires)


def _alert(found: _Found) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {"alert": alert_document(found.alerts[0])}


def _common(found: _Found, wires: Sequence[Wire]) -> dict[str, Any]:
    """Return what both halves tell: an alert, and how much application data that side sent."""
    document: dict[str, Any] = {"alert": alert_document(found.alerts[0]) if found.alerts else None}
    if wires:
        sizes = [
            min(record.end, len(wires[found.direction].data)) - record.start
            for record in split_records(wires[found.direction])
            if record.type == APPLICATION_DATA
        ]
        document["applicationData"] = {"records": len(sizes), "bytes": sum(sizes)}
    return document
