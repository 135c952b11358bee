"""DNS streams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Datagram, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.network import dns

from .._streams import FakeStream, tcp, udp

NAME = b"\x06prices\x04shop\x07EXAMPLE\0"
QUERY = pack(">6H", 0x5B21, 0x0100, 1, 0, 0, 0) + NAME + pack(">HH", 1, 1)
ANSWER = (
    pack(">6H", 0x5B21, 0x8180, 1, 2, 0, 1)
    + QUERY[12:]
    + b"\xc0\x0c"
    + pack(">HHIH", 5, 1, 60, 4)
    + b"\x01a\xc0\x13"
    + b"\xc0\x31"
    + pack(">HHIH", 1, 1, 60, 4)
    + b"\xc0\x00\x02\x01"
    + b"\0"
    + pack(">HHIH", 41, 1232, 0, 0)
)
NXDOMAIN = QUERY[:2] + b"\x81\x83" + QUERY[4:]


def messages(stream: FakeStream) -> list[Message]:
    return list(dns.dissect(dns.DNS, [stream])[0])


def is_mine(stream: FakeStream) -> bool:
    return dns.probe(dns.DNS, [stream]) == [Verdict.MINE]


def document(message: Message) -> dict[str, Any]:
    assert message.detail
    return dict(message.detail()[1])


def framed(*parts: bytes) -> bytes:
    return b"".join(pack(">H", len(part)) + part for part in parts)


def test_query() -> None:
    (message,) = messages(udp((0, QUERY)))
    assert (message.kind, message.key, message.error, message.one_way) == (MessageKind.REQUEST, "0x5b21", "", False)
    assert message.fields == {
        "dns_request": True,
        "dns_request_length": len(QUERY),
        "dns_questions": ["prices.shop.example"],
        "dns_question_types": ["A"],
        "dns_opcode": "QUERY",
    }
    assert document(message) == {
        "opCode": "Query",
        "questions": [{"name": "prices.shop.EXAMPLE", "type": "A", "class": "IN"}],
    }


def test_response() -> None:
    _, message = messages(udp((0, QUERY), (1, ANSWER)))
    assert (message.kind, message.key, message.error, message.datagram) == (MessageKind.RESPONSE, "0x5b21", "", 1)
    assert message.fields == {
        "dns_response": True,
        "dns_response_length": len(ANSWER),
        "dns_questions": ["prices.shop.example"],
        "dns_question_types": ["A"],
        "dns_answers": ["a.shop.EXAMPLE", "192.0.2.1"],
        "dns_answer_names": ["prices.shop.example", "a.shop.example"],
        "dns_opcode": "QUERY",
        "dns_rcode": "NOERROR",
        "status_code": 0,
    }
    shown = document(message)
    assert (shown["code"], shown["rcode"], shown["authorities"]) == ("No Error", 0, [])
    assert shown["answers"][1] == {
        "name": "a.shop.EXAMPLE",
        "type": "A",
        "class": "IN",
        "ttl": 60,
        "ip": "192.0.2.1",
        **dict.fromkeys(("ns", "cname", "ptr", "txts", "soa", "srv", "mx", "opt", "uri"), ""),
    }
    assert shown["answers"][0]["cname"] == "a.shop.EXAMPLE"
    assert shown["additionals"][0]["opt"] == "version=0 udp=1232"


def test_name_error() -> None:
    (message,) = messages(udp((1, NXDOMAIN)))
    assert (message.fields["dns_rcode"], message.fields["status_code"]) == ("NXDOMAIN", 3)
    assert document(message)["code"] == "Name Error"


FLAG_BITS = {
    "authoritative": 0x0400,
    "truncated": 0x0200,
    "recursionDesired": 0x0100,
    "recursionAvailable": 0x0080,
    "authenticData": 0x0020,
    "checkingDisabled": 0x0010,
}


@pytest.mark.parametrize("bits", [0, *FLAG_BITS.values(), 0x07B0])
def test_flags_of_a_response(bits: int) -> None:
    answer = QUERY[:2] + (0x8000 | bits).to_bytes(2, "big") + QUERY[4:]
    for stream in (
        udp((0, QUERY), (1, answer)),
        tcp(framed(QUERY), framed(answer), port=53),
        udp((1, answer), port=5353),
    ):
        message = messages(stream)[-1]
        shown = document(message)
        assert {name: shown[name] for name in FLAG_BITS} == {name: bool(bits & bit) for name, bit in FLAG_BITS.items()}
        assert message.fields.get("dns_truncated", False) == bool(bits & 0x0200)
    assert not FLAG_BITS.keys() & document(messages(udp((0, QUERY)))[0]).keys()


def test_several_messages_on_tcp_however_they_were_cut() -> None:
    wire = framed(QUERY, QUERY[:2] + b"\x01\x00" + QUERY[4:])
    found = messages(tcp(wire, framed(ANSWER), port=53))
    size = len(QUERY) + 2
    assert [(message.direction, message.start, message.end) for message in found] == [
        (0, 0, size),
        (0, size, 2 * size),
        (1, 0, len(ANSWER) + 2),
    ]
    assert all(not message.error for message in found)


def test_tcp_that_ends_early() -> None:
    found = messages(tcp(framed(QUERY) + framed(QUERY)[:20], port=53))
    assert [message.error for message in found] == ["", "truncated: only 18 bytes were captured"]


def test_tcp_that_stops_being_dns() -> None:
    found = messages(tcp(framed(QUERY) + bytes(50) + framed(QUERY), port=53))
    size = len(QUERY) + 2
    assert [(message.start, message.error) for message in found] == [
        (0, ""),
        (size, f"malformed: length 0 at {size}"),
        (size + 50, ""),
    ]


def test_tcp_seen_from_the_middle() -> None:
    stream = tcp(b"\x01\x02rest of a message" + framed(QUERY), port=53, midway=True)
    assert [(message.start, message.error) for message in messages(stream)] == [(19, "")]


def test_gap_spoils_the_message_it_is_in() -> None:
    size = len(QUERY) + 2
    wire = framed(QUERY, QUERY, QUERY)
    lost = wire[: size + 20] + bytes(4) + wire[size + 24 :]
    found = messages(tcp(lost, port=53, gaps={0: [(size + 20, size + 24, 4)]}))
    assert [message.error for message in found] == ["", f"gap: 4 bytes missing at {size + 20}", ""]


def test_gap_over_a_length_prefix() -> None:
    size = len(QUERY) + 2
    wire = framed(QUERY, QUERY, QUERY)
    lost = wire[: size - 1] + bytes(3) + wire[size + 2 :]
    found = messages(tcp(lost, port=53, gaps={0: [(size - 1, size + 2, 3)]}))
    assert [message.start for message in found] == [0, 2 * size]


@pytest.mark.parametrize("group", ["224.0.0.251", "ff02::fb"])
def test_multicast_expects_no_answer_here(group: str) -> None:
    request, response = messages(udp((0, QUERY), (0, ANSWER), port=5353, server=group))
    assert (request.one_way, response.one_way) == (True, True)


def test_unicast_mdns_is_paired() -> None:
    request, response = messages(udp((0, QUERY), (1, ANSWER), port=5353))
    assert (request.one_way, response.one_way) == (False, True)


def test_cut_datagram_says_so() -> None:
    stream = udp((0, QUERY[:20]))
    stream.datagrams = [Datagram(0, 0, memoryview(QUERY[:20]), cut=True)]
    (message,) = messages(stream)
    assert message.error == "truncated: only 20 bytes were captured"


@pytest.mark.parametrize(
    ("payload", "port", "mine"),
    [
        (QUERY, 53, True),
        (QUERY, 9953, True),
        (ANSWER, 9953, True),
        (QUERY, 137, False),
        (QUERY + b"!", 9953, False),
        (QUERY + b"!", 53, True),
        (b"\xff" * 30, 53, True),
        (b"\xff" * 30, 5353, False),
        (b"\xff" * 30, 9953, False),
        (bytes(12), 9953, False),
        (b"", 53, False),
    ],
)
def test_probe(payload: bytes, port: int, mine: bool) -> None:
    assert is_mine(udp((0, payload), port=port)) is mine


def test_probe_on_tcp() -> None:
    assert is_mine(tcp(framed(QUERY), port=9953))
    assert not is_mine(tcp(b"GET / HTTP/1.1\r\n\r\n", port=53))
    assert not is_mine(tcp(framed(b""), port=53))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=4))
def test_any_datagrams(payloads: list[tuple[int, bytes]]) -> None:
    found = messages(udp(*payloads))
    assert len(found) == len(payloads)
    for message in found:
        document(message)


@given(st.binary(max_size=120), st.booleans(), st.integers(0, 80))
def test_any_tcp_bytes(junk: bytes, midway: bool, at: int) -> None:
    wire = framed(QUERY, ANSWER)
    wire = wire[:at] + junk + wire[at:]
    gap = (at, min(at + 7, len(wire)), 70)
    end = 0
    for message in messages(tcp(wire, port=53, midway=midway, gaps={0: [gap]} if gap[1] > at else {})):
        assert end <= message.start < message.end <= len(wire)
        end = message.end
        document(message)


@given(st.integers(0, len(ANSWER) - 1), st.integers(0, 255))
def test_a_hostile_byte_spoils_one_message(at: int, byte: int) -> None:
    hit = ANSWER[:at] + bytes([byte]) + ANSWER[at + 1 :]
    found = messages(udp((0, QUERY), (1, hit), (0, QUERY)))
    assert [found[n].error for n in (0, 2)] == ["", ""]
    document(found[1])
