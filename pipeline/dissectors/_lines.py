"""Line protocols in the middle of a stream: where to go on reading."""

from __future__ import annotations

import re

__all__ = ["next_line"]


def next_line(data: bytes, at: int, wanted: re.Pattern[bytes], limit: int) -> int:
    """Return where the next line begins that `wanted` matches, at `at` or behind a line end; else the end of the data.

    A match sees at most `limit` bytes, so that the cost stays with the data.
    """
    if (at == 0 or data[at - 1 : at] == b"\n") and wanted.match(data, at, at + limit):
        return at
    while (at := data.find(b"\n", at) + 1) > 0:
        if wanted.match(data, at, at + limit):
            return at
    return len(data)
