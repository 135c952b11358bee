"""A store in a folder, through plain calls of the system; `_durable.py` has their order."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import BinaryIO

from kubeshark._durable import make_folder, replace_synced, sync_folder, write_synced
from kubeshark.core_capture.store.places._backend import Content
from kubeshark.core_capture.store.places._lock import StoreLock
from kubeshark.core_capture.store.places._names import TEMPORARY, is_of_store
from kubeshark.errors import Damaged, StoreError

__all__ = ["LocalBackend", "LocalFile", "open_folder"]


TICK_NS = 50_000_000


def _open_file(path: str, flags: int) -> int:
    """Open a file; raise Damaged for what is none, and never wait for who writes into a pipe."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged("it is no file", file=str(path).rpartition("/")[2], hint="take it away")
    return descriptor


class LocalFile:
    """A file of this machine; raise FileNotFoundError or StoreError, Damaged for a folder or a pipe.

    Opened without a Path and without `open`: a query opens two files a segment, and those took it longer than reading.
    """

    is_remote = False
    version = ""

    def __init__(self, path: str | Path) -> None:
        self.name = str(path).rpartition("/")[2]
        try:
            self._file = io.FileIO(path, opener=_open_file)
        except FileNotFoundError:
            raise  # the caller knows whether that is an error
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error
        self._fd = self._file.fileno()

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def pread(self, length: int, offset: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def preads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [os.pread(self._fd, length, offset) for length, offset in ranges]

    def renew(self) -> None:
        """An open file stays what it was."""

    def close(self) -> None:
        self._file.close()


class LocalBackend:
    """A folder, used through plain calls of the system."""

    is_remote = False
    look_s = 0.05
    requests = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix = f"{folder}/"

    @property
    def location(self) -> str:
        return str(self.folder)

    def names(self) -> list[str]:
        with os.scandir(self.folder) as entries:
            return sorted(entry.name for entry in entries)

    def stamp(self) -> int | None:
        with suppress(OSError):
            changed_ns = self.folder.stat().st_mtime_ns
            # A change within the same tick of the file system's clock leaves no trace.
            return changed_ns if time.time_ns() - changed_ns > TICK_NS else None
        return None

    def sizes(self) -> dict[str, int]:
        sizes = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # deleted since it was listed
                    if entry.is_file():
                        sizes[entry.name] = entry.stat().st_size
        return sizes

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()

    def size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def open(self, name: str) -> LocalFile:
        return LocalFile(self._prefix + name)

    def read(self, name: str, limit: int) -> Content:
        with closing(self.open(name)) as file:
            return Content(file.pread(limit, 0), "")

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:
        return write_synced(self.folder / temporary)

    def sync(self, temporary: str) -> None:
        with (self.folder / temporary).open("rb") as file:
            os.fsync(file.fileno())

    def publish(self, temporary: str, name: str, *, replacing: bool = False) -> None:  # noqa: ARG002 - the lock is enough
        (self.folder / temporary).rename(self.folder / name)

    def settle(self) -> None:
        sync_folder(self.folder)

    def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:  # noqa: ARG002 - the lock is enough here
        with replace_synced(self.folder / name, self.folder / (temporary or f"{TEMPORARY}{name}")) as file:
            file.write(data)
        return ""

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def lock(self, name: str) -> StoreLock:
        return StoreLock(self.folder, name)

    def contains(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.folder.resolve())

    def prefetch(self, names: Sequence[str]) -> None:
        """The system reads ahead."""


def open_folder(path: Path, *, create: bool) -> LocalBackend:
    """Open a folder, made if `create` is set; raise StoreError if there is none.

    A reader may come before the first writer: an empty folder is an empty store. One with other things in it only is
    no store without `create`: its path is mistyped more likely than not.
    """
    try:
        if create:
            make_folder(path)
        if not path.is_dir():
            raise StoreError(f"no store at {path}")
        names = [] if create else [entry.name for entry in path.iterdir()]
        if names and not any(map(is_of_store, names)):
            raise StoreError(f"no store at {path}: nothing in that folder is of one")
    except OSError as error:
        raise StoreError(f"cannot open the store {path}: {error.strerror}") from error
    return LocalBackend(path)
