"""Where a store's files lie, behind one small interface: a folder (`_local.py`) or object storage (`_objects.py`).

A store is a flat set of named files. What "durable" means, call by call:

1. `create` makes a temporary file; when its block ends well, the file survives a power loss of this machine.
2. `publish` gives it the name under which readers find it, at once and as a whole. A folder has to be settled before
   that lasts; on object storage a published file lasts, and has left this machine, when the call returns.
3. `replace` changes a whole small file at once, and lasts when it returns. With a version it is refused if somebody
   else changed the file since: on object storage, where no lock is certain, this is what keeps two writers apart.
4. What `names` lists exists. A file that was replaced or deleted is never mixed with what is read of its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from msgspec import Struct

from kubeshark.errors import StoreError

__all__ = ["Backend", "Changed", "Content", "Found", "Piece", "RangeClient", "RangeFile", "Requests"]


class Changed(StoreError):
    """Somebody else changed or made a file first; nothing was written over."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another process changed {name} meanwhile", hint="run the command again")


class Requests(Struct):
    """What was asked of the server; what obstore tried again counts once."""

    lists: int = 0
    reads: int = 0
    writes: int = 0  # deletions included; a multi-part upload is one per part and two
    bytes_read: int = 0
    bytes_written: int = 0

    @property
    def total(self) -> int:
        return self.lists + self.reads + self.writes

    def __str__(self) -> str:
        return (
            f"{self.total} ({self.lists} lists, {self.reads} reads of {self.bytes_read:,} bytes, {self.writes} writes)"
        )

    def __add__(self, other: Requests) -> Requests:
        return Requests(
            self.lists + other.lists,
            self.reads + other.reads,
            self.writes + other.writes,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )

    def __sub__(self, other: Requests) -> Requests:
        return Requests(
            self.lists - other.lists,
            self.reads - other.reads,
            self.writes - other.writes,
            self.bytes_read - other.bytes_read,
            self.bytes_written - other.bytes_written,
        )


class Content(NamedTuple):
    """A small file as a whole."""

    data: bytes
    version: str  # names exactly this content for `replace`; "" in a folder, where the lock is enough


class Found(NamedTuple):
    """A file of a server as a listing has it."""

    size: int
    version: str


class Piece(NamedTuple):
    """Bytes of a file of a server, and what the answer said of the whole."""

    data: bytes
    size: int
    version: str


class RangeClient(Protocol):
    """Requests to a server, counted and bounded in time; from any thread. They raise StoreError."""

    @property
    def url(self) -> str: ...

    @property
    def requests(self) -> Requests: ...

    def list(self) -> dict[str, Found]: ...

    def get(self, name: str, start: int, end: int, *, version: str = "") -> Piece:
        """Return bytes [start, end), fewer at the end; raise FileNotFoundError, Changed if the version is another."""
        ...

    def head(self, name: str) -> Found:
        """Return what is known of one file; raise FileNotFoundError."""
        ...


class RangeFile(Protocol):
    """One file, open for reading at any place, from any thread."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """What `replace` takes to replace just what was read here; known after the first read."""
        ...

    @property
    def is_remote(self) -> bool:
        """Each read is a request that takes its time: ask for much at once, and for nothing twice."""
        ...

    def size(self) -> int:
        """Return its bytes; raise OSError or StoreError."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Return bytes [offset, offset + length), fewer at the file's end; raise OSError or StoreError.

        Raises Changed if the file is another one by now: `renew` turns to that.
        """
        ...

    def preads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return several ranges (length, offset), ascending, in as few and as parallel requests as it takes."""
        ...

    def renew(self) -> None: ...

    def close(self) -> None: ...


class Backend(Protocol):
    """The files of one store. Names have no slashes; those with the prefix .tmp- are not published."""

    @property
    def location(self) -> str:
        """Folder or URL, for messages: it holds no secret."""
        ...

    @property
    def is_remote(self) -> bool: ...

    @property
    def look_s(self) -> float:
        """Seconds that who waits for new files lets pass between two looks."""
        ...

    @property
    def requests(self) -> Requests | None:
        """What was asked of a server so far; None where there is none."""
        ...

    def names(self) -> list[str]:
        """Return the names of all files, sorted, unpublished ones of this machine included."""
        ...

    def stamp(self) -> int | None:
        """Return what differs once a file came, went or got another name; None where only `names` can tell."""
        ...

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file, by name."""
        ...

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """Return the bytes of one file; raise FileNotFoundError."""
        ...

    def open(self, name: str) -> RangeFile:
        """Open a file for reading; raise FileNotFoundError."""
        ...

    def read(self, name: str, limit: int) -> Content:
        """Return a small file, at most `limit` bytes of it; raise FileNotFoundError."""
        ...

    def create(self, temporary: str) -> AbstractContextManager[BinaryIO]:
        """Begin a temporary file, anew if it is there; see 1."""
        ...

    def sync(self, temporary: str) -> None:
        """Make a temporary file of an earlier process as durable as `create` does."""
        ...

    def publish(self, temporary: str, name: str, *, replacing: bool = False) -> None:
        """Give a temporary file its name; see 2. Raise FileNotFoundError.

        `replacing`: in place of what has the name. Otherwise there is none: a folder trusts in that, object storage
        raises Changed.
        """
        ...

    def settle(self) -> None:
        """Make what was published or deleted last."""
        ...

    def replace(self, name: str, data: bytes, *, version: str | None = None, temporary: str | None = None) -> str:
        """Replace a small file, return its new version; see 3.

        `version`: of the content that is expected there, "" for none, None for whatever. A folder uses `temporary`
        (default: .tmp- and the name) on the way. Raises Changed if somebody else was faster.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...

    def lock(self, name: str) -> Lock:
        """Become the only one who changes what `name` guards; raise StoreError while somebody else is."""
        ...

    def contains(self, path: Path) -> bool:
        """Say whether a path of this machine lies inside the store."""
        ...

    def prefetch(self, names: Sequence[str]) -> None:
        """Say that these files will be opened one after the other."""
        ...


class Lock(Protocol):
    """Ends with `release`, its block or its process."""

    def release(self) -> None: ...

    def __enter__(self) -> Lock: ...

    def __exit__(self, *_: object) -> None: ...
