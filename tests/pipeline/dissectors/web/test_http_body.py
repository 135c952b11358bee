"""Content codings undone, within limits."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, decode_body, text_or_base64

CLEAR = b"clear text " * 100
RAW_DEFLATE = zlib.compressobj(wbits=-15)
RAW = RAW_DEFLATE.compress(CLEAR) + RAW_DEFLATE.flush()
ZSTD = zstandard.compress(CLEAR)


@pytest.mark.parametrize(
    ("codings", "coded"),
    [
        ("", CLEAR),
        ("identity", CLEAR),
        ("gzip", gzip.compress(CLEAR, mtime=0)),
        (" X-GZIP ", gzip.compress(CLEAR, mtime=0)),
        ("gzip", gzip.compress(CLEAR[:500], mtime=0) + gzip.compress(CLEAR[500:], mtime=0)),
        ("gzip", gzip.compress(CLEAR, mtime=0) + b"padding"),
        ("deflate", zlib.compress(CLEAR)),
        ("deflate", RAW),
        ("br", brotli.compress(CLEAR)),
        ("zstd", ZSTD),
        ("zstd", zstandard.compress(CLEAR[:9]) + zstandard.compress(CLEAR[9:])),
        ("deflate, gzip", gzip.compress(zlib.compress(CLEAR), mtime=0)),
    ],
)
def test_codings(codings: str, coded: bytes) -> None:
    body = decode_body(coded, codings)
    assert (body.data, body.truncated, body.comment) == (CLEAR, False, "")


@pytest.mark.parametrize("codings", ["dcb", "gzip, gzip, gzip, gzip, gzip", "compress"])
def test_what_is_not_undone_is_said(codings: str) -> None:
    body = decode_body(b"coded", codings)
    assert body.data == b"coded"
    assert "not undone" in body.comment


@pytest.mark.parametrize("codings", ["gzip", "deflate", "br", "zstd"])
def test_damage_shows_what_came(codings: str) -> None:
    body = decode_body(b"this is not compressed", codings)
    assert body.data == b"this is not compressed"
    assert "damaged" in body.comment


@pytest.mark.parametrize(
    ("codings", "bomb"),
    [
        ("gzip", gzip.compress(bytes(20 << 20), mtime=0)),
        ("br", brotli.compress(bytes(20 << 20))),
        ("gzip", gzip.compress(bytes(1 << 20), mtime=0) * 20),
        ("deflate", zlib.compress(bytes(20 << 20))),
        ("zstd", zstandard.compress(bytes(20 << 20))),
        ("gzip, gzip", gzip.compress(gzip.compress(bytes(20 << 20), mtime=0), mtime=0)),
        ("", bytes(2 << 20)),
    ],
)
def test_bombs_are_cut(codings: str, bomb: bytes) -> None:
    body = decode_body(bomb, codings)
    assert (len(body.data), body.truncated) == (BODY_LIMIT, True)


def test_bytes_before_a_gap_are_kept() -> None:
    noise = bytes((n * n * 31 + n) % 251 for n in range(200_000))
    coded = gzip.compress(noise, mtime=0)
    body = decode_body(coded[:60_000] + b"\xff" * 100, "gzip")
    assert body.data
    assert noise.startswith(body.data[:1000])


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ("", "")),
        ("größe".encode(), ("größe", "")),
        (b"a\0b", ("YQBi", "base64")),
        (b"\xff\xd8", ("/9g=", "base64")),
    ],
)
def test_text_or_base64(data: bytes, shown: tuple[str, str]) -> None:
    assert text_or_base64(data) == shown
    assert text_or_base64(data, is_cut=True) == shown


@pytest.mark.parametrize(("size", "cut"), [(4, ("grö", "")), (3, ("gr", ""))])
def test_a_character_that_is_cut(size: int, cut: tuple[str, str]) -> None:
    """Nothing is left out of what is whole."""
    data = "größe".encode()[:size]
    assert text_or_base64(data, is_cut=True) == cut
    assert text_or_base64(data) == ((cut[0], "") if size == 4 else ("Z3LD", "base64"))


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "zstd", "gzip, deflate", "br"]))
def test_anything_decodes_to_something(data: bytes, codings: str) -> None:
    text_or_base64(decode_body(data, codings).data)
