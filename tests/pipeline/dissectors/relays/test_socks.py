"""SOCKS 4, 4a and 5; messages made by hand from the RFCs."""

from __future__ import annotations

import pytest
from hypothesis import given

from kubeshark.extension_api import Handover, Verdict
from kubeshark.pipeline.dissectors.relays import socks

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, tcp

HTTP, HTTP_ANSWER = b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
CONNECT_4 = b"\x04\x01\x00\x50\xc0\x00\x02\x07me\0"
CONNECT_4A = b"\x04\x01\x01\xbb\x00\x00\x00\x01\0example.com\0"
GRANTED_4 = b"\0\x5a\x00\x50\xc0\x00\x02\x07"
GREETING, NO_METHOD = b"\x05\x02\x00\x02", b"\x05\xff"
CREDENTIALS = b"\x01\x02me\x06secret"
CONNECT_NAME = b"\x05\x01\x00\x03\x0bexample.com\x00\x50"
CONNECTED_6 = b"\x05\x00\x00\x04" + bytes(15) + b"\x01\x1f\x90"
REFUSED = b"\x05\x05\x00\x01\0\0\0\0\0\0"
CLIENT, SERVER = GREETING + CREDENTIALS + CONNECT_NAME, b"\x05\x02" + b"\x01\x00" + CONNECTED_6


def is_mine(stream: FakeStream) -> bool:
    return socks.probe(socks.SOCKS, [stream]) == [Verdict.MINE]


def relayed(stream: FakeStream) -> tuple[bytes, bytes] | None:
    found = [part for part in socks.dissect(socks.SOCKS, [stream])[0] if isinstance(part, Handover)]
    return (bytes(found[0].sides[0].data), bytes(found[0].sides[1].data)) if found else None


def test_version_5_with_a_password_nobody_sees() -> None:
    stream = tcp(CLIENT + HTTP, SERVER + HTTP_ANSWER, port=1080)
    found = found_by(socks, socks.SOCKS, stream)
    assert [(part.direction, part.key, part.error) for part in found] == [
        (0, "greeting", ""),
        (0, "authentication", ""),
        (0, "request", ""),
        (1, "greeting", ""),
        (1, "authentication", ""),
        (1, "request", ""),
    ]
    offer, credentials, request, choice, verdict, reply = found
    assert offer.fields["socks_methods"] == ["none", "username"]
    assert choice.fields["socks_method"] == "username"
    assert credentials.fields["socks_username"] == "me"
    assert verdict.fields["socks_status"] == 0
    assert document(request) == {"command": "CONNECT", "host": "example.com", "port": 80}
    assert document(reply) == {"status": 0, "statusText": "succeeded", "boundHost": "::1", "boundPort": 8080}
    assert not any("secret" in str(part.fields) + str(document(part)) for part in found)
    assert relayed(stream) == (HTTP, HTTP_ANSWER)


def test_version_4_and_4a() -> None:
    stream = tcp(CONNECT_4 + HTTP, GRANTED_4 + HTTP_ANSWER, port=9999)
    request, reply = found_by(socks, socks.SOCKS, stream)
    assert document(request) == {"command": "CONNECT", "port": 80, "username": "me", "host": "192.0.2.7"}
    assert (reply.fields["socks_status"], reply.fields["socks_version"]) == (90, "4")
    assert relayed(stream) == (HTTP, HTTP_ANSWER)
    request, _ = found_by(socks, socks.SOCKS, tcp(CONNECT_4A, GRANTED_4))
    assert (request.fields["socks_host"], request.fields["socks_port"]) == ("example.com", 443)


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (CONNECT_4 + HTTP, b"\0\x5b\x00\x50\xc0\x00\x02\x07" + HTTP_ANSWER),
        (GREETING + HTTP, NO_METHOD + HTTP_ANSWER),
        (GREETING + CREDENTIALS + HTTP, b"\x05\x02\x01\xff" + HTTP_ANSWER),
        (b"\x05\x01\x00" + CONNECT_NAME + HTTP, b"\x05\x00" + REFUSED + HTTP_ANSWER),
        (b"\x05\x01\x01" + HTTP, b"\x05\x01" + HTTP_ANSWER),  # GSSAPI
    ],
)
def test_nothing_is_relayed_after_a_refusal_or_what_we_cannot_read(client: bytes, server: bytes) -> None:
    assert relayed(tcp(client, server, port=1080)) is None


def test_bind_is_answered_twice() -> None:
    bind = b"\x05\x02\x00\x01\xc0\x00\x02\x07\x00\x15"
    listening, came = b"\x05\0\0\x01\xc0\0\x02\x01\x0b\xb8", b"\x05\0\0\x01\xc0\0\x02\x07\x00\x14"
    stream = tcp(b"\x05\x01\x00" + bind, b"\x05\x00" + listening + came + b"data", port=1080)
    answers = [part for part in found_by(socks, socks.SOCKS, stream) if part.direction == 1 and part.key == "request"]
    assert [(part.final, part.fields["socks_bound_port"]) for part in answers] == [(False, 3000), (True, 20)]
    assert relayed(stream) == (b"", b"data")


def test_one_side_alone_is_taken_at_its_word() -> None:
    assert relayed(tcp(CLIENT + HTTP, b"", port=1080)) == (HTTP, b"")
    assert relayed(tcp(b"\x05\x01\x00" + CONNECT_NAME + HTTP, b"", port=1080)) == (HTTP, b"")
    assert relayed(tcp(b"", SERVER + HTTP_ANSWER, port=1080)) == (b"", HTTP_ANSWER)


def test_damage_is_named() -> None:
    cut = found_by(socks, socks.SOCKS, tcp(GREETING + CREDENTIALS + CONNECT_NAME[:9], SERVER, port=1080))
    assert next(part.error for part in cut if part.key == "request") == (
        "truncated: 7 bytes of the message were not captured"
    )
    strange = found_by(socks, socks.SOCKS, tcp(b"\x05\x01\x00\x05\x01\x00\x09abc", b"\x05\x00", port=1080))
    assert strange[1].error == "malformed: address type 9 at 6"
    endless = found_by(socks, socks.SOCKS, tcp(CONNECT_4[:8] + b"x" * 300, GRANTED_4, port=1080))
    assert endless[0].error == "malformed: no NUL within 256 bytes of 8"
    data = GREETING + CREDENTIALS[:4] + bytes(7) + CONNECT_NAME
    gap = tcp(data, SERVER, port=1080, gaps={0: [(8, 15, 7)]})
    assert [part.error for part in found_by(socks, socks.SOCKS, gap) if part.direction == 0] == [
        "",
        "truncated: 1 bytes of the message were not captured",
    ]
    assert relayed(gap) is None


def test_probe() -> None:
    assert is_mine(tcp(CLIENT, SERVER, port=9999))
    assert is_mine(tcp(CONNECT_4, GRANTED_4, port=9999))
    assert is_mine(tcp(GREETING, b"", port=1080))
    assert is_mine(tcp(GREETING, NO_METHOD, port=9999))
    assert not is_mine(tcp(GREETING, b"", port=9999))  # one side says too little
    assert not is_mine(tcp(GREETING, b"\x05\x01", port=9999))  # a method that was not offered
    assert not is_mine(tcp(b"\x05\x02\x00\x00", b"\x05\x00", port=1080))  # twice the same
    assert not is_mine(tcp(b"\x05\x00", b"\x05\x00", port=1080))
    assert not is_mine(tcp(b"\x04\x01\x00\x00" + CONNECT_4[4:], GRANTED_4, port=1080))  # port 0: CQL 4 looks like this
    assert not is_mine(tcp(CONNECT_4, b"\x84\0\0\0", port=1080))
    assert not is_mine(tcp(CLIENT, SERVER, port=1080, midway=True))
    assert not is_mine(tcp(CONNECT_4, b"\0\x10", port=1080))
    assert not is_mine(tcp(HTTP, HTTP_ANSWER, port=1080))
    assert not is_mine(FakeStream("udp"))


@given(damaged_streams(CLIENT + HTTP, SERVER + HTTP_ANSWER, 1080))
def test_any_damage_to_version_5(stream: FakeStream) -> None:
    is_mine(stream)
    assert_sound(socks.dissect(socks.SOCKS, [stream])[0], stream)


@given(damaged_streams(CONNECT_4A + HTTP, GRANTED_4 + HTTP_ANSWER, 1080))
def test_any_damage_to_version_4(stream: FakeStream) -> None:
    is_mine(stream)
    assert_sound(socks.dissect(socks.SOCKS, [stream])[0], stream)
