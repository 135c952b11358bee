"""The packets and bytes behind an entry, for whoever may see them: packets of its connection, and the followed stream.

Valid as long as the entry is: it holds the records that it was made of.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from msgspec import Struct

from kubeshark.core_capture import PacketBit
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.reading._streams import FlowStream

__all__ = ["PacketRow", "StreamPiece", "entry_records", "followed", "packet_bytes", "packet_rows"]

_RECORD = struct.Struct("<IIII")  # pcap's record header: seconds, nanoseconds, captured, original


class PacketRow(Struct, frozen=True):
    """One packet of a connection. `payload` is (start, end) of the transport payload in the packet's bytes."""

    number: int  # in the connection, from 0
    time_ns: int
    captured: int  # bytes
    original: int
    from_server: bool
    payload: tuple[int, int]
    flags: int  # of TCP
    is_of_entry: bool  # it carried bytes of the entry


class StreamPiece(Struct, frozen=True):
    """What one side sent before the other did."""

    from_server: bool
    time_ns: int
    data: bytes


def packet_rows(entry: Entry, *, first: int = 0, most: int = 1_000) -> list[PacketRow]:
    """Return packets of the entry's connection, in time order, from number `first`, at most `most`."""
    stream = entry.facts.stream_data
    if stream is None:  # only the index knows of it
        return []
    places = stream.streams.packets[first : first + most]
    mine, client = _of_entry(entry, stream), int(stream.row["client"])
    rows = []
    for number, (packet, found) in enumerate(zip(places.tolist(), stream.decoded.packets[places], strict=True), first):
        start, captured, original = _record(stream, packet)
        low = int(found["offset"]) + int(found["payload_offset"]) - start
        high = low + int(found["payload_length"])
        is_whole = not int(found["bits"]) & PacketBit.ARENA and high <= captured
        rows.append(
            PacketRow(
                number,
                int(found["time_ns"]),
                captured,
                original,
                bool(int(found["direction"]) ^ client),
                (low, high) if is_whole else (captured, captured),
                int(found["flags"]),
                packet in mine,
            )
        )
    return rows


def packet_bytes(entry: Entry, number: int) -> bytes | None:
    """Return one packet of the entry's connection, as it was captured; None if there is no such packet."""
    stream = entry.facts.stream_data
    if stream is None or not 0 <= number < len(stream.streams.packets):
        return None
    start, captured, _ = _record(stream, int(stream.streams.packets[number]))
    return bytes(memoryview(stream.decoded.data)[start : start + captured])


def entry_records(entry: Entry) -> Iterator[memoryview]:
    """Yield the pcap records of the packets that carried bytes of the entry's messages."""
    stream = entry.facts.stream_data
    if stream is None:
        return
    for packet in sorted(_of_entry(entry, stream)):
        start, captured, _ = _record(stream, packet)
        yield memoryview(stream.decoded.data)[start - _RECORD.size : start + captured]


def followed(entry: Entry, *, most: int) -> tuple[list[StreamPiece], bool]:
    """Return what both sides sent in turn, decrypted where that could be done, at most `most` bytes; is that all?"""
    stream = entry.facts.stream_data
    if stream is None:
        return [], True
    pieces: list[StreamPiece] = []
    left = most
    if stream.sides:
        parts: Sequence[tuple[int, int, bytes]] = [
            (side, stream.sides[side].time_at(start), bytes(stream.sides[side].data[start : min(end, start + most)]))
            for side, start, end in stream.turns()
        ]
    else:
        parts = [(each.direction, each.time_ns, bytes(each.data)) for each in stream.datagrams]
    for side, time_ns, data in parts:
        if len(data) > left:
            pieces.append(StreamPiece(bool(side), time_ns, data[:left]))
            return pieces, False
        pieces.append(StreamPiece(bool(side), time_ns, data))
        left -= len(data)
    return pieces, True


def _record(stream: FlowStream, packet: int) -> tuple[int, int, int]:
    """Return where a packet's bytes begin, how many there are, and how many were on the wire."""
    offset = int(stream.decoded.packets["offset"][packet])
    _, _, captured, original = _RECORD.unpack_from(stream.decoded.data, offset)
    start = offset + _RECORD.size
    return start, max(0, min(captured, len(stream.decoded.data) - start)), original


def _of_entry(entry: Entry, stream: FlowStream) -> set[int]:
    """Return the packets that carried bytes of the entry's messages."""
    found: set[int] = set()
    packets = stream.streams.packets
    rows = stream.decoded.packets[packets]
    for timed in entry.messages():
        message = timed.message
        if not stream.sides:
            assert stream.datagrams is not None  # reading them is what numbers them
            found.add(stream.packet_of(timed.order))
            continue
        side = stream.sides[message.direction]
        first = side.packet_at(message.start)
        last = side.packet_at(message.end - 1) if message.end > message.start else first
        is_between = (packets >= min(first, last)) & (packets <= max(first, last))
        is_its = (rows["direction"] == message.direction ^ int(stream.row["client"])) & (rows["payload_length"] > 0)
        found.update(packets[is_between & is_its].tolist())
    return found
