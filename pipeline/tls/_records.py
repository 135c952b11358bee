"""TLS records of one TCP side (RFC 8446 §5.1), found again behind gaps, and the handshake messages in clear in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.tls._hello import (
    ClientHello,
    ServerHello,
    parse_client_hello,
    parse_server_hello,
    parse_ssl2_client_hello,
)

__all__ = [
    "ALERT",
    "APPLICATION_DATA",
    "CERTIFICATE",
    "CHANGE_CIPHER_SPEC",
    "CLIENT_HELLO",
    "HANDSHAKE",
    "HEADER_BYTES",
    "RESYNC_BYTES",
    "SERVER_HELLO",
    "Alert",
    "Flight",
    "Handshake",
    "Record",
    "begins_tls",
    "is_header",
    "read_flight",
    "split_records",
]

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
SSL2 = 0  # a record type of ours: SSL 2.0 has none
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE = 1, 2, 11
HANDSHAKE_TYPES = frozenset({0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 67})

HEADER_BYTES = 5
MAX_RECORD = (1 << 14) + 2_048  # TLS 1.2 allows the most (RFC 5246 §6.2.3)
RESYNC_BYTES = 2 * (HEADER_BYTES + MAX_RECORD)  # within one record there is a header, if it is TLS
HELLO_BYTES = 16  # show that a record holds a hello
MAX_HANDSHAKE = 1 << 20  # bytes of one message kept; certificate chains have some 10 KB
MAX_MESSAGES = 64  # of one flight in clear; a full handshake has six

_HEADER = re.compile(rb"[\x14-\x18]\x03[\x00-\x04]")


class Record(NamedTuple):
    """One record: its header begins at `start`, its body ends before `end`, both offsets in the side's data."""

    type: int
    start: int
    end: int  # beyond the data if it was cut
    is_whole: bool  # captured without a gap
    follows_loss: bool = False  # records before it were lost: what it begins need not be a message


class Handshake(Struct):
    """One handshake message in clear; `body` may be short, then `error` says why."""

    type: int
    body: bytes
    start: int
    end: int
    error: str = ""
    hello: ClientHello | ServerHello | None = None


class Alert(Struct):
    level: int
    description: int
    start: int
    end: int


class Flight(Struct):
    """What one side sent in clear, up to its first application data."""

    messages: list[Handshake] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)


def is_header(data: bytes, at: int) -> bool:
    """Say whether a record header may lie at `at`."""
    if at + HEADER_BYTES > len(data) or not _HEADER.match(data, at):
        return False
    length = int.from_bytes(data[at + 3 : at + 5], "big")
    return length <= MAX_RECORD and (length > 0 or data[at] == APPLICATION_DATA)


def begins_tls(head: bytes, *, midway: bool) -> bool:
    """Say whether these first bytes of a side are TLS: a hello, an alert, or (`midway`) a chain of records."""
    if parse_ssl2_client_hello(head):
        return True
    if not is_header(head, 0):
        return midway and _find_chain(head, 0) < len(head)
    kind, length = head[0], int.from_bytes(head[3:5], "big")
    if kind == HANDSHAKE and len(head) > HEADER_BYTES:
        kind = head[HEADER_BYTES]
        size = int.from_bytes(head[6:9], "big")
        if kind == CLIENT_HELLO:
            return len(head) < 11 or head[9] in (3, 0xFE) or head[9:11] == b"\0\x02"
        if kind == SERVER_HELLO:
            return len(head) < 11 or head[9] in (3, 0x7F)
        return kind in HANDSHAKE_TYPES and size <= MAX_HANDSHAKE and (size + 4 <= length or kind == CERTIFICATE)
    if kind == ALERT and length == 2:
        return len(head) < 7 or head[5] in (1, 2)
    return midway and _is_chain(head, 0)


def split_records(wire: Wire) -> Iterator[Record]:
    """Yield the records of a side. What is no record is passed over to the next chain of records, if one is near."""
    data, at = wire.data, 0
    lost = wire.starts_midway and not begins_tls(data[:HELLO_BYTES], midway=False)
    if not lost and (hello := parse_ssl2_client_hello(data[: HEADER_BYTES + MAX_RECORD])):
        at = ((data[0] & 0x7F) << 8 | data[1]) + 2
        yield Record(SSL2, 0, at, not hello.error)
    while at + HEADER_BYTES <= len(data):
        gap = wire.gap_in(at, at + HEADER_BYTES)
        if gap:
            at, lost = gap[1], True
            continue
        if not is_header(data, at) or (lost and not _is_chain(data, at)):
            lost = True
            at = _find_chain(data, at)
            continue
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        end = wire.after(at + HEADER_BYTES, length)
        yield Record(data[at], at, end, end <= len(data) and wire.gap_in(at, end) is None, lost)
        at, lost = end, False


def _is_chain(data: bytes, at: int) -> bool:
    """Say whether a record lies here and another, or the end of the data, behind it."""
    for _ in range(2):
        if not is_header(data, at):
            return False
        at += HEADER_BYTES + int.from_bytes(data[at + 3 : at + 5], "big")
        if at == len(data):
            return True
    return at < len(data)


def _find_chain(data: bytes, at: int) -> int:
    """Return where the next chain of records begins within RESYNC_BYTES, else the end of the data."""
    found = (match.start() for match in _HEADER.finditer(data, at, at + RESYNC_BYTES))
    return next((start for start in found if _is_chain(data, start)), len(data))


def read_flight(wire: Wire) -> Flight:
    """Read what a side sent in clear. Behind ChangeCipherSpec only a whole hello is believed (RFC 8446 §D.4)."""
    flight = Flight()
    reader = _Reader(wire, flight)
    is_encrypted = False
    for record in split_records(wire):
        if record.type == APPLICATION_DATA or len(flight.messages) >= MAX_MESSAGES:
            break
        if record.type == CHANGE_CIPHER_SPEC:
            is_encrypted = True
            reader.end("truncated: the message ends early")
        elif record.type == ALERT and record.end - record.start == HEADER_BYTES + 2 and record.is_whole:
            level, description = wire.data[record.start + HEADER_BYTES : record.end]
            if level in (1, 2):
                flight.alerts.append(Alert(level, description, record.start, record.end))
        elif record.type == SSL2:
            hello = parse_ssl2_client_hello(wire.data[: record.end])
            flight.messages.append(Handshake(CLIENT_HELLO, b"", 0, min(record.end, len(wire.data)), hello=hello))
        elif record.type == HANDSHAKE and (not (is_encrypted or record.follows_loss) or _is_hello(wire, record)):
            reader.read(record)
    reader.end("truncated: the message ends early")
    return flight


def _is_hello(wire: Wire, record: Record) -> bool:
    """Say whether an undamaged hello fills this record: encrypted bytes are hardly ever one."""
    body = wire.data[record.start + HEADER_BYTES : record.end]
    if len(body) < 4 or int.from_bytes(body[1:4], "big") > len(body) - 4:
        return False
    hello = _hello(body[0], body[4 : 4 + int.from_bytes(body[1:4], "big")])
    return hello is not None and not hello.error


def _hello(kind: int, body: bytes) -> ClientHello | ServerHello | None:
    if kind == CLIENT_HELLO:
        return parse_client_hello(body)
    return parse_server_hello(body) if kind == SERVER_HELLO else None


class _Reader:
    """Joins handshake messages that are spread over records, and takes apart records of several."""

    def __init__(self, wire: Wire, flight: Flight) -> None:
        self._wire = wire
        self._flight = flight
        self._buffer = bytearray()
        self._start = 0  # of the message in the buffer
        self._end = 0  # of the last byte in the buffer
        self._is_lost = False

    def read(self, record: Record) -> None:
        body_start = record.start + HEADER_BYTES
        limit = min(record.end, len(self._wire.data))
        gap = self._wire.gap_in(body_start, limit)
        stop = gap[0] if gap else limit
        if not self._buffer:
            self._start = record.start
        at = body_start
        while at < stop and not self._is_lost:
            if not self._buffer and at > body_start:
                self._start = at
            at = self._fill(at, stop)
        if gap:
            self.end(f"gap: {gap[2]} bytes missing at {gap[0]}")
        elif record.end > len(self._wire.data):
            self.end(f"truncated: the record ends {record.end - len(self._wire.data)} bytes early")
        self._is_lost = False

    def _fill(self, at: int, stop: int) -> int:
        """Take bytes until a message is whole or the record ends; return where it stopped."""
        buffer = self._buffer
        wanted = 4 - len(buffer) if len(buffer) < 4 else 4 + self._size() - len(buffer)
        taken = min(stop, at + wanted)
        buffer += self._wire.data[at:taken]
        self._end = taken
        if len(buffer) == 4 and (buffer[0] not in HANDSHAKE_TYPES or self._size() > MAX_HANDSHAKE):
            self._is_lost = True  # encrypted, or no handshake: nothing more in this record
            buffer.clear()
        elif len(buffer) >= 4 and len(buffer) == 4 + self._size():
            self._emit("")
        return taken

    def _size(self) -> int:
        return int.from_bytes(self._buffer[1:4], "big")

    def end(self, error: str) -> None:
        """What is in the buffer never became whole."""
        if len(self._buffer) > 4:
            self._emit(error)
        self._buffer.clear()

    def _emit(self, error: str) -> None:
        kind, body = self._buffer[0], bytes(self._buffer[4:])
        hello = _hello(kind, body)
        if not error and hello is not None and hello.error:
            error = f"malformed: {hello.error}"
        self._flight.messages.append(Handshake(kind, body, self._start, self._end, error, hello))
        self._buffer.clear()
