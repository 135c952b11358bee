"""DTLS: hellos in one datagram, in fragments, again, and damaged."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Datagram
from kubeshark.pipeline.tls._datagrams import begins_dtls, read_datagrams
from kubeshark.pipeline.tls._hello import ClientHello

from ._hellos import client_hello, server_hello, server_name

BODY = client_hello([0xC02B], [server_name(b"example.org")], version=0xFEFD, cookie=b"")


def fragment(kind: int, body: bytes, number: int = 0, start: int = 0, end: int | None = None) -> bytes:
    part = body[start : len(body) if end is None else end]
    head = bytes([kind]) + len(body).to_bytes(3, "big") + pack(">H", number)
    return head + start.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part


def datagram_record(body: bytes, kind: int = 22, epoch: int = 0) -> bytes:
    return pack(">BHHHIH", kind, 0xFEFD, epoch, 0, 0, len(body)) + body


def sent(*datagrams: bytes, direction: int = 0) -> list[Datagram]:
    return [Datagram(direction, at, memoryview(data)) for at, data in enumerate(datagrams)]


def test_hello_in_one_datagram() -> None:
    flight = read_datagrams(sent(datagram_record(fragment(1, BODY))))
    ((direction, at, message),) = flight.messages
    assert isinstance(message.hello, ClientHello)
    assert (direction, at, message.hello.sni, message.start) == (0, 0, "example.org", 0)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_hello_in_fragments_in_any_order(size: int) -> None:
    parts = [datagram_record(fragment(1, BODY, 0, at, at + size)) for at in range(0, len(BODY), size)]
    flight = read_datagrams(sent(*parts[::-1], *parts))
    ((_, at, message),) = flight.messages
    assert (at, message.body) == (len(parts) - 1, BODY)


def test_several_messages_in_a_datagram() -> None:
    messages = fragment(2, server_hello(version=0xFEFD)) + fragment(11, b"\0\0\0", 1)
    flight = read_datagrams(sent(datagram_record(messages) + datagram_record(b"\2\x28", 21), direction=1))
    assert [message.type for _, _, message in flight.messages] == [2, 11]
    assert [alert.description for _, _, alert in flight.alerts] == [40]


def test_encrypted_epochs_are_not_read() -> None:
    assert read_datagrams(sent(datagram_record(fragment(1, BODY), epoch=1))).messages == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (datagram_record(fragment(1, BODY)), True),
        (datagram_record(b"\2\x28", 21), True),
        (datagram_record(fragment(1, BODY), epoch=1), False),
        (datagram_record(fragment(1, BODY), 23), False),
        (datagram_record(b"\x01\0\0\1\0\0\0\0\0\0\0\2ab"), False),
        (b"\x16\xfe\xfd", False),
    ],
    ids=["hello", "alert", "epoch", "data", "length", "short"],
)
def test_what_begins_dtls(data: bytes, expected: bool) -> None:
    assert begins_dtls(data) == expected


def test_parts_are_bounded() -> None:
    parts = [datagram_record(fragment(1, BODY, number, 0, 1)) for number in range(100)]
    last = datagram_record(fragment(1, BODY, 99))
    assert read_datagrams(sent(*parts, last)).messages == []


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_any_bytes(payloads: list[bytes]) -> None:
    prefix = b"\x16\xfe\xfd\0\0\0\0\0\0\0\0"
    read_datagrams(sent(*payloads, *(prefix + payload for payload in payloads)))
    for payload in payloads:
        begins_dtls(prefix + payload)


@given(st.data())
def test_damaged_hello(data: st.DataObject) -> None:
    body = bytearray(datagram_record(fragment(1, BODY)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for _, _, message in read_datagrams(sent(bytes(body))).messages:
        assert 0 <= message.start <= message.end <= len(body)
