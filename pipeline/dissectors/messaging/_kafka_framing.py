"""Finds Kafka's messages: a size of four bytes, then a request header, or a response's correlation id.

A request header (key, version, correlation id, client id, from flexible versions on tagged fields) can be told from
other bytes, all the more with a body that agrees with its schema; a response only by what was asked.

1. Behind lost bytes the next message is searched for to the side's end: what was lost may be the head of a fetch
   response, of 50 MiB by default (`fetch.max.bytes`).
2. Searching costs a bounded effort for each byte of a side; places that it does not pay for are passed over, and the
   first of them is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from kubeshark.extension_api import Stream
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._kafka_cursor import MAX_ITEMS, Cursor, Early, Malformed
from kubeshark.pipeline.dissectors.messaging._kafka_schema import Api, api_of, read_body

__all__ = [
    "CUT_BYTES",
    "MAX_FRAME",
    "MIN_REQUEST",
    "MIN_RESPONSE",
    "PORTS",
    "Found",
    "Frame",
    "Header",
    "RequestSearch",
    "has_request",
    "is_kafka",
    "read_frames",
    "read_header",
    "skip_tags",
]

PORTS = (9092,)
MIN_REQUEST = 8  # key, version, correlation id
MIN_RESPONSE = 4
MAX_FRAME = 100 << 20  # socket.request.max.bytes: what a broker accepts
MAX_CLIENT_ID = 255
HEADER_BYTES = 1 << 10  # a client id and some tagged fields
CUT_BYTES = 1 << 20  # a default broker's largest message: a longer one is believed only where its end was captured
PROBED_BYTES = 1 << 16
CHECKED_ITEMS = 200  # elements of a body that are read to see whether it is one
# effort, in bytes copied: a place that is read takes some 20 µs, an element of its body 2. 50 MB of random bytes have
# no place to read, and the densest 50 MB take some seconds
PLACE_EFFORT, ITEM_EFFORT = 4 << 10, 512
FIRST_EFFORT = 5_000 * PLACE_EFFORT
EFFORT_PER_BYTE = 16
REQUEST_START = 14  # bytes that tell a request: length to client id
PRODUCE, CONTROLLED_SHUTDOWN = 0, 7

# a size, a key, a version, a correlation id, the first byte of a client id's length; searched for by the key's zero,
# as bytes are found much faster than classes of them
_KEY = re.compile(rb"(?<!\0\0\0\0)\0(?=[\0-\x5f]\0[\0-\x1f][\0-\x7f]...(?:\xff\xff|\0))", re.DOTALL)
_REQUEST = re.compile(rb"(?=[\0-\x06]...\0[\0-\x5f]\0[\0-\x1f][\0-\x7f]...(?:\xff\xff|\0))", re.DOTALL)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Header(Struct):
    """A request header; `body` is where its body starts."""

    key: int
    version: int
    correlation: int
    client: str | None
    body: int
    api: Api | None

    @property
    def is_known(self) -> bool:
        return self.api is not None and self.api.knows(self.version)


class Found(Struct):
    """Where the next message starts, or the end of the data; `passed_over` is the first place that was not read."""

    at: int
    passed_over: int | None = None

    @property
    def error(self) -> str:
        if self.passed_over is None:
            return ""
        return f"too many places look like a message: from {self.passed_over} on not all were read"


class Frame(Struct):
    """A size and as many bytes; fewer where a gap or the capture's end cut them."""

    wire: Wire
    start: int
    end: int
    size: int
    stop: int  # where the bytes end that were captured in one piece
    error: str = ""

    @property
    def data(self) -> bytes:
        """What follows the size."""
        return self.wire.data[self.start + 4 : self.stop]


def is_kafka(stream: Stream) -> bool:
    """Say whether a stream carries Kafka: a request at its start, or later where that was not captured."""
    if stream.transport != "tcp" or not stream.sides:
        return False
    by_port = stream.server.port in PORTS or stream.client.port in PORTS
    for side in stream.sides:
        head = bytes(side.data[:PROBED_BYTES])
        if _is_request_at(head, 0, len(side.data), lenient=by_port):
            return True
        if not (side.starts_midway or side.gaps):
            continue
        if RequestSearch(head, named=not by_port).find(0).at < len(head) or (by_port and _may_answer(head)):
            return True
    return False


def _is_request_at(data: bytes, at: int, available: int, *, lenient: bool = False, named: bool = False) -> bool:
    return _judge(data, at, available, lenient=lenient, named=named)[0]


def _judge(data: bytes, at: int, available: int, *, lenient: bool, named: bool) -> tuple[bool, int]:
    """Say whether these bytes can be nothing but a Kafka request: its whole body agrees with its schema.

    `available` bytes are there, of which `data` may hold less. `lenient`: the header of a client with a name will do,
    as versions that we do not know, and clients that send too much, are on Kafka's port too. `named`: the client must
    have a name, and the request must be whole. The second value is the effort that it took.
    """
    if not lenient and not _REQUEST.match(data, at):
        return False, 0
    size = int.from_bytes(data[at : at + 4], "big")
    end = at + 4 + size
    header = read_header(data[at + 4 : min(end, at + HEADER_BYTES)])
    if header is None or size > MAX_FRAME:
        return False, PLACE_EFFORT
    if lenient and header.client and header.api is not None:
        return True, PLACE_EFFORT
    is_cut = end > len(data)
    if not header.is_known or ((named or is_cut) and not header.client) or (named and is_cut):
        return False, PLACE_EFFORT
    unchecked = MAX_ITEMS - CHECKED_ITEMS
    cursor, payload = Cursor(data, at + 4 + header.body, end, items=unchecked), dict[str, object]()
    try:
        read_body(cursor, header.key, header.version, payload, is_response=False)
    except Early:
        is_whole = end <= available or size <= CUT_BYTES
    except Malformed:
        is_whole = cursor.items > MAX_ITEMS and bool(header.client)
    else:
        is_whole = cursor.at == end
    has_acks = header.key != PRODUCE or payload.get("requiredAcks", 1) in (-1, 0, 1)
    effort = PLACE_EFFORT + ITEM_EFFORT * (cursor.items - unchecked) + cursor.at - at
    return is_whole and has_acks and all(map(_TOPIC.fullmatch, cursor.topics)), effort


def _may_answer(head: bytes) -> bool:
    """Say whether a side can be the answers of a broker: frames end where others begin, or where the data ends."""
    at = 0
    for _ in range(3):
        size = int.from_bytes(head[at : at + 4], "big")
        if not MIN_RESPONSE <= size <= CUT_BYTES or len(head) < at + 8 or head[at + 4] & 0x80:
            return False
        at += 4 + size
        if at == len(head):
            return True
    return at < len(head)


class RequestSearch(Struct):
    """Finds certain requests on one side; its effort is that of all searches, which go forwards."""

    data: bytes
    named: bool = False
    effort: int = 0

    def find(self, at: int) -> Found:
        """Return where the next certain request starts.

        Behind it is another, or lost bytes, which are zeros and look like one here, or the end.
        """
        data, found = self.data, Found(len(self.data))
        for key in _KEY.finditer(data, at + 4):
            start = key.start() - 4
            end = start + 4 + int.from_bytes(data[start : start + 4], "big")
            if end - start > MAX_FRAME or not (end >= len(data) - REQUEST_START or _REQUEST.match(data, end)):
                continue
            if self.effort > FIRST_EFFORT + EFFORT_PER_BYTE * start:
                found.passed_over = start if found.passed_over is None else found.passed_over
                continue
            is_request, effort = _judge(data, start, len(data), lenient=False, named=self.named)
            self.effort += effort
            if is_request:
                found.at = start
                break
        return found


def read_header(data: bytes) -> Header | None:
    """Return the header at the start of a frame's bytes; None if this cannot be one."""
    if len(data) < MIN_REQUEST:
        return None
    key, version = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
    correlation = int.from_bytes(data[4:8], "big", signed=True)
    api = api_of(key)
    if correlation < 0 or key > 0x7FFF or version > 0x7FFF:
        return None
    if key == CONTROLLED_SHUTDOWN and version == 0:  # the only one with header version 0
        return Header(key, version, correlation, None, MIN_REQUEST, api)
    count = int.from_bytes(data[8:10], "big", signed=True)
    if len(data) < 10 or not -1 <= count <= MAX_CLIENT_ID or 10 + count > len(data):
        return None
    at = 10 + max(count, 0)
    client = text(data[10:at]) if count >= 0 else None
    if client and not client.isprintable():
        return None
    header = Header(key, version, correlation, client, at, api)
    if api is not None and header.is_known and api.is_flexible(version):
        try:
            header.body = skip_tags(data, at)
        except Malformed:
            return None
    return header


def skip_tags(data: bytes, at: int) -> int:
    """Return where tagged fields (KIP-482) end. Raise Malformed."""
    cursor = Cursor(data, at, len(data))
    for _ in range(cursor.uvarint()):
        cursor.uvarint()
        cursor.take(cursor.uvarint())
    return cursor.at


def has_request(wire: Wire) -> bool:
    """Say whether a side sent a request near its start: midway, who is the client is a guess."""
    head = wire.data[:PROBED_BYTES]
    return _is_request_at(head, 0, len(wire.data)) or RequestSearch(head).find(0).at < len(head)


def read_frames(wire: Wire, find: Callable[[int], Found], is_start: Callable[[int, bytes], bool]) -> Iterator[Frame]:
    """Split one side into frames; after lost or senseless bytes go on where `find` says.

    `is_start` judges a frame by its size and its first HEADER_BYTES at most.
    """
    data, at = wire.data, 0

    def is_frame(size: int) -> bool:
        return size <= MAX_FRAME and is_start(size, data[at + 4 : at + 4 + min(size, HEADER_BYTES)])

    size = int.from_bytes(data[:4], "big")
    if wire.starts_midway and not (4 + size <= len(data) and is_frame(size)):
        found = find(0)
        yield from _passed_over(wire, found)
        at = found.at
    while at + 4 <= len(data):
        if gap := wire.gap_in(at, at + 4):
            found = find(gap[1])
            yield from _passed_over(wire, found)
            at = found.at
            continue
        size = int.from_bytes(data[at : at + 4], "big")
        if not is_frame(size):
            found = find(at + 1)
            error = f"malformed: no message at {at}" + (f", {found.error}" if found.error else "")
            yield Frame(wire, at, found.at, size, at, error)
            at = found.at
            continue
        end = wire.after(at + 4, size)
        frame = Frame(wire, at, min(end, len(data)), size, min(end, len(data)))
        if gap := wire.gap_in(at, end):
            frame.stop = gap[0]
            frame.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > len(data):
            frame.error = f"truncated: {len(data) - at - 4} of {size} bytes were captured"
        yield frame
        at = end


def _passed_over(wire: Wire, found: Found) -> Iterator[Frame]:
    """Tell of what a search left out; the bytes it searched belong to a message whose head was lost."""
    if found.passed_over is not None:
        yield Frame(wire, found.passed_over, found.at, 0, found.passed_over, f"malformed: {found.error}")
