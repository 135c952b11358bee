"""age v1 with X25519 recipients (https://age-encryption.org/v1): a streaming writer and a random-access reader.

1. Nothing that failed authentication is ever returned; `find_end` shows it to who measures it.
2. A file's size is trusted only once its end is: its last chunk was decrypted, or its last tag is the expected one.
3. A reader holds no position: it may be used from several threads.

Other recipient types (scrypt, plugins) are skipped while looking for one of ours, as the specification asks.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Struct

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.core_capture.store.keys._age_header import (
    Header,
    Stanza,
    decode64,
    derive,
    encode64,
    format_header,
    parse_end,
    parse_header,
)
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.places._backend import Changed, RangeFile
from kubeshark.core_capture.store.places._local import LocalFile
from kubeshark.errors import Damaged, StoreError

__all__ = [
    "CHUNK",
    "NONCE",
    "SEALED_CHUNK",
    "TAG",
    "AgeReader",
    "AgeWriter",
    "Lend",
    "NotForUsError",
    "Sink",
    "Tail",
    "mend",
    "rewrap",
    "sealed_size",
]

CHUNK = 1 << 16  # plaintext bytes of every chunk but the last
TAG = 16
SEALED_CHUNK = CHUNK + TAG  # as it lies in the file
NONCE = 16
_X25519 = b"age-encryption.org/v1/X25519"
_ZERO_NONCE = bytes(12)
_ROOM_CHUNKS = 8  # encrypted before they are written: half a MiB stays in the processor's cache
_COPIED = 1 << 20  # bytes at once
_WINDOW = 32 << 20  # bytes asked for in parallel
USUAL_HEADER_BYTES = 4096  # some thirty recipients


class NotForUsError(StoreError):
    """None of the identities opens `file`."""

    def __init__(self, file: str) -> None:
        self.file = file
        super().__init__(f"{file} is encrypted to other recipients")


@dataclass(frozen=True, slots=True)
class Tail:
    """What is known of an age file from elsewhere: its plaintext's size, its last tag, and maybe its file key."""

    size: int
    tag: bytes
    file_key: bytes = field(default=b"", repr=False)
    nonce: bytes = b""  # of the payload


class _Header(Struct, frozen=True):
    file_key: bytes
    length: int  # bytes up to and including the MAC line


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
        out.write(memoryview(_make_header(file_key, recipients) + nonce))
        self._out = out
        self._cipher = ChaCha20Poly1305(derive(file_key, nonce, b"payload"))
        self.payload_id = _payload_id(file_key, nonce)
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
                encrypt(_chunk_nonce(number, last=False), self._pending, None, into)
            else:
                stop = at + CHUNK
                encrypt(_chunk_nonce(number, last=False), view[at:stop], None, into)
            at = stop
            used += SEALED_CHUNK
            self._chunks += 1
        self._out.write(room[:used])
        return at

    def finish(self) -> Tail:
        """Write the last chunk and return how the file ends."""
        sealed = self._cipher.encrypt(_chunk_nonce(self._chunks, last=True), self._pending[: self._waiting], None)
        self._out.write(memoryview(sealed))
        self._waiting = 0
        return Tail(self.size, sealed[-TAG:], self._file_key, self._nonce)

    def _lend_own(self, size: int) -> memoryview:
        if size > len(self._own):
            self._own = bytearray(size)
        return memoryview(self._own)[:size]


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
        self.payload_id = _payload_id(header.file_key, nonce)
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
        self.payload_id = _payload_id(tail.file_key, tail.nonce)
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

    def _header(self, identities: Sequence[Identity], tail: Tail | None) -> _Header:
        known = (tail.file_key if tail is not None else b"") or self.file_key
        if known:  # no need to unwrap it: that is most of the cost of opening a file
            self._head = self._pread(USUAL_HEADER_BYTES, 0)
            found = parse_end(self._head, self.name)
            if found is not None:
                found.check(known)
                return _Header(known, found.length)
        self._head = self._pread(MAX_HEADER_BYTES, 0)
        return _read_header(self._head, identities, self.name)

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
            plain = self._cipher.decrypt(_chunk_nonce(len(chunks), last=True), sealed[: last + TAG], None)
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
        return Cipher(ChaCha20(key, counter + _chunk_nonce(chunk, last=True)), mode=None).decryptor().update(sealed)

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
        return _chunk_nonce(chunk, last=self._closed_end and chunk == self._count - 1)

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


def rewrap(
    source: RangeFile | Path, out: BinaryIO, identities: Sequence[Identity], recipients: Sequence[Recipient]
) -> bytes:
    """Copy an age file to `out` with a header for other recipients, and return that header.

    The payload stays as it is, still encrypted.
    Whoever had the file key keeps it: this changes who can open the copy, it revokes nobody.
    """
    with closing(LocalFile(source) if isinstance(source, Path) else source) as file:
        header = _read_header(file.pread(MAX_HEADER_BYTES, 0), identities, source.name)
        made = _make_header(header.file_key, recipients)
        out.write(made)
        at = header.length
        while piece := file.pread(_COPIED, at):
            out.write(piece)
            at += len(piece)
    return made


def mend(source: RangeFile, out: BinaryIO, tail: Tail, end: int, recipients: Sequence[Recipient]) -> None:
    """Copy a file whose payload ends at `end` with a new header, made with the key and nonce that `tail` knows."""
    out.write(_make_header(tail.file_key, recipients) + tail.nonce)
    at = end - sealed_size(tail.size)
    while piece := source.pread(min(_COPIED, end - at), at):
        out.write(piece)
        at += len(piece)


def sealed_size(size: int) -> int:
    """Return the bytes of a payload of so many plaintext bytes."""
    return size + max(-(-size // CHUNK), 1) * TAG


def _make_header(file_key: bytes, recipients: Sequence[Recipient]) -> bytes:
    if not recipients:
        raise StoreError("nothing can be encrypted without a recipient", hint="run kubeshark keys new")
    return format_header(file_key, (_wrap(file_key, recipient) for recipient in recipients))


def _wrap(file_key: bytes, recipient: Recipient) -> Stanza:
    ephemeral = X25519PrivateKey.generate()
    share = ephemeral.public_key().public_bytes_raw()
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient.public))
    cipher = ChaCha20Poly1305(derive(secret, share + recipient.public, _X25519))
    return Stanza((b"X25519", encode64(share)), cipher.encrypt(_ZERO_NONCE, file_key, None))


def _read_header(data: bytes, identities: Sequence[Identity], name: str) -> _Header:
    """Parse and authenticate a header; `data` is the file's beginning, at least the header if it is one."""
    header = parse_header(data, name)
    file_key = _find_file_key(header, identities)
    header.check(file_key)
    return _Header(file_key, header.length)


def _find_file_key(header: Header, identities: Sequence[Identity]) -> bytes:
    for stanza in header.stanzas:
        if stanza.arguments[0] != b"X25519":
            continue
        share = decode64(stanza.arguments[1]) if len(stanza.arguments) == 2 else None
        if share is None or len(share) != 32 or len(stanza.body) != 32:
            raise Damaged("its header has a malformed X25519 recipient", file=header.name)
        for identity in identities:
            file_key = _unwrap(share, stanza.body, identity)
            if file_key is not None:
                return file_key
    raise NotForUsError(header.name)


def _unwrap(share: bytes, body: bytes, identity: Identity) -> bytes | None:
    try:
        secret = identity.key.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = ChaCha20Poly1305(derive(secret, share + identity.recipient.public, _X25519))
        return wrap.decrypt(_ZERO_NONCE, body, None)
    except (InvalidTag, ValueError):  # ValueError: a share of low order, which yields a secret of zeros
        return None


def _payload_id(file_key: bytes, nonce: bytes) -> str:
    """Name a payload for who opened it (hex): only who has its file key can make another of this name."""
    return derive(file_key, nonce, b"kubeshark payload").hex()


def _chunk_nonce(chunk: int, *, last: bool) -> bytes:
    return chunk.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
