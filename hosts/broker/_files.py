"""Files below a granted folder, and nowhere else, whatever the path and whoever else moves things about.

Invariants:

1. A path is resolved by the kernel from the open folder (openat2: RESOLVE_BENEATH, NO_SYMLINKS, NO_MAGICLINKS), or
   where that is missing component by component without following links: never by comparing strings.
2. Only regular files and folders are touched: no pipe, device or socket is ever opened for good.
3. Every size is bounded: one file's read, and what a plugin may add, in bytes and in files.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

__all__ = ["MAX_ENTRIES", "QUOTA_BYTES", "QUOTA_FILES", "FileError", "Folder", "MissingError", "Row"]

QUOTA_BYTES = 1 << 30
QUOTA_FILES = 10_000
MAX_ENTRIES = 20_000  # of a listing, and of a tree that is deleted at once
MAX_DEPTH = 32

_OPENAT2 = 437  # the same on every architecture
_RESOLVE = 0x08 | 0x04 | 0x02  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class FileError(Exception):
    """Why it was not done, for the plugin's author: one line that names the path as the plugin wrote it."""


class MissingError(FileError):
    """There is no such file or folder."""


class Row(Struct, frozen=True):
    """One name in a folder."""

    name: str
    kind: str  # file, folder, other
    size: int


class Folder:
    """One granted folder. Used by one thread at a time; `close` frees its descriptor."""

    def __init__(
        self,
        path: Path,
        *,
        writable: bool,
        quota_bytes: int = QUOTA_BYTES,
        quota_files: int = QUOTA_FILES,
        counts_all: bool = False,
    ) -> None:
        """`counts_all`: what is there already counts too, because nobody else writes there."""
        self.path = path
        self.writable = writable
        self.quota_bytes, self.quota_files = quota_bytes, quota_files
        self._counts_all = counts_all
        self._used: tuple[int, int] | None = None  # bytes, files
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # its own links are the operator's
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's bytes; FileError if there are more than `limit`."""
        with self._opened(path, os.O_RDONLY) as (descriptor, status):
            if status.st_size > limit:
                raise FileError(f"{path}: has {status.st_size:,} bytes, at most {limit:,} are read")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        if len(data) > limit:
            raise FileError(f"{path}: has more than {limit:,} bytes")
        return data

    def write(self, path: str, data: bytes, *, append: bool = False) -> None:
        """Replace or extend a file; it is made if it is not there, its folder is not."""
        self._may_write(path)
        try:
            with self._opened(path, os.O_RDONLY) as (_, status):
                before = status.st_size
            added_files = 0
        except MissingError:
            before, added_files = 0, 1
        self._take(path, len(data) if append else len(data) - before, added_files)
        mode = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else 0)
        with self._opened(path, mode) as (descriptor, _):
            if not append:
                os.ftruncate(descriptor, 0)
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(descriptor, view) :]
                except OSError as error:
                    raise FileError(f"{path}: {error.strerror}") from error

    def list(self, path: str) -> list[Row]:
        """Return what is in a folder, by name; at most MAX_ENTRIES."""
        with self._opened(path, os.O_RDONLY | os.O_DIRECTORY, kind=stat.S_ISDIR) as (descriptor, _):
            return sorted(_rows(descriptor, path), key=lambda row: row.name)

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self._may_write(path)
        parts = _parts(path)
        for end in range(1, len(parts) + 1):
            above, name = "/".join(parts[: end - 1]), parts[end - 1]
            with self._opened(above, os.O_RDONLY | os.O_DIRECTORY, kind=stat.S_ISDIR) as (parent, _):
                try:
                    os.stat(name, dir_fd=parent, follow_symlinks=False)
                    continue
                except FileNotFoundError:
                    self._take(path, 0, 1)
                with _told(path), suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=parent)
        with self._opened(path, os.O_RDONLY | os.O_DIRECTORY, kind=stat.S_ISDIR):
            return

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with all in it; a link is deleted, never followed."""
        self._may_write(path)
        with self._parent(path) as (parent, name), _told(path):
            left = [MAX_ENTRIES]
            freed = _delete(parent, name, path, left, MAX_DEPTH)
        self._give(freed, MAX_ENTRIES - left[0])

    def move(self, source: str, target: str) -> None:
        """Rename; what is at the target is replaced if it is a file."""
        self._may_write(source)
        with self._parent(source) as (parent, name), self._parent(target) as (other, new_name), _told(source):
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=other)

    def _may_write(self, path: str) -> None:
        if not self.writable:
            raise FileError(f"{path}: the folder is granted for reading only")

    @contextmanager
    def _opened(
        self, path: str, flags: int, kind: Callable[[int], bool] = stat.S_ISREG
    ) -> Iterator[tuple[int, os.stat_result]]:
        """Open below the root something of this kind."""
        parts = _parts(path)
        if self._root < 0:
            raise FileError(f"{path}: the folder is closed")
        with _told(path):
            descriptor = _open_beneath(self._root, parts, flags | _SAFE)
        try:
            status = os.fstat(descriptor)
            if not kind(status.st_mode):
                is_folder = stat.S_ISDIR(status.st_mode)
                raise FileError(f"{path}: is {'a folder' if is_folder else 'no regular file'}")
            yield descriptor, status
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        parts = _parts(path)
        if not parts:
            raise FileError("the granted folder itself stays where it is")
        with self._opened("/".join(parts[:-1]), os.O_RDONLY | os.O_DIRECTORY, kind=stat.S_ISDIR) as (parent, _):
            yield parent, parts[-1]

    def _take(self, path: str, size: int, files: int) -> None:
        """Count what is about to be added; FileError if it is more than the quota."""
        if self._used is None:
            self._used = _usage(self._root, MAX_DEPTH) if self._counts_all else (0, 0)
        used, count = self._used[0] + size, self._used[1] + files
        if used > self.quota_bytes and size > 0:
            raise FileError(f"{path}: is over the quota of {self.quota_bytes >> 20:,} MiB")
        if count > self.quota_files and files:
            raise FileError(f"{path}: is over the quota of {self.quota_files:,} files")
        self._used = max(0, used), max(0, count)

    def _give(self, size: int, files: int) -> None:
        if self._used is not None:
            self._used = max(0, self._used[0] - size), max(0, self._used[1] - files)


def _parts(path: str) -> list[str]:
    """Split a relative path; refuse what could mean another place, before the kernel is asked."""
    if "\0" in path or len(path) > 4096 or path.startswith("/"):
        raise FileError(f"{path[:100]!r} is no relative path")
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise FileError(f"{path}: has . or .. in it")
    if len(parts) > MAX_DEPTH:
        raise FileError(f"{path[:100]}: is deeper than {MAX_DEPTH} folders")
    return parts


def _open_beneath(root: int, parts: list[str], flags: int) -> int:
    mode = 0o600 if flags & os.O_CREAT else 0
    how = struct.pack("<QQQ", flags, mode, _RESOLVE)
    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode("/".join(parts) or ".")
    while True:
        descriptor = int(libc.syscall(_OPENAT2, root, path, how, ctypes.c_size_t(len(how))))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EPERM):  # an old kernel, or a container's filter that does not know it
            return _walk(root, parts, flags, mode)
        if number not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: something was renamed meanwhile
            raise OSError(number, os.strerror(number))


def _walk(root: int, parts: list[str], flags: int, mode: int) -> int:
    """Open component by component: each must be what it says, a folder and no link."""
    at = os.dup(root)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FOLDER | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return os.open(parts[-1] if parts else ".", flags, mode, dir_fd=at)
    finally:
        os.close(at)


def _rows(descriptor: int, path: str) -> Iterator[Row]:
    with os.scandir(descriptor) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                raise FileError(f"{path}: has more than {MAX_ENTRIES:,} entries")
            with suppress(FileNotFoundError):  # deleted meanwhile
                status = entry.stat(follow_symlinks=False)
                kind = "file" if stat.S_ISREG(status.st_mode) else "folder" if stat.S_ISDIR(status.st_mode) else "other"
                yield Row(entry.name, kind, status.st_size if kind == "file" else 0)


def _delete(parent: int, name: str, path: str, left: list[int], depth: int) -> int:
    """Delete one name and return the bytes of the files that went; each takes one of `left`."""
    if left[0] <= 0 or depth <= 0:
        raise FileError(f"{path}: has more than {MAX_ENTRIES:,} entries or {MAX_DEPTH} folders inside each other")
    left[0] -= 1
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return status.st_size
    freed = 0
    descriptor = os.open(name, _FOLDER | os.O_CLOEXEC, dir_fd=parent)
    try:
        for row in list(_rows(descriptor, path)):
            freed += _delete(descriptor, row.name, path, left, depth - 1)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)
    return freed


def _usage(folder: int, depth: int) -> tuple[int, int]:
    """Return bytes and names below a folder, without following links."""
    size = count = 0
    for row in _rows(folder, "."):
        size, count = size + row.size, count + 1
        if row.kind == "folder" and depth > 0:
            with suppress(OSError):
                below = os.open(row.name, _FOLDER | os.O_CLOEXEC, dir_fd=folder)
                try:
                    more, names = _usage(below, depth - 1)
                finally:
                    os.close(below)
                size, count = size + more, count + names
    return size, count


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingError(f"{path}: there is no such file or folder") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EXDEV):
            raise FileError(f"{path}: leads through a link") from error
        raise FileError(f"{path}: {error.strerror}") from error
