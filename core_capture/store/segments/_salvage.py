"""Reads packets of a data file without its index: what is left of it when the index is gone or the file is torn.

Blocks are zstd frames of whole records, one behind the other. Only bytes that age authenticated count: a block that
touches a chunk which failed, or that is cut, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zstandard
from msgspec import Struct

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import PCAP_HEADER_BYTES
from kubeshark.core_capture.store._limits import MAX_BLOCK_BYTES, MAX_SEGMENT_BYTES
from kubeshark.core_capture.store.keys._age_format import CHUNK
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import RangeFile
from kubeshark.core_capture.store.segments._frames import SEEK_TABLE, Part, frame_length, read_part
from kubeshark.core_capture.store.segments._index import inflate
from kubeshark.core_capture.store.segments._segment import pcap_header
from kubeshark.errors import Damaged

__all__ = ["Salvaged", "salvage"]

_MAX_TRIES = 10_000  # frames, and places that are none: far more than a segment has blocks and chunks


class Salvaged(Struct, frozen=True):
    """Whole records, by time; those of the same time as they lay in the file."""

    link_type: int | None  # None: the header is lost
    data: bytes | bytearray | memoryview
    packets: int
    is_whole: bool  # nothing is missing, up to the seek table
    part: Part | None  # of which source; None where the file does not say
    file_key: bytes  # age's: no two data files have the same


def salvage(file: RangeFile | Path, identities: Sequence[Identity], core: Core) -> Salvaged:
    """Return the packets of a data file; raise FileNotFoundError, NotForUsError or Damaged (nothing to read)."""
    with AgeReader(file, identities, truncated=True) as age:
        plain, holes = _read(age)
        file_key = age.file_key
    if len(plain) > MAX_SEGMENT_BYTES + (1 << 20):
        raise Damaged("is larger than any segment", file=file.name)
    part, frames, is_whole = _frames(plain, holes)
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
    is_whole &= link_type is not None
    return Salvaged(link_type, core.gather(data, offsets, order), len(offsets), is_whole, part, file_key)


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


def _frames(plain: bytes, holes: list[tuple[int, int]]) -> tuple[Part | None, list[bytes], bool]:
    """Inflate every frame that is there as a whole; say whether they follow each other up to the seek table."""
    frames, part = list[bytes](), None
    at, is_whole, tries = 0, not holes, 0
    while at < len(plain) and tries + len(frames) < _MAX_TRIES:
        if plain.startswith(SEEK_TABLE, at) and frames:
            return part, frames, is_whole
        inflated = _inflate(plain, at)
        hole = next((end for start, end in holes if start < at + (inflated[1] if inflated else 1) and end > at), None)
        if inflated is not None and hole is None:
            frames.append(inflated[0])
            at += inflated[1]
            if len(frames) == 1:  # in the first chunk, which is whole
                part, at = read_part(plain, at)
            continue
        is_whole, tries = False, tries + 1
        at = plain.find(zstandard.FRAME_HEADER, max(at + 1, hole or 0))
        if at < 0:
            break
    return part, frames, False


def _inflate(plain: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the contents and the stored length of the frame at `at`; None if it is none of ours or not whole."""
    length = frame_length(plain, at)
    if length is None or at + length > len(plain):
        return None
    try:
        return inflate(memoryview(plain)[at : at + length], MAX_BLOCK_BYTES, ""), length
    except Damaged:
        return None
