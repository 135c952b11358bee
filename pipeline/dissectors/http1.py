"""HTTP/1.0 and HTTP/1.1, on any port, known by content (RFC 9110, RFC 9112).

`_http1_framing` says where messages are, this module what their summaries say, `_http_document` the rest on demand.
A message after which the connection speaks something else carries `http_upgrade`; that begins at its `end`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors._http1_framing import (
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
from kubeshark.pipeline.dissectors._http_body import ENCODED_LIMIT
from kubeshark.pipeline.dissectors._http_document import Headers, path_of, request_detail, response_detail
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["HTTP1", "dissect", "probe", "protocols"]

HTTP1 = ProtocolSpec(
    name="http",
    abbr="HTTP",
    long_name="Hypertext Transfer Protocol",
    version="1.1",
    ports=(80, 443, 8080),
    priority=0,
    background="#1f6feb",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc9112",
    variables={
        "method": "string",
        "url": "string",
        "path": "string",
        "path_segments": "list",
        "query_string": "map",
        "status_code": "int",
        "http_version": "string",
        "http_upgrade": "string",
        "host": "string",
        "content_type": "string",
        "request.headers": "map",
        "request.cookies": "map",
        "request_headers_size": "int",
        "request_body_size": "int",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response.headers": "map",
        "response.cookies": "map",
        "response_headers_size": "int",
        "response_body_size": "int",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)

PROBE_BYTES = MAX_TARGET
_UNFINISHED_LINE = re.compile(rb"(?:" + METHODS + rb")(?: [!-~]*+(?: [HTP/1.]*+)?)?\Z")


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (HTTP1,)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
    return [_probe(stream) for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
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
    head = bytes(side.data[:PROBE_BYTES]).lstrip(b"\r\n")
    if start_line(head, 0) or ((side.starts_midway or side.gaps) and find_start(head, 0) < len(head)):
        return Verdict.MINE
    return Verdict.NEED_MORE if _UNFINISHED_LINE.match(head) else Verdict.NOT_MINE


def _dissect(stream: Stream) -> list[Message]:
    """Read requests first: how long an answer is depends on what was asked."""
    wires = [Wire(side) for side in stream.sides]
    asking, answering = sorted(range(2), key=lambda side: _first_is_answer(wires[side].data))
    requests = read_units(wires[asking], lambda _: None, answers=False)
    asked = _Asked([unit for unit in requests if not unit.is_response], stream.sides[asking], stream.sides[answering])
    responses = read_units(wires[answering], asked, answers=True)
    return [
        *(_message(unit, wires[asking], asking) for unit in requests),
        *(_message(unit, wires[answering], answering) for unit in responses),
    ]


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
        # times are looked up only where methods matter: most streams have neither
        self._matters = any(unit.method in (b"HEAD", b"CONNECT") for unit in requests)

    def __call__(self, start: int) -> bytes | None:
        if self._next == len(self._requests):
            return None
        request = self._requests[self._next]
        if self._matters and self._answering.time_at(start) < self._asking.time_at(request.start):
            return None  # it answers a request from before the capture
        self._next += 1
        return request.method


def _message(unit: Unit, wire: Wire, direction: int) -> Message:
    size, head_size = unit.end - unit.head_end, unit.head_end - unit.start
    version = "HTTP/" + unit.version.decode("ascii") if unit.version else ""
    upgrade = _upgrade(unit, wire)
    if unit.is_response:
        media = value_of(unit, wire.data, b"content-type").partition(b";")[0]
        fields: dict[str, Value] = {
            "status_code": unit.status,
            "http_version": version,
            "content_type": text(media.strip().lower()),
            "response_headers_size": head_size,
            "response_body_size": size,
        }
    else:
        target = text(unit.target)
        url, path = path_of(target)
        fields = {
            "method": text(unit.method),
            "url": url,
            "path": path,
            "http_version": version,
            "host": text(value_of(unit, wire.data, b"host")),
            "request_headers_size": head_size,
            "request_body_size": size,
        }
    if upgrade:
        fields["http_upgrade"] = upgrade
    unit.head = b""  # only the summary needs it: details read the wire
    return Message(
        MessageKind.RESPONSE if unit.is_response else MessageKind.REQUEST,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        final=not 100 <= unit.status < 200 or unit.status == 101,
        error=unit.error,
        detail=partial(_detail, unit, wire, fields),
    )


def _upgrade(unit: Unit, wire: Wire) -> str:
    """Name what the connection speaks behind this message: "connect" for a tunnel, "" where it stays HTTP."""
    if not unit.switches or not unit.is_response:
        return ""
    return text(value_of(unit, wire.data, b"upgrade").lower()) if unit.status == 101 else "connect"


def _detail(unit: Unit, wire: Wire, fields: Mapping[str, Value]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    headers = _headers(wire.captured(unit.line_end, unit.head_end))
    trailers: Headers = []
    if unit.chunked:
        body, cut = _unchunked(unit, wire)
        trailers = _headers(wire.captured(unit.trailer, unit.end)) if unit.trailer < unit.end else []
    else:
        end = min(unit.end, unit.head_end + ENCODED_LIMIT)
        body, cut = wire.captured(unit.head_end, end), end < unit.end
    size = unit.end - unit.head_end
    if unit.is_response:
        return response_detail(fields, text(unit.reason), headers, trailers, body, size, cut)
    return request_detail(fields, text(unit.target), headers, body, size, cut)


def _unchunked(unit: Unit, wire: Wire) -> tuple[bytes, bool]:
    """Return the chunks' data without framing, at most ENCODED_LIMIT bytes, and whether there was more."""
    spans: list[tuple[int, int]] = []
    read_chunked(wire, unit.head_end, spans)
    body = bytearray()
    for start, end in spans:
        body += wire.captured(start, min(end, start + ENCODED_LIMIT + 1 - len(body)))
        if len(body) > ENCODED_LIMIT:
            return bytes(body[:ENCODED_LIMIT]), True
    return bytes(body), False


def _headers(block: bytes) -> Headers:
    """Read header lines: names as on the wire, folded lines joined (RFC 9112 §5.2), a line without colon as a name."""
    headers: Headers = []
    for line in block.split(b"\n"):
        line = line.rstrip(b"\r")
        if line[:1] in (b" ", b"\t") and headers:
            name, value = headers[-1]
            headers[-1] = name, f"{value} {text(line.strip())}".strip()
        elif line:
            name_bytes, _, value_bytes = line.partition(b":")
            headers.append((text(name_bytes.strip()), text(value_bytes.strip())))
    return headers
