"""The files of this node's store that readers ask for: listed, and read in ranges. Nothing here can decrypt them.

A name is looked up in one folder, and only if it is one that a store gives (`is_public`): so there are no paths to walk
and no links to follow. A version is the file's number, size and time: a file that is replaced is another file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kubeshark.core_capture.store.places._names import is_public
from kubeshark.errors import StoreError

__all__ = ["Files", "Held", "Listed"]

MAX_FILES = 500_000
"""In a listing; 8 PB of segments."""


class Listed(NamedTuple):
    name: str
    size: int
    etag: str


class Held:
    """One open file; closed with its block."""

    def __init__(self, fd: int, found: os.stat_result) -> None:
        self._file = os.fdopen(fd, "rb", buffering=0)  # closes itself where an answer never began
        self.size = found.st_size
        self.etag = _etag(found)

    def read(self, length: int, offset: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Files:
    """A folder, held open: what is renamed or mounted over it later does not change where we read."""

    def __init__(self, folder: Path) -> None:
        try:
            self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"cannot open the store {folder}: {error.strerror}") from error

    def list(self) -> list[Listed]:
        """Return the files by name."""
        return sorted(self._list())

    def _list(self) -> Iterator[Listed]:
        count = 0
        with os.scandir(self._fd) as entries:
            for entry in entries:
                if not is_public(entry.name):
                    continue
                try:
                    found = os.stat(entry.name, dir_fd=self._fd, follow_symlinks=False)
                except FileNotFoundError:  # deleted since it was listed
                    continue
                if stat.S_ISREG(found.st_mode):
                    count += 1
                    if count > MAX_FILES:
                        raise StoreError(f"the store has more than {MAX_FILES:,} files", hint="kubeshark store prune")
                    yield Listed(entry.name, found.st_size, _etag(found))

    def open(self, name: str) -> Held:
        """Open a file; raise FileNotFoundError for whatever is not one of a store."""
        if not is_public(name):
            raise FileNotFoundError(2, "No such file")
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._fd)
        except OSError:
            raise FileNotFoundError(2, "No such file") from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise FileNotFoundError(2, "No such file")
        return Held(fd, found)

    def space(self) -> tuple[int, int]:
        """Return (bytes in all, bytes free) of the file system."""
        found = os.fstatvfs(self._fd)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def close(self) -> None:
        os.close(self._fd)


def _etag(found: os.stat_result) -> str:
    return f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'
