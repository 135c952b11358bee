"""User messages out of DATA chunks."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.network._sctp_messages import SctpMessage, data_chunks, user_messages

from .._streams import udp


def chunk(tsn: int, payload: bytes, flags: int = 3, *, stream: int = 1, ppid: int = 46) -> bytes:
    body = pack(">IHHI", tsn, stream, 0, ppid) + payload
    return pack(">BBH", 0, flags, 4 + len(body)) + body + bytes(-len(body) % 4)


SACK = b"\x03\0\0\x10" + bytes(12)


def messages(*packets: tuple[int, bytes]) -> list[SctpMessage]:
    return list(user_messages(udp(*packets, transport="sctp").datagrams))


def test_one_message() -> None:
    packet = SACK + chunk(9, b"hello")
    (found,) = messages((1, packet))
    assert found == SctpMessage(1, 1, 46, 0, 32, 37, b"hello")
    assert packet[found.start : found.end] == b"hello"


def test_fragments_in_any_order_and_sent_again() -> None:
    first, second, third = chunk(0xFFFFFFFF, b"ab", 2), chunk(0, b"cd", 0), chunk(1, b"ef", 1)
    (found,) = messages((0, second), (0, first + third), (0, first))
    assert (found.payload, found.datagram) == (b"abcdef", 1)


def test_fragments_that_are_missing() -> None:
    packets = [(0, chunk(1, b"ab", 2)), (0, chunk(3, b"ef", 1)), (0, chunk(4, b"whole")), (0, chunk(5, b"end", 1))]
    assert [found.payload for found in messages(*packets)] == [b"whole"]


def test_directions_are_apart() -> None:
    found = messages((0, chunk(1, b"ask")), (1, chunk(1, b"answer")))
    assert [(part.direction, part.payload) for part in found] == [(0, b"ask"), (1, b"answer")]


def test_cut_chunk() -> None:
    assert list(data_chunks(chunk(1, b"hello")[:-4])) == []


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=5))
def test_any_packets(packets: list[tuple[int, bytes]]) -> None:
    for found in messages(*packets):
        assert packets[found.datagram][1][found.start : found.end] == found.payload[: found.end - found.start]
