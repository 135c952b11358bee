"""zstd's seek table (contrib/seekable_format): lets other tools seek in a segment; ours read the index instead.

A skippable frame behind all others: per frame its compressed and raw size (u32 each), then the number of frames, a
descriptor of zero (no checksums) and a magic number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["make_seek_table"]

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
_FOOTER = struct.Struct("<IBI")


def make_seek_table(frames: Iterable[tuple[int, int]]) -> bytes:
    """Return the table for (compressed bytes, raw bytes) of each frame, in order."""
    entries = [struct.pack("<II", *frame) for frame in frames]
    content = b"".join(entries) + _FOOTER.pack(len(entries), 0, _SEEKABLE)
    return struct.pack("<II", _SKIPPABLE, len(content)) + content
