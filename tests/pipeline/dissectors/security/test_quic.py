"""QUIC streams in, connections out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.security import quic
from kubeshark.pipeline.dissectors.security._quic_packet import initial_keys

from ...tls._hellos import CHROME, handshake, server_hello
from .._streams import FakeStream, tcp, udp
from ._quic import crypto, initial, long_packet, negotiation, retry
from .test_quic_google import LONG, PUBLIC

DCID, SCID, NEW = b"original", b"client", b"server-id"
HELLO = handshake(1, CHROME)
ANSWER = handshake(2, server_hello(0x1301, [(43, b"\x03\x04"), (51, b"\0\x1d")]))
KEYS = initial_keys(1, DCID)


def client(payload: bytes, number: int = 0, **more: Any) -> bytes:
    return initial(KEYS[0], payload, dcid=DCID, scid=SCID, number=number, size=1100, **more)


def server(payload: bytes, number: int = 0) -> bytes:
    return initial(KEYS[1], payload, dcid=SCID, scid=NEW, number=number)


def messages(stream: FakeStream) -> list[Message]:
    return list(quic.dissect(quic.QUIC, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return quic.probe(quic.QUIC, [stream]) == [Verdict.MINE]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def test_connection() -> None:
    stream = udp((0, client(crypto(HELLO))), (1, server(crypto(ANSWER))), (0, b"\x40short"), port=443)
    assert is_mine(stream)
    request, response = messages(stream)
    assert (request.kind, request.datagram, request.error) == (MessageKind.REQUEST, 0, "")
    assert request.fields == {
        "quic_info": "Initial",
        "quic_version": 1,
        "quic_dcid": DCID.hex(),
        "quic_sni": "example.org",
        "quic_alpn": "h2",
        "quic_ja4": "q13d1516h2_8daaf6152771_e5627efa2ab1",
    }
    assert (response.kind, response.datagram, response.key) == (MessageKind.RESPONSE, 1, request.key)
    shown = document(request)
    assert (shown["type"], shown["dcid"], shown["scid"], shown["tokenLength"]) == ("Initial", DCID.hex(), SCID.hex(), 0)
    assert shown["clientHello"]["sni"] == "example.org"
    assert document(response)["serverHello"]["cipherSuite"]["name"] == "TLS_AES_128_GCM_SHA256"


def test_hello_over_several_packets_in_any_order() -> None:
    parts = [HELLO[at : at + 60] for at in range(0, len(HELLO), 60)]
    frames = [crypto(part, at * 60) for at, part in enumerate(parts)]
    packets = [(0, client(b"\1\0" + frame, number)) for number, frame in enumerate(frames[::-1])]
    request, *rest = messages(udp(*packets, *packets, port=443))
    assert (request.fields["quic_sni"], request.error, rest) == ("example.org", "", [])


def test_hello_of_which_a_part_is_missing() -> None:
    (request,) = messages(udp((0, client(crypto(HELLO[:300]))), port=443))
    assert request.error == f"truncated: {len(HELLO) - 300} bytes of the hello were not captured"
    assert request.fields["quic_sni"] == "example.org"
    (request,) = messages(udp((0, client(crypto(HELLO[300:], 300))), port=443))
    assert request.error == "truncated: no hello in the Initial packets captured"


def test_retry_is_part_of_the_connection() -> None:
    keys = initial_keys(1, NEW)
    again = initial(keys[0], crypto(HELLO), dcid=NEW, scid=SCID, token=b"token", size=1100)
    answer = initial(keys[1], crypto(ANSWER), dcid=SCID, scid=b"third")
    stream = udp((0, client(crypto(HELLO))), (1, retry(1, SCID, NEW, b"token")), (0, again), (1, answer), port=443)
    request, response = messages(stream)
    assert request.fields["quic_sni"] == "example.org"
    assert document(response)["after"] == {"type": "Retry", "versions": []}
    assert document(response)["serverHello"]


def test_version_negotiation() -> None:
    draft = 0xFF00_001D
    keys = initial_keys(draft, DCID)
    first = initial(keys[0], crypto(HELLO), version=draft, dcid=DCID, scid=SCID, size=1100)
    refusal = negotiation(SCID, DCID, 1, 0x1A1A_1A1A)
    request, response = messages(udp((0, first), (1, refusal), port=443))
    assert (request.fields["quic_version"], response.fields["quic_info"]) == (draft, "Version Negotiation")
    assert document(response)["versions"] == [1, 0x1A1A_1A1A]
    stream = udp((0, first), (1, refusal), (0, client(crypto(HELLO))), (1, server(crypto(ANSWER))), port=443)
    request, response = messages(stream)
    assert (request.fields["quic_version"], document(response)["after"]["versions"]) == (1, [1, 0x1A1A_1A1A])


def test_two_connections_on_the_same_ports() -> None:
    keys = initial_keys(1, b"another!")
    other = initial(keys[0], crypto(HELLO), dcid=b"another!", size=1100)
    answer = initial(keys[1], crypto(ANSWER), scid=NEW)
    found = messages(udp((0, client(crypto(HELLO))), (1, server(crypto(ANSWER))), (0, other), (1, answer), port=443))
    assert [(message.kind, message.key) for message in found] == [
        (MessageKind.REQUEST, "0"),
        (MessageKind.RESPONSE, "0"),
        (MessageKind.REQUEST, "1"),
        (MessageKind.RESPONSE, "1"),
    ]


def test_version_2() -> None:
    version = 0x6B33_43CF
    keys = initial_keys(version, DCID)
    stream = udp((0, initial(keys[0], crypto(HELLO), version=version, dcid=DCID, size=1100)), port=8853)
    assert is_mine(stream)
    assert messages(stream)[0].fields["quic_sni"] == "example.org"


def test_google_handshake_in_initial_packets() -> None:
    version = 0x5130_3530
    keys = initial_keys(version, DCID)
    chlo = PUBLIC[PUBLIC.index(b"CHLO") :]
    frame = b"\x08" + crypto(chlo)[1:]
    (request,) = messages(udp((0, initial(keys[0], frame, version=version, dcid=DCID, size=1100)), port=443))
    assert request.fields["quic_sni"] == "example.org"
    assert document(request)["clientHello"]["userAgent"] == "Agent/1"


@pytest.mark.parametrize("data", [PUBLIC, LONG], ids=["Q043", "Q046"])
def test_google_quic(data: bytes) -> None:
    stream = udp((0, data), (0, data), port=443)
    assert is_mine(stream)
    (request,) = messages(stream)
    assert (request.fields["quic_sni"], request.fields["quic_info"], request.one_way) == ("example.org", "CHLO", True)
    assert document(request)["clientHello"]["sni"] == "example.org"


def test_middle_of_a_connection() -> None:
    stream = udp((0, long_packet(0xE0, 1, NEW, SCID, b"\x18" + bytes(24))), (0, b"\x40short"), port=443)
    assert is_mine(stream)
    (message,) = messages(stream)
    assert (message.kind, message.fields["quic_info"], message.error) == (MessageKind.EVENT, "Handshake", "")
    assert document(message)["dcid"] == NEW.hex()


def test_initial_that_does_not_decrypt() -> None:
    damaged = bytearray(client(crypto(HELLO)))
    damaged[-1] ^= 1
    (message,) = messages(udp((0, bytes(damaged)), port=443))
    assert message.error == "malformed: the Initial packet does not decrypt"


def goes_on(stream: FakeStream) -> bool:
    return quic.probe(quic.OLDER, [stream]) == [Verdict.MINE]


def test_a_connection_older_than_the_capture_is_one_event() -> None:
    stream = udp((0, b"\x45" + bytes(30)), (1, b"\x5a" + bytes(1200)), (0, b"\x41" + bytes(20)), port=443)
    assert not is_mine(stream)  # whoever knows more is asked first: DNSCrypt is on this port, too
    assert goes_on(stream)
    (found,) = quic.dissect(quic.OLDER, [stream])[0]
    assert found.protocol == "quic"
    assert (found.kind, found.fields, found.error) == (MessageKind.EVENT, {"quic_info": "1-RTT"}, quic.UNSEEN)
    assert (found.direction, found.datagram, found.start, found.end) == (0, 0, 0, 31)
    assert found.detail
    assert found.detail()[1] == {"type": "1-RTT", "datagrams": 3}
    assert not goes_on(udp((0, b"\x45" + bytes(30)), port=4433))
    assert not goes_on(udp((0, b"\x45" + bytes(10)), port=443))
    assert not goes_on(udp((0, b"\x45" + bytes(30)), (1, b"\x05" + bytes(30)), port=443))
    assert not goes_on(tcp(b"\x45" + bytes(30), port=443))
    assert not goes_on(udp(port=443))


def test_others() -> None:
    for data in (b"\xc0\0\0\0\1", b"\x80\0\0\0\1\0\0" + bytes(30), b"", bytes(100), b"\xff" * 100):
        assert not is_mine(udp((0, data), port=443))
    assert not is_mine(tcp(client(crypto(HELLO)), port=443))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_datagrams(data: st.DataObject) -> None:
    packets = [(0, client(crypto(HELLO))), (1, retry(1, SCID, NEW, b"t")), (1, negotiation(SCID, DCID, 1)), (0, PUBLIC)]
    packets += [(1, server(crypto(ANSWER))), (0, b"\x40"), (0, client(crypto(HELLO[50:], 50)))]
    sent = []
    for _ in range(data.draw(st.integers(1, 6))):
        way, packet = data.draw(st.sampled_from(packets))
        body = bytearray(packet)
        for _ in range(data.draw(st.integers(0, 2))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        sent.append((way, bytes(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)))
    stream = udp(*sent, port=443)
    quic.probe(quic.QUIC, [stream])
    for message in messages(stream):
        assert 0 <= message.start <= message.end <= len(sent[message.datagram][1])
        assert document(message)
