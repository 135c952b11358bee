"""A store on object storage: S3 and what speaks it, Google Cloud Storage, Azure, or the memory of this process.

Published files are objects, whole from the moment they are listed. Temporary files lie in the spool of this machine.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from kubeshark.core_capture.store._backend import RangeFile
from kubeshark.core_capture.store._lease import Lease
from kubeshark.core_capture.store._local import LocalBackend
from kubeshark.core_capture.store._names import LOCK, SNAPSHOTS_LOCK, TEMPORARY
from kubeshark.core_capture.store._object_client import ObjectClient
from kubeshark.core_capture.store._remote import RemoteFiles
from kubeshark.core_capture.store._spool import open_spool, spool_path
from kubeshark.errors import StoreError

__all__ = ["ObjectBackend", "open_objects"]


class ObjectBackend(RemoteFiles):
    """Objects under a URL, and a spool on this machine."""

    def __init__(self, url: str) -> None:
        self._client = ObjectClient(url)
        super().__init__(self._client)

    def names(self) -> list[str]:
        waiting = self._waiting()
        return sorted({*super().names(), *(waiting.names() if waiting else ())})

    def sizes(self) -> dict[str, int]:
        waiting = self._waiting()
        return (waiting.sizes() if waiting else {}) | super().sizes()

    def exists(self, name: str) -> bool:
        return self._spool.exists(name) if name.startswith(TEMPORARY) else super().exists(name)

    def open(self, name: str) -> RangeFile:
        return self._spool.open(name) if name.startswith(TEMPORARY) else super().open(name)

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:
        return self._spool.create(temporary)

    def sync(self, temporary: str) -> None:
        self._spool.sync(temporary)

    def publish(self, temporary: str, name: str, *, replacing: bool = False) -> None:
        self._forget()
        self._client.upload(self._spool.folder / temporary, name, replacing=replacing)
        self._spool.delete(temporary)

    def settle(self) -> None:
        """Objects last as soon as they are there."""

    def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:  # noqa: ARG002 - an object appears as a whole
        self._forget()
        return self._client.put(name, data, version=version)

    def delete(self, name: str) -> None:
        if name.startswith(TEMPORARY):
            self._spool.delete(name)
            return
        self._forget()
        self._client.delete(name)

    def lock(self, name: str) -> Lease:
        lease = Lease(self._client, name)
        self._forget()
        return lease

    def contains(self, path: Path) -> bool:  # noqa: ARG002 - nothing of this machine does
        return False

    @cached_property
    def _spool(self) -> LocalBackend:
        return open_spool(self.location)

    def _waiting(self) -> LocalBackend | None:
        """Return the spool if there is one: who reads makes none."""
        path = spool_path(self.location)
        return LocalBackend(path) if path.is_dir() else None


def open_objects(url: str, *, create: bool) -> ObjectBackend:
    """Open a store on object storage; raise StoreError if nothing is there and `create` is not set."""
    files = ObjectBackend(url)
    if not create and not any(name not in (LOCK, SNAPSHOTS_LOCK) for name in files.names()):
        raise StoreError(f"no store at {url}", hint='"kubeshark import --store …" makes one')
    return files
