"""Where MongoDB messages begin (wire protocol, standard message header), and what compressed ones hold.

1. A message is [length, itself included][requestID][responseTo][opCode], little-endian, then a body.
2. What is no message spoils one; reading goes on at the next header whose body begins as its opcode wants it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from msgspec import Struct

from kubeshark.pipeline.dissectors._wire import Wire

__all__ = [
    "COMMAND",
    "COMMAND_REPLY",
    "COMPRESSED",
    "COMPRESSORS",
    "DELETE",
    "GET_MORE",
    "HEADER",
    "INSERT",
    "KILL_CURSORS",
    "MAX_MESSAGE",
    "MORE_TO_COME",
    "MSG",
    "OPCODES",
    "QUERY",
    "REPLY",
    "UPDATE",
    "Unit",
    "body_of",
    "is_message",
    "resume",
    "sections",
    "units",
    "unwrapped",
]

HEADER = struct.Struct("<4i")  # messageLength, requestID, responseTo, opCode
MAX_MESSAGE = 48_000_000
"""maxMessageSizeBytes of every server so far."""
SNAPPY_RATIO = 64
"""A copy of two bytes and its tag give at most 64 bytes."""

REPLY, UPDATE, INSERT, QUERY, GET_MORE, DELETE, KILL_CURSORS = 1, 2001, 2002, 2004, 2005, 2006, 2007
COMMAND, COMMAND_REPLY, COMPRESSED, MSG = 2010, 2011, 2012, 2013
OPCODES = {
    REPLY: "OP_REPLY",
    1000: "OP_MSG_LEGACY",
    UPDATE: "OP_UPDATE",
    INSERT: "OP_INSERT",
    QUERY: "OP_QUERY",
    GET_MORE: "OP_GET_MORE",
    DELETE: "OP_DELETE",
    KILL_CURSORS: "OP_KILL_CURSORS",
    COMMAND: "OP_COMMAND",
    COMMAND_REPLY: "OP_COMMANDREPLY",
    COMPRESSED: "OP_COMPRESSED",
    MSG: "OP_MSG",
}
COMPRESSORS = {0: "noop", 1: "snappy", 2: "zlib", 3: "zstd"}
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2
_HEADER = re.compile(rb"(?s)(?=.{3}[\0-\x02].{8}(?:\x01\0|[\xd1\xd2\xd4-\xd7\xda-\xdd]\x07)\0\0)")
_NAMESPACE = re.compile(rb"[^\0 \"$*/<>:|?]{1,64}\.[ -~\x80-\xff]{1,255}\0")


def is_message(data: bytes, at: int) -> bool:
    """Say whether a message begins here: a header, and the first fields of its body as its opcode wants them."""
    if len(data) < at + 21:
        return False
    length, _, _, opcode = HEADER.unpack_from(data, at)
    if not 21 <= length <= MAX_MESSAGE or opcode not in OPCODES:
        return False
    body = at + HEADER.size
    first = int.from_bytes(data[body : body + 4], "little")
    if opcode == MSG:
        return not first & 0xFFFC and data[body + 4] <= 1 and _is_document(data, body + 5, at + length)
    if opcode == COMPRESSED:
        return first in OPCODES and first != COMPRESSED and len(data) > body + 8 and data[body + 8] in COMPRESSORS
    if opcode == REPLY:
        if length < 36 or first > 15 or len(data) < at + 36:
            return False
        skipped, count = struct.unpack_from("<ii", data, body + 12)
        if skipped < 0 or count < 0 or (count == 0) != (length == 36):
            return False
        return length == 36 or _is_document(data, body + 20, at + length)
    if opcode in (QUERY, INSERT):
        return first < 256 and _NAMESPACE.match(data, body + 4) is not None
    if opcode in (UPDATE, GET_MORE, DELETE):
        return first == 0 and _NAMESPACE.match(data, body + 4) is not None
    if opcode == KILL_CURSORS:
        return first == 0 and length == 24 + 8 * int.from_bytes(data[body + 4 : body + 8], "little")
    return opcode in (COMMAND, COMMAND_REPLY) and length > 36


def _is_document(data: bytes, at: int, end: int) -> bool:
    """Say whether a document (or a section of them) that lies inside its message may begin here."""
    if len(data) < at + 4:
        return True
    length = int.from_bytes(data[at : at + 4], "little")
    return 5 <= length <= end - at


def resume(data: bytes, at: int) -> int:
    return next((match.start() for match in _HEADER.finditer(data, at) if is_message(data, match.start())), len(data))


class Unit(Struct):
    """One message's place in its side, and its header."""

    start: int
    end: int
    request_id: int = 0
    response_to: int = 0
    opcode: int = 0
    error: str = ""


def units(wire: Wire) -> Iterator[Unit]:
    data, at = wire.data, 0
    lost = wire.starts_midway and not is_message(data, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + HEADER.size):
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = resume(data, at), False
            continue
        if at + HEADER.size > len(data):
            yield Unit(at, len(data), error=f"truncated: {len(data) - at} bytes of a header")
            return
        length, request_id, response_to, opcode = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= MAX_MESSAGE or opcode not in OPCODES:
            end = resume(data, at + 1)
            yield Unit(at, end, error=f"malformed: {end - at} bytes at {at} are no message")
            at = end
            continue
        end = wire.after(at, length)
        unit = Unit(at, min(end, len(data)), request_id & 0xFFFFFFFF, response_to & 0xFFFFFFFF, opcode)
        if gap := wire.gap_in(at, unit.end):
            unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > len(data):
            unit.error = f"truncated: {end - len(data)} bytes of the message were not captured"
        yield unit
        at = unit.end


def body_of(wire: Wire, unit: Unit) -> bytes:
    """Return a message's body as it was captured."""
    return wire.captured(min(unit.start + HEADER.size, unit.end), unit.end)


def unwrapped(opcode: int, body: bytes, limit: int) -> tuple[int, bytes, str]:
    """Undo OP_COMPRESSED: return the opcode, the body's first bytes, and what is wrong with it."""
    if opcode != COMPRESSED:
        return opcode, body, ""
    if len(body) < 9:
        return opcode, b"", "truncated: the compressed message ends early"
    original, size, compressor = struct.unpack_from("<iiB", body)
    if original not in OPCODES or original == COMPRESSED or not 0 <= size <= MAX_MESSAGE:
        return opcode, b"", f"malformed: opcode {original} and {size} bytes cannot be compressed"
    try:
        plain = _decompressed(compressor, body[9:], min(size, limit))
    except ValueError as damage:
        return original, b"", f"malformed: {damage}"
    is_short = len(plain) < min(size, limit)
    return original, plain, "truncated: the compressed body ends early" if is_short else ""


def _decompressed(compressor: int, data: bytes, size: int) -> bytes:
    """Return at most `size` bytes; raise ValueError for data that is not what it says."""
    if compressor == 0:
        return data[:size]
    if compressor == 1:
        import cramjam  # few streams need it

        try:
            if cramjam.snappy.decompress_raw_len(data) > min(MAX_MESSAGE, SNAPPY_RATIO * len(data)):
                raise ValueError("snappy data claims more than it can hold")
            return bytes(cramjam.snappy.decompress_raw(data))[:size]
        except cramjam.DecompressionError as damage:
            raise ValueError(f"snappy: {damage}") from None
    if compressor == 2:
        try:
            return zlib.decompressobj().decompress(data, max(size, 1))
        except zlib.error as damage:
            raise ValueError(f"zlib: {damage}") from None
    if compressor == 3:
        import zstandard

        try:
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
            return reader.read(size)
        except zstandard.ZstdError as damage:
            raise ValueError(f"zstd: {damage}") from None
    raise ValueError(f"unknown compressor {compressor}")


def sections(body: bytes, flags: int) -> Iterator[tuple[int, int, int]]:
    """Return (kind, start, end) of OP_MSG's sections; the checksum is none."""
    at, end = 4, len(body) - (4 if flags & CHECKSUM_PRESENT else 0)
    while at + 5 <= end:
        kind = body[at]
        length = int.from_bytes(body[at + 1 : at + 5], "little")
        if kind > 1 or length < 5:
            return
        yield kind, at + 1, min(end, at + 1 + length)
        at += 1 + length
