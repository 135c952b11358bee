"""ICMP datagrams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.network import icmp

from .._streams import FakeStream, tcp, udp

IPV4 = pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0) + bytes((192, 0, 2, 1, 198, 51, 100, 2))
IPV6 = pack(">IHBB", 6 << 28, 8, 6, 64) + bytes.fromhex("20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02")


def icmp4(*payloads: tuple[int, bytes]) -> FakeStream:
    return udp(*payloads, port=0, transport="icmp")


def icmp6(*payloads: tuple[int, bytes], server: str = "2001:db8::2") -> FakeStream:
    return udp(*payloads, port=0, transport="icmp", server=server)


def messages(stream: FakeStream) -> list[Message]:
    return list(icmp.dissect(icmp.ICMP, [stream])[0])


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


@pytest.mark.parametrize(("stream", "request_type", "reply_type"), [(icmp4, 8, 0), (icmp6, 128, 129)])
def test_echoes_share_a_key(stream: Any, request_type: int, reply_type: int) -> None:
    sent = pack(">BBHHH", request_type, 0, 0, 7, 1) + b"data"
    back = pack(">BBHHH", reply_type, 0, 0, 7, 1) + b"data"
    request, reply = messages(stream((0, sent), (1, back)))
    assert (request.kind, reply.kind) == (MessageKind.REQUEST, MessageKind.RESPONSE)
    assert request.key == reply.key == "7:1"
    assert (request.fields["icmp_type"], request.fields["icmp_length"]) == (str(request_type), 12)
    assert document(request) == {
        "version": 4 if stream is icmp4 else 6,
        "type": request_type,
        "code": 0,
        "description": "Echo Request",
        "id": 7,
        "sequence": 1,
        "length": 12,
        "quoted": None,
    }


def test_error_names_the_packet_it_quotes() -> None:
    (message,) = messages(icmp4((0, pack(">BBHI", 3, 3, 0, 0) + IPV4 + pack(">HHHH", 5353, 53, 8, 0))))
    assert message.kind == MessageKind.EVENT
    assert message.fields["icmp_description"] == "Destination Unreachable: port unreachable"
    assert document(message)["quoted"] == {
        "src": "192.0.2.1",
        "dst": "198.51.100.2",
        "transport": "udp",
        "srcPort": 5353,
        "dstPort": 53,
    }


def test_error_of_version_6() -> None:
    (message,) = messages(icmp6((0, pack(">BBHI", 3, 0, 0, 0) + IPV6 + pack(">HH", 40000, 443))))
    assert message.fields["icmp_description"] == "Time Exceeded: hop limit exceeded in transit"
    assert document(message)["quoted"] == {
        "src": "2001:db8::1",
        "dst": "2001:db8::2",
        "transport": "tcp",
        "srcPort": 40000,
        "dstPort": 443,
    }


@pytest.mark.parametrize(
    ("kind", "code", "description"),
    [(3, 99, "Destination Unreachable: code 99"), (9, 0, "Router Advertisement"), (200, 1, "type 200: code 1")],
)
def test_descriptions(kind: int, code: int, description: str) -> None:
    (message,) = messages(icmp4((0, pack(">BBHI", kind, code, 0, 0))))
    assert message.fields["icmp_description"] == description


def test_echo_to_a_group_is_answered_elsewhere() -> None:
    (message,) = messages(icmp6((0, pack(">BBHHH", 128, 0, 0, 7, 1)), server="ff02::1"))
    assert message.one_way


@pytest.mark.parametrize("payload", [b"", b"\x08", b"\x08\0\0\0\0\0\0"])
def test_too_short(payload: bytes) -> None:
    (message,) = messages(icmp4((0, payload)))
    assert message.error == f"truncated: {len(payload)} bytes are no ICMP header"
    document(message)


def test_probe() -> None:
    assert icmp.probe(icmp.ICMP, [icmp4(), tcp(), udp()]) == [Verdict.MINE, Verdict.NOT_MINE, Verdict.NOT_MINE]


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes(payload: bytes, is_v6: bool) -> None:
    (message,) = messages((icmp6 if is_v6 else icmp4)((0, payload)))
    document(message)
