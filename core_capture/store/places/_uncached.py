"""Writes files that are read once or never again past the system's cache: of a large one that is a third of its cost.

1. What does not fill the memory that is lent goes through the cache, as ever: small files, and the ends of large ones.
2. A file system that has no such way (tmpfs, some of the network) is written through its cache.

It orders nothing: who made the file syncs it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import BinaryIO

__all__ = ["UncachedFile", "lend_memory"]

_BYTES = 2 << 20
"""At once; a multiple of every disk's sector. That costs 0.18 ns a byte, of 1 MiB 0.22; through the cache it is 0.37,
and 0.07 to delete it."""

_MORE_BYTES = 128 << 10  # behind them: who is lent memory always finds room for that much

_O_DIRECT = getattr(os, "O_DIRECT", 0)


def lend_memory() -> mmap.mmap:
    """Return memory that one file after the other may be written from."""
    return mmap.mmap(-1, _BYTES + _MORE_BYTES)


class UncachedFile:
    """Writes to `out`, a file at its beginning that nobody else writes; call `finish` behind the last byte."""

    def __init__(self, out: BinaryIO, memory: mmap.mmap) -> None:
        self._out, self._memory = out, memoryview(memory)
        self._used = 0
        self._lent_at = -1  # where somebody else may have written
        self._is_tried = False
        self._is_direct = False

    def lend(self, size: int) -> memoryview:
        """Return memory for so many bytes, or fewer but 128 KiB: if the next `write` is of its beginning, nothing is
        copied."""
        self._lent_at = self._used
        return self._memory[self._used : self._used + size]

    def write(self, data: memoryview, /) -> None:
        """Append; raise OSError."""
        if self._lent_at == self._used and data.obj is self._memory.obj:
            self._used += len(data)
            data = data[:0]
        self._lent_at = -1
        at = 0
        while True:
            if self._used >= _BYTES:
                self._pour()
            if at == len(data):
                return
            taken = min(len(data) - at, _BYTES - self._used)
            self._memory[self._used : self._used + taken] = data[at : at + taken]
            self._used += taken
            at += taken

    def finish(self) -> None:
        """Write the rest."""
        self._turn(on=False)
        self._out.write(self._memory[: self._used])
        self._out.flush()
        self._used = 0

    def _pour(self) -> None:
        """Write a unit, and keep what lies behind it."""
        if not self._is_tried:
            self._is_tried = True
            self._turn(on=True)
        done = 0
        if self._is_direct:
            try:
                done = os.write(self._out.fileno(), self._memory[:_BYTES])
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            if done < _BYTES:  # it cannot, or the disk is full: that is said by who writes the rest
                self._turn(on=False)
        if done < _BYTES:
            self._out.write(self._memory[done:_BYTES])
            self._out.flush()
        self._used -= _BYTES
        self._memory[: self._used] = self._memory[_BYTES : _BYTES + self._used]

    def _turn(self, *, on: bool) -> None:
        if on == self._is_direct or not _O_DIRECT:
            return
        try:
            number = self._out.fileno()
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
            fcntl.fcntl(number, fcntl.F_SETFL, flags | _O_DIRECT if on else flags & ~_O_DIRECT)
        except OSError:  # not here, or no file of this machine
            return
        self._is_direct = on
