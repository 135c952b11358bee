"""Reads the files of a store behind a server: object storage (`_objects.py`) or a worker (`_worker_files.py`).

1. Bytes are read in ranges, never a data file as a whole; a listing is the truth about what there is.
2. A listing serves for two seconds (`look_s`): one command looks several times. It ends when it turns out to be wrong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from kubeshark.core_capture.store.places._backend import Content, Found, Piece, RangeClient, RangeFile, Requests
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, TEMPORARY
from kubeshark.core_capture.store.places._range_file import AT_ONCE, RangedFile
from kubeshark.errors import StoreError

__all__ = ["LISTING_SECONDS", "RemoteFiles"]

LISTING_SECONDS = 2.0

_HEADER_BYTES = 8192  # of a data file: an age header of some sixty recipients
_SMALL_BYTES = 1 << 20  # what the first read of any other file asks for, if its size is not known
_WHOLE_BYTES = 16 << 20  # known to be smaller: read as a whole
_BATCH_BYTES = 32 << 20  # fetched in parallel before they are opened


class RemoteFiles:
    """The published files of a store behind a server: the reading half of a `Backend`."""

    is_remote = True
    look_s = LISTING_SECONDS

    def __init__(self, client: RangeClient) -> None:
        self._ranges = client
        self._listed: dict[str, Found] = {}
        self._listed_at = -LISTING_SECONDS
        self._queue: list[str] = []  # names that will be opened next
        self._fetched: dict[str, Piece] = {}
        self._fetching = Lock()

    @property
    def location(self) -> str:
        return self._ranges.url

    @property
    def requests(self) -> Requests:
        return self._ranges.requests - Requests()

    def names(self) -> list[str]:
        return sorted(self._listing())

    def stamp(self) -> int | None:
        return None

    def sizes(self) -> dict[str, int]:
        return {name: found.size for name, found in self._listing().items()}

    def exists(self, name: str) -> bool:
        try:
            self._ranges.head(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        size = self.sizes().get(name)
        if size is None:
            raise self._missing(name)
        return size

    def open(self, name: str) -> RangeFile:
        found = self._listing().get(name)
        if found is None:
            raise self._missing(name)
        with self._fetching:
            self._fetch_queue(name)
        first = _HEADER_BYTES
        if not name.endswith(DATA_SUFFIX):
            first = max(found.size, 1) if found.size <= _WHOLE_BYTES else _SMALL_BYTES
        start = self._fetched.pop(name, None)
        return RangedFile(self._ranges, name, size=found.size, version=found.version, first_bytes=first, start=start)

    def read(self, name: str, limit: int) -> Content:
        piece = self._ranges.get(name, 0, max(limit, 1))
        return Content(piece.data[:limit], piece.version)

    def prefetch(self, names: Sequence[str]) -> None:
        self._queue, self._fetched = list(names), {}

    def _listing(self) -> dict[str, Found]:
        if time.monotonic() - self._listed_at >= self.look_s:
            found = self._ranges.list().items()  # temporary files lie on the machine of who makes them
            self._listed = {name: each for name, each in found if not name.startswith(TEMPORARY)}
            self._listed_at = time.monotonic()
        return self._listed

    def _forget(self) -> None:
        """What was listed is not the truth any more."""
        self._listed_at = -LISTING_SECONDS

    def _missing(self, name: str) -> FileNotFoundError:
        if name in self._listed:  # sealed, or pruned
            self._forget()
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
        from concurrent.futures import ThreadPoolExecutor  # 5 ms, which a query of a folder need not pay

        def fetch(each: str) -> Piece | None:
            found = self._listed[each]
            with suppress(StoreError, FileNotFoundError):
                return self._ranges.get(each, 0, found.size, version=found.version)
            return None  # who opens it will hear why

        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            for each, piece in zip(batch, pool.map(fetch, batch), strict=True):
                if piece is not None:
                    self._fetched[each] = piece
