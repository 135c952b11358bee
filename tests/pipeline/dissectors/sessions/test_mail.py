"""Header and body of a mail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.sessions._mail import decoded_words, read_mail, subject_of, unstuffed

MAIL = (
    b"Received: one\r\nReceived: two\r\nSubject: a long\r\n subject\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n"
)


def test_mail() -> None:
    headers, body = read_mail(MAIL)
    assert headers == {
        "Received": ["one", "two"],
        "Subject": "a long subject",
        "Content-Transfer-Encoding": "base64",
    }
    assert body == "Hello"
    assert subject_of(MAIL) == "a long subject"


def test_quoted_printable() -> None:
    assert read_mail(b"content-transfer-encoding: Quoted-Printable\n\nna=C3=AFve")[1] == "naïve"


def test_no_header() -> None:
    assert read_mail(b"just text") == ({}, "")
    assert subject_of(b"x: y\r\n\r\nSubject: of the body") == ""


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("plain", "plain"),
        ("=?UTF-8?B?w6nDqA==?= =?utf-8?q?_x=C3=A9?=", "éè xé"),
        ("=?nowhere?B?w6k=?=", "=?nowhere?B?w6k=?="),
        ("=?UTF-8?B?x?=", "=?UTF-8?B?x?="),
    ],
    ids=["plain", "two words", "unknown charset", "not base64"],
)
def test_encoded_words(value: str, decoded: str) -> None:
    assert decoded_words(value) == decoded


def test_unstuffed() -> None:
    assert unstuffed(b"..a\r\n.b\r\n..c") == b".a\r\n.b\r\n.c"


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    read_mail(data)
    subject_of(b"Subject: =?utf-8?b?" + data)
