"""HTTP/3, decrypted (RFC 9114): summaries and documents are those of HTTP/1 (`_http_document`).

It never claims a stream by itself: QUIC is encrypted, and what was decrypted is handed over to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Stream, Value, Verdict, hookimpl
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.web._http2_halves import Half
from kubeshark.pipeline.dissectors.web._http3_halves import read_settings, read_streams
from kubeshark.pipeline.dissectors.web._http_body import ENCODED_LIMIT
from kubeshark.pipeline.dissectors.web._http_document import (
    request_detail,
    request_fields,
    response_detail,
    response_fields,
)
from kubeshark.pipeline.dissectors.web._http_fields import Fields, fields_of
from kubeshark.pipeline.dissectors.web._http_protocols import HTTP2

__all__ = ["HTTP3", "dissect", "probe", "protocols"]

VERSION = "HTTP/3"

HTTP3 = replace(
    HTTP2,
    abbr="HTTP/3",
    long_name="Hypertext Transfer Protocol Version 3",
    version="3",
    macro="http3",
    also=("http",),
    layer4="udp",
    ports=(443,),
    reference="https://www.rfc-editor.org/rfc/rfc9114",
    classifiers=(),
    hands_over=(),
    handover_marks=(),
)


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (HTTP3,)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
    return [Verdict.NOT_MINE] * len(streams)


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [_messages(stream) if stream.sides else [] for stream in streams]


def _messages(stream: Stream) -> list[Message]:
    sides = [bytes(side.data) for side in stream.sides]
    settings = [read_settings(data) for data in sides]
    halves = [read_streams(data, *settings[1 - way]) for way, data in enumerate(sides)]
    asking = _asking_side(halves)
    return [
        _message(half, sides[way], way, is_request=way == asking)
        for way in range(2)
        for half in halves[way]
        if half.stream % 4 == 0
    ]


def _asking_side(halves: Sequence[Sequence[Half]]) -> int:
    """Return the side that sends requests: a capture may have ends the wrong way round."""
    asks = [sum(bool(half.value(b":method")) for half in side) for side in halves]
    return 0 if asks[0] >= asks[1] else 1


def _message(half: Half, data: bytes, way: int, *, is_request: bool) -> Message:
    error = half.error if half.has_head else half.error or "gap: the header section was not captured"
    if is_request:
        method, path = text(half.value(b":method")), text(half.value(b":path"))
        host = text(half.value(b":authority") or half.value(b"host"))
        target = path or (host if method == "CONNECT" else "")
        fields = request_fields(method, target, VERSION, host, half.head_size, half.body_size)
    else:
        status = half.value(b":status")
        code = int(status) if status.isdigit() and len(status) == 3 else 0
        fields = response_fields(code, VERSION, text(half.value(b"content-type")), half.head_size, half.body_size)
    return Message(
        MessageKind.REQUEST if is_request else MessageKind.RESPONSE,
        way,
        half.start,
        half.end,
        fields=fields,
        key=str(half.stream),
        error=error,
        detail=partial(_detail, half, data, fields, is_request),
    )


def _detail(
    half: Half, data: bytes, fields: Mapping[str, Value], is_request: bool
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    headers, trailers = _headers(half.fields), _headers(half.trailers)
    body = bytearray()
    for start, end in half.spans:
        body += data[start : min(end, start + ENCODED_LIMIT + 1 - len(body))]
    cut = len(body) > ENCODED_LIMIT
    content = bytes(body[:ENCODED_LIMIT])
    if not is_request:
        return response_detail(fields, "", headers, trailers, content, half.body_size, cut)
    path, scheme = str(fields["url"]), text(half.value(b":scheme"))
    target = f"{scheme}://{fields['host']!s}{path}" if scheme and fields["host"] else path
    return request_detail(fields, target, headers, content, half.body_size, cut)


def _headers(fields: Sequence[tuple[bytes, bytes]]) -> Fields:
    return fields_of([(text(name), text(value)) for name, value in fields])
