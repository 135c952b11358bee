"""Bytes of a capture file, whatever it is wrapped in: plain, gzip or zstd, from a path, a pipe or an open file.

1. Nothing is sought: a pipe works like a file.
2. Memory is bounded whatever the input claims: compressed bytes are fed in pieces small enough that even the densest
   bomb unpacks to tens of MiB, and what is unpacked waits until it is asked for.
3. What could be read is returned before the error about the rest is raised.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Protocol, runtime_checkable

import zstandard

from kubeshark.errors import InputError, Malformed, Truncated

__all__ = ["ByteStream", "open_stream", "read_exactly"]

GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_PIECE = 16 << 10  # deflate unpacks at most 1,032-fold: 16 MiB
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_PIECE = 1 << 10  # a 4-byte block may stand for 128 KiB (RFC 8878 §3.1.1.2): 32 MiB
ZSTD_MAX_WINDOW = 128 << 20  # what `zstd -d` takes without --long
MAGIC_BYTES = 4


class ByteStream(Protocol):
    """A source of bytes: `read` gives `size` bytes, fewer only before the end or damage, b"" at the end.

    One that was opened `eager` gives what is there, at least a byte: a capture that is still being made.

    Damage raises InputError, once everything before it was given out.
    """

    @property
    def bytes_read(self) -> int: ...  # of the source as stored
    def read(self, size: int) -> bytes: ...
    def readinto(self, into: memoryview) -> int: ...  # as `read`; returns how many bytes came


class _Decoder(Protocol):
    """What zlib's and zstandard's decompression objects share."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@runtime_checkable
class _Copyable(Protocol):
    """A decoder that can be kept as it was (zlib's); zstd's pieces are so small that little is lost."""

    def copy(self) -> _Decoder: ...


def read_exactly(stream: ByteStream, size: int) -> bytes:
    """Return `size` bytes also of an eager stream; fewer only at the end."""
    data = stream.read(size)
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def open_stream(raw: BinaryIO, name: str, *, eager: bool = False) -> ByteStream:
    """Return the decompressed bytes of `raw`; gzip and zstd are known by their first bytes, not by name.

    To be read `eager`, it needs `read1`, as buffered files have it.
    """
    plain = _Plain(raw, name, eager)
    magic = read_exactly(plain, MAGIC_BYTES)
    plain.push_back(magic)
    if magic.startswith(GZIP_MAGIC):
        return _Unpacked(plain, name, "gzip", _gzip_decoder, GZIP_PIECE, eager)
    if magic == ZSTD_MAGIC or _is_skippable(magic):
        return _Unpacked(plain, name, "zstd", _zstd_decoder, ZSTD_PIECE, eager)
    return plain


class _Plain:
    """The source as it is stored."""

    def __init__(self, raw: BinaryIO, name: str, eager: bool) -> None:
        self.bytes_read = 0
        self._read: Callable[[int], bytes] = raw.read1 if eager else raw.read  # type: ignore[attr-defined]  # asked of callers
        self._readinto: Callable[[memoryview], int | None] | None = None if eager else getattr(raw, "readinto", None)
        self._eager = eager
        self._name = name
        self._pushed = b""

    def push_back(self, data: bytes) -> None:
        """Give `data`, just read, out once more."""
        self._pushed = data
        self.bytes_read -= len(data)

    def read(self, size: int) -> bytes:
        pieces = [self._pushed[:size]] if self._pushed else []  # of one piece, join makes no copy
        self._pushed = self._pushed[size:]
        missing = size - sum(map(len, pieces))
        while missing and not (self._eager and missing < size):  # a pipe gives less than was asked for
            try:
                piece = self._read(missing)
            except OSError as error:
                raise self._unreadable(error) from error
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        self.bytes_read += size - missing
        return b"".join(pieces)

    def readinto(self, into: memoryview) -> int:
        if self._pushed or self._readinto is None:
            return _copy(self, into)
        at = 0
        while at < len(into):
            try:
                came = self._readinto(into[at:])
            except OSError as error:
                raise self._unreadable(error) from error
            if not came:
                break
            at += came
        self.bytes_read += at
        return at

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"cannot be read: {error.strerror or error}", file=self._name)


class _Unpacked:
    """Consecutive gzip members or zstd frames, unpacked as they are asked for."""

    def __init__(
        self, plain: _Plain, name: str, kind: str, decoder: Callable[[], _Decoder], piece: int, eager: bool
    ) -> None:
        self._eager = eager
        self._plain = plain
        self._name = name
        self._kind = kind
        self._new_decoder = decoder
        self._piece = piece
        self._decoder: _Decoder | None = None
        self._input = b""
        self._output = bytearray()
        self._failure: InputError | None = None
        self._ended = False

    @property
    def bytes_read(self) -> int:
        return self._plain.bytes_read

    def read(self, size: int) -> bytes:
        while len(self._output) < (1 if self._eager else size) and not self._ended:
            self._advance()
        if not self._output and self._failure is not None:
            raise self._failure
        data = bytes(self._output[:size])
        del self._output[:size]
        return data

    def readinto(self, into: memoryview) -> int:
        return _copy(self, into)

    def _advance(self) -> None:
        data = self._input or self._plain.read(self._piece)
        self._input = b""
        if not data:
            self._ended = True
            if self._decoder is not None:
                self._failure = Truncated(f"the {self._kind} data ends early", file=self._name)
            return
        decoder = self._decoder or self._new_decoder()
        before = decoder.copy() if isinstance(decoder, _Copyable) else None
        try:
            self._output += decoder.decompress(data)
        except (zlib.error, zstandard.ZstdError) as error:
            self._ended = True
            self._output += _salvage(before, data)
            self._failure = Malformed(f"the {self._kind} data is damaged ({error})", file=self._name)
            return
        # The zeros: tape and block devices pad gzip files with them, and neither format starts with one.
        self._input = decoder.unused_data.lstrip(b"\0")
        self._decoder = None if decoder.eof else decoder


def _copy(stream: ByteStream, into: memoryview) -> int:
    data = stream.read(len(into))
    into[: len(data)] = data
    return len(data)


def _salvage(decoder: _Decoder | None, data: bytes) -> bytes:
    """Unpack damaged `data` byte by byte, up to the damage; often that is only the checksum at the end."""
    good = bytearray()
    if decoder is not None:
        with suppress(zlib.error):
            for at in range(len(data)):
                good += decoder.decompress(data[at : at + 1])
    return bytes(good)


def _gzip_decoder() -> _Decoder:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def _zstd_decoder() -> _Decoder:
    return zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW).decompressobj()


def _is_skippable(magic: bytes) -> bool:
    """Say whether a zstd skippable frame starts here (RFC 8878 §3.1.2)."""
    return len(magic) == MAGIC_BYTES and magic[0] & 0xF0 == 0x50 and magic[1:] == b"\x2a\x4d\x18"
