"""STUN and TURN messages; one from RFC 5769, the rest made by hand."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.network import stun

from .._streams import FakeStream, tcp, udp

MAGIC = b"\x21\x12\xa4\x42"
TRANSACTION = MAGIC + bytes.fromhex("b7e7a701bc34d686fa87dfae")
# RFC 5769 §2.2: IPv4 response
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)


def attribute(kind: int, value: bytes) -> bytes:
    return pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind: int, *attributes: bytes, transaction: bytes = TRANSACTION) -> bytes:
    body = b"".join(attributes)
    return pack(">HH", kind, len(body)) + transaction + body


REQUEST = message(0x0001, attribute(0x0006, b"ada:bob"), attribute(0x0024, pack(">I", 99)))


def found_in(stream: FakeStream) -> list[Message]:
    return list(stun.dissect(stun.STUN, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return stun.probe(stun.STUN, [stream]) == [Verdict.MINE]


def listed(*attributes: bytes) -> list[dict[str, Any]]:
    (found,) = found_in(udp((0, message(0x0003, *attributes))))
    assert found.detail
    return list(found.detail()[1]["attributes"])


def test_exchange() -> None:
    request, response = found_in(udp((0, REQUEST), (1, RESPONSE)))
    assert request.fields == {
        "stun_method": "Binding",
        "stun_class": "request",
        "stun_request": True,
        "stun_request_size": len(REQUEST),
        "stun_username": "ada:bob",
    }
    assert request.key == response.key == TRANSACTION.hex()
    assert (response.kind, response.error) == (MessageKind.RESPONSE, "")
    assert response.fields["stun_mapped_address"] == "192.0.2.1:32853"
    assert response.fields["stun_software"] == "test vector"
    assert request.detail
    assert request.detail()[1] == {
        "method": "Binding",
        "class": "request",
        "transactionId": TRANSACTION[4:].hex(),
        "attributes": [
            {"type": 6, "name": "USERNAME", "value": "ada:bob"},
            {"type": 0x24, "name": "PRIORITY", "value": "99"},
        ],
    }


def test_error_and_indication() -> None:
    refused = message(0x0113, attribute(0x0009, b"\0\0\x04\x01Unauthorized"), attribute(0x0014, b"realm"))
    error, indication = found_in(udp((1, refused), (0, message(0x0016))))
    assert (error.fields["stun_method"], error.fields["stun_error_code"]) == ("Allocate", 401)
    assert (error.fields["stun_class"], error.fields["stun_realm"]) == ("error", "realm")
    assert (indication.fields["stun_method"], indication.one_way) == ("Send", True)


VALUES = [
    (attribute(0x0001, b"\0\1\x10\x92\xc0\0\2\1"), "MAPPED-ADDRESS", "192.0.2.1:4242"),
    (attribute(0x0001, b"\0\2\x10\x92" + bytes(15) + b"\1"), "MAPPED-ADDRESS", "[::1]:4242"),
    (attribute(0x0001, b"\0\3"), "MAPPED-ADDRESS", "0003"),
    (attribute(0x0012, b"\0\1\0\0" + MAGIC), "XOR-PEER-ADDRESS", "0.0.0.0:8466"),
    (attribute(0x0020, b"\0"), "XOR-MAPPED-ADDRESS", "00"),
    (attribute(0x0007, b"secret"), "PASSWORD", "[redacted]"),
    (attribute(0x0009, b"\0\0\x04\x25Mismatch"), "ERROR-CODE", "437 Mismatch"),
    (attribute(0x0009, b"\0"), "ERROR-CODE", "00"),
    (attribute(0x000C, b"\x40\0\0\0"), "CHANNEL-NUMBER", "0x4000"),
    (attribute(0x0019, b"\x11\0\0\0"), "REQUESTED-TRANSPORT", "UDP"),
    (attribute(0x0017, b"\x02\0\0\0"), "REQUESTED-ADDRESS-FAMILY", "IPv6"),
    (attribute(0x0013, b"media"), "DATA", "5 bytes"),
    (attribute(0x7777, b"\1"), "0x7777", "01"),
]


@pytest.mark.parametrize(("encoded", "name", "value"), VALUES, ids=[f"{n}-{v[1]}" for n, v in enumerate(VALUES)])
def test_value(encoded: bytes, name: str, value: str) -> None:
    (shown,) = listed(encoded)
    assert (shown["name"], shown["value"]) == (name, value)


def test_what_was_sent_again_belongs_to_the_first() -> None:
    found = found_in(udp((0, REQUEST), (0, REQUEST), (0, REQUEST), (1, RESPONSE), (1, RESPONSE)))
    assert [part.one_way for part in found] == [False, True, True, False, False]
    assert [part.final for part in found] == [True, True, True, True, False]


def test_what_was_sent_again_behind_its_answer() -> None:
    late = found_in(udp((0, REQUEST), (1, RESPONSE), (0, REQUEST)))
    assert [part.one_way for part in late] == [False, False, True]
    answered = found_in(udp(*[(0, REQUEST), (1, RESPONSE)] * 2, (0, REQUEST)))
    assert [part.one_way for part in answered] == [False, False, False, False, True]
    assert all(part.final for part in answered)


def test_both_ends_may_ask_with_one_id() -> None:
    found = found_in(udp((0, REQUEST), (1, REQUEST), (1, RESPONSE), (0, RESPONSE)))
    assert [(part.one_way, part.final) for part in found] == [(False, True)] * 4


def test_other_datagrams_stay_udp() -> None:
    found = found_in(udp((0, REQUEST), (0, b"\x80rtp"), (1, RESPONSE)))
    assert [(part.datagram, part.protocol) for part in found] == [(0, ""), (2, ""), (1, "udp")]


def test_dtls_between_the_messages() -> None:
    alert = b"\x15\xfe\xfd\0\0\0\0\0\0\0\0\0\2\2\x28"
    found = found_in(udp((0, REQUEST), (1, b"\x80rtp"), (1, RESPONSE), (1, alert)))
    assert [(part.datagram, part.protocol) for part in found] == [(0, ""), (2, ""), (3, "tlsx"), (1, "udp")]


def test_messages_before_the_cookie() -> None:
    old = message(0x0001, transaction=bytes(range(16)))
    assert is_mine(udp((0, old), port=3478))
    assert not is_mine(udp((0, old), port=9999))
    (found,) = found_in(udp((0, old), port=3478))
    assert (found.fields["stun_method"], found.key) == ("Binding", bytes(range(16)).hex())


def test_stream_with_channel_data() -> None:
    channel = b"\x40\0\0\x05media\0\0\0"
    found = found_in(tcp(REQUEST + channel + REQUEST, RESPONSE, port=3478))
    size = len(REQUEST)
    assert [(part.direction, part.start) for part in found] == [(0, 0), (0, size + len(channel)), (1, 0)]


def test_damage_gap_and_middle() -> None:
    found = found_in(tcp(REQUEST + b"\xff" * 7 + REQUEST + REQUEST[:25], port=3478))
    assert [part.error for part in found] == [
        "",
        f"malformed: no message at {len(REQUEST)}",
        "",
        f"truncated: only 25 bytes of {len(REQUEST)} were captured",
    ]
    wire = bytes(10) + REQUEST
    assert [part.start for part in found_in(tcp(wire, port=3478, gaps={0: [(0, 10, 10)]}))] == [10]
    assert [part.start for part in found_in(tcp(wire, port=3478, midway=True))] == [10]


@pytest.mark.parametrize(
    ("payload", "mine"),
    [(REQUEST, True), (RESPONSE, True), (REQUEST[:19], False), (b"\x40" + REQUEST[1:], False), (b"", False)],
    ids=["request", "response", "cut", "channel", "nothing"],
)
def test_probe(payload: bytes, mine: bool) -> None:
    assert is_mine(udp((0, payload), port=9999)) is mine
    assert is_mine(tcp(payload, port=9999)) is mine


def test_only_the_protocol_itself_is_probed_for() -> None:
    for protocol in (stun.UDP, stun.DTLS):
        assert stun.probe(protocol, [udp((0, REQUEST))]) == [Verdict.NOT_MINE]


@given(st.binary(max_size=80), st.integers(0, len(RESPONSE)), st.booleans())
def test_any_bytes(junk: bytes, at: int, midway: bool) -> None:
    wire = RESPONSE[:at] + junk + RESPONSE[at:] + REQUEST
    for stream in (tcp(wire, wire, port=3478, midway=midway), udp((0, wire), (1, junk), port=3478)):
        is_mine(stream)
        for found in found_in(stream):
            assert 0 <= found.start < found.end
            if found.detail:
                found.detail()
