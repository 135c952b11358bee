"""HTTP/1.0 and HTTP/1.1, on any port, known by content (RFC 9110, RFC 9112).

`_http1_framing` says where messages are, this module what their summaries say, `_http_document` the rest on demand.
A message after which the connection speaks something else carries `http_upgrade`; that begins at its `end`, and is
handed over: a WebSocket, HTTP/2, or whatever a CONNECT tunnel holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from kubeshark.core_capture import CHUNKED
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
    rest_of,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, numbers, sizes, texts
from kubeshark.pipeline.dissectors._message_rows import MessageRow
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._graphql import SCANNED, may_hold_operation
from kubeshark.pipeline.dissectors.web._grpc import is_grpc, web_trailers
from kubeshark.pipeline.dissectors.web._http1_framing import (
    MAX_HEAD,
    MAX_TARGET,
    METHODS,
    Unit,
    find_start,
    read_chunked,
    read_units,
    start_line,
    value_of,
)
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
from kubeshark.pipeline.dissectors.web._http_fields import NO_FIELDS, read_fields
from kubeshark.pipeline.dissectors.web._http_parts import Parts, comes_in_parts, parts_of
from kubeshark.pipeline.dissectors.web._http_protocols import GQL1, GRPC_WEB, HTTP1

__all__ = ["COLUMNS", "HTTP1", "dissect", "probe", "protocols"]

COLUMNS: Columns = {
    "method": Column(texts(0)),
    "url": Column(texts(1, lambda target: path_of(target)[0])),
    "path": Column(texts(1, lambda target: path_of(target)[1])),
    "path_segments": Column(texts(1, lambda target: segments_of(path_of(target)[1]))),
    "host": Column(texts(2)),
    "http_version": Column(numbers(2, "HTTP/1.{}".format), ("request", "response")),
    "request_headers_size": Column(numbers(1)),
    "request_body_size": Column(sizes(but=1)),
    "status_code": Column(numbers(0), ("response",)),
    "content_type": Column(texts(3, media_of), ("response",)),
    "response_headers_size": Column(numbers(1), ("response",)),
    "response_body_size": Column(sizes(but=1), ("response",)),
}
"""What the scanner (scan_http1.c) knows."""

REQUEST, RESPONSE, _ = MessageKind  # as names of a module: looked up on an enum they cost a call
PROBE_BYTES = MAX_TARGET
CONTINUE, FINAL = 100, 200
VERSIONS = tuple(map("HTTP/1.{}".format, range(10)))
STATUS_LINE = len("HTTP/1.1 200")  # before the reason
UPGRADES = {"websocket": "ws", "h2c": "http2"}
"""Upgrade token (RFC 9110 §16.7) → flag of the protocol that reads the rest; others are found by their content."""
_UNFINISHED_LINE = re.compile(rb"(?:" + METHODS + rb")(?: [!-~]*+(?: [HTP/1.]*+)?)?\Z")


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (HTTP1, GRPC_WEB, GQL1)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    if protocol.flag != HTTP1.flag:  # its messages name the others
        return [Verdict.NOT_MINE] * len(streams)
    return [_probe(stream) for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message | Handover]]:  # noqa: ARG001
    return [_dissect(stream) for stream in streams]


def read_rows(stream: Stream, rows: Sequence[MessageRow], texts: bytes) -> list[Message] | None:
    """Return the messages of a stream that scan_http1.c took; None where it goes on as a WebSocket."""
    wires = [Wire(side) for side in stream.sides]
    messages = []
    for row in rows:
        _, _, start, end, _, _, _, _, direction, protocol, bits, status, head_size, minor, *spans = row
        if protocol or status == 101:
            return None
        method, method_length, target, target_length, host, host_length, kind, kind_length = spans
        wire, head_end, version = wires[direction], start + head_size, VERSIONS[minor]
        line_end, media = wire.data.index(b"\n", start) + 1, ""
        unit = Unit(start, line_end, head_end, end, bool(direction), chunked=bool(bits & CHUNKED), trailer=end)
        if direction:
            unit.status, unit.reason = status, wire.data[start + STATUS_LINE : line_end].strip()
            content_type = text(texts[kind : kind + kind_length])
            fields = response_fields(status, version, content_type, head_size, end - head_end)
            media = str(fields["content_type"])
            if media and comes_in_parts(media):
                unit.head = wire.data[line_end - 1 : head_end].lower()
        else:  # its media type matters not: a scanner takes none that comes in parts
            unit.target = texts[target : target + target_length]
            named, asked = text(texts[method : method + method_length]), text(unit.target)
            name = text(texts[host : host + host_length])
            fields = request_fields(named, asked, version, name, head_size, end - head_end)
        messages.append(_message_of(unit, wire, direction, fields, media))
    return messages


def _probe(stream: Stream) -> Verdict:
    if stream.transport != "tcp":
        return Verdict.NOT_MINE
    verdicts = [_probe_side(side) for side in stream.sides]
    for verdict in (Verdict.MINE, Verdict.NEED_MORE):
        if verdict in verdicts:
            return verdict
    return Verdict.NOT_MINE


def _probe_side(side: StreamSide) -> Verdict:
    head = bytes(side.data[:PROBE_BYTES]).lstrip(b"\r\n")
    if start_line(head, 0) or ((side.starts_midway or side.gaps) and find_start(head, 0) < len(head)):
        return Verdict.MINE
    return Verdict.NEED_MORE if _UNFINISHED_LINE.match(head) else Verdict.NOT_MINE


def _dissect(stream: Stream) -> list[Message | Handover]:
    """Read requests first: how long an answer is depends on what was asked."""
    wires = [Wire(side) for side in stream.sides]
    asking, answering = sorted(range(2), key=lambda side: _first_is_answer(wires[side].data))
    requests = read_units(wires[asking], lambda _: None, answers=False)
    asked = _Asked([unit for unit in requests if not unit.is_response], stream.sides[asking], stream.sides[answering])
    responses = read_units(wires[answering], asked, answers=True)
    for side, units in ((asking, requests), (answering, responses)):
        if units and units[-1].is_cut:
            _blame_end(units[-1], wires[side], stream.sides[side].ended)
    if requests and requests[-1].is_cut and _is_excused(requests[-1], responses, asked.latest):
        requests[-1].error = ""
    found: list[Message | Handover] = []
    if switch := _switch(requests, responses, asked.latest, wires[answering]):
        ends, token = switch
        requests = [unit for unit in requests if unit.start < ends[0]]
        rest = rest_of(stream.sides[asking], ends[0]), rest_of(stream.sides[answering], ends[1])
        if any(len(side.data) for side in rest):
            found.append(Handover((rest[asking], rest[answering]), UPGRADES.get(token, "")))
    found += [_message(unit, wires[asking], asking) for unit in requests]
    found += [_message(unit, wires[answering], answering) for unit in responses]
    return found


def _is_excused(request: Unit, responses: Sequence[Unit], asked: Unit | None) -> bool:
    """Say whether nobody asked for a request's body before its answer, so that none was sent (RFC 9110 §10.1.1)."""
    if not request.awaits or request.end > request.head_end or asked is not request:
        return False
    interim = takewhile(lambda response: response.status < FINAL, reversed(responses[:-1]))
    return all(response.status != CONTINUE for response in interim)


def _blame_end(unit: Unit, wire: Wire, ending: Ending) -> None:
    """Say of a body that ends early that the connection ended, where nothing else can have become of it."""
    if wire.gap_in(unit.start, unit.end):
        return
    size = unit.end - unit.head_end
    where = f"after {size} of {size + unit.lacks} bytes of the body" if unit.lacks else "before the chunked body ended"
    unit.error = ended_early(ending, where) or unit.error


def _switch(
    requests: Sequence[Unit], responses: Sequence[Unit], asked: Unit | None, wire: Wire
) -> tuple[tuple[int, int], str] | None:
    """Return where (asking side, answering side) stop being HTTP/1, and the upgrade's token; None if they do not.

    Where only the asking side was captured, what follows a request to switch and is not HTTP shows that it was granted.
    """
    if responses and responses[-1].is_response and responses[-1].switches:
        if asked is None or not asked.switches:  # it was not captured, or another answer was taken for its own
            asked = next((unit for unit in reversed(requests) if unit.switches), None)
        end = asked.end if asked else requests[-1].end if requests else 0
        return (end, responses[-1].end), _upgrade(responses[-1], wire).partition(",")[0].strip()
    if not wire.data and requests and requests[-1].switches and not requests[-1].is_response:
        head = requests[-1].head
        token = next((token for token in UPGRADES if b"\nupgrade: " + token.encode() in head), "")
        return (requests[-1].end, 0), token
    return None


def _first_is_answer(data: bytes) -> bool:
    head = data[:MAX_HEAD]
    return head.startswith(b"HTTP/", find_start(head, 0))


class _Asked:
    """Knows the method a response answers: that of the oldest request before it that has no answer yet."""

    def __init__(self, requests: Sequence[Unit], asking: StreamSide, answering: StreamSide) -> None:
        self._requests = requests
        self._asking = asking
        self._answering = answering
        self._next = 0
        self.latest: Unit | None = None  # the request that the latest response answers, if it is known
        # times are looked up only where methods matter: most streams have neither
        self._matters = any(unit.method in (b"HEAD", b"CONNECT") for unit in requests)

    def __call__(self, start: int) -> bytes | None:
        self.latest = None
        if self._next == len(self._requests):
            return None
        request = self._requests[self._next]
        if self._matters and self._answering.time_at(start) < self._asking.time_at(request.start):
            return None  # it answers a request from before the capture
        self._next += 1
        self.latest = request
        return request.method


def _message(unit: Unit, wire: Wire, direction: int) -> Message:
    size, head_size = unit.end - unit.head_end, unit.head_end - unit.start
    version = "HTTP/" + unit.version.decode("ascii") if unit.version else ""
    content_type = text(value_of(unit, wire.data, b"content-type"))
    media = media_of(content_type) if content_type else ""
    protocol = GRPC_WEB.flag if is_grpc(media) else ""
    if unit.is_response:
        fields = response_fields(unit.status, version, content_type, head_size, size)
        if protocol:
            _add_grpc_status(fields, unit, wire)
        if upgrade := _upgrade(unit, wire):
            fields["http_upgrade"] = upgrade
        if unit.status == 101 and (subprotocol := value_of(unit, wire.data, b"sec-websocket-protocol")):
            fields["ws_subprotocol"] = text(subprotocol)
    else:
        method, host = text(unit.method), text(value_of(unit, wire.data, b"host"))
        fields = request_fields(method, text(unit.target), version, host, head_size, size)
        if protocol:
            add_grpc_request(fields)
        elif unit.target.find(b"query") >= 0 or (size and may_hold_operation(method, media)):
            body, _ = _body(unit, wire, SCANNED)
            codings = text(value_of(unit, wire.data, b"content-encoding"))
            protocol = GQL1.flag if add_operation(fields, content_type, body, codings) else ""
    return _message_of(unit, wire, direction, fields, media, protocol)


def _message_of(
    unit: Unit, wire: Wire, direction: int, fields: dict[str, Value], media: str, protocol: str = ""
) -> Message:
    is_in_parts = bool(media) and comes_in_parts(media)
    coding = text(value_of(unit, wire.data, b"content-encoding")) if is_in_parts else ""
    unit.head = b""  # only the summary needs it: details read the wire
    return Message(
        RESPONSE if unit.is_response else REQUEST,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        final=not 100 <= unit.status < 200 or unit.status == 101,
        error=unit.error,
        protocol=protocol,
        detail=partial(_detail, unit, wire, fields),
        parts=partial(_parts, unit, wire, media, coding) if is_in_parts else None,
    )


def _parts(unit: Unit, wire: Wire, media: str, coding: str) -> Parts:
    return parts_of(media, coding, wire, lambda: _spans(unit, wire))


def _add_grpc_status(fields: dict[str, Value], unit: Unit, wire: Wire) -> None:
    """gRPC-Web has its trailers behind the last message; a response of trailers only has them in its head."""
    body, _ = _body(unit, wire, ENCODED_LIMIT)
    trailers = web_trailers(body, str(fields["content_type"]))
    status, message = (
        trailers.get(name) or text(value_of(unit, wire.data, name.encode())) for name in ("grpc-status", "grpc-message")
    )
    add_grpc_status(fields, status, message)


def _upgrade(unit: Unit, wire: Wire) -> str:
    """Name what the connection speaks behind this message: "connect" for a tunnel, "" where it stays HTTP."""
    if not unit.switches or not unit.is_response:
        return ""
    return text(value_of(unit, wire.data, b"upgrade").lower()) if unit.status == 101 else "connect"


def _detail(unit: Unit, wire: Wire, fields: Mapping[str, Value]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    headers = read_fields(wire.captured(unit.line_end, unit.head_end))
    trailers = NO_FIELDS
    if unit.chunked and unit.trailer < unit.end:
        trailers = read_fields(wire.captured(unit.trailer, unit.end))
    body, cut = _body(unit, wire, ENCODED_LIMIT)
    size = unit.end - unit.head_end
    if unit.is_response:
        return response_detail(fields, text(unit.reason), headers, trailers, body, size, cut)
    return request_detail(fields, text(unit.target), headers, body, size, cut)


def _body(unit: Unit, wire: Wire, limit: int) -> tuple[bytes, bool]:
    """Return at most `limit` bytes of the body without transfer coding, and whether there was more."""
    if not unit.chunked:
        end = min(unit.end, unit.head_end + limit)
        return wire.captured(unit.head_end, end), end < unit.end
    body = bytearray()
    for start, end in _spans(unit, wire):
        body += wire.captured(start, min(end, start + limit + 1 - len(body)))
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _spans(unit: Unit, wire: Wire) -> list[tuple[int, int]]:
    """Return where the body's bytes lie."""
    if not unit.chunked:
        return [(unit.head_end, unit.end)]
    spans: list[tuple[int, int]] = []
    read_chunked(wire, unit.head_end, spans)
    return spans
