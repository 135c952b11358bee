"""Payloads as text or base64."""

from __future__ import annotations

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._payload import payload_of
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT

from .._streams import tcp


def wire(data: bytes) -> Wire:
    return Wire(tcp(data).sides[0])


def test_text() -> None:
    assert payload_of(wire(b"..hello"), 2, 7, "request") == ({"request_body": "hello"}, {"payload": "hello"})


def test_bytes() -> None:
    fields, document = payload_of(wire(b"\xff\x00"), 0, 2, "response", "body")
    assert (fields, document) == ({"response_body": "\ufffd\x00"}, {"body": "/wA=", "encoding": "base64"})


def test_too_much() -> None:
    fields, document = payload_of(wire(b"x" * (BODY_LIMIT + 1)), 0, BODY_LIMIT + 1, "request")
    assert len(document["payload"]) == BODY_LIMIT
    assert fields["request_body_truncated"] is document["payloadTruncated"] is True
