"""Frames of HTTP/2 in one side of a stream (RFC 9113 §4), found again behind bytes that were not captured.

A frame header carries no magic. Where the place of the next one is not known, a place is believed if well-formed frames
follow one another there: SURE_CHAIN of them, or SURE_AT_END up to the last byte. A side's first byte is likely to be
one: a packet began there, so one frame up to the last byte, or beyond, is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple

from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["HEADER", "PREFACE", "Flag", "Frame", "FrameType", "find_frames", "is_sure", "read_frames"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4
HEADER = 9
"""Bytes of a frame header: 24 bits length, type, flags, 31 bits stream identifier."""
SURE_CHAIN, SURE_AT_END = 3, 2
MAX_FOUND = 0x4000 + 256
"""Longest frame believed while searching: the default limit (RFC 9113 §4.2), and padding."""


class FrameType(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    END_STREAM = 0x1  # of DATA and HEADERS; ACK of SETTINGS and PING
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    start: int  # of the header
    end: int  # of the payload; the end of the data if it was cut
    is_cut: bool = False
    lost: int = 0  # bytes before it that could not be read as frames


FLAGS = {0: 0x09, 1: 0x2D, 2: 0, 3: 0, 4: 0x01, 5: 0x0C, 6: 0x01, 7: 0, 8: 0, 9: 0x04}
LENGTHS = {2: 5, 3: 4, 6: 8, 8: 4}
OF_STREAM, OF_CONNECTION = frozenset({0, 1, 2, 3, 5, 9}), frozenset({4, 6, 7})
_CANDIDATE = re.compile(
    rb"(?=\x00[\x00-\x41](?s:.)(?:"
    rb"[\x00\x05][\x00\x01\x04\x08\x09\x0c]|\x01[\x00-\x2d]|\x02\x00|\x03\x00|[\x04\x06][\x00\x01]|\x07\x00|\x08\x00|\x09[\x00\x04]"
    rb")[\x00-\x7f])"
)


def _is_frame(kind: int, flags: int, stream: int, length: int) -> bool:
    """Say whether a header obeys RFC 9113 §6; extensions (§5.5) may do what they like, at the default size."""
    if kind not in FLAGS:
        return length <= MAX_FOUND
    if (kind in OF_STREAM and not stream) or (kind in OF_CONNECTION and stream):
        return False
    if kind in LENGTHS and length != LENGTHS[kind]:
        return False
    if kind == FrameType.SETTINGS:
        return length % 6 == 0 and not (flags & 1 and length)
    return not (kind == FrameType.GOAWAY and length < 8)


def _read_frame(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Return (length, type, flags, stream) of the header at `at`."""
    head = data[at : at + HEADER]
    return int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF


def read_frames(wire: Wire, at: int) -> Iterator[Frame]:
    """Yield the frames from `at` on; the search for the next one is linear in what it passes over."""
    data, lost = wire.data, 0
    if wire.starts_midway and not is_sure(data, at, at_end=1):
        lost = find_frames(data, at) - at
        at += lost
    while at + HEADER <= len(data):
        gap = wire.gap_in(at, at + HEADER)
        length, kind, flags, stream = _read_frame(data, at)
        if gap or not _is_frame(kind, flags, stream, length):
            next_at = find_frames(data, gap[1] if gap else at + 1)
            lost += next_at - at
            at = next_at
            continue
        end = wire.after(at + HEADER, length)
        yield Frame(kind, flags, stream, at, min(end, len(data)), end > len(data), lost)
        at, lost = end, 0


def find_frames(data: bytes, at: int) -> int:
    """Return where frames begin at or behind `at`; len(data) if nowhere."""
    for match in _CANDIDATE.finditer(data, at):
        if is_sure(data, match.start()):
            return match.start()
    return len(data)


def is_sure(data: bytes, at: int, *, at_end: int = SURE_AT_END) -> bool:
    """Say whether frames that nobody would doubt follow one another at `at`; `at_end`: how many up to the last byte."""
    for count in range(SURE_CHAIN):
        if at >= len(data):
            return count >= at_end and (at == len(data) or at_end == 1)
        if at + HEADER > len(data):
            return False
        length, kind, flags, stream = _read_frame(data, at)
        if kind not in FLAGS or flags & ~FLAGS[kind] or data[at + 5] & 0x80 or length > MAX_FOUND:
            return False
        if not _is_frame(kind, flags, stream, length):
            return False
        at += HEADER + length
    return at <= len(data)
