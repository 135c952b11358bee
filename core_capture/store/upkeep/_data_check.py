"""Compares a data file with what its index says of it: by its header, its length and its last chunk alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Literal

from msgspec import Struct

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.core_capture.store.keys._age_format import NONCE, NotForUsError, Tail, sealed_size
from kubeshark.core_capture.store.keys._age_header import parse_end
from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Backend, RangeFile
from kubeshark.core_capture.store.segments._index import DataFile
from kubeshark.errors import Damaged

__all__ = ["DataCheck", "End", "check_data_file", "tail_of"]


class DataCheck(Struct, frozen=True):
    """What a data file is to an index.

    fits  as far as both ends tell; cut  its end is missing; longer  something lies behind its end; header  its header
    is damaged, and what follows is whole; damaged  its last chunk is; other  another file.
    """

    kind: Literal["fits", "cut", "longer", "header", "damaged", "other"]
    message: str = ""
    end: int = 0  # of what the index was written for, bytes from the file's start: where it is longer, or only a header
    file_key: bytes = b""  # of another file, if it could be opened


class End:
    """A file up to a place, as if it ended there. Closing it leaves the file open."""

    def __init__(self, file: RangeFile, end: int) -> None:
        self._file, self._end = file, end
        self.name, self.version, self.is_remote = file.name, file.version, file.is_remote

    def size(self) -> int:
        return self._end

    def pread(self, length: int, offset: int) -> bytes:
        return self._file.pread(max(min(length, self._end - offset), 0), offset)

    def preads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.pread(*each) for each in ranges]

    def renew(self) -> None:
        self._file.renew()

    def close(self) -> None:
        """It is another's."""


def tail_of(data: DataFile) -> Tail:
    """Return how the index says that its data file ends."""
    return Tail(data.length, *map(bytes.fromhex, (data.last_tag, data.file_key, data.nonce)))


def check_data_file(files: Backend, name: str, data: DataFile, identities: Sequence[Identity]) -> DataCheck:
    """Compare the file `name` with what its index says; raise FileNotFoundError."""
    tail = tail_of(data)
    with closing(files.open(name)) as file:
        size = file.size()
        try:
            _read_ends(file, size, tail, identities)
        except Damaged as error:
            wrong = error
        except NotForUsError:  # an index that knows no key, and a header for others
            return DataCheck("fits")
        else:
            return DataCheck("fits")
        sealed = sealed_size(tail.size)
        base, other = _header(file, tail, identities)
        if base is not None:
            if size < base + sealed:
                return DataCheck("cut")
            if _is_whole(file, base + sealed, tail, identities):
                return DataCheck("longer", f"{size - base - sealed:,} bytes", base + sealed)
            return DataCheck("damaged", str(wrong))
        if not other and tail.file_key and _is_whole(file, size, tail, identities):
            return DataCheck("header", str(wrong), size)
        return DataCheck("other", str(wrong), file_key=other)


def _read_ends(file: RangeFile, end: int, tail: Tail, identities: Sequence[Identity], *, header: bool = True) -> None:
    """Raise Damaged unless the file that ends there begins and ends as it should."""
    with AgeReader(End(file, end), identities, tail=tail) as age:
        if header:
            age.check_ends()
        age.read_last()


def _is_whole(file: RangeFile, end: int, tail: Tail, identities: Sequence[Identity]) -> bool:
    """Say whether the last chunk ends there; the header does not matter to who knows the key."""
    try:
        _read_ends(file, end, tail, identities, header=False)
    except (Damaged, NotForUsError):
        return False
    return True


def _header(file: RangeFile, tail: Tail, identities: Sequence[Identity]) -> tuple[int | None, bytes]:
    """Return where the payload begins, if the header is the index's own, and else the key of the file it belongs to."""
    try:
        with AgeReader(End(file, file.size()), identities, truncated=True) as age:
            found = age.file_key
    except (Damaged, NotForUsError):
        found = b""
    head = parse_end(file.pread(MAX_HEADER_BYTES, 0), file.name)
    if head is None:
        return None, b""
    if not tail.file_key:  # nothing but its length and its last chunk says whose it is
        return (head.length + NONCE, b"") if found else (None, b"")
    try:
        head.check(tail.file_key)
    except Damaged:
        return None, b"" if found == tail.file_key else found
    if file.pread(NONCE, head.length) != (tail.nonce or file.pread(NONCE, head.length)):
        return None, b""
    return head.length + NONCE, b""
