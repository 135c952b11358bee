"""Where PostgreSQL messages begin (protocol 3.0–3.2, chapter 55).

Every message is [type][length, itself included][body]; only the client's first ones have no type. Behind what is no
message reading goes on at the next chain of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct as Layout

from msgspec import Struct

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import looks_like_sql

__all__ = [
    "CANCEL",
    "GSS_ENCRYPTION",
    "LOST",
    "STARTUP",
    "TLS_REQUEST",
    "UNKNOWN",
    "UNTYPED",
    "Packet",
    "chain_at",
    "client_packets",
    "error_fields",
    "holds_sql",
    "resume",
    "server_packets",
    "startup_code",
    "walk",
]

TLS_REQUEST, GSS_ENCRYPTION, CANCEL = 80877103, 80877104, 80877102
MAX_STARTUP = 10_000
"""MAX_STARTUP_PACKET_LENGTH of the server: longer ones are refused."""
MAX_SMALL = 30_000
"""What libpq takes from a server as a message that is not data (VALID_LONG_MESSAGE_TYPE)."""
MAX_MESSAGE = 1 << 30
MAX_FIELDS = 64

CLIENT_TYPES = frozenset(b"QPBEDCSHFXpdcf")
SERVER_TYPES = frozenset(b"RKSZTDCINEA123nstGHWdcVv")
_LONG = frozenset(b"TDdVENAQPBFd")  # these may be long: data and texts
_FIXED = {ord("Z"): 5, ord("K"): 12, **dict.fromkeys(b"123nsI", 4)}  # exact lengths, in server messages
_FIXED_CLIENT = dict.fromkeys(b"SHXc", 4)
_TYPES = (CLIENT_TYPES, SERVER_TYPES)
_CANDIDATE = (re.compile(rb"(?=[QPBEDCSHFXpdcf][\0-\x3f])"), re.compile(rb"(?=[RKSZTDCINEA123nstGHWdcVv][\0-\x3f])"))

_HEAD = Layout(">BI")  # of a message: its type and its length

STARTUP, UNTYPED, UNKNOWN, LOST = 0, 1, -1, -2
"""Types of what has none: the client's first messages, the server's one-byte answers to two of them, bytes that are no
message, and a place where bytes were not captured."""


class Packet(Struct):
    """One message: its type byte (or STARTUP, UNTYPED, UNKNOWN), where it and its body begin, where it ends."""

    type: int
    start: int
    body: int
    end: int
    error: str = ""


def startup_code(data: bytes, at: int = 0) -> int:
    """Return the code of an untyped client message at `at`: a version or a special request; 0 if there is none."""
    length = int.from_bytes(data[at : at + 4], "big")
    code = int.from_bytes(data[at + 4 : at + 8], "big")
    if len(data) < at + 8:
        return 0
    if code in (TLS_REQUEST, GSS_ENCRYPTION):
        return code if length == 8 else 0
    if code == CANCEL:
        return code if 16 <= length <= 268 else 0
    if code >> 16 == 3 and code & 0xFFFF <= 9 and 9 <= length <= MAX_STARTUP:
        head = data[at + 8 : min(len(data), at + length)]
        names = head.split(b"\0", 1)
        return code if head == b"\0" or (names[0] and names[0].isascii() and names[0].decode().isprintable()) else 0
    return 0


def _is_plausible(data: bytes, at: int, side: int) -> int:
    """Return the length of the message at `at` with its type byte, 0 if there can be none."""
    kind = data[at]
    if kind not in _TYPES[side]:
        return 0
    length = int.from_bytes(data[at + 1 : at + 5], "big")
    exact = (_FIXED if side else _FIXED_CLIENT).get(kind)
    if not 4 <= length < MAX_MESSAGE or (exact is not None and length != exact):
        return 0
    if length > MAX_SMALL and kind not in _LONG:
        return 0
    if kind == 0x5A and data[at + 5 : at + 6] not in (b"I", b"T", b"E", b""):
        return 0
    return length + 1


def chain_at(data: bytes, at: int, side: int, want: int = 3) -> int:
    """Return how many messages of this side follow each other from `at`, up to `want`; 0 where one is impossible."""
    count = 0
    while at + 5 <= len(data) and count < want:
        size = _is_plausible(data, at, side)
        if not size:
            return 0
        at += size
        count += 1
    return count if at <= len(data) or count > 1 else 0


def resume(data: bytes, at: int, side: int) -> int:
    """Return the offset of the next two messages that follow each other, or of one that ends the data."""
    for match in _CANDIDATE[side].finditer(data, at):
        start = match.start()
        if start + 5 > len(data):
            break
        size = _is_plausible(data, start, side)
        if size and (start + size == len(data) or chain_at(data, start, side) > 1):
            return start
    return len(data)


def _packets(wire: Wire, at: int, side: int) -> Iterator[Packet]:
    data, size = wire.data, len(wire.data)
    known = _TYPES[side]
    has_gaps = bool(wire.gaps)
    lost = wire.starts_midway and not at and chain_at(data, 0, side) == 0
    head = _HEAD.unpack_from
    while at < size:
        if not (has_gaps or lost) and at + 5 <= size:
            kind, length = head(data, at)
            end = at + 1 + length
            if kind in known and length >= 4 and end <= size:  # nearly always
                yield Packet(kind, at, at + 5, end)
                at = end
                continue
        if has_gaps and (gap := wire.gap_in(at, at + 5)):
            yield Packet(LOST, at, at, at, f"gap: {gap[2]} bytes missing at {gap[0]}")
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = resume(data, at, side), False
            continue
        if at + 5 > size:
            yield Packet(UNKNOWN, at, at, size, f"truncated: {size - at} bytes of a message's head")
            return
        length = int.from_bytes(data[at + 1 : at + 5], "big")
        if data[at] not in known or not 4 <= length < MAX_MESSAGE:
            end = resume(data, at + 1, side)
            yield Packet(UNKNOWN, at, at, end, f"malformed: {end - at} bytes at {at} are no message")
            at = end
            continue
        end = at + 1 + length
        packet = Packet(data[at], at, at + 5, end)
        if has_gaps and (gap := wire.gap_in(at, end)):
            packet.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
            end = packet.end = min(wire.after(at + 1, length), size)
        elif end > size:
            packet.error = f"truncated: {end - size} bytes of a message were not captured"
            end = packet.end = size
        yield packet
        at = end


def client_packets(wire: Wire) -> Iterator[Packet]:
    """Return what the client sent; behind an encryption request that was granted the caller stops reading."""
    at, data = 0, wire.data
    while not wire.gap_in(at, at + 8) and (code := startup_code(data, at)):
        length = int.from_bytes(data[at : at + 4], "big")
        packet = Packet(STARTUP, at, at + 8, min(wire.after(at, length), len(data)))
        if packet.end - at < length and (gap := wire.gap_in(at, packet.end)):
            packet.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif at + length > len(data):
            packet.error = "truncated: the startup message was not captured whole"
        yield packet
        at = packet.end
        if code not in (TLS_REQUEST, GSS_ENCRYPTION):
            break
    yield from _packets(wire, at, 0)


def server_packets(wire: Wire, encryption_requests: int) -> Iterator[Packet]:
    """Return what the server sent; its answers to requests for encryption are single bytes (§55.2.10)."""
    at, data = 0, wire.data
    while at < len(data) and data[at] in b"SNG" and not wire.gap_in(at, at + 1):
        if not encryption_requests and (at or not _is_lone_answer(data, midway=wire.starts_midway)):
            break
        encryption_requests = max(0, encryption_requests - 1)
        yield Packet(UNTYPED, at, at, at + 1)
        at += 1
    yield from _packets(wire, at, 1)


def _is_lone_answer(data: bytes, *, midway: bool) -> bool:
    """Say whether the first byte answers a request for encryption that was not captured."""
    if midway or chain_at(data, 0, 1):
        return False
    return len(data) == 1 or data[1] in b"\x16\x15RE"


def walk(wire: Wire, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Return (type, body) of the messages of a unit that was found before."""
    at, data, has_gaps, head = start, wire.data, bool(wire.gaps), _HEAD.unpack_from
    while (body := at + 5) <= end:
        kind, length = head(data, at)
        stop = wire.after(at + 1, length) if has_gaps else at + 1 + length
        if stop < body:
            return
        last = stop if stop < end else end
        yield kind, wire.captured(body, last) if has_gaps else data[body:last]
        at = stop


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse or NoticeResponse by their code (§55.8)."""
    if b"\0" not in body[:-1]:  # protocol 2, before a connection is up
        return {"M": text(body.rstrip(b"\0"))}
    return {text(item[:1]): text(item[1:]) for item in body.split(b"\0")[:MAX_FIELDS] if item}


def holds_sql(data: bytes) -> bool:
    """Say whether the client's bytes begin with a Query or a Parse of a statement."""
    end = 1 + int.from_bytes(data[1:5], "big")
    body = data[5:end]
    if data[:1] == b"Q":
        return looks_like_sql(body.partition(b"\0")[0])
    return data[:1] == b"P" and looks_like_sql(body.partition(b"\0")[2].partition(b"\0")[0])
