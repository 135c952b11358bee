"""A file that is still written, read like a stream: at its end it is waited for, until somebody says it is over.

A file may be written over while it is read (`tcpdump -C -W`, copytruncate). What it began with is compared after each
read: so nothing is given out that was read behind another beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

__all__ = ["FileState", "GrowingFile"]

READ_BYTES = 1 << 20
HEAD_BYTES = 4096
"""More than the headers of a capture and its first packet's time: no two captures begin alike."""


class FileState(NamedTuple):
    """Which file it is, and how far it was written."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class GrowingFile:
    """Reads a file as it grows. `is_over` is asked at its end; it takes the time until it is looked at again."""

    def __init__(self, path: str | os.PathLike[str], is_over: Callable[[], bool]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
        self._is_over = is_over
        self._head = b""
        self.position = 0
        self.begins_anew = False  # it was written over: what it held is gone
        self.state = self._state()  # when it was read last: all it held then was given out, once it is over

    def read1(self, size: int) -> bytes:
        """Return what is there, at least a byte; b"" when the file is over, or begins anew."""
        while not self.begins_anew:
            self.state = self._state()
            data = os.read(self._descriptor, min(size, READ_BYTES))
            if not self._begins_as_it_did(data):
                self.begins_anew = True
                break
            self.position += len(data)
            if data or self._is_over():
                return data
        return b""

    read = read1

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _state(self) -> FileState:
        return FileState.of(os.fstat(self._descriptor))

    def _begins_as_it_did(self, data: bytes) -> bool:
        """Compare the beginning with what it was, as far as it was written then, and with what was just read of it."""
        head = os.pread(self._descriptor, HEAD_BYTES, 0)
        before, self._head = self._head, head
        end = self.position + len(data)
        is_its = head.startswith(before) and data.startswith(head[self.position : end])
        return is_its and os.fstat(self._descriptor).st_size >= end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
