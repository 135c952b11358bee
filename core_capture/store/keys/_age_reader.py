"""age v1, read at random.

1. Nothing that failed authentication is ever returned; `find_end` shows it to who measures it.
2. A file's size is trusted only once its end is: its last chunk was decrypted, or its last tag is the expected one.
3. A reader holds no position: it may be used from several threads.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.core_capture.store.keys._age_format import (
    CHUNK,
    NONCE,
    SEALED_CHUNK,
    TAG,
    AgeHeader,
    Tail,
    chunk_nonce,
    payload_id,
    read_header,
    sealed_size,
)
from kubeshark.core_capture.store.keys._age_header import derive, parse_end
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Changed, RangeFile
from kubeshark.core_capture.store.places._local import LocalFile
from kubeshark.errors import Damaged, StoreError

__all__ = ["USUAL_HEADER_BYTES", "AgeReader"]

_WINDOW = 32 << 20  # bytes asked for in parallel
USUAL_HEADER_BYTES = 4096  # some thirty recipients


class AgeReader:
    """Random access to the plaintext of one age file.

    `tail` says how the file must end; without it the last chunk is decrypted to learn that. With `truncated` a file cut
    anywhere behind its header is read up to its last complete chunk. Closes `file`. Raise FileNotFoundError,
    NotForUsError or Damaged.
    """

    def __init__(
        self,
        file: RangeFile | Path,
        identities: Sequence[Identity],
        *,
        tail: Tail | None = None,
        truncated: bool = False,
        file_key: bytes = b"",
    ) -> None:
        self.name = file.name
        self.file_key = file_key  # of this one file: whoever has it needs no identity
        self.chunks_read = 0  # chunks decrypted so far
        self._head = b""  # what came with the header: a small file is read once
        self._file: RangeFile = LocalFile(file) if isinstance(file, Path) else file
        self._identities, self._tail, self._truncated = identities, tail, truncated
        self._is_checked = True  # header and end were looked at
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        tail, truncated = self._tail, self._truncated
        if tail is not None and tail.nonce and tail.file_key:
            self._take_on_trust(tail)
            return
        header = self._header(self._identities, tail)
        self._base = header.length + NONCE
        nonce = self._pread(NONCE, header.length)
        stored = self._file.size() - self._base
        self._stored_end = self._base + stored
        if len(nonce) < NONCE or (stored < TAG and not truncated):
            raise Damaged("cut inside its header", file=self.name, offset=header.length)
        self.file_key = header.file_key
        self._nonce_of_payload = nonce
        self._cipher = ChaCha20Poly1305(derive(header.file_key, nonce, b"payload"))
        self.payload_id = payload_id(header.file_key, nonce)
        self._count = -(-stored // SEALED_CHUNK)
        self._last_chunk = b""  # kept once it was decrypted to learn the size
        self._closed_end = True  # the last chunk carries the mark of a complete file
        self.size = stored - self._count * TAG
        if truncated:
            self._keep_whole_chunks(stored)
        elif tail is not None:
            self._check_tail(tail)
        else:
            self._check_last()

    @property
    def is_cut(self) -> bool:
        """The file ends before its end; only one opened with `truncated` may."""
        return not self._closed_end

    @property
    def version(self) -> str:
        """The file's, as `Backend.replace` takes it."""
        return self._file.version

    def _take_on_trust(self, tail: Tail) -> None:
        """Begin without reading: key, nonce and size say where each chunk lies, and each proves itself.

        Opening a file costs as much as decrypting 100 KB otherwise.
        """
        self._count = max(-(-tail.size // CHUNK), 1)
        self.size = tail.size
        self._stored_end = self._file.size()
        self._base = self._stored_end - tail.size - self._count * TAG
        if self._base <= NONCE:
            raise Damaged(f"is too small for the {tail.size:,} bytes its index names", file=self.name)
        self._cipher = ChaCha20Poly1305(derive(tail.file_key, tail.nonce, b"payload"))
        self.payload_id = payload_id(tail.file_key, tail.nonce)
        self._last_chunk = b""
        self._closed_end = True
        self._is_checked = False

    def check_ends(self) -> None:
        """Look at header and last tag, if opening did not; raise Damaged."""
        tail = self._tail
        if self._is_checked or tail is None:
            return
        header = self._header(self._identities, tail)
        if header.length + NONCE != self._base or self._pread(NONCE, header.length) != tail.nonce:
            raise Damaged("its header is not the one it was written with", file=self.name, offset=header.length)
        self._check_tail(tail)
        self._is_checked = True

    def _header(self, identities: Sequence[Identity], tail: Tail | None) -> AgeHeader:
        known = (tail.file_key if tail is not None else b"") or self.file_key
        if known:  # no need to unwrap it: that is most of the cost of opening a file
            self._head = self._pread(USUAL_HEADER_BYTES, 0)
            found = parse_end(self._head, self.name)
            if found is not None:
                found.check(known)
                return AgeHeader(known, found.length)
        self._head = self._pread(MAX_HEADER_BYTES, 0)
        return read_header(self._head, identities, self.name)

    def _check_tail(self, tail: Tail) -> None:
        if self.size != tail.size:
            raise Damaged(f"holds {self.size:,} bytes, its index says {tail.size:,}", file=self.name)
        at = self._base + self.size + self._count * TAG - TAG
        if not hmac.compare_digest(self._pread(TAG, at), tail.tag):
            raise Damaged("is not the file its index was written for", file=self.name, offset=at)

    def _check_last(self) -> None:
        last = self.read((self._count - 1) * CHUNK, CHUNK)
        if not last and self._count > 1:
            raise Damaged(
                "ends with an empty chunk", file=self.name, offset=self._base + (self._count - 1) * SEALED_CHUNK
            )
        self._last_chunk = last

    def _keep_whole_chunks(self, stored: int) -> None:
        try:
            if self._count:
                self._check_last()
                return
        except Damaged:
            pass  # what is left of a cut chunk does not authenticate: drop it
        self._closed_end = False
        self._count = max(0, stored) // SEALED_CHUNK
        self.size = self._count * CHUNK

    def read(self, offset: int, length: int) -> bytes:
        """Return plaintext [offset, offset + length), clipped to the file's end; decrypts only the chunks it touches.

        Raise Damaged, naming the file offset, for a chunk that does not authenticate.
        """
        return bytes(self.view(offset, length))

    def view(self, offset: int, length: int) -> memoryview:
        """Return what `read` does, without the copy that makes it bytes."""
        end = min(offset + length, self._count * CHUNK)
        if offset < 0 or end <= offset:
            return memoryview(b"")
        first, stop = offset // CHUNK, -(-end // CHUNK)
        if first == self._count - 1 and self._last_chunk:
            return memoryview(self._last_chunk)[offset - first * CHUNK : end - first * CHUNK]
        try:
            sealed = self._chunks(first, stop)
        except Changed:  # it has another header now, and the same chunks behind it
            self._file.renew()
            self._head = b""
            self._open()
            sealed = self._chunks(first, stop)
        return self._plain(memoryview(sealed), offset, end)

    def _chunks(self, first: int, stop: int) -> bytes:
        start = self._base + first * SEALED_CHUNK
        return self._pread(min((stop - first) * SEALED_CHUNK, self._stored_end - start), start)

    def read_last(self) -> bytes:
        """Return the plaintext of the last chunk."""
        return self.read((self._count - 1) * CHUNK, CHUNK)

    def views(self, ranges: Sequence[tuple[int, int]]) -> Iterator[memoryview]:
        """Yield what `view` returns for each of these (offset, length), ascending; from afar many at once."""
        if not self._file.is_remote:
            yield from (self.view(offset, length) for offset, length in ranges)
            return
        at = 0
        while at < len(ranges):
            window, size = at, 0
            while window < len(ranges) and (window == at or size + ranges[window][1] <= _WINDOW):
                size += ranges[window][1]
                window += 1
            yield from self._view_window(ranges[at:window])
            at = window

    def _view_window(self, ranges: Sequence[tuple[int, int]]) -> Iterator[memoryview]:
        asked = []
        for offset, length in ranges:
            first, stop = offset // CHUNK, -(-(offset + length) // CHUNK)
            start = self._base + first * SEALED_CHUNK
            asked.append((min((stop - first) * SEALED_CHUNK, self._stored_end - start), start))
        try:
            found = self._file.preads(asked)
        except Changed:
            yield from (self.view(offset, length) for offset, length in ranges)
            return
        for (offset, length), sealed in zip(ranges, found, strict=True):
            yield self._plain(memoryview(sealed), offset, min(offset + length, self._count * CHUNK))

    def _plain(self, sealed: memoryview, offset: int, end: int) -> memoryview:
        """Decrypt whole chunks, and return plaintext [offset, end) of them."""
        first, stop = offset // CHUNK, -(-end // CHUNK)
        if stop - first == 1:
            return memoryview(self._unseal(sealed, first))[offset - first * CHUNK : end - first * CHUNK]
        plain = np.empty(max(len(sealed) - (stop - first) * TAG, 0), dtype=np.uint8).data  # not zeroed
        for at in range(stop - first):
            chunk = sealed[at * SEALED_CHUNK : (at + 1) * SEALED_CHUNK]
            self._unseal_into(chunk, first + at, plain[at * CHUNK : (at + 1) * CHUNK])
        return plain.toreadonly()[offset - first * CHUNK : end - first * CHUNK]

    def damaged(self) -> list[tuple[int, int]]:
        """Read everything; return (file offset, bytes) of each stretch that does not authenticate, to the file's end.

        For a reader opened with `truncated`: one that is cut where a chunk ends has a last stretch of no bytes.
        """
        found: list[tuple[int, int]] = []
        for chunk in range(self._count):
            at = self._base + chunk * SEALED_CHUNK
            try:
                self.read(chunk * CHUNK, CHUNK)
            except Damaged:
                start = found.pop()[0] if found and sum(found[-1]) == at else at
                found.append((start, at + SEALED_CHUNK - start))
        if not self._closed_end:
            at = self._base + self._count * SEALED_CHUNK
            start = found.pop()[0] if found and sum(found[-1]) == at else at
            found.append((start, max(self._file.size(), at) - start))
        return found

    def find_end(self, measure: Callable[[bytes], int | None]) -> int:
        """Find where a file that is cut, as it seems, ended before something was appended; return the bytes behind it.

        `measure` says how much plaintext there should be, from bytes that nothing vouches for yet: only that number is
        used of them, and the last chunk, ended there, proves it. 0: there is no such end, and nothing changed.
        """
        chunks = list[bytes]()
        with suppress(Damaged):
            for chunk in range(self._count):
                chunks.append(self.read(chunk * CHUNK, CHUNK))
        sealed = self._pread(SEALED_CHUNK, self._base + len(chunks) * SEALED_CHUNK)
        size = measure(b"".join(chunks) + self._unproven(sealed, len(chunks)))
        last = (size or 0) - len(chunks) * CHUNK
        if size is None or not 0 <= last <= min(CHUNK, len(sealed) - TAG):
            return 0
        try:
            plain = self._cipher.decrypt(chunk_nonce(len(chunks), last=True), sealed[: last + TAG], None)
        except InvalidTag:
            return 0
        self._count, self.size = len(chunks) + 1, size
        self._last_chunk, self._closed_end = plain, True
        self._stored_end = self._base + sealed_size(size)
        return self._file.size() - self._stored_end

    def _unproven(self, sealed: bytes, chunk: int) -> bytes:
        """Decrypt a chunk of which it is not known where it ends, as if it were the last: ChaCha20 of RFC 8439 §2.8."""
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

        key = derive(self.file_key, self._nonce_of_payload, b"payload")
        counter = (1).to_bytes(4, "little")  # 0 makes the key of the tag
        return Cipher(ChaCha20(key, counter + chunk_nonce(chunk, last=True)), mode=None).decryptor().update(sealed)

    def _pread(self, length: int, offset: int) -> bytes:
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        try:
            return self._file.pread(length, offset)
        except FileNotFoundError:
            raise  # an object that was deleted since it was listed
        except OSError as error:
            raise StoreError(f"cannot read {self.name}: {error.strerror}") from error

    def _unseal(self, sealed: memoryview, chunk: int) -> bytes:
        self.chunks_read += 1
        try:
            return self._cipher.decrypt(self._nonce(chunk), sealed, None)
        except (InvalidTag, ValueError) as error:
            raise self._failed(chunk) from error

    def _unseal_into(self, sealed: memoryview, chunk: int, into: memoryview) -> None:
        self.chunks_read += 1
        try:
            self._cipher.decrypt_into(self._nonce(chunk), sealed, None, into)
        except (InvalidTag, ValueError) as error:
            raise self._failed(chunk) from error

    def _nonce(self, chunk: int) -> bytes:
        return chunk_nonce(chunk, last=self._closed_end and chunk == self._count - 1)

    def _failed(self, chunk: int) -> Damaged:
        self.check_ends()  # a file that is cut, or another one, says so
        at = self._base + chunk * SEALED_CHUNK
        return Damaged("a chunk fails its authentication", file=self.name, offset=at)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
