"""Small JSON files, of the plugins folder and of the hub: replaced at once, and under a lock, so that two commands lose
nothing of each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from kubeshark._durable import replace_synced
from kubeshark.errors import PluginRejected

__all__ = ["locked", "read_document", "write_document"]

MAX_DOCUMENT_BYTES = 16 << 20
T = TypeVar("T")


def read_document(path: Path, kind: type[T]) -> T | None:
    """Return what a file holds, None if there is none; PluginRejected if it cannot be read."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_DOCUMENT_BYTES), type=kind)  # a larger one is cut, and no JSON
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise PluginRejected(f"{path} cannot be read: {error}", plugin="*", hint="repair or delete it") from error


def write_document(path: Path, document: object) -> None:
    """Replace a file (mode 0600), lasting; it is as a whole there, or as it was before."""
    with replace_synced(path, path.with_name(f"{path.name}.tmp")) as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


@contextmanager
def locked(folder: Path, name: str = ".documents.lock") -> Iterator[None]:
    """Hold a lock of a folder, made if need be; the default is that of a plugins folder. Not twice in one process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
