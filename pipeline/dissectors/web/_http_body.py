"""Bodies made readable: transfer and content codings undone within limits, text told from bytes.

A body is never worth more memory than BODY_LIMIT: what a decompression bomb would give beyond it is not produced.
"""

from __future__ import annotations

import base64
import codecs
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import zstandard

from kubeshark.pipeline.tables._objects import native

__all__ = ["BODY_LIMIT", "ENCODED_LIMIT", "Body", "decode_body", "text_or_base64"]

BODY_LIMIT = 1 << 20
"""Bytes of a decoded body that are kept; the rest is cut and marked."""
ENCODED_LIMIT = BODY_LIMIT + 1
"""Bytes taken from the wire: coded is rarely longer than decoded, and one more shows that something was cut."""
MAX_CODINGS = 4
"""Content-Encoding may list several; nobody nests more, except to make us work."""
PIECE = 16 << 10
MAX_WINDOW = 8 << 20  # RFC 9659: a zstd decoder for HTTP supports 8 MB windows


class _Damaged(ValueError):
    """Bytes that are not what their coding promises."""


class Body(NamedTuple):
    """A decoded body."""

    data: bytes
    truncated: bool = False  # more than BODY_LIMIT was there
    comment: str = ""  # why it is not what the headers promise

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def decode_body(data: bytes, codings: str) -> Body:
    """Undo the content codings (comma-separated, in the order they were applied: RFC 9110 §8.4)."""
    if not codings:
        return _cut(data)
    names = [name.strip().lower() for name in codings.split(",") if name.strip()]
    if len(names) > MAX_CODINGS:
        return _cut(data, f"{len(names)} content codings: not undone")
    for name in reversed(names):
        decoder = _DECODERS.get(name)
        if decoder is None:
            return _cut(data, f"content coding {name!r} is not undone")
        try:
            data = decoder(data)
        except (zlib.error, zstandard.ZstdError, _Damaged) as error:
            return _cut(data, f"content coding {name!r} is damaged: {error}")
    return _cut(data)


def _cut(data: bytes, comment: str = "") -> Body:
    return Body(data[:BODY_LIMIT], len(data) > BODY_LIMIT, comment)


def _same(data: bytes) -> bytes:
    return data


def _gunzip(data: bytes) -> bytes:
    """Undo gzip, member after member; what follows the last one is ignored, as gzip does."""
    result, rest = _inflate(31, data)
    while rest.startswith(b"\x1f\x8b") and len(result) <= BODY_LIMIT:
        member, rest = _inflate(31, rest)
        result += member
    return result


def _deflate(data: bytes) -> bytes:
    """Undo "deflate": zlib by RFC 9110 §8.4.1.2, but many servers send it raw."""
    try:
        return _inflate(15, data)[0]
    except zlib.error:
        return _inflate(-15, data)[0]


def _inflate(window_bits: int, data: bytes) -> tuple[bytes, bytes]:
    """Return at most BODY_LIMIT + 1 decompressed bytes and what follows the stream.

    Damage (a gap) behind good data keeps the good data: hence piece by piece. Raise zlib.error if there is none.
    """
    decoder, result = zlib.decompressobj(window_bits), bytearray()
    for start in range(0, len(data), PIECE):
        try:
            piece = decoder.unconsumed_tail + data[start : start + PIECE]
            result += decoder.decompress(piece, BODY_LIMIT + 1 - len(result))
        except zlib.error:
            if not result:
                raise
            break
        if decoder.eof:
            return bytes(result), decoder.unused_data + data[start + PIECE :]
        if len(result) > BODY_LIMIT:
            break
    return bytes(result), b""


def _unzstd(data: bytes) -> bytes:
    """Undo zstd, frame after frame; damage behind good data keeps the good data."""
    result = bytearray()
    with zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(data, read_across_frames=True) as reader:
        try:
            while len(result) <= BODY_LIMIT and (piece := reader.read(PIECE)):
                result += piece
        except zstandard.ZstdError:
            if not result:
                raise
    return bytes(result)


def _unbrotli(data: bytes) -> bytes:
    """Undo Brotli (RFC 7932); damage behind good data keeps the good data."""
    import brotli  # few bodies need it

    decoder, result = brotli.Decompressor(), bytearray()
    try:
        for start in range(0, len(data), PIECE):
            result += decoder.process(data[start : start + PIECE], output_buffer_limit=PIECE)
            while not decoder.can_accept_more_data() and len(result) <= BODY_LIMIT:
                result += decoder.process(b"", output_buffer_limit=PIECE)
            if decoder.is_finished() or len(result) > BODY_LIMIT:
                break
    except brotli.error as error:
        if not result:
            raise _Damaged(str(error)) from error
    if data and not result and not decoder.is_finished():
        raise _Damaged("it ends early")
    return bytes(result)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": _same,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}


def text_or_base64(data: bytes, *, is_cut: bool = False) -> tuple[str, str]:
    """Return (text, ""), or (base64, "base64") for what is not UTF-8 text.

    Of data that is cut a character that is cut at its end is left out.
    """
    if data.find(0) < 0:
        try:
            return data.decode(), ""
        except UnicodeDecodeError:
            pass
        if is_cut:
            with suppress(UnicodeDecodeError):
                return codecs.getincrementaldecoder("utf-8")().decode(data), ""
    return native.base64(data) if native is not None else base64.b64encode(data).decode("ascii"), "base64"
