"""WebSocket frames in one side of a stream (RFC 6455 §5.2), found again behind bytes that were not captured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["Frame", "Opcode", "is_sure", "read_frames", "unmask"]


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    opcode: int
    is_final: bool
    is_compressed: bool  # RSV1: permessage-deflate, RFC 7692 §6
    mask: bytes  # b"" without
    start: int
    payload: int
    end: int  # the end of the data if it was cut
    length: int  # as the header has it
    error: str = ""
    lost: bool = False  # what came before it could not be read


FINAL, RSV1, MASKED = 0x80, 0x40, 0x80
MAX_CONTROL = 125
MAX_HEADER = 14
MAX_FOUND = 1 << 20
"""Longest frame believed while searching."""
SURE_CHAIN, SURE_AT_END = 4, 2
"""So many frames in a row, or so many up to the last byte, are believed where nothing says that a frame begins."""
_CODES = frozenset(int(code) for code in Opcode)
_CANDIDATE = re.compile(rb"[\x00-\x02\x40-\x42\x80-\x82\x88-\x8a\xc1\xc2]")


class _Head(NamedTuple):
    opcode: int
    bits: int
    mask: bytes
    length: int
    payload: int


def read_frames(wire: Wire, *, is_masked: bool) -> Iterator[Frame]:
    """Yield the frames of a side; `is_masked`: those of a client are (§5.1), which tells where one may begin."""
    data, at, lost = wire.data, 0, wire.starts_midway
    if lost:
        at = _find(data, 0, is_masked)
    while at < len(data):
        head = _read_head(data, at)
        if head is None:
            if len(data) - at < MAX_HEADER and not _is_wrong(data, at):
                return  # the capture ends inside a header
            at, lost = _find(data, at + 1, is_masked), True
            continue
        gap = wire.gap_in(at, head.payload)
        if gap:
            at, lost = _find(data, gap[1], is_masked), True
            continue
        end = wire.after(head.payload, head.length)
        error = ""
        if gap := wire.gap_in(head.payload, end):
            error = f"gap: {gap[2]} bytes missing at {gap[0]}, in the payload"
        elif end > len(data):
            error = f"truncated: {end - len(data)} bytes of the payload were not captured"
        yield Frame(
            head.opcode,
            bool(head.bits & FINAL),
            bool(head.bits & RSV1),
            head.mask,
            at,
            head.payload,
            min(end, len(data)),
            head.length,
            error,
            lost,
        )
        at, lost = end, False


def unmask(data: bytes, mask: bytes) -> bytes:
    """Undo the mask of a client's payload (§5.3); b"" leaves it as it is."""
    if not mask or not data:
        return data
    count = len(data)
    pattern = int.from_bytes((mask * (count // 4 + 1))[:count], "big")
    return (int.from_bytes(data, "big") ^ pattern).to_bytes(count, "big")


def _is_wrong(data: bytes, at: int) -> bool:
    return data[at] & 0x0F not in _CODES or bool(data[at] & 0x30)


def _read_head(data: bytes, at: int) -> _Head | None:
    """Read a header; None if it can be none, or is cut."""
    if at + 2 > len(data) or _is_wrong(data, at):
        return None
    first, second = data[at], data[at + 1]
    opcode, length, start = first & 0x0F, second & 0x7F, at + 2
    if opcode >= Opcode.CLOSE and (length > MAX_CONTROL or not first & FINAL or first & RSV1):
        return None  # §5.5: short and never in fragments
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(data[start : start + size], "big")
        start += size
        if length >> 63 or length < (126 if size == 2 else 1 << 16):  # §5.2: the shortest form
            return None
    mask = b""
    if second & MASKED:
        mask = data[start : start + 4]
        start += 4
    return _Head(opcode, first & 0xF0, mask, length, start) if start <= len(data) else None


def _find(data: bytes, at: int, is_masked: bool) -> int:
    """Return where frames begin at or behind `at`; len(data) if nowhere."""
    for match in _CANDIDATE.finditer(data, at):
        if is_sure(data, match.start(), is_masked):
            return match.start()
    return len(data)


def is_sure(data: bytes, at: int, is_masked: bool) -> bool:
    """Say whether frames that nobody would doubt follow one another at `at`."""
    for count in range(SURE_CHAIN):
        if at == len(data):
            return count >= SURE_AT_END
        head = _read_head(data, at)
        if head is None or bool(head.mask) != is_masked or head.length > MAX_FOUND:
            return False
        if head.bits == 0 and head.length == 0:  # legal, but that is what zeros look like
            return False
        at = head.payload + head.length
    return at <= len(data)
