"""gRPC bodies: framing, compression, and protobuf without its schema."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._grpc import (
    MAX_FIELDS,
    MAX_MESSAGES,
    is_grpc,
    read_messages,
    service_and_method,
    status_text,
    web_trailers,
)

from ._http2_bytes import grpc_message


def fields(message: bytes) -> Any:
    (shown,) = read_messages(grpc_message(message), "")
    return shown.get("fields")


@pytest.mark.parametrize(
    ("media", "expected"),
    [("application/grpc", True), ("application/grpc-web+proto", True), ("application/json", False), ("", False)],
)
def test_media_types(media: str, expected: bool) -> None:
    assert is_grpc(media) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/demo.Greeter/SayHello", ("demo.Greeter", "SayHello")),
        ("/prefix/demo.Greeter/SayHello", ("prefix/demo.Greeter", "SayHello")),
        ("/nothing", ("", "")),
        ("", ("", "")),
    ],
)
def test_service_and_method(path: str, expected: tuple[str, str]) -> None:
    assert service_and_method(path) == expected


def test_status_text_is_percent_encoded() -> None:
    assert status_text("gr%C3%B6%C3%9Fe %") == "größe %"


def test_wire_types() -> None:
    message = (
        b"\x08\x96\x01"  # 1: 150
        b"\x12\x07testing"
        b"\x19\x01\0\0\0\0\0\0\0"
        b"\x25\xff\0\0\0"
        b"\x2a\x03\x08\x96\x01"  # 5: a message
        b"\x32\x02\xff\xfe"
        b"\x3a\x00"
    )
    assert fields(message) == [
        {"number": 1, "type": "varint", "value": 150},
        {"number": 2, "type": "text", "value": "testing"},
        {"number": 3, "type": "fixed64", "value": 1},
        {"number": 4, "type": "fixed32", "value": 255},
        {"number": 5, "type": "message", "fields": [{"number": 1, "type": "varint", "value": 150}]},
        {"number": 6, "type": "bytes", "value": "//4="},
        {"number": 7, "type": "text", "value": ""},
    ]


@pytest.mark.parametrize(
    "damage",
    [b"\x08", b"\x00\x01", b"\x12\x05abc", b"\x0b", b"\x0e", b"\x19\x01", b"\xff" * 12],
    ids=["cut varint", "field 0", "cut text", "group", "wire type 6", "cut number", "long varint"],
)
def test_what_is_no_protobuf_is_shown_as_it_is(damage: bytes) -> None:
    (shown,) = read_messages(grpc_message(damage), "")
    assert "fields" not in shown
    assert shown["data"]


def test_json_messages() -> None:
    (shown,) = read_messages(grpc_message(b'{"a": 1}'), "", "application/grpc+json")
    assert shown["data"] == '{"a": 1}'


def test_compressed_messages() -> None:
    body = grpc_message(gzip.compress(b"\x08\x01", mtime=0), flag=1) + grpc_message(b"\x08\x02")
    first, second = read_messages(body, "gzip")
    assert (first["compressed"], first["fields"][0]["value"]) == (True, 1)
    assert (second["compressed"], second["fields"][0]["value"]) == (False, 2)
    (unknown,) = read_messages(grpc_message(b"\xff\xff", flag=1), "snappy")
    assert "not undone" in unknown["comment"]


def test_a_cut_message_is_marked() -> None:
    (shown,) = read_messages(grpc_message(b"\x08\x01\x12\x05hello")[:-2], "")
    assert shown["truncated"]
    assert shown["length"] == 9


def test_web_text_and_trailers() -> None:
    body = base64.b64encode(grpc_message(b"\x08\x01")) + base64.b64encode(
        grpc_message(b"grpc-status:7\r\nGrpc-Message: no\r\n", flag=0x80)
    )
    media = "application/grpc-web-text+proto"
    (shown,) = read_messages(body, "", media)
    assert shown["fields"] == [{"number": 1, "type": "varint", "value": 1}]
    assert web_trailers(body, media) == {"grpc-status": "7", "grpc-message": "no"}
    assert web_trailers(grpc_message(b"\x08\x01"), "application/grpc-web") == {}


def test_everything_is_bounded() -> None:
    assert len(read_messages(grpc_message(b"") * 1000, "")) == MAX_MESSAGES
    (many,) = read_messages(grpc_message(b"\x08\x01" * 10_000), "")
    assert len(many["fields"]) == MAX_FIELDS
    nested = b"\x08\x96\x01"
    for _ in range(200):
        nested = b"\x0a" + bytes((len(nested) & 0x7F | 0x80, len(nested) >> 7)) + nested
    json.dumps(read_messages(grpc_message(nested), ""))


@given(st.binary(max_size=200), st.sampled_from(["", "gzip"]), st.sampled_from(["", "application/grpc-web-text"]))
def test_any_bytes(body: bytes, coding: str, media: str) -> None:
    json.dumps(read_messages(body, coding, media))
    json.dumps(read_messages(grpc_message(body), coding, media))
    web_trailers(body, media)
