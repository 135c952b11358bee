"""Files that are on the disk when we say so: write, sync, rename, sync the folder.

A file's name is on the disk when its folder was synced; so is a new folder's, when the one above it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["create_synced", "make_folder", "replace_synced", "sync_folder", "write_synced"]


@contextmanager
def write_synced(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file (mode 0600) for writing from its start; sync it when the block ends well.

    If it fails the file goes: on a full disk its space is wanted.
    """
    with _removed_if_failed(path), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replace_synced(path: Path, temporary: Path) -> Iterator[BinaryIO]:
    """Replace a whole file at once by what is written in the block; it lasts when the block has ended."""
    with write_synced(temporary) as file:
        yield file
    with _removed_if_failed(temporary):
        temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def _removed_if_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        with suppress(OSError):  # it is the first failure that counts
            path.unlink(missing_ok=True)
        raise


def create_synced(path: Path, content: bytes) -> None:
    """Make a file (mode 0600) that is there as a whole, lasting, or not at all; raise FileExistsError, OSError."""
    import tempfile

    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)  # unlike a rename it never replaces what another process made meanwhile
        except FileExistsError:
            raise
        except OSError:
            if path.exists():
                raise
            temporary.rename(path)  # a file system without hard links
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder (mode 0700), and those above it that are missing, that last; raise OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700 if folder == path else 0o777, exist_ok=True)
        with suppress(PermissionError):  # one that we may write to and not read: then nobody can sync it
            sync_folder(folder.parent)
    path.mkdir(mode=0o700, exist_ok=True)  # raises where a file is in its place


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
