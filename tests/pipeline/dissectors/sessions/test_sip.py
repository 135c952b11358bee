"""SIP messages, from datagrams and from streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Datagram, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.sessions import sip

from .._streams import FakeStream, tcp, udp

SDP = (
    b"v=0\r\no=ada 1 1 IN IP4 192.0.2.1\r\ns=call\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 8\r\n"
    b"a=rtpmap:0 PCMU/8000\r\n"
)
HEADERS = (
    b'Via: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nf: "Ada" <sip:ada@x>;tag=1\r\nTo: sip:bob@y;user=phone\r\n'
    b"i: call-1@x\r\nCSeq: 7  INVITE\r\nUser-Agent: phone\r\n two\r\n"
)
INVITE = b"INVITE sip:bob@y SIP/2.0\r\n" + HEADERS + b"c: application/sdp\r\nl: %d\r\n\r\n" % len(SDP) + SDP
ACK = b"ACK sip:bob@y SIP/2.0\r\n" + HEADERS.replace(b"7  INVITE", b"7 ACK") + b"Content-Length: 0\r\n\r\n"


def response(status: bytes) -> bytes:
    return b"SIP/2.0 " + status + b"\r\n" + HEADERS + b"Content-Length: 0\r\n\r\n"


def found_in(stream: FakeStream) -> list[Message]:
    return list(sip.dissect(sip.SIP, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return sip.probe(sip.SIP, [stream]) == [Verdict.MINE]


def document(found: Message) -> dict[str, Any]:
    assert found.detail
    return dict(found.detail()[1])


def test_call() -> None:
    found = found_in(
        udp((0, INVITE), (1, response(b"100 Trying")), (1, response(b"200 OK")), (0, ACK), (0, b"\r\n\r\n"), port=5060)
    )
    invite, trying, ok, ack = found
    assert invite.fields == {
        "sip_request": True,
        "sip_request_size": len(INVITE),
        "sip_from": "sip:ada@x",
        "sip_to": "sip:bob@y",
        "sip_call_id": "call-1@x",
        "sip_cseq": "7  INVITE",
        "sip_user_agent": "phone two",
        "sip_method": "INVITE",
        "sip_uri": "sip:bob@y",
    }
    assert {invite.key, trying.key, ok.key} == {"call-1@x 7 INVITE"}
    assert (trying.final, ok.final, ack.one_way) == (False, True, True)
    assert (ok.kind, ok.fields["sip_status"], ok.fields["sip_reason"]) == (MessageKind.RESPONSE, 200, "OK")
    shown = document(invite)
    assert shown["headers"]["Via"] == ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]
    assert (shown["headers"]["From"], shown["body"]) == ('"Ada" <sip:ada@x>;tag=1', SDP.decode())
    assert shown["sdp"] == {
        "origin": "ada 1 1 IN IP4 192.0.2.1",
        "name": "call",
        "connection": "IN IP4 192.0.2.1",
        "media": [
            {
                "type": "audio",
                "port": "4000",
                "protocol": "RTP/AVP",
                "formats": ["0", "8"],
                "codecs": ["0 PCMU/8000"],
            }
        ],
    }


def test_what_is_sent_again() -> None:
    ok = response(b"200 OK")
    found = found_in(udp((0, INVITE), (0, INVITE), (1, ok), (1, ok), port=5060))
    assert [part.one_way for part in found[:2]] == [False, True]
    assert [part.final for part in found[2:]] == [True, False]


def test_stream() -> None:
    found = found_in(tcp(b"\r\n\r\n" + INVITE + ACK, response(b"180 Ringing") + response(b"200 OK"), port=5060))
    assert [(part.direction, part.start, part.end) for part in found[:2]] == [
        (0, 4, 4 + len(INVITE)),
        (0, 4 + len(INVITE), 4 + len(INVITE + ACK)),
    ]
    assert [part.fields.get("sip_status") for part in found[2:]] == [180, 200]
    assert not any(part.error for part in found)


def test_damage_between_messages() -> None:
    found = found_in(tcp(ACK + b"rubbish\r\n" + ACK, port=5060))
    assert [part.error for part in found] == ["", f"malformed: no SIP start line at {len(ACK)}", ""]


def test_gap_and_cut() -> None:
    at = INVITE.index(b"s=call")
    wire = INVITE[:at] + bytes(6) + INVITE[at + 6 :] + ACK[:-9]
    found = found_in(tcp(wire, port=5060, gaps={0: [(at, at + 6, 6)]}))
    assert [part.error for part in found] == [
        f"gap: 6 bytes missing at {at}",
        f"truncated: only {len(ACK) - 9} bytes were captured",
    ]


def test_seen_from_the_middle() -> None:
    found = found_in(tcp(SDP[20:] + ACK, port=5060, midway=True))
    assert [part.fields["sip_method"] for part in found] == ["ACK"]


def test_datagrams_that_are_cut() -> None:
    stream = udp((0, INVITE[:-10]), (0, INVITE[:60]), (0, b"junk!"), port=5060)
    stream.datagrams = [Datagram(0, 0, memoryview(INVITE[:-5]), cut=True), *stream.datagrams]
    assert [part.error for part in found_in(stream)] == [
        f"truncated: only {len(INVITE) - 5} bytes were captured",
        f"malformed: {len(SDP) - 10} bytes of a body of {len(SDP)}",
        "malformed: the headers do not end",
        "malformed: no SIP start line",
    ]


@pytest.mark.parametrize(
    ("payload", "port", "mine"),
    [
        (INVITE, 5060, True),
        (INVITE, 9999, True),
        (response(b"404 Not Found"), 9999, True),
        (response(b"404"), 9999, True),
        (b"GET / HTTP/1.1\r\n\r\n", 5060, False),
        (b"OPTIONS rtsp://x RTSP/1.0\r\n\r\n", 5060, False),
        (b"\r\n\r\n", 5060, False),
        (b"", 5060, False),
    ],
)
def test_probe(payload: bytes, port: int, mine: bool) -> None:
    assert is_mine(udp((0, payload), port=port)) is mine
    assert is_mine(tcp(payload, port=port)) is mine


@given(st.binary(max_size=100), st.integers(0, len(INVITE)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    wire = INVITE[:at] + junk + INVITE[at:] + ACK
    for stream in (tcp(wire, wire, port=5060, midway=midway), udp((0, wire), (1, junk), port=5060)):
        is_mine(stream)
        for part in found_in(stream):
            assert 0 <= part.start < part.end <= len(wire)
            if part.detail:
                part.detail()
