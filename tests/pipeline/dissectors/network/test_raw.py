"""Payload that nobody claimed."""

from __future__ import annotations

from typing import Any

from kubeshark.extension_api import Datagram, Message
from kubeshark.pipeline.dissectors.network import raw

from .._streams import FakeStream, tcp, udp


def messages(stream: FakeStream) -> list[Message]:
    return list(raw.dissect(raw.RAW[stream.transport], [stream])[0])


def detail(message: Message) -> tuple[dict[str, Any], dict[str, Any]]:
    assert message.detail
    variables, document = message.detail()
    return dict(variables), dict(document)


def test_tcp_gives_a_message_a_turn() -> None:
    stream = tcp(b"hello!again", b"\xffhi")
    stream.runs = [(0, 0, 6), (1, 0, 3), (0, 6, 11)]
    found = messages(stream)
    assert [(message.direction, message.start, message.end) for message in found] == stream.runs
    variables, document = detail(found[1])
    assert variables == {"tcp_payload": b"\xffhi", "tcp_payload_text": "\ufffdhi"}
    assert document == {
        "payload": "\ufffdhi",
        "payloadBase64": "/2hp",
        "size": 3,
        "direction": "server",
        "chunkType": "",
    }


def test_payload_is_bounded() -> None:
    (message,) = messages(tcp(bytes(100_000)))
    variables, document = detail(message)
    assert (len(variables["tcp_payload"]), document["size"], message.end) == (raw.PAYLOAD_LIMIT, 100_000, 100_000)


def test_gap_is_said() -> None:
    (message,) = messages(tcp(b"ab\0\0cd", gaps={0: [(2, 4, 2)]}))
    assert message.error == "gap: 2 bytes missing at 2"


def test_each_turn_tells_its_first_gap() -> None:
    stream = tcp(bytes(20), gaps={0: [(2, 4, 9), (8, 10, 2), (10, 11, 1)]})
    stream.runs = [(0, 0, 2), (0, 1, 9), (0, 3, 4), (0, 4, 8), (0, 4, 9), (0, 10, 20), (0, 11, 20)]
    gaps = ["", "9 bytes missing at 2", "9 bytes missing at 2", "", "2 bytes missing at 8", "1 bytes missing at 10", ""]
    assert [message.error.removeprefix("gap: ") for message in messages(stream)] == gaps


def test_udp_gives_a_message_a_datagram() -> None:
    found = messages(udp((0, b"one"), (1, b""), (1, b"three")))
    assert [(message.datagram, message.fields) for message in found] == [(0, {"udp_length": 3}), (2, {"udp_length": 5})]


def test_cut_datagram_says_so() -> None:
    stream = udp()
    stream.datagrams = [Datagram(0, 0, memoryview(b"abc"), cut=True)]
    assert [message.error for message in messages(stream)] == ["truncated: only 3 bytes were captured"]


def test_sctp_names_its_chunks() -> None:
    chunks = b"\x00\x03\x00\x05a\0\0\0" + b"\x03\0\x00\x04" + b"\xfe\0\x00\x00" + b"\x06\0\x00\x04"
    (message,) = messages(udp((0, chunks), transport="sctp"))
    assert message.fields["sctp_chunk_type"] == "DATA,SACK,254,ABORT"
