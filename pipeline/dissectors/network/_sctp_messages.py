"""User messages of an SCTP association, put together from DATA chunks (RFC 9260 §3.3.1, §6.9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kubeshark.extension_api import Datagram

__all__ = ["SctpMessage", "data_chunks", "user_messages"]

DATA, HEADER_BYTES = 0, 16
_BEGINS, _ENDS = 0x02, 0x01
_TSN_SPACE = 1 << 32


class Chunk(NamedTuple):
    tsn: int
    flags: int
    stream: int
    ppid: int
    datagram: int  # which packet it lay in
    start: int  # of its payload in that packet
    payload: bytes


class SctpMessage(NamedTuple):
    """A whole user message; datagram, start and end are those of its first chunk's payload."""

    direction: int
    stream: int
    ppid: int
    datagram: int
    start: int
    end: int
    payload: bytes


def data_chunks(packet: bytes, datagram: int = 0) -> Iterator[Chunk]:
    """Yield the DATA chunks of a packet without its common header; a cut one ends them."""
    at = 0
    while at + 4 <= len(packet):
        length = int.from_bytes(packet[at + 2 : at + 4], "big")
        if packet[at] == DATA and length > HEADER_BYTES:
            if at + length > len(packet):
                return
            fields = packet[at + 4 : at + HEADER_BYTES]
            tsn, ppid = int.from_bytes(fields[:4], "big"), int.from_bytes(fields[8:12], "big")
            stream = int.from_bytes(fields[4:6], "big")
            start = at + HEADER_BYTES
            yield Chunk(tsn, packet[at + 1], stream, ppid, datagram, start, packet[start : at + length])
        at += max(4, length + 3 & ~3)


def user_messages(datagrams: Sequence[Datagram]) -> Iterator[SctpMessage]:
    """Yield the messages of both directions that were captured whole, by sequence number.

    Chunks sent again count once; the fragments of a message have consecutive numbers.
    """
    for direction in (0, 1):
        chunks: dict[int, Chunk] = {}
        first: int | None = None
        for index, datagram in enumerate(datagrams):
            if datagram.direction != direction:
                continue
            for chunk in data_chunks(bytes(datagram.data), index):
                first = chunk.tsn if first is None else first
                offset = (chunk.tsn - first + _TSN_SPACE // 2) % _TSN_SPACE  # so that what came late sorts before
                chunks.setdefault(offset, chunk)
        yield from _joined(chunks, direction)


def _joined(chunks: dict[int, Chunk], direction: int) -> Iterator[SctpMessage]:
    parts: list[Chunk] = []
    expected = -1
    for offset in sorted(chunks):
        chunk = chunks[offset]
        if chunk.flags & _BEGINS:
            parts = [chunk]
        elif parts and offset == expected and chunk.stream == parts[0].stream:
            parts.append(chunk)
        else:
            parts = []
        expected = offset + 1
        if parts and chunk.flags & _ENDS:
            head = parts[0]
            payload = b"".join(part.payload for part in parts)
            end = head.start + len(head.payload)
            yield SctpMessage(direction, head.stream, head.ppid, head.datagram, head.start, end, payload)
            parts = []
