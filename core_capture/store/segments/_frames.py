"""What a data file holds besides its pcap: skippable zstd frames (RFC 8878 §3.1.2), which `zstd -d` passes over.

Behind the header's frame, in segments of a source with a hash: which source, and from where on. Behind all others
zstd's seek table (contrib/seekable_format), which lets other tools seek; ours read the index instead.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

import zstandard

__all__ = ["SEEK_TABLE", "Part", "frame_length", "make_part", "make_seek_table", "read_part"]

SEEK_TABLE = b"\x5e\x2a\x4d\x18"  # how the seek table begins
_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_FOOTER = struct.Struct("<IBI")
_PART = struct.Struct("<II8s32sQ")
_PART_HEAD = (0x184D2A51, _PART.size - 8, b"KSHKPART")
_MAX_ORDINAL = 1 << 61  # half of what an index can say: the ordinals of its own packets lie above
_RLE, _RESERVED = 1, 3  # kinds of zstd blocks
_MAX_ZSTD_BLOCKS = 64  # of 128 KiB: our frames have at most nine


class Part(NamedTuple):
    """Which part of a source a data file holds: what is left to say it where the index is not."""

    sha256: str  # of the source, hex
    first_ordinal: int  # of its packets; later ones of the same link type lie in this segment or behind it


def make_part(part: Part) -> bytes:
    """Return the frame that says so; none for a source without a hash."""
    return _PART.pack(*_PART_HEAD, bytes.fromhex(part.sha256), part.first_ordinal) if part.sha256 else b""


def read_part(plain: bytes, at: int) -> tuple[Part | None, int]:
    """Return what the frame at `at` says, and where the next begins; None and `at` where no such frame is whole."""
    if len(plain) - at < _PART.size:
        return None, at
    *head, sha256, first = _PART.unpack_from(plain, at)
    if tuple(head) != _PART_HEAD or first > _MAX_ORDINAL:
        return None, at
    return Part(sha256.hex(), first), at + _PART.size


def make_seek_table(frames: Iterable[tuple[int, int]]) -> bytes:
    """Return the table for (compressed bytes, raw bytes) of each frame, in order.

    Per frame both sizes (u32 each), then the number of frames, a descriptor of zero (no checksums) and a magic number.
    """
    entries = [struct.pack("<II", *frame) for frame in frames]
    content = b"".join(entries) + _FOOTER.pack(len(entries), 0, _SEEKABLE)
    return struct.pack("<II", _SKIPPABLE, len(content)) + content


def frame_length(plain: bytes, at: int) -> int | None:
    """Walk the block headers of a zstd frame (RFC 8878 §3.1.1); None for what no frame of ours looks like."""
    if not plain.startswith(zstandard.FRAME_HEADER, at) or at + 5 > len(plain):
        return None
    descriptor = plain[at + 4]
    is_single = descriptor >> 5 & 1
    end = at + 5 + (1 - is_single) + (0, 1, 2, 4)[descriptor & 3] + (is_single, 2, 4, 8)[descriptor >> 6]
    for _ in range(_MAX_ZSTD_BLOCKS):
        head = int.from_bytes(plain[end : end + 3], "little")
        kind, size = head >> 1 & 3, head >> 3
        end += 3 + (1 if kind == _RLE else size)
        if kind == _RESERVED or end > len(plain):
            return None
        if head & 1:
            return end - at + (4 if descriptor & 4 else 0)
    return None
