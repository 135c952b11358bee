"""Who may change a store: one process at a time, by a lock that ends with it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Self

from kubeshark.core_capture.store.places._names import LOCK
from kubeshark.errors import StoreError

__all__ = ["ReadOnly", "StoreLock"]


class ReadOnly(StoreError):
    """The file system cannot be written: nobody writes there, nor need who only looks be alone."""


class StoreLock:
    """Makes its holder the only one who changes what `name` guards; ends with `release`, the block or the process."""

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        try:
            self._fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            kind = ReadOnly if error.errno == errno.EROFS else StoreError
            raise kind(f"cannot write to {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StoreError(f"another process writes to {folder}", hint="wait for it to end") from error

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
