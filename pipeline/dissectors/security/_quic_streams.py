"""QUIC's streams: STREAM frames in packets (RFC 9000 §19), and the frames in which decrypted streams are handed over.

A handed-over side is a row of such frames, in the order in which their data became readable:

    u64 stream | u8 flags: 1 final, 2 missing | u32 length | data, or for missing bytes a u64 of how many
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from kubeshark.pipeline.tls import Cursor, CutShort

__all__ = ["HandedFrame", "StreamFrame", "handed_frames", "pack_frame", "skip_frame", "stream_frames", "varint"]

HEAD = Struct(">QBI")
FINAL, MISSING = 1, 2
CRYPTO, STREAM, LAST_STREAM = 0x06, 0x08, 0x0F
INTEGERS = {4: 3, 5: 2, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x17: 1, 0x19: 1, 0x1E: 0}
"""Frames that are so many integers: RESET_STREAM, STOP_SENDING, MAX_*, *_BLOCKED, RETIRE_CONNECTION_ID, …"""
IMMEDIATE_ACK = 0x1F


class StreamFrame(NamedTuple):
    stream: int
    offset: int
    data: bytes
    is_final: bool


class HandedFrame(NamedTuple):
    """One frame of a handed-over side: its data lies at [start, end) there."""

    stream: int
    start: int
    end: int
    is_final: bool
    missing: int  # bytes that were never captured, in place of data


def varint(cursor: Cursor) -> int:
    """Read a variable-length integer (RFC 9000 §16)."""
    first = cursor.number(1)
    size = 1 << (first >> 6)
    return (first & 0x3F) << 8 * (size - 1) | (cursor.number(size - 1) if size > 1 else 0)


def stream_frames(payload: bytes) -> Iterator[StreamFrame]:
    """Yield the STREAM frames of a packet; an unknown frame ends it."""
    cursor = Cursor(payload)
    try:
        while cursor.left:
            kind = varint(cursor)
            if STREAM <= kind <= LAST_STREAM:
                number = varint(cursor)
                offset = varint(cursor) if kind & 4 else 0
                data = cursor.take(varint(cursor) if kind & 2 else cursor.left)
                yield StreamFrame(number, offset, data, bool(kind & 1))
            elif not skip_frame(cursor, kind):
                return
    except CutShort:
        return


def skip_frame(cursor: Cursor, kind: int) -> bool:
    """Pass over a frame of another type; return whether the next one can be found."""
    if kind in (2, 3):  # ACK
        for _ in range(2):
            varint(cursor)
        ranges = varint(cursor)
        for _ in range(1 + 2 * ranges + (3 if kind == 3 else 0)):  # ends with the data
            varint(cursor)
    elif kind == CRYPTO:
        varint(cursor)
        cursor.take(varint(cursor))
    elif kind == 7:  # NEW_TOKEN
        cursor.take(varint(cursor))
    elif kind == 0x18:  # NEW_CONNECTION_ID
        varint(cursor)
        varint(cursor)
        cursor.vector(1)
        cursor.take(16)
    elif kind in (0x1A, 0x1B):  # PATH_CHALLENGE, PATH_RESPONSE
        cursor.take(8)
    elif kind in (0x30, 0x31):  # DATAGRAM (RFC 9221)
        cursor.take(varint(cursor) if kind & 1 else cursor.left)
    elif kind in INTEGERS:
        for _ in range(INTEGERS[kind]):
            varint(cursor)
    else:
        return kind in (0, 1, IMMEDIATE_ACK)  # PADDING, PING
    return True


def pack_frame(stream: int, data: bytes, *, is_final: bool = False, missing: int = 0) -> bytes:
    """Return a frame of a handed-over side."""
    if missing:
        return HEAD.pack(stream, MISSING, 8) + missing.to_bytes(8, "big")
    return HEAD.pack(stream, FINAL if is_final else 0, len(data)) + data


def handed_frames(data: bytes) -> Iterator[HandedFrame]:
    """Yield the frames of a handed-over side."""
    at = 0
    while at + HEAD.size <= len(data):
        stream, flags, length = HEAD.unpack_from(data, at)
        start = at + HEAD.size
        end = min(start + length, len(data))
        missing = int.from_bytes(data[start:end], "big") if flags & MISSING else 0
        yield HandedFrame(stream, start, end, bool(flags & FINAL), missing)
        at = start + length
