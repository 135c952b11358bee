"""The kernel's ring of records, read through shared memory (BPF_MAP_TYPE_RINGBUF).

A reader that is slow loses records, which the program counts; the kernel never waits.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

__all__ = ["RingBuffer"]

_BUSY, _DISCARDED, _HEADER = 1 << 31, 1 << 30, 8


class RingBuffer:
    """The one reader of a ring of `size` bytes; its descriptor can be polled, and stays with who made it."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        # Data is mapped twice in a row: a record that goes over the end is read in one piece.
        self._data = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)

    def read(self) -> Iterator[bytes]:
        """Take what is there."""
        (at,) = struct.unpack_from("<Q", self._consumer)
        (end,) = struct.unpack_from("<Q", self._data)
        while at < end:
            place = mmap.PAGESIZE + (at & self._mask)
            (head,) = struct.unpack_from("<I", self._data, place)
            if head & _BUSY:
                break
            length = head & (_DISCARDED - 1)
            record = self._data[place + _HEADER : place + _HEADER + length]
            at += (length + _HEADER + 7) & ~7
            struct.pack_into("<Q", self._consumer, 0, at)
            if not head & _DISCARDED:
                yield record

    def close(self) -> None:
        self._consumer.close()
        self._data.close()
