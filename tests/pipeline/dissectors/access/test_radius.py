"""RADIUS datagrams in, messages out; bytes made by hand from RFC 2865."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Datagram, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.access import radius

from .._streams import FakeStream, tcp, udp


def attribute(number: int, value: bytes) -> bytes:
    return bytes([number, len(value) + 2]) + value


def vendor(number: int, *inner: bytes) -> bytes:
    return attribute(26, number.to_bytes(4, "big") + b"".join(inner))


def packet(code: int, *attributes: bytes, identifier: int = 7) -> bytes:
    body = b"".join(attributes)
    return bytes([code, identifier]) + (20 + len(body)).to_bytes(2, "big") + bytes(range(16)) + body


REQUEST = packet(
    1,
    attribute(1, b"ada@example"),
    attribute(2, b"0123456789abcdef"),
    attribute(4, b"\xc0\x00\x02\x01"),
    attribute(61, b"\0\0\0\x13"),
    attribute(31, b"00-11-22-33-44-55"),
)
ACCEPT = packet(2, attribute(18, b"Welcome"), attribute(27, b"\0\0\x0e\x10"))


def found_in(stream: FakeStream) -> list[Message]:
    return list(radius.dissect(radius.RADIUS, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return radius.probe(radius.RADIUS, [stream]) == [Verdict.MINE]


def listed(*attributes: bytes) -> list[dict[str, Any]]:
    (message,) = found_in(udp((0, packet(1, *attributes)), port=1812))
    assert message.detail
    return list(message.detail()[1]["attributes"])


def test_exchange() -> None:
    request, response = found_in(udp((0, REQUEST), (1, ACCEPT), port=1812))
    assert request.fields == {
        "radius_code": 1,
        "radius_code_name": "Access-Request",
        "radius_request": True,
        "radius_request_length": len(REQUEST),
        "radius_request_authenticator": bytes(range(16)).hex(),
        "radius_username": "ada@example",
        "radius_station": "00-11-22-33-44-55",
        "radius_nas": "192.0.2.1",
    }
    assert (request.key, response.key, response.kind) == ("7", "7", MessageKind.RESPONSE)
    assert response.fields == {
        "radius_code": 2,
        "radius_code_name": "Access-Accept",
        "radius_reply_name": "Access-Accept",
        "radius_response": True,
        "radius_response_length": len(ACCEPT),
        "status_code": 2,
    }
    assert request.detail
    shown = request.detail()[1]
    assert (shown["code"], shown["codeName"], shown["identifier"]) == (1, "Access-Request", 7)
    assert shown["attributes"][1] == {"type": 2, "name": "User-Password", "value": "[redacted]"}
    assert "0123456789abcdef" not in str(shown)


VALUES = [
    (attribute(6, b"\0\0\0\x02"), "Service-Type", "Framed"),
    (attribute(5, b"\0\0\0\x09"), "NAS-Port", "9"),
    (attribute(5, b"\0\x09"), "NAS-Port", "0009"),
    (attribute(55, b"\0\0\0\x01"), "Event-Timestamp", "1970-01-01T00:00:01Z"),
    (attribute(64, b"\x01\0\0\x0d"), "Tunnel-Type", "VLAN"),
    (attribute(81, b"\x01100"), "Tunnel-Private-Group-Id", "100"),
    (attribute(83, b"\x01\0\0\x05"), "Tunnel-Preference", "5"),
    (attribute(95, bytes(15) + b"\1"), "NAS-IPv6-Address", "::1"),
    (attribute(97, b"\0\x40\x20\x01\x0d\xb8"), "Framed-IPv6-Prefix", "2001:db8::/64"),
    (attribute(97, b"\0\xff"), "Framed-IPv6-Prefix", "00ff"),
    (attribute(96, bytes(8)), "Framed-Interface-Id", "0000:0000:0000:0000"),
    (attribute(80, b"\x01\x02"), "Message-Authenticator", "0102"),
    (attribute(3, b"\x01secret"), "CHAP-Password", "[redacted]"),
    (attribute(69, b"\x01secret"), "Tunnel-Password", "[redacted]"),
    (attribute(241, b"\x01ab"), "Extended-Attribute-1.1", "6162"),
    (attribute(200, b"ab"), "Attribute-200", "6162"),
    (vendor(9, attribute(1, b"shell:priv-lvl=15")), "Cisco-AVPair", "shell:priv-lvl=15"),
    (vendor(311, attribute(17, b"key")), "MS-MPPE-Recv-Key", "[redacted]"),
    (vendor(311, attribute(28, b"\x08\x08\x08\x08")), "MS-Primary-DNS-Server", "8.8.8.8"),
    (vendor(10415, attribute(1, b"00101")), "3GPP-IMSI", "00101"),
    (vendor(10415, attribute(2, b"\0\0\0\x05")), "3GPP-Charging-Id", "5"),
    (vendor(14988, attribute(8, b"10M/10M")), "MikroTik-8", "10M/10M"),
    (vendor(99999, attribute(1, b"\0\1")), "99999-1", "0001"),
    (vendor(9, b"\x01"), "Vendor-Specific", "01"),
]


@pytest.mark.parametrize(("encoded", "name", "value"), VALUES, ids=[f"{n}-{v[1]}" for n, v in enumerate(VALUES)])
def test_value(encoded: bytes, name: str, value: str) -> None:
    (shown,) = listed(encoded)
    assert (shown["name"], shown["value"]) == (name, value)


def test_eap_fragments_are_one_packet() -> None:
    (shown,) = listed(attribute(79, b"\x02\x05\0\x08\x01a"), attribute(79, b"da"))
    assert (shown["name"], shown["value"]) == ("EAP-Message", "Response id 5 Identity ada")
    assert listed(attribute(79, b"\x03\x05\0\x04"))[0]["value"] == "Success id 5"


def test_request_sent_again() -> None:
    first, again, response = found_in(udp((0, REQUEST), (0, REQUEST), (1, ACCEPT), port=1812))
    assert (first.one_way, again.one_way, response.one_way) == (False, True, False)


def test_attribute_that_does_not_fit() -> None:
    bad = packet(4, attribute(40, b"\0\0\0\1"), b"\x01\xff")
    (message,) = found_in(udp((0, bad), port=1813))
    assert message.error == "malformed: attribute 1 is longer than the packet"
    assert message.fields["radius_status_type"] == "Start"


def test_cut_packet() -> None:
    stream = udp((0, REQUEST[:40]), port=1812)
    stream.datagrams = [Datagram(0, 0, memoryview(REQUEST[:40]), cut=True)]
    (message,) = found_in(stream)
    assert message.error == f"truncated: 40 bytes of {len(REQUEST)}"


@pytest.mark.parametrize(
    ("payload", "port", "mine"),
    [
        (REQUEST, 1812, True),
        (REQUEST, 9999, True),
        (REQUEST + b"!", 9999, False),
        (REQUEST[:-1], 9999, False),
        (packet(1), 9999, False),
        (packet(1, attribute(5, b"\0")), 9999, False),
        (packet(33, attribute(1, b"a")), 9999, False),
        (packet(99), 1812, False),
        (b"", 1812, False),
        (bytes(40), 1812, False),
    ],
)
def test_probe(payload: bytes, port: int, mine: bool) -> None:
    assert is_mine(udp((0, payload), port=port)) is mine
    assert not is_mine(tcp(payload, port=port))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=4))
def test_any_datagrams(payloads: list[tuple[int, bytes]]) -> None:
    for message in found_in(udp(*payloads, port=1812)):
        assert 0 == message.start < message.end
        if message.detail:
            message.detail()


@given(st.integers(0, len(REQUEST) - 1), st.integers(0, 255))
def test_a_hostile_byte_spoils_one_message(at: int, byte: int) -> None:
    hit = REQUEST[:at] + bytes([byte]) + REQUEST[at + 1 :]
    found = found_in(udp((0, hit), (1, ACCEPT), port=1812))
    assert (len(found), found[1].error) == (2, "")
    if found[0].detail:
        found[0].detail()


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=6))
def test_any_attributes(pairs: list[tuple[int, bytes]]) -> None:
    listed(*(attribute(number, value) for number, value in pairs))
