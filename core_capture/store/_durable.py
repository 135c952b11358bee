"""Files that are on the disk when we say so: write, sync, rename, sync the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["replace_synced", "sync_folder", "write_synced"]


@contextmanager
def write_synced(path: Path) -> Iterator[BinaryIO]:
    """Open `path` (mode 0600) for writing from its start; sync it when the block ends well."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def replace_synced(path: Path, temporary: Path, content: bytes) -> None:
    """Replace a whole file at once; lasting after the next `sync_folder`."""
    with write_synced(temporary) as file:
        file.write(content)
    temporary.rename(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
