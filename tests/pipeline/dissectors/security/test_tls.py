"""TLS streams in, handshakes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.security import tls

from ...tls._hellos import (
    CHROME,
    RANDOM,
    RETRY,
    alert,
    alpn,
    certificate,
    client_hello,
    handshake,
    record,
    server_hello,
    server_name,
)
from ...tls.test_datagrams import BODY, datagram_record, fragment
from .._streams import FakeStream, tcp, udp

HELLO = record(22, handshake(1, CHROME), 0x0301)
ANSWER = record(22, handshake(2, server_hello(0x1301, [(43, b"\x03\x04"), (51, b"\0\x1d")])))
CCS = record(20, b"\x01")
DATA = record(23, bytes(200))
OLD_ANSWER = record(
    22,
    handshake(2, server_hello(0x0005, [alpn(b"http/1.1")], version=0x0301)) + certificate() + handshake(14, b""),
    0x0301,
)


def messages(stream: FakeStream) -> list[Message]:
    found = list(tls.dissect(tls.TLS, [stream])[0])
    assert all(isinstance(message, Message) for message in found)
    return found  # type: ignore[return-value]


def is_mine(stream: FakeStream) -> bool:
    return tls.probe(tls.TLS, [stream]) == [Verdict.MINE]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def test_handshake() -> None:
    stream = tcp(HELLO + CCS + DATA, ANSWER + CCS + DATA + DATA, port=443)
    assert is_mine(stream)
    request, response = messages(stream)
    assert (request.kind, request.direction, request.start, request.end) == (MessageKind.REQUEST, 0, 0, len(HELLO))
    assert request.fields["tlsx_info"] == "ClientHello"
    assert request.fields["tlsx_sni"] == request.fields["tlsx_summary"] == "example.org"
    assert request.fields["tlsx_alpn"] == "h2"  # TLS 1.3 negotiates it encrypted: the first offered
    assert request.fields["tlsx_ja4"] == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert request.fields["tlsx_cipher_suites"][1] == "TLS_AES_128_GCM_SHA256"  # type: ignore[index]
    assert (response.kind, response.direction, response.end) == (MessageKind.RESPONSE, 1, len(ANSWER))
    assert response.fields["tlsx_version"] == 0x0304
    assert response.fields["tlsx_cipher_suite"] == 0x1301
    assert response.fields["tlsx_weak"] is False
    assert document(request)["applicationData"] == {"records": 1, "bytes": 205}
    assert document(response)["applicationData"] == {"records": 2, "bytes": 410}


def test_documents() -> None:
    request, response = map(document, messages(tcp(HELLO, ANSWER)))
    assert (request["version"], request["versions"]) == ("TLS 1.2", ["TLS 1.3", "TLS 1.2"])
    assert request["cipherSuites"][0] == {"id": 0x0A0A, "name": "GREASE"}
    assert request["groups"] == ["GREASE", "x25519", "secp256r1", "secp384r1"]
    assert request["signatureAlgorithms"][0] == "ecdsa_secp256r1_sha256"
    assert request["extensions"][2] == "server_name"
    assert (response["version"], response["group"]) == ("TLS 1.3", "x25519")
    assert response["cipherSuite"] == {"id": 0x1301, "name": "TLS_AES_128_GCM_SHA256"}
    assert (response["security"], response["resumed"], response["alert"]) == ([], False, None)


def test_old_and_weak() -> None:
    request, response = messages(tcp(HELLO, OLD_ANSWER + CCS))
    assert response.fields["tlsx_weak"] is True
    assert response.fields["tlsx_alpn"] == "http/1.1"
    assert "tlsx_alpn" not in request.fields  # the negotiated one counts
    assert response.end == len(OLD_ANSWER)
    assert document(response)["security"] == [
        "TLS 1.0 is obsolete (RFC 8996)",
        "TLS_RSA_WITH_RC4_128_SHA is weak",
    ]


def test_resumed_session() -> None:
    hello = record(22, handshake(1, client_hello(session=b"s" * 32, extensions=[(35, b"ticket")])))
    answer = record(22, handshake(2, server_hello(0x002F, session=b"s" * 32)))
    request, response = map(document, messages(tcp(hello + CCS, answer + CCS)))
    assert (request["resumes"], response["resumed"]) == (True, True)


def test_hello_retry_request_is_part_of_the_handshake() -> None:
    retry = record(22, handshake(2, server_hello(0x1301, [(43, b"\x03\x04"), (51, b"\0\x17")], random=RETRY)))
    again = record(22, handshake(1, CHROME))
    request, response = messages(tcp(HELLO + CCS + again + DATA, retry + CCS + ANSWER + DATA))
    assert request.end == len(HELLO)
    assert document(response)["helloRetryRequest"] == {"group": "secp256r1"}
    assert document(response)["group"] == "x25519"
    (_, alone) = messages(tcp(HELLO, retry))
    assert document(alone)["helloRetryRequest"] == {"group": "secp256r1"}


def test_refusal() -> None:
    _request, response = messages(tcp(HELLO, alert(2, 40)))
    assert (response.kind, response.fields["tlsx_alert"]) == (MessageKind.RESPONSE, 40)
    assert document(response) == {"alert": {"level": "fatal", "description": "handshake_failure", "code": 40}}


def test_client_dislikes_the_answer() -> None:
    request, _ = messages(tcp(HELLO + alert(2, 48), OLD_ANSWER))
    assert request.fields["tlsx_alert"] == 48
    assert document(request)["alert"]["description"] == "unknown_ca"


def test_alert_alone() -> None:
    stream = tcp(alert(1, 0), midway=True)
    assert is_mine(stream)
    (message,) = messages(stream)
    assert (message.kind, message.fields) == (MessageKind.EVENT, {"tlsx_info": "Alert", "tlsx_alert": 0})


def test_server_hello_alone() -> None:
    stream = tcp(b"", ANSWER + DATA, midway=True)
    assert is_mine(stream)
    (message,) = messages(stream)
    assert (message.kind, message.fields["tlsx_version"]) == (MessageKind.RESPONSE, 0x0304)


def test_ends_the_other_way_round() -> None:
    request, response = messages(tcp(ANSWER, HELLO, midway=True))
    assert (request.direction, response.direction) == (1, 0)


def test_a_connection_older_than_the_capture_is_one_event() -> None:
    stream = tcp(b"\0" * 50 + DATA + DATA, DATA * 3, midway=True)
    assert is_mine(stream)
    (message,) = messages(stream)
    assert (message.kind, message.fields) == (MessageKind.EVENT, {"tlsx_info": "ApplicationData"})
    assert (message.direction, message.start, message.end) == (0, 50, 50 + len(DATA))
    assert message.error == tls.UNSEEN
    assert document(message)["applicationData"] == {"records": 2, "bytes": 2 * len(DATA)}


@pytest.mark.parametrize("wire", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"", b"\x80\x80\x01\x03\x01"])
def test_others(wire: bytes) -> None:
    assert not is_mine(tcp(wire, b"", port=443))


def test_tls_behind_lines_in_clear() -> None:
    client, server = b"AUTH TLS\r\n", b"220 ready\r\n234 go ahead\r\n"
    stream = tcp(client + HELLO, server + ANSWER, port=2121)
    at, split = len(client), 11
    stream.runs = [(1, 0, split), (0, 0, at), (1, split, len(server)), (0, at, at + len(HELLO))]
    stream.runs = [*stream.runs, (1, len(server), len(server) + len(ANSWER))]
    assert not is_mine(stream)
    assert tls.probe(tls.STARTTLS, [stream]) == [Verdict.MINE]
    ((handover,),) = tls.dissect(tls.STARTTLS, [stream])
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data) for side in handover.sides] == [HELLO, ANSWER]


def test_no_tls_behind_text() -> None:
    stream = tcp(b"hello\r\n\x16\x03\x01\0\x05hello", b"", port=2121)
    assert tls.probe(tls.STARTTLS, [stream]) == [Verdict.NOT_MINE]
    assert list(tls.dissect(tls.STARTTLS, [stream])[0]) == []


def test_datagrams() -> None:
    verify = datagram_record(fragment(3, b"\xfe\xff\x04cook"))
    hello = datagram_record(fragment(1, BODY))
    again = client_hello([0xC02B], [server_name(b"example.org")], version=0xFEFD, cookie=b"cook")
    second = datagram_record(fragment(1, again, 1))
    answer = datagram_record(fragment(2, server_hello(0xC02B, version=0xFEFD), 1))
    stream = udp((0, hello), (1, verify), (0, second), (1, answer), port=4433)
    assert is_mine(stream)
    request, response = messages(stream)
    assert (request.datagram, request.fields["tlsx_sni"]) == (0, "example.org")
    assert str(request.fields["tlsx_ja4"]).startswith("dd2d01")
    assert (response.datagram, response.fields["tlsx_version"]) == (3, 0xFEFD)
    assert document(response)["alert"] is None


def test_datagram_alert() -> None:
    stream = udp((0, datagram_record(fragment(1, BODY))), (1, datagram_record(b"\x02\x28", 21)))
    assert [message.kind for message in messages(stream)] == [MessageKind.REQUEST, MessageKind.RESPONSE]


def test_hello_with_another_random_is_another_handshake() -> None:
    other = record(22, handshake(1, client_hello(random=RANDOM[::-1])))
    assert [message.kind for message in messages(tcp(HELLO + other))] == [MessageKind.REQUEST] * 2


def test_gap_in_a_hello() -> None:
    lost = HELLO[:300] + bytes(10) + HELLO[310:]
    (message,) = messages(tcp(lost, gaps={0: [(300, 310, 10)]}))
    assert message.error == "gap: 10 bytes missing at 300"
    assert message.fields["tlsx_sni"] == "example.org"


@pytest.mark.parametrize("size", range(0, len(HELLO), 13))
def test_cut_anywhere(size: int) -> None:
    stream = tcp(HELLO[:size], ANSWER[:size])
    tls.probe(tls.TLS, [stream])
    for message in messages(stream):
        assert document(message)


@given(st.data())
def test_any_bytes(data: st.DataObject) -> None:
    sides = [bytearray(HELLO + alert(2, 40) + DATA), bytearray(OLD_ANSWER + ANSWER + DATA)]
    for side in sides:
        for _ in range(data.draw(st.integers(0, 6))):
            side[data.draw(st.integers(0, len(side) - 1))] = data.draw(st.integers(0, 255))
        del side[data.draw(st.integers(0, len(side))) :]
    stream = tcp(bytes(sides[0]), bytes(sides[1]), midway=data.draw(st.booleans()))
    for protocol in (tls.TLS, tls.STARTTLS):
        tls.probe(protocol, [stream])
    for message in messages(stream):
        assert 0 <= message.start <= message.end <= len(sides[message.direction])
        assert document(message)
    datagrams = udp(*((way, bytes(side)) for way, side in enumerate(sides)))
    tls.probe(tls.TLS, [datagrams])
    messages(datagrams)
