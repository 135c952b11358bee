"""HTTP/3 as it is handed over: frames cut anywhere, QPACK with a dynamic table, losses, damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylsqpack import Encoder

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.security._quic_streams import handed_frames, pack_frame
from kubeshark.pipeline.dissectors.web import http3

from .._streams import FakeStream, tcp
from ..security._quic import varint

REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "shop.example"), (":path", "/cart?x=1")]
ANSWER = [(":status", "404"), ("content-type", "text/plain; charset=utf-8"), ("x-own", "value")]
TABLE, BLOCKED = 4_096, 16


def frame(kind: int, payload: bytes) -> bytes:
    return varint(kind) + varint(len(payload)) + payload


SETTINGS = b"\0" + frame(4, varint(1) + varint(TABLE) + varint(7) + varint(BLOCKED) + varint(0x21) + b"\0")


class Coder:
    """One side's QPACK: header fields to (encoder stream, HEADERS frame)."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self.start = b"\x02" + self._encoder.apply_settings(TABLE, BLOCKED)

    def headers(self, stream: int, fields: Sequence[tuple[str, str]]) -> tuple[bytes, bytes]:
        instructions, section = self._encoder.encode(stream, [(a.encode(), b.encode()) for a, b in fields])
        return instructions, frame(1, section)


def side(way: int, fields: Sequence[tuple[str, str]], body: bytes = b"", *, streams: int = 3, size: int = 0) -> bytes:
    """What one side says: the same on each stream, so that later ones use the dynamic table."""
    coder = Coder()
    control, encoder = 2 + way, 6 + way
    said = pack_frame(control, SETTINGS) + pack_frame(encoder, coder.start)
    for number in range(streams):
        instructions, head = coder.headers(4 * number, fields)
        content = head + (frame(0, body) if body else b"")
        step = size or len(content)
        said += pack_frame(encoder, instructions) if instructions else b""
        for at in range(0, len(content), step):
            said += pack_frame(4 * number, content[at : at + step], is_final=at + step >= len(content))
    return said


CLIENT, SERVER = side(0, REQUEST, b"item=17"), side(1, ANSWER, b"not here")


def stream_of(client: bytes, server: bytes) -> FakeStream:
    stream = tcp(client, server, port=443)
    stream.transport = "udp"
    return stream


def messages(client: bytes = CLIENT, server: bytes = SERVER) -> list[Message]:
    return list(http3.dissect(http3.HTTP3, [stream_of(client, server)])[0])


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def test_it_claims_nothing() -> None:
    assert http3.probe(http3.HTTP3, [stream_of(CLIENT, SERVER)]) == [Verdict.NOT_MINE]


def test_requests_and_answers() -> None:
    found = messages()
    assert [(message.kind, message.key) for message in found] == [
        *((MessageKind.REQUEST, key) for key in ("0", "4", "8")),
        *((MessageKind.RESPONSE, key) for key in ("0", "4", "8")),
    ]
    for message in found[:3]:
        assert message.error == ""
        names = ("method", "url", "path", "host", "http_version", "request_body_size")
        assert [message.fields[name] for name in names] == [
            "POST",
            "/cart?x=1",
            "/cart",
            "shop.example",
            "HTTP/3",
            7,
        ]
    assert [found[3].fields[name] for name in ("status_code", "content_type")] == [404, "text/plain"]
    request, response = document(found[0]), document(found[5])
    assert (request["targetUri"], request["postData"]["text"]) == ("https://shop.example/cart?x=1", "item=17")
    assert (response["status"], response["headers"]["x-own"]) == (404, "value")
    assert response["content"]["text"] == "not here"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_frames_cut_anywhere(size: int) -> None:
    cut = messages(side(0, REQUEST, b"item=17", size=size), side(1, ANSWER, b"not here", size=size))
    whole = messages()
    assert [message.fields for message in cut] == [message.fields for message in whole]
    assert [document(message) for message in cut] == [document(message) for message in whole]


def test_ends_the_other_way_round() -> None:
    assert [message.kind for message in messages(SERVER, CLIENT)][:3] == [MessageKind.RESPONSE] * 3


def test_interim_response_trailers_and_unknown_frames() -> None:
    coder = Coder()
    said = pack_frame(3, SETTINGS)
    sections = [[(":status", "103"), ("link", "a")], [(":status", "200")], [("x-sum", "1")]]
    encoded = [coder.headers(0, fields) for fields in sections]
    said += pack_frame(7, coder.start + b"".join(instructions for instructions, _ in encoded))
    content = encoded[0][1] + frame(0x21, b"grease") + encoded[1][1] + frame(0, b"one") + frame(0, b"") + frame(0, b"2")
    said += pack_frame(0, content + encoded[2][1], is_final=True)
    *_, response = messages(CLIENT, said)
    assert (response.fields["status_code"], response.fields["response_body_size"]) == (200, 4)
    assert document(response)["trailers"] == {"x-sum": "1"}


def test_header_section_that_waits_for_the_table() -> None:
    frames = list(handed_frames(CLIENT))
    late = b"".join(CLIENT[item.start - 13 : item.end] for item in frames if item.stream == 6)
    rest = b"".join(CLIENT[item.start - 13 : item.end] for item in frames if item.stream != 6)
    assert [message.error for message in messages(rest + late)[:3]] == ["", "", ""]
    assert all("not captured" in message.error for message in messages(rest)[1:3])


def test_losses() -> None:
    body = frame(0, b"12345678")
    _, head = Coder().headers(0, REQUEST)
    lost_body = pack_frame(0, head + body[:4]) + pack_frame(0, b"", missing=4) + pack_frame(0, body[8:], is_final=True)
    (message,) = messages(lost_body, b"")
    assert message.error == "incomplete: gap: 4 bytes of the stream were not captured"
    assert (message.fields["url"], message.fields["request_body_size"]) == ("/cart?x=1", 4)
    (message,) = messages(pack_frame(0, b"", missing=100) + pack_frame(0, body), b"")
    assert message.error.startswith("incomplete: gap: 100 bytes")
    (message,) = messages(pack_frame(0, head[:-2]), b"")
    assert message.error == "incomplete: the stream ends inside a frame"
    (message,) = messages(pack_frame(0, frame(1, b"\xff\xff\xff")), b"")
    assert message.error == "malformed: a header section is not QPACK"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    sides = [bytearray(CLIENT), bytearray(SERVER)]
    for each in sides:
        for _ in range(data.draw(st.integers(0, 5))):
            each[data.draw(st.integers(0, len(each) - 1))] = data.draw(st.integers(0, 255))
        del each[data.draw(st.integers(0, len(each))) :]
    for message in messages(bytes(sides[0]), bytes(sides[1])):
        assert 0 <= message.start <= message.end <= len(sides[message.direction])
        assert document(message)
