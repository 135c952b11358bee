"""age v1, written: a stream is encrypted chunk by chunk, a header is replaced, a torn end is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Protocol

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.core_capture.store.keys._age_format import (
    CHUNK,
    NONCE,
    SEALED_CHUNK,
    TAG,
    Tail,
    chunk_nonce,
    make_header,
    payload_id,
    read_header,
    sealed_size,
)
from kubeshark.core_capture.store.keys._age_header import derive
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.places._backend import RangeFile
from kubeshark.core_capture.store.places._local import LocalFile

__all__ = ["AgeWriter", "Lend", "Sink", "mend", "rewrap"]

_ROOM_CHUNKS = 8  # encrypted before they are written: half a MiB stays in the processor's cache
_COPIED = 1 << 20  # bytes at once


class Sink(Protocol):
    """What takes bytes, all that it is given."""

    def write(self, data: memoryview, /) -> object: ...


Lend = Callable[[int], memoryview]
"""Memory for so many bytes, or fewer but a chunk: what is written next was put there, and is not copied again."""


class AgeWriter:
    """Encrypts what is written to `out`; `finish` writes the last chunk. Does not close or sync `out`.

    Whole chunks are encrypted from where they lie to where `lend` says: only what does not fill one is copied.
    """

    def __init__(self, out: Sink, recipients: Sequence[Recipient], *, lend: Lend | None = None) -> None:
        self._file_key = file_key = os.urandom(16)
        self._nonce = nonce = os.urandom(NONCE)
        out.write(memoryview(make_header(file_key, recipients) + nonce))
        self._out = out
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self.payload_id = payload_id(file_key, nonce)
        self._pending = memoryview(bytearray(CHUNK))  # what does not fill a chunk yet
        self._waiting = 0  # bytes of it
        self._own = bytearray()  # where nobody lends
        self._lend = lend  # no method of ours: the cycle would keep the file key in memory
        self._chunks = 0
        self.size = 0  # plaintext bytes so far

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; what does not fill a chunk waits for more."""
        self.size += len(data)
        # At least one byte stays behind, because only the last chunk may be short, and it is marked.
        whole = (self._waiting + len(data) - 1) // CHUNK
        with memoryview(data) as view:
            at, stop = 0, self._chunks + whole
            while self._chunks < stop:
                at = self._write_chunks(view, at, min(stop - self._chunks, _ROOM_CHUNKS))
            left = len(view) - at
            self._pending[self._waiting : self._waiting + left] = view[at:]
            self._waiting += left

    def _write_chunks(self, view: memoryview, at: int, count: int) -> int:
        """Encrypt at most so many chunks and write them; return where in `view` they end. One takes 20 µs."""
        room = (self._lend or self._lend_own)(count * SEALED_CHUNK)
        encrypt, used, first = self._cipher.encrypt_into, 0, self._chunks
        for number in range(first, first + min(count, len(room) // SEALED_CHUNK)):
            into = room[used : used + SEALED_CHUNK]
            if self._waiting:
                stop = at + CHUNK - self._waiting
                self._pending[self._waiting :] = view[at:stop]
                self._waiting = 0
                encrypt(chunk_nonce(number, last=False), self._pending, None, into)
            else:
                stop = at + CHUNK
                encrypt(chunk_nonce(number, last=False), view[at:stop], None, into)
            at = stop
            used += SEALED_CHUNK
            self._chunks += 1
        self._out.write(room[:used])
        return at

    def finish(self) -> Tail:
        """Write the last chunk and return how the file ends."""
        sealed = self._cipher.encrypt(chunk_nonce(self._chunks, last=True), self._pending[: self._waiting], None)
        self._out.write(memoryview(sealed))
        self._waiting = 0
        return Tail(self.size, sealed[-TAG:], self._file_key, self._nonce)

    def _lend_own(self, size: int) -> memoryview:
        if size > len(self._own):
            self._own = bytearray(size)
        return memoryview(self._own)[:size]


def rewrap(
    source: RangeFile | Path, out: BinaryIO, identities: Sequence[Identity], recipients: Sequence[Recipient]
) -> bytes:
    """Copy an age file to `out` with a header for other recipients, and return that header.

    The payload stays as it is, still encrypted.
    Whoever had the file key keeps it: this changes who can open the copy, it revokes nobody.
    """
    with closing(LocalFile(source) if isinstance(source, Path) else source) as file:
        header = read_header(file.pread(MAX_HEADER_BYTES, 0), identities, source.name)
        made = make_header(header.file_key, recipients)
        out.write(made)
        at = header.length
        while piece := file.pread(_COPIED, at):
            out.write(piece)
            at += len(piece)
    return made


def mend(source: RangeFile, out: BinaryIO, tail: Tail, end: int, recipients: Sequence[Recipient]) -> None:
    """Copy a file whose payload ends at `end` with a new header, made with the key and nonce that `tail` knows."""
    out.write(make_header(tail.file_key, recipients) + tail.nonce)
    at = end - sealed_size(tail.size)
    while piece := source.pread(min(_COPIED, end - at), at):
        out.write(piece)
        at += len(piece)
