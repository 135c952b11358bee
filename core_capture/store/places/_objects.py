"""A store on object storage: S3 and what speaks it, Google Cloud Storage, Azure, or the memory of this process.

Published files are objects, whole from the moment they are listed. Temporary files lie in the spool of this machine,
and so does the log: what is acknowledged survives this machine's power loss, not the loss of the machine.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from kubeshark.core_capture.store.places._backend import Content, Found, RangeFile
from kubeshark.core_capture.store.places._lease import Lease
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import LOCK, SNAPSHOTS_LOCK, TEMPORARY, is_node, piece_of
from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.core_capture.store.places._remote import RemoteFiles
from kubeshark.core_capture.store.places._spool import open_spool, spool_path
from kubeshark.errors import StoreError

__all__ = ["GivenObjects", "ObjectBackend", "must_exist", "open_objects"]


class ObjectBackend(RemoteFiles):
    """Objects under a URL, and a spool on this machine."""

    def __init__(self, url: str) -> None:
        self.client = ObjectClient(url)
        super().__init__(self.client)

    def names(self) -> list[str]:
        waiting = self._waiting()
        return sorted({*super().names(), *(waiting.names() if waiting else ())})

    def sizes(self) -> dict[str, int]:
        waiting = self._waiting()
        return (waiting.sizes() if waiting else {}) | super().sizes()

    def exists(self, name: str) -> bool:
        return self._spool.exists(name) if _stays_here(name) else super().exists(name)

    def open(self, name: str) -> RangeFile:
        return self._spool.open(name) if _stays_here(name) else super().open(name)

    def read(self, name: str, limit: int) -> Content:
        return self._spool.read(name, limit) if _stays_here(name) else super().read(name, limit)

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:
        return self._spool.create(temporary)

    def sync(self, temporary: str) -> None:
        self._spool.sync(temporary)

    def publish(self, temporary: str, name: str, *, replacing: bool = False) -> None:
        if _stays_here(name):
            self._spool.publish(temporary, name)
            self._spool.settle()
            return
        self._forget()
        self.client.upload(self._spool.folder / temporary, name, replacing=replacing)
        self._spool.delete(temporary)

    def settle(self) -> None:
        """Objects last as soon as they are there."""

    def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:  # noqa: ARG002 - an object appears as a whole
        self._forget()
        return self.client.put(name, data, version=version)

    def delete(self, name: str) -> None:
        if _stays_here(name):
            self._spool.delete(name)
            return
        self._forget()
        self.client.delete(name)

    def lock(self, name: str) -> Lease:
        lease = Lease(self.client, name)
        self._forget()
        return lease

    def contains(self, path: Path) -> bool:  # noqa: ARG002 - nothing of this machine does
        return False

    def _listing(self) -> dict[str, Found]:
        """Pieces of a log that somebody put there are none of ours."""
        return {name: found for name, found in super()._listing().items() if not _stays_here(name)}

    @cached_property
    def _spool(self) -> LocalBackend:
        return open_spool(self.location)

    def _waiting(self) -> LocalBackend | None:
        """Return the spool if there is one: who reads makes none."""
        path = spool_path(self.location)
        return LocalBackend(path) if path.is_dir() else None


class GivenObjects(ObjectBackend):
    """Objects that are known by name, size and version: nothing is listed."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._given: dict[str, Found] = {}

    def give(self, name: str, found: Found) -> None:
        """Say that there is such an object."""
        self._given[name] = found

    def _listing(self) -> dict[str, Found]:
        return self._given

    def _waiting(self) -> None:
        """Nothing of it waits on this machine."""


def _stays_here(name: str) -> bool:
    return name.startswith(TEMPORARY) or piece_of(name) is not None


def open_objects(url: str, *, create: bool) -> ObjectBackend:
    """Open a store on object storage; raise StoreError if nothing is there and `create` is not set."""
    files = ObjectBackend(url)
    if not create:
        must_exist(files)
    return files


def must_exist(files: ObjectBackend) -> None:
    """Raise StoreError if nothing of a store is there."""
    if any(name not in (LOCK, SNAPSHOTS_LOCK) for name in files.names()):
        return
    below = sorted(each for each in files.client.prefixes if is_node(each))
    hint = f"name one of the nodes below it: {files.location}/{below[0]}" if below else ""
    raise StoreError(f"no store at {files.location}", hint=hint or '"kubeshark import --store …" makes one')
