"""A store on object storage: S3 and what speaks it, Google Cloud Storage, Azure, or the memory of this process.

1. Published files are objects, whole from the moment they are listed. Temporary files lie in the spool of this machine.
2. Bytes are read in ranges, never a data file as a whole; a listing is the truth about what there is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from kubeshark.core_capture.store._backend import Content, RangeFile, Requests
from kubeshark.core_capture.store._lease import Lease
from kubeshark.core_capture.store._local import LocalBackend
from kubeshark.core_capture.store._names import DATA_SUFFIX, LOCK, SNAPSHOTS_LOCK, TEMPORARY
from kubeshark.core_capture.store._object_client import Found, ObjectClient, Piece
from kubeshark.core_capture.store._object_file import AT_ONCE, ObjectFile
from kubeshark.core_capture.store._spool import open_spool, spool_path
from kubeshark.errors import StoreError

__all__ = ["ObjectBackend", "open_objects"]

LISTING_SECONDS = 2.0
"""How long a listing stays the truth: one command looks several times."""

_HEADER_BYTES = 8192  # of a data file: an age header of some sixty recipients
_SMALL_BYTES = 1 << 20  # what the first read of any other file asks for, if its size is not known
_WHOLE_BYTES = 16 << 20  # known to be smaller: read as a whole
_BATCH_BYTES = 32 << 20  # fetched in parallel before they are opened


class ObjectBackend:
    """Objects under a URL, and a spool on this machine."""

    is_remote = True

    def __init__(self, url: str) -> None:
        self._client = ObjectClient(url)
        self._listed: dict[str, Found] = {}
        self._listed_at = -LISTING_SECONDS
        self._queue: list[str] = []  # names that will be opened next
        self._fetched: dict[str, Piece] = {}
        self._fetching = Lock()

    @property
    def location(self) -> str:
        return self._client.url

    @property
    def requests(self) -> Requests:
        return self._client.requests - Requests()

    def names(self) -> list[str]:
        waiting = self._waiting()
        return sorted({*self._listing(), *(waiting.names() if waiting else ())})

    def stamp(self) -> int | None:
        return None

    def sizes(self) -> dict[str, int]:
        waiting = self._waiting()
        sizes = waiting.sizes() if waiting else {}
        return sizes | {name: found.size for name, found in self._listing().items()}

    def exists(self, name: str) -> bool:
        if name.startswith(TEMPORARY):
            return self._spool.exists(name)
        try:
            self._client.head(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        size = self.sizes().get(name)
        if size is None:
            raise self._missing(name)
        return size

    def open(self, name: str) -> RangeFile:
        if name.startswith(TEMPORARY):
            return self._spool.open(name)
        found = self._listing().get(name)
        if found is None:
            raise self._missing(name)
        with self._fetching:
            self._fetch_queue(name)
        first = _HEADER_BYTES
        if not name.endswith(DATA_SUFFIX):
            first = max(found.size, 1) if found.size <= _WHOLE_BYTES else _SMALL_BYTES
        start = self._fetched.pop(name, None)
        return ObjectFile(self._client, name, size=found.size, version=found.version, first_bytes=first, start=start)

    def read(self, name: str, limit: int) -> Content:
        return self._client.read(name, limit)

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

    def prefetch(self, names: Sequence[str]) -> None:
        self._queue, self._fetched = list(names), {}

    @cached_property
    def _spool(self) -> LocalBackend:
        return open_spool(self.location)

    def _waiting(self) -> LocalBackend | None:
        """Return the spool if there is one: who reads makes none."""
        path = spool_path(self.location)
        return LocalBackend(path) if path.is_dir() else None

    def _listing(self) -> dict[str, Found]:
        if time.monotonic() - self._listed_at >= LISTING_SECONDS:
            found = self._client.list().items()
            self._listed = {
                name: each for name, each in found if not name.startswith(TEMPORARY)
            }  # ours lie in the spool
            self._listed_at = time.monotonic()
        return self._listed

    def _forget(self) -> None:
        """What was listed is not the truth any more."""
        self._listed_at = -LISTING_SECONDS

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(2, "No such object", f"{self.location}/{name}")

    def _fetch_queue(self, name: str) -> None:
        """Read the next files in parallel, from `name` on."""
        if name in self._fetched or name not in self._queue:
            return
        queue = self._queue[self._queue.index(name) :]
        batch, size = list[str](), 0
        for each in queue[: 4 * AT_ONCE]:
            found = self._listed.get(each)
            size += found.size if found else 0
            if found and (size <= _BATCH_BYTES or not batch):
                batch.append(each)
        self._queue = queue[1:]
        if len(batch) < 2:
            return

        def fetch(each: str) -> Piece | None:
            found = self._listed[each]
            with suppress(StoreError, FileNotFoundError):
                return self._client.get(each, 0, found.size, version=found.version)
            return None  # who opens it will hear why

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for each, piece in zip(batch, pool.map(fetch, batch), strict=True):
                if piece is not None:
                    self._fetched[each] = piece


def open_objects(url: str, *, create: bool) -> ObjectBackend:
    """Open a store on object storage; raise StoreError if nothing is there and `create` is not set."""
    files = ObjectBackend(url)
    if not create and not any(name not in (LOCK, SNAPSHOTS_LOCK) for name in files.names()):
        raise StoreError(f"no store at {url}", hint='"kubeshark import --store …" makes one')
    return files
