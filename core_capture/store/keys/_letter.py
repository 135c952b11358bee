"""A few bytes for one reader, as an age file in memory: what goes through others' hands between our own processes."""

from __future__ import annotations

import io
from collections.abc import Sequence

from kubeshark.core_capture.store.keys._age_reader import AgeReader
from kubeshark.core_capture.store.keys._age_writer import AgeWriter
from kubeshark.core_capture.store.keys._identity import Identity, Recipient

__all__ = ["open_letter", "write_letter"]


def write_letter(content: bytes, recipient: Recipient) -> bytes:
    """Encrypt it. 0.1 ms, and 0.8 ns a byte."""
    out = io.BytesIO()
    writer = AgeWriter(out, [recipient])
    writer.write(content)
    writer.finish()
    return out.getvalue()


def open_letter(sealed: bytes, identity: Identity) -> bytes:
    """Return the content; raise NotForUsError, or Damaged if one byte of it is another."""
    with AgeReader(_Held(sealed), [identity]) as age:
        return age.read(0, age.size)


class _Held:
    """A file that is in memory."""

    name = "a letter"
    version = ""
    is_remote = False

    def __init__(self, content: bytes) -> None:
        self._content = content

    def size(self) -> int:
        return len(self._content)

    def pread(self, length: int, offset: int) -> bytes:
        return self._content[offset : offset + length]

    def preads(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.pread(length, offset) for length, offset in ranges]

    def renew(self) -> None:
        """It stays what it is."""

    def close(self) -> None:
        """Nothing is open."""
