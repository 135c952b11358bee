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
from kubeshark.core_capture.store._identity import Identity
from kubeshark.core_capture.store._limits import MAX_BLOCK_BYTES, MAX_SEGMENT_BYTES
from kubeshark.core_capture.store._segment import pcap_header
from kubeshark.errors import Damaged

__all__ = ["Salvaged", "salvage"]

_MAGIC = zstandard.FRAME_HEADER
_SEEK_TABLE = b"\x5e\x2a\x4d\x18"  # the skippable frame behind the last block
_MAX_FRAME_BYTES = MAX_BLOCK_BYTES + (MAX_BLOCK_BYTES >> 7) + 512  # zstd's bound for what does not compress


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Whole records, by time; those of the same time as they lay in the file."""

    link_type: int | None  # None: the header is lost
    data: bytes | bytearray | memoryview
    packets: int
    is_whole: bool  # nothing is missing, up to the seek table


def salvage(path: Path, identities: Sequence[Identity], core: Core) -> Salvaged:
    """Return the packets of a data file; raise FileNotFoundError, NotForUsError or Damaged (nothing to read)."""
    with AgeReader(path, identities, truncated=True) as age:
        plain, holes = _read(age)
    if len(plain) > MAX_SEGMENT_BYTES + (1 << 20):
        raise Damaged("is larger than any segment", file=path.name)
    frames, is_whole = _frames(plain, holes)
    link_type = None
    if frames and len(frames[0]) == PCAP_HEADER_BYTES:
        header = frames.pop(0)
        link_type = int.from_bytes(header[20:], "little")
        if header != pcap_header(link_type):
            raise Damaged("does not begin with a pcap header of ours", file=path.name)
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
    at, is_whole = 0, not holes
    while at < len(plain):
        if plain.startswith(_SEEK_TABLE, at) and frames:
            return frames, is_whole
        inflated = _inflate(plain, at)
        hole = next((end for start, end in holes if start < at + (inflated[1] if inflated else 1) and end > at), None)
        if inflated is not None and hole is None:
            frames.append(inflated[0])
            at += inflated[1]
            continue
        is_whole = False
        at = plain.find(_MAGIC, max(at + 1, hole or 0))
        if at < 0:
            break
    return frames, False


def _inflate(plain: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the contents and the stored length of the frame at `at`; None if it is none or not whole."""
    stored = plain[at : at + _MAX_FRAME_BYTES]
    try:
        if not 0 <= zstandard.frame_content_size(stored) <= MAX_BLOCK_BYTES:
            return None
        inflater = zstandard.ZstdDecompressor().decompressobj()
        content = inflater.decompress(stored)
    except zstandard.ZstdError:
        return None
    return (content, len(stored) - len(inflater.unused_data)) if inflater.eof else None
