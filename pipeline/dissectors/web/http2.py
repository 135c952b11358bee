"""HTTP/2 in clear text: by prior knowledge, behind an upgrade, or decrypted (RFC 9113); gRPC on top of it.

`_http2_frames` finds frames, `_hpack` reads header blocks, `_http2_halves` joins both to what each side said on each
stream; this module says what it means. Summaries and documents are those of HTTP/1 (`_http_document`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    Ending,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors._carve import carve
from kubeshark.pipeline.dissectors._columns import Column, Columns, numbers, texts
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._graphql import SCANNED, may_hold_operation
from kubeshark.pipeline.dissectors.web._grpc import is_grpc, service_and_method, status_code, status_text
from kubeshark.pipeline.dissectors.web._hpack import Field
from kubeshark.pipeline.dissectors.web._http2_frames import HEADER, PREFACE, is_sure, read_frames
from kubeshark.pipeline.dissectors.web._http2_halves import Half, SideReader, read_side
from kubeshark.pipeline.dissectors.web._http_body import ENCODED_LIMIT
from kubeshark.pipeline.dissectors.web._http_document import (
    add_grpc_request,
    add_grpc_status,
    add_operation,
    media_of,
    path_of,
    request_detail,
    request_fields,
    response_detail,
    response_fields,
    segments_of,
)
from kubeshark.pipeline.dissectors.web._http_end import ended_early
from kubeshark.pipeline.dissectors.web._http_fields import Fields, fields_of
from kubeshark.pipeline.dissectors.web._http_parts import Parts, comes_in_parts, parts_of
from kubeshark.pipeline.dissectors.web._http_protocols import GQL2, GRPC, HTTP2

__all__ = ["COLUMNS", "HTTP2", "dissect", "probe", "protocols"]

PROBE_BYTES = 64 << 10
"""How much of a side that starts in the middle is searched for frames: a window of data is 64 KiB by default."""
VERSION = "HTTP/2"
MAX_DIGITS = 18  # of a length that is read
ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
"""RFC 9113 §7, by number."""
UPGRADES = {b"websocket": "ws"}
"""`:protocol` of an extended CONNECT (RFC 8441) → flag of the protocol that reads its data."""
UPGRADED = 1
"""The stream that answers the HTTP/1 request of an h2c upgrade (RFC 7540 §3.2)."""


def _grpc_calls(part: int) -> Column:
    """Read a gRPC call's service (0) or method (1)."""
    return Column(texts(1, lambda path: service_and_method(path_of(path)[1])[part]), protocol=SCANNED_GRPC)


SCANNED_GRPC = 1
"""GRPC's place in `protocols`."""

COLUMNS: Columns = {
    "method": Column(texts(0)),
    "url": Column(texts(1, lambda path: path_of(path)[0])),
    "path": Column(texts(1, lambda path: path_of(path)[1])),
    "path_segments": Column(texts(1, lambda path: segments_of(path_of(path)[1]))),
    "host": Column(texts(2)),
    "http_version": Column(lambda _, rows: [VERSION] * len(rows), ("request", "response")),
    "request_headers_size": Column(numbers(1)),
    "request_body_size": Column(numbers(2)),
    "status_code": Column(numbers(0), ("response",)),
    "content_type": Column(texts(3, media_of), ("response",)),
    "response_headers_size": Column(numbers(1), ("response",)),
    "response_body_size": Column(numbers(2), ("response",)),
    "grpc_service": _grpc_calls(0),
    "grpc_method": _grpc_calls(1),
    "grpc_status": Column(texts(0, status_code), ("response",), SCANNED_GRPC),
    "grpc_message": Column(texts(1, status_text), ("response",), SCANNED_GRPC),
}
"""What the scanner (scan_http2.c) knows."""


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (HTTP2, GRPC, GQL2)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    if protocol.flag != HTTP2.flag:  # its messages name the others
        return [Verdict.NOT_MINE] * len(streams)
    return [_probe(stream) for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message | Handover]]:  # noqa: ARG001
    return [_dissect(stream) for stream in streams]


def _probe(stream: Stream) -> Verdict:
    if stream.transport != "tcp":
        return Verdict.NOT_MINE
    verdicts = [_probe_side(side) for side in stream.sides]
    for verdict in (Verdict.MINE, Verdict.NEED_MORE):
        if verdict in verdicts:
            return verdict
    return Verdict.NOT_MINE


def _probe_side(side: StreamSide) -> Verdict:
    """The preface is certain. In the middle of a connection, frames must follow one another and one must be HTTP's."""
    head = bytes(side.data[: len(PREFACE)])
    if head == PREFACE:
        return Verdict.MINE
    if head and PREFACE.startswith(head):
        return Verdict.NEED_MORE
    if not (side.starts_midway or side.gaps) or len(side.data) < HEADER:
        return Verdict.NOT_MINE
    return Verdict.MINE if _speaks_http(_Head(side)) else Verdict.NOT_MINE


class _Head:
    """The first PROBE_BYTES of a side, as a side."""

    def __init__(self, side: StreamSide) -> None:
        self.data = side.data[:PROBE_BYTES]
        self.gaps = [gap for gap in side.gaps if gap[1] <= PROBE_BYTES]
        self.starts_midway = True
        self.ended: Ending = ""
        self.packet_at = side.packet_at
        self.time_at = side.time_at


def _speaks_http(head: StreamSide) -> bool:
    wire = Wire(head)
    first = next(read_frames(wire, 0), None)
    if first is None or (first.start == 0 and not is_sure(wire.data, 0, at_end=1)):
        return False
    return any(_is_http(half.fields) for half in read_side(wire).halves)


def _is_http(fields: Sequence[Field]) -> bool:
    """Pseudo-header fields come first (RFC 9113 §8.3), and values are text."""
    names = [name for name, _ in fields[:4]]
    return any(name in (b":method", b":status", b":path", b":scheme") for name in names) and all(
        value.isascii() and b"\0" not in value for _, value in fields
    )


def _dissect(stream: Stream) -> list[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    readers = [read_side(wire) for wire in wires]
    asking = _asking_side(readers)
    answering = 1 - asking
    _blame_resets(readers, asking)
    requests: dict[int, Half] = {half.stream: half for half in readers[asking].halves}
    requests.update((half.stream, half) for half in readers[answering].halves if half.is_promise)
    responses = {half.stream: half for half in readers[answering].halves if not half.is_promise}
    for direction, reader in enumerate(readers):
        unfinished = [half for half in reader.halves if half.is_unfinished]
        if unfinished and (ending := stream.sides[direction].ended):
            is_request = direction == asking
            _blame_end(unfinished, ending, wires[direction], responses if is_request else requests, is_request)
    messages: list[Message | Handover] = []
    for direction, reader in enumerate(readers):
        for half in reader.halves:
            is_request = half.is_promise or direction == asking
            other = (responses if is_request else requests).get(half.stream)
            message = _message(half, other, wires[direction], direction, is_request)
            if half.stream == UPGRADED and other is None and not is_request and readers[asking].has_preface:
                message.one_way = True  # it answers the HTTP/1 request that asked for the upgrade
            messages.append(message)
            if not is_request and other is not None and _opens_tunnel(other, half):
                protocol = other.value(b":protocol")
                message.fields["http_upgrade"] = text(protocol) or "connect"
                if subprotocol := half.value(b"sec-websocket-protocol"):
                    message.fields["ws_subprotocol"] = text(subprotocol)
                halves = (other, half) if asking == 0 else (half, other)
                sides = [_carve(stream.sides[way], wires[way], halves[way]) for way in (0, 1)]
                messages.append(Handover((sides[0], sides[1]), UPGRADES.get(protocol, "")))
    return messages


def _opens_tunnel(request: Half, response: Half) -> bool:
    return request.value(b":method") == b"CONNECT" and response.value(b":status").startswith(b"2")


def _carve(side: StreamSide, wire: Wire, half: Half) -> StreamSide:
    """Return the data of one stream as a side of its own: what a tunnel holds (RFC 9113 §8.5, RFC 8441)."""
    return carve(side, wire, ((start, end, wire.data[start:end]) for start, end in half.spans))


def _asking_side(readers: Sequence[SideReader]) -> int:
    """Return the side that sends requests: the one with the preface, else the one whose header fields are requests'."""
    for side, reader in enumerate(readers):
        if reader.has_preface:
            return side
    votes = [
        sum(
            bool(half.value(b":method")) - bool(half.value(b":status")) for half in reader.halves if not half.is_promise
        )
        for reader in readers
    ]
    return 0 if votes[0] >= votes[1] else 1


def _blame_resets(readers: Sequence[SideReader], asking: int) -> None:
    """Say of streams that were reset, or refused by GOAWAY, why they did not end (RFC 9113 §5.4, §6.8)."""
    halves: dict[int, list[Half]] = {}
    for reader in readers:
        for half in reader.halves:
            halves.setdefault(half.stream, []).append(half)
    answered = {half.stream for half in readers[1 - asking].halves if half.is_ended and not half.is_promise}
    reasons: dict[int, str] = {}
    for side, reader in enumerate(readers):
        who = "the client" if side == asking else "the server"
        for stream, code in reader.resets.items():
            reasons.setdefault(stream, f"Reset: {who} reset the stream: {_error_name(code)}")
        if reader.goaway is None:
            continue
        last, code = reader.goaway
        theirs = 1 if side != asking else 0  # of the streams that the other side opened, `last` was the last one seen
        for stream in halves:
            if code:
                reasons.setdefault(stream, f"Reset: {who} closed the connection: {_error_name(code)}")
            elif stream > last and stream % 2 == theirs:
                reasons.setdefault(stream, f"Reset: {who} closed the connection before it saw stream {stream}")
    for stream in reasons.keys() - answered:
        for half in halves.get(stream, ()):
            half.error = half.error or reasons[stream]


def _blame_end(
    unfinished: Sequence[Half], ending: Ending, wire: Wire, others: Mapping[int, Half], is_request: bool
) -> None:
    """Say of what a side was saying when the connection ended that it is not whole (RFC 9113 §8.1).

    A request that is being answered needs no end, and a tunnel has none but this.
    """
    for half in unfinished:
        other = others.get(half.stream)
        if other and (is_request or _opens_tunnel(other, half)):
            continue
        if not wire.gap_in(half.end, len(wire.data)):  # its end may be what was lost
            half.error = ended_early(ending, _where(half, is_request))


def _where(half: Half, is_request: bool) -> str:
    length = half.value(b"content-length")
    if length.isdigit() and len(length) <= MAX_DIGITS and int(length) > half.body_size:
        return f"after {half.body_size} of {int(length)} bytes of the body"
    return f"before the {'request' if is_request else 'response'} ended, after {half.body_size} bytes of its body"


def _error_name(code: int) -> str:
    return ERRORS[code] if code < len(ERRORS) else f"error {code:#x}"


def _message(half: Half, other: Half | None, wire: Wire, direction: int, is_request: bool) -> Message:
    protocol = ""
    content_type = text(half.value(b"content-type"))
    if _is_grpc(half) or (other is not None and _is_grpc(other)):
        protocol = GRPC.flag
    if is_request:
        fields = _request_fields(half)
        method, media = str(fields["method"]), media_of(content_type)
        if protocol:
            add_grpc_request(fields)
        elif "query" in str(fields["url"]) or (half.body_size and may_hold_operation(method, media)):
            body, _ = _body(half, wire, SCANNED)
            if add_operation(fields, content_type, body, text(half.value(b"content-encoding"))):
                protocol = GQL2.flag
    else:
        status = half.value(b":status")
        code = int(status) if status.isdigit() and len(status) == 3 else 0
        fields = response_fields(code, VERSION, content_type, half.head_size, half.body_size)
        if protocol:
            add_grpc_status(fields, text(half.trailing(b"grpc-status")), text(half.trailing(b"grpc-message")))
    return Message(
        MessageKind.REQUEST if is_request else MessageKind.RESPONSE,
        direction,
        half.start,
        half.end,
        fields=fields,
        key=str(half.stream),
        error=_error_of(half, is_request),
        protocol=protocol,
        interleaved=max(0, half.end - half.start - half.frames_size),
        detail=partial(_detail, half, wire, fields, is_request),
        parts=partial(_parts, half, wire) if comes_in_parts(media_of(content_type)) else None,
    )


def _parts(half: Half, wire: Wire) -> Parts:
    media, coding = (text(half.value(name)) for name in (b"content-type", b"content-encoding"))
    return parts_of(media_of(media), coding, wire, lambda: half.spans)


def _is_grpc(half: Half) -> bool:
    return is_grpc(text(half.value(b"content-type"))) or bool(half.trailing(b"grpc-status"))


def _request_fields(half: Half) -> dict[str, Value]:
    method, path = text(half.value(b":method")), text(half.value(b":path"))
    host = text(half.value(b":authority") or half.value(b"host"))
    target = path or (host if method == "CONNECT" else "")
    return request_fields(method, target, VERSION, host, half.head_size, half.body_size)


def _error_of(half: Half, is_request: bool) -> str:
    """Say what is damaged, or that a summary lacks what was in header fields that nobody can know."""
    if not half.has_head:
        return "unknown: the header section was sent before the capture began, or lost"
    if half.error:
        return half.error
    names = ((b":method", b":path") if half.value(b":method") != b"CONNECT" else ()) if is_request else (b":status",)
    missing = " and ".join(text(name) for name in names if not half.value(name))
    if not missing:
        return ""
    if half.has_unknown:
        return f"unknown: {missing}: in a header table from before the capture, or from a gap"
    return f"malformed: no {missing}"


def _detail(
    half: Half, wire: Wire, fields: Mapping[str, Value], is_request: bool
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    headers, trailers = _headers(half.fields), _headers(half.trailers)
    body, cut = _body(half, wire, ENCODED_LIMIT)
    if not is_request:
        return response_detail(fields, "", headers, trailers, body, half.body_size, cut)
    path, scheme = str(fields["url"]), text(half.value(b":scheme"))
    target = f"{scheme}://{fields['host']!s}{path}" if scheme and fields["host"] else path
    return request_detail(fields, target, headers, body, half.body_size, cut)


def _headers(fields: Sequence[Field]) -> Fields:
    return fields_of([(text(name), text(value)) for name, value in fields])


def _body(half: Half, wire: Wire, limit: int) -> tuple[bytes, bool]:
    """Return at most `limit` bytes of the data, and whether there was more."""
    body = bytearray()
    for start, end in half.spans:
        body += wire.captured(start, min(end, start + limit + 1 - len(body)))
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False
