"""Reads packets of a data file without its index: what is left of it when the index is gone or the file is torn.

Blocks are zstd frames of whole records, one behind the other. Only bytes that age authenticated count: a block that
touches a chunk which failed, or that is cut, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import PCAP_HEADER_BYTES
from kubeshark.core_capture.store._age import CHUNK, AgeReader
from kubeshark.core_capture.store._backend import RangeFile
from kubeshark.core_capture.store._identity import Identity
from kubeshark.core_capture.store._index import inflate
from kubeshark.core_capture.store._limits import MAX_BLOCK_BYTES, MAX_SEGMENT_BYTES
from kubeshark.core_capture.store._segment import pcap_header
from kubeshark.errors import Damaged

__all__ = ["Salvaged", "salvage"]

_MAGIC = zstandard.FRAME_HEADER
_SEEK_TABLE = b"\x5e\x2a\x4d\x18"  # the skippable frame behind the last block
_RLE, _RESERVED = 1, 3  # kinds of zstd blocks
_MAX_ZSTD_BLOCKS = 64  # of 128 KiB: our frames have at most nine
_MAX_TRIES = 10_000  # frames, and places that are none: far more than a segment has blocks and chunks


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Whole records, by time; those of the same time as they lay in the file."""

    link_type: int | None  # None: the header is lost
    data: bytes | bytearray | memoryview
    packets: int
    is_whole: bool  # nothing is missing, up to the seek table


def salvage(file: RangeFile | Path, identities: Sequence[Identity], core: Core) -> Salvaged:
    """Return the packets of a data file; raise FileNotFoundError, NotForUsError or Damaged (nothing to read)."""
    with AgeReader(file, identities, truncated=True) as age:
        plain, holes = _read(age)
    if len(plain) > MAX_SEGMENT_BYTES + (1 << 20):
        raise Damaged("is larger than any segment", file=file.name)
    frames, is_whole = _frames(plain, holes)
    link_type = None
    if frames and len(frames[0]) == PCAP_HEADER_BYTES:
        header = frames.pop(0)
        link_type = int.from_bytes(header[20:], "little")
        if header != pcap_header(link_type):
            raise Damaged("does not begin with a pcap header of ours", file=file.name)
    records = list[bytes]()
    for frame in frames:
        _offsets, end = core.offsets(frame)
        is_whole &= end == len(frame)
        records.append(frame[:end])
    data = b"".join(records)
    offsets, _end = core.offsets(data)
    words = np.ndarray((max(len(data) - 3, 0),), "<u4", data, strides=(1,)) if len(data) > 3 else np.empty(0, "<u4")
    at = offsets.astype(np.intp)
    order = np.lexsort((words[at + 4], words[at])).astype(np.uint32)
    return Salvaged(link_type, core.gather(data, offsets, order), len(offsets), is_whole and link_type is not None)


def _read(age: AgeReader) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the plaintext with zeros where a chunk fails, and where that is."""
    pieces, holes = list[bytes](), list[tuple[int, int]]()
    for start in range(0, min(age.size, MAX_SEGMENT_BYTES + (2 << 20)), CHUNK):
        try:
            pieces.append(age.read(start, CHUNK))
        except Damaged:
            size = min(CHUNK, age.size - start)
            pieces.append(bytes(size))
            holes.append((start, start + size))
    return b"".join(pieces), holes


def _frames(plain: bytes, holes: list[tuple[int, int]]) -> tuple[list[bytes], bool]:
    """Inflate every frame that is there as a whole; say whether they follow each other up to the seek table."""
    frames = list[bytes]()
    at, is_whole, tries = 0, not holes, 0
    while at < len(plain) and tries + len(frames) < _MAX_TRIES:
        if plain.startswith(_SEEK_TABLE, at) and frames:
            return frames, is_whole
        inflated = _inflate(plain, at)
        hole = next((end for start, end in holes if start < at + (inflated[1] if inflated else 1) and end > at), None)
        if inflated is not None and hole is None:
            frames.append(inflated[0])
            at += inflated[1]
            continue
        is_whole, tries = False, tries + 1
        at = plain.find(_MAGIC, max(at + 1, hole or 0))
        if at < 0:
            break
    return frames, False


def _inflate(plain: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the contents and the stored length of the frame at `at`; None if it is none of ours or not whole."""
    length = _frame_length(plain, at)
    if length is None or at + length > len(plain):
        return None
    try:
        return inflate(memoryview(plain)[at : at + length], MAX_BLOCK_BYTES, ""), length
    except Damaged:
        return None


def _frame_length(plain: bytes, at: int) -> int | None:
    """Walk the block headers of a zstd frame (RFC 8878 §3.1.1); None for what no frame of ours looks like."""
    if not plain.startswith(_MAGIC, at) or at + 5 > len(plain):
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
