"""One file of a server, open for reading: few requests, each for a range of the version that was opened.

1. Requests cost some 20 ms and a price each, bytes little: ranges that lie close to each other are read as one, and who
   reads on from where he stopped gets more than he asked for.
2. Every answer belongs to the version that the first one had: a file that is replaced meanwhile is never mixed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kubeshark.core_capture.store.places._backend import Piece, RangeClient

__all__ = ["AT_ONCE", "RangedFile", "coalesce"]

AT_ONCE = 8
"""Requests in flight for one reader: eight fill 1 Gbit/s at 20 ms and 4 MiB a request, and bound memory to 64 MiB."""

GAP_BYTES = 512 << 10
"""Unwanted bytes worth reading to save a request: what a connection carries in the 20 ms that a request costs."""

MAX_REQUEST_BYTES = 8 << 20
_AHEAD_BYTES = 4 << 20


class RangedFile:
    """Reads one file. `first_bytes`: how much the first read asks for, if that begins there."""

    is_remote = True

    def __init__(
        self, client: RangeClient, name: str, *, size: int | None, version: str, first_bytes: int, start: Piece | None
    ) -> None:
        self.name = name
        self.version = version
        self._client, self._size = client, size
        self._first_bytes = first_bytes
        self._held = (0, start.data if start is not None else b"")  # offset and bytes: what was read ahead
        if start is not None:
            self._size, self.version = start.size, start.version

    def size(self) -> int:
        if self._size is None:
            self._fetch(self._first_bytes, 0)
        assert self._size is not None
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        if self._size is not None:
            length = min(length, self._size - offset)
        if length <= 0:
            return b""
        at, held = self._held
        if at <= offset and offset + length <= at + len(held):
            return held[offset - at : offset - at + length]
        if at < offset <= at + len(held):  # reads on
            return self._fetch(max(length, _AHEAD_BYTES), offset)[:length]
        return self._fetch(max(length, self._first_bytes if offset == 0 else 0), offset)[:length]

    def preads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if not ranges:
            return []
        asked = coalesce(ranges)
        if len(asked) == 1:
            pieces = [self._get(*asked[0])]
        else:
            with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(asked))) as pool:
                pieces = list(pool.map(lambda each: self._get(*each), asked))
        found, number = [], 0
        for length, offset in ranges:
            while offset + length > asked[number][1] + asked[number][0]:
                number += 1
            start = offset - asked[number][1]
            found.append(pieces[number][start : start + length])
        return found

    def close(self) -> None:
        self._held = (0, b"")

    def renew(self) -> None:
        """Turn to the version that is there now; raise FileNotFoundError."""
        self._size, self.version = self._client.head(self.name)
        self._held = (0, b"")

    def _fetch(self, length: int, offset: int) -> bytes:
        data = self._get(length, offset)
        self._held = (offset, data)
        return data

    def _get(self, length: int, offset: int) -> bytes:
        piece = self._client.get(self.name, offset, offset + length, version=self.version)
        if piece.data or offset == 0:
            self._size, self.version = piece.size, piece.version
        return piece.data


def coalesce(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges (length, offset; ascending) to ask for: neighbours and close ones joined up to a limit."""
    asked: list[tuple[int, int]] = []
    for length, offset in ranges:
        if asked:
            before, start = asked[-1]
            end = max(start + before, offset + length)
            if offset - (start + before) <= GAP_BYTES and end - start <= MAX_REQUEST_BYTES:
                asked[-1] = (end - start, start)
                continue
        asked.append((length, offset))
    return asked
