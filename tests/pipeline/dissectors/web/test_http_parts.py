"""The parts of streaming bodies: where each ends on the wire, whatever lies between."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web import http1, http2
from kubeshark.pipeline.dissectors.web._http_parts import comes_in_parts, parts_of

from .._streams import tcp
from ._http2_bytes import PREFACE, SETTINGS, Talker, grpc_message

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GRPC = ("content-type", "application/grpc+proto")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def ends(message: Message) -> list[tuple[int, str]]:
    assert message.parts
    return list(message.parts())


def wire_of(data: bytes, gaps: Sequence[tuple[int, int, int]] = ()) -> Wire:
    return Wire(tcp(data, gaps={0: gaps}).sides[0])


def answer(wire: bytes) -> Message:
    (found,) = http1.dissect(http1.HTTP1, [tcp(b"", wire)])[0]
    assert isinstance(found, Message)
    return found


def test_only_streams_of_messages_come_in_parts() -> None:
    assert comes_in_parts("text/event-stream")
    assert comes_in_parts("application/grpc-web+proto")
    assert not comes_in_parts("text/html")
    plain = answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi")
    assert plain.parts is None


def test_events_in_chunks() -> None:
    pieces = (b"data: a\n", b"\n: ping\n\n", b"event: x\r\ndata: b\r\n\r\ndata: c\n\n")
    wire = CHUNKED + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    found = ends(answer(wire))
    assert [label for _, label in found] == ["event 1, 9 bytes", "event 2, 21 bytes", "event 3, 9 bytes"]
    places = [wire.index(b"\n: ping"), wire.index(b"b\r\n\r\n") + 4, wire.index(b"c\n\n") + 2]
    assert [at for at, _ in found] == places


def test_messages_of_a_call() -> None:
    first, second = grpc_message(b"\x0a\x02hi"), grpc_message(b"\x0a\x05world")
    asked = Talker(PREFACE + SETTINGS).request(1, "POST", "/demo.Greeter/Talk", GRPC, end=False)
    asked.data(1, first[:3], end=False).data(1, first[3:] + second[:6], end=False).data(1, second[6:])
    request, *_ = http2.dissect(http2.HTTP2, [tcp(asked.said, b"")])[0]
    assert isinstance(request, Message)
    found = ends(request)
    assert [label for _, label in found] == ["message 1, 4 bytes", "message 2, 7 bytes"]
    assert [asked.said[at] for at, _ in found] == [first[-1], second[-1]]
    assert found[1][0] == len(asked.said) - 1


@pytest.mark.parametrize("broken", ["coding", "gap", "text"])
def test_what_cannot_be_told_has_none(broken: str) -> None:
    body = grpc_message(b"\x08\x01")
    wire = wire_of(body, [(1, 2, 1)] if broken == "gap" else [])
    media = "application/grpc-web-text" if broken == "text" else "application/grpc"
    found = parts_of(media, "gzip" if broken == "coding" else "", wire, lambda: [(0, len(body))])
    assert found == []
    assert parts_of("application/grpc", "", wire_of(body), lambda: [(0, len(body))]) == [(6, "message 1, 2 bytes")]


def test_compressed_events_have_none() -> None:
    data = gzip.compress(b"data: a\n\n")
    wire = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    assert ends(answer(wire)) == []


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_arbitrary_bytes_and_cuts_stay_inside(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    spans = list(pairwise(bounds))
    for media in ("text/event-stream", "application/grpc"):
        whole = parts_of(media, "", wire_of(data), lambda: [(0, len(data))])
        assert parts_of(media, "", wire_of(data), lambda: spans) == whole
        assert all(0 <= at < len(data) for at, _ in whole)
