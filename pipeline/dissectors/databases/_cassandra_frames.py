"""Where CQL frames begin (native protocol 1 to 5, §2), what compressed bodies hold, and version 5's segments.

1. A frame is [version and direction][flags][stream][opcode][length, 4 bytes][body]; the stream id has one byte up to
   version 2, two bytes from version 3 on.
2. In version 5 everything behind STARTUP lies in segments: a header with its CRC-24, up to 128 KiB of frames, a CRC-32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from kubeshark.extension_api import CarvedSide, StreamSide, carved
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["FRAME_LIMIT", "OPCODES", "Frame", "body_of", "frame_at", "frames", "is_segment", "resume", "unwrapped"]

OPCODES = {
    0x00: "ERROR",
    0x01: "STARTUP",
    0x02: "READY",
    0x03: "AUTHENTICATE",
    0x04: "CREDENTIALS",
    0x05: "OPTIONS",
    0x06: "SUPPORTED",
    0x07: "QUERY",
    0x08: "RESULT",
    0x09: "PREPARE",
    0x0A: "EXECUTE",
    0x0B: "REGISTER",
    0x0C: "EVENT",
    0x0D: "BATCH",
    0x0E: "AUTH_CHALLENGE",
    0x0F: "AUTH_RESPONSE",
    0x10: "AUTH_SUCCESS",
}
RESPONSES = frozenset((0x00, 0x02, 0x03, 0x06, 0x08, 0x0C, 0x0E, 0x10))
FRAME_LIMIT = 256 << 20
"""native_transport_max_frame_size of Cassandra 3; newer servers take 16 MiB."""
COMPRESSED, TRACED, PAYLOAD, WARNED = 1, 2, 4, 8
_VERSIONS = frozenset((1, 2, 3, 4, 5, 6, 0x41, 0x42))  # the last two: DataStax Enterprise
_CANDIDATE = re.compile(rb"(?s)(?=[\x01-\x06\x41\x42\x81-\x86\xc1\xc2][\0-\x1f])")


class Frame(Struct):
    """One message's place in its side, and its header."""

    start: int
    body: int
    end: int
    version: int = 0
    flags: int = 0
    stream: int = 0
    opcode: int = -1  # -1: bytes that are no frame
    is_response: bool = False
    error: str = ""


def frame_at(data: bytes, at: int) -> Frame | None:
    """Read the header at `at`; None if there can be none. `end` may lie behind the data."""
    if at + 8 > len(data):
        return None
    first, flags = data[at], data[at + 1]
    version, is_response = first & 0x7F, first >= 0x80
    size = 9 if version > 2 else 8
    if version not in _VERSIONS or flags > 0x1F or at + size > len(data):
        return None
    stream = int.from_bytes(data[at + 2 : at + size - 5], "big", signed=True)
    opcode = data[at + size - 5]
    length = int.from_bytes(data[at + size - 4 : at + size], "big")
    if opcode not in OPCODES or (opcode in RESPONSES) != is_response or length > FRAME_LIMIT:
        return None
    if opcode in (0x02, 0x05) and length and not flags & (COMPRESSED | TRACED | PAYLOAD | WARNED):
        return None  # READY and OPTIONS have no body of their own; but even nothing, compressed, takes a byte
    return Frame(at, at + size, at + size + length, version, flags, stream, opcode, is_response)


def _is_chain(data: bytes, at: int) -> bool:
    """Say whether a frame is here that ends the data, or with another one behind it."""
    frame = frame_at(data, at)
    if frame is None:
        return False
    if frame.end >= len(data):
        return frame.end == len(data)
    follower = frame_at(data, frame.end)
    return follower is not None and follower.version == frame.version


def resume(data: bytes, at: int) -> int:
    """Return the offset of the next frame worth believing, the end of the data if there is none."""
    return next((found.start() for found in _CANDIDATE.finditer(data, at) if _is_chain(data, found.start())), len(data))


def frames(wire: Wire) -> Iterator[Frame]:
    """Return what one side sent."""
    data, at, size = wire.data, 0, len(wire.data)
    lost = wire.starts_midway and frame_at(data, 0) is None
    while at < size:
        if gap := wire.gap_in(at, at + 9):
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = resume(data, at), False
            continue
        frame = frame_at(data, at)
        if frame is None:
            is_tail = size - at < 9
            end = size if is_tail else resume(data, at + 1)
            error = f"truncated: {size - at} bytes of a header" if is_tail else f"malformed: {end - at} bytes at {at}"
            yield Frame(at, end, end, error=error)
            at = end
            continue
        end = wire.after(frame.body, frame.end - frame.body)
        frame.end = min(end, size)
        if gap := wire.gap_in(at, frame.end):
            frame.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > size:
            frame.error = f"truncated: {end - size} bytes of the frame were not captured"
        yield frame
        at = frame.end


def body_of(wire: Wire, frame: Frame, algorithm: str) -> tuple[bytes, str]:
    """Return a frame's body, decompressed, and what is wrong with it."""
    body = wire.captured(min(frame.body, frame.end), frame.end)
    if not frame.flags & COMPRESSED or frame.version > 4:
        return body, ""
    for name in (algorithm,) if algorithm else ("lz4", "snappy"):
        plain = _decompressed(body, name)
        if plain is not None:
            return plain, ""
    return b"", "malformed: the body cannot be decompressed"


SNAPPY_RATIO = 64
"""A copy of two bytes and its tag give at most 64 bytes."""


def _decompressed(body: bytes, algorithm: str) -> bytes | None:
    """Undo LZ4 (a block behind its length) or snappy; None for anything else."""
    import cramjam  # few streams need it

    try:
        if algorithm == "lz4":
            return _unlz4(body[4:], int.from_bytes(body[:4], "big"))
        if algorithm == "snappy" and cramjam.snappy.decompress_raw_len(body) <= SNAPPY_RATIO * len(body):
            return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        pass
    return None


def _unlz4(block: bytes, size: int) -> bytes | None:
    """Undo a bare LZ4 block; it cannot hold more than 255 times its bytes."""
    import cramjam

    if size > min(FRAME_LIMIT, 255 * len(block)):
        return None
    if not size:
        return b""
    try:
        return bytes(cramjam.lz4.decompress_block(block, output_len=size))
    except cramjam.DecompressionError:
        return None


def _crc24_row(crc: int) -> int:
    for _ in range(8):
        crc <<= 1
        if crc & 0x1000000:
            crc ^= 0x1974F0B
    return crc


_CRC24 = tuple(_crc24_row(byte << 16) for byte in range(256))


def _crc24(header: bytes) -> int:
    """Return the CRC-24 of a segment's header (§2.2: polynomial 0x1974F0B, initial value 0x875060)."""
    crc = 0x875060
    for byte in header:
        crc = (crc << 8 & 0xFFFFFF) ^ _CRC24[crc >> 16 ^ byte]
    return crc


def _segment(data: bytes, at: int, *, compressed: bool) -> tuple[int, int, int] | None:
    """Read a segment's header: (payload's start, its length, its length before compression or 0)."""
    size = 5 if compressed else 3
    header = data[at : at + size]
    if len(data) < at + size + 3 or header[-1] & (0xF8 if compressed else 0xFC):  # padding bits
        return None
    if _crc24(header) != int.from_bytes(data[at + size : at + size + 3], "little"):
        return None
    bits = int.from_bytes(header, "little")
    return at + size + 3, bits & 0x1FFFF, bits >> 17 & 0x1FFFF if compressed else 0


def is_segment(data: bytes) -> bool:
    """Say whether a segment with version 5's frames begins here."""
    for compressed in (False, True):
        found = _segment(data, 0, compressed=compressed)
        if found and found[1] >= 9:
            return compressed or data[found[0] : found[0] + 1] in (b"\x05", b"\x85", b"")
    return False


def unwrapped(side: StreamSide, at: int) -> CarvedSide:
    """Return the frames that the segments from offset `at` on hold; behind a gap it goes on at the next segment."""
    wire = Wire(side)
    data, size = wire.data, len(wire.data)
    found = bytearray()
    pieces: list[tuple[int, int, int]] = []
    gaps: list[tuple[int, int, int]] = []
    while at < size and len(found) < FRAME_LIMIT:
        segment = _segment(data, at, compressed=False) or _segment(data, at, compressed=True)
        end = segment[0] + segment[1] if segment else at
        if segment is None or wire.gap_in(at, min(end, size)):
            if size - at < 12:
                break
            lost_from, at = at, _next_segment(data, at + 1)
            gaps.append((len(found), len(found), at - lost_from))
            continue
        payload = data[segment[0] : end]
        plain = (_unlz4(payload, segment[2]) or b"") if segment[2] else payload
        if plain:
            pieces.append((len(found), at, min(end + 4, size)))
            found += plain
        at = end + 4
    return carved(side, bytes(found), pieces, gaps, starts_midway=side.starts_midway)


def _next_segment(data: bytes, at: int) -> int:
    for start in range(at, min(len(data), at + MAX_SEARCH)):
        if _segment(data, start, compressed=False) or _segment(data, start, compressed=True):
            return start
    return len(data)


MAX_SEARCH = 140 << 10
"""The longest segment and some: behind lost bytes the next one begins within."""
