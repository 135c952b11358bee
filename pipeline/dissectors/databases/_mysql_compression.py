"""MySQL's compressed protocol: packets inside frames of [compressed length, 3][sequence, 1][length before, 3].

A length before of 0 means "not compressed". What the frames hold is a stream of its own, which is handed over.
"""

from __future__ import annotations

import zlib

import zstandard

from kubeshark.extension_api import CarvedSide, StreamSide, carved
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._mysql_framing import is_error, looks_like_statement

__all__ = ["FRAME_BYTES", "inflated", "is_compressed"]

FRAME_BYTES = 7
MAX_INFLATED = 64 << 20
"""Bytes of one side after decompression; a frame holds at most 16 MiB, and claims that are larger are not believed."""

_ZSTD = b"\x28\xb5\x2f\xfd"


def is_compressed(client: bytes, server: bytes) -> bool:
    """Say whether two sides begin with frames: a small statement in one, which nobody compresses, or deflated rows."""
    return _holds_statement(client) or (not client and _holds_reply(server))


def _holds_statement(data: bytes) -> bool:
    outer, before = int.from_bytes(data[:3], "little"), int.from_bytes(data[4:7], "little")
    inner = int.from_bytes(data[FRAME_BYTES : FRAME_BYTES + 3], "little")
    return (
        len(data) > 16
        and data[3] == 0
        and not before
        and outer >= inner + 4
        and looks_like_statement(data, FRAME_BYTES)
    )


def _holds_reply(data: bytes) -> bool:
    """Say whether a frame is here that was deflated and begins a reply."""
    before = int.from_bytes(data[4:7], "little")
    if before < 5 or data[FRAME_BYTES : FRAME_BYTES + 1] != b"\x78" or data[3:4] not in (b"\0", b"\1"):
        return False
    try:
        head = zlib.decompressobj().decompress(data[FRAME_BYTES:], 16)
    except zlib.error:
        return False
    return head[3:4] == b"\1" and (head[:3] == b"\1\0\0" or is_error(head, 0) or head[4:5] == b"\0")


def inflated(side: StreamSide, at: int) -> CarvedSide:
    """Return the packets that the frames from offset `at` on hold; a gap or a frame that is none ends them."""
    wire = Wire(side)
    data, size = wire.data, len(wire.data)
    found = bytearray()
    pieces: list[tuple[int, int, int]] = []
    gaps: list[tuple[int, int, int]] = []
    while at + FRAME_BYTES < size and len(found) < MAX_INFLATED:
        length = int.from_bytes(data[at : at + 3], "little")
        before = int.from_bytes(data[at + 4 : at + 7], "little")
        end = at + FRAME_BYTES + length
        if gap := wire.gap_in(at, min(end, size)):
            gaps.append((len(found), len(found), max(1, gap[2])))
            break
        body = data[at + FRAME_BYTES : end]
        plain = _decompressed(body, before) if before else body
        if plain is None:
            break
        if plain:
            pieces.append((len(found), at, min(end, size)))
            found += plain
        at = end
    return carved(side, bytes(found), pieces, gaps, starts_midway=side.starts_midway)


def _decompressed(body: bytes, length: int) -> bytes | None:
    """Return what a frame holds, as much as was captured; None if it is not compressed data."""
    try:
        if body.startswith(_ZSTD):
            return zstandard.ZstdDecompressor().stream_reader(body).read(length)
        return zlib.decompressobj().decompress(body, length)
    except (zlib.error, zstandard.ZstdError):
        return None
