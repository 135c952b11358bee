"""A file that is still written, read like a stream: at its end it is waited for, until somebody says it is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["GrowingFile"]


class GrowingFile:
    """Reads a file as it grows. `is_over` is asked at its end; it takes the time until it is looked at again."""

    def __init__(self, path: str | os.PathLike[str], is_over: Callable[[], bool]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._is_over = is_over
        self.position = 0

    def read1(self, size: int) -> bytes:
        """Return what is there, at least a byte; b"" when the file is over, or begins anew."""
        while True:
            data = os.read(self._descriptor, min(size, 1 << 20))
            self.position += len(data)
            if data or os.fstat(self._descriptor).st_size < self.position or self._is_over():
                return data

    read = read1

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
