"""Header and body of an Internet message (RFC 5322) as SMTP carries it."""

from __future__ import annotations

import base64
import binascii
import quopri
import re

from kubeshark.pipeline.dissectors._text import text

__all__ = ["MAX_BODY", "decoded_words", "read_mail", "subject_of", "unstuffed"]

MAX_HEADER = 256 << 10  # bytes
MAX_HEADERS = 1_000
MAX_BODY = 1 << 20  # bytes shown
MAX_SUBJECT = 1_000  # characters

_SUBJECT = re.compile(rb"(?i)(?:\A|\n)subject:([^\n]*+(?:\n[ \t][^\n]*+){0,20})")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{1,20})?\?([BbQq])\?([^?\s]{0,1000})\?=")
_STUFFED = re.compile(rb"(?m)^\.\.")


def unstuffed(data: bytes) -> bytes:
    """Undo the doubling of leading dots (RFC 5321 §4.5.2)."""
    return _STUFFED.sub(b".", data)


def subject_of(data: bytes) -> str:
    """Return the subject of the message at the beginning of `data`, "" if it has none."""
    end = _HEADER_END.search(data, 0, MAX_HEADER)
    found = _SUBJECT.search(data, 0, end.end() if end else min(len(data), MAX_HEADER))
    return decoded_words(" ".join(text(found[1]).split()))[:MAX_SUBJECT] if found else ""


def decoded_words(value: str) -> str:
    """Decode the encoded words of a header (RFC 2047); leave what is none."""
    if "=?" not in value:
        return value
    joined = re.sub(r"\?=\s+=\?", "?==?", value)  # white space between encoded words is not shown
    return _WORD.sub(_decoded_word, joined)


def _decoded_word(found: re.Match[str]) -> str:
    charset, encoding, encoded = found[1], found[2], found[3]
    try:
        if encoding in "Bb":
            octets = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        else:
            octets = quopri.decodestring(encoded.encode("utf-8"), header=True)
        return octets.decode(charset)
    except (binascii.Error, LookupError, ValueError):
        return found[0]


def read_mail(data: bytes) -> tuple[dict[str, str | list[str]], str]:
    """Return (headers, body): headers as lists where repeated, the body without its transfer encoding, as text."""
    end = _HEADER_END.search(data, 0, MAX_HEADER)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data[:MAX_HEADER], b"")
    headers: dict[str, str | list[str]] = {}
    encoding = ""
    for name, value in _header_lines(head):
        known = headers.get(name)
        if known is None:
            headers[name] = value
        else:
            headers[name] = [*known, value] if isinstance(known, list) else [known, value]
        if name.lower() == "content-transfer-encoding":
            encoding = value.lower()
    return headers, _decoded_body(body[:MAX_BODY], encoding)


def _header_lines(head: bytes) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in head.split(b"\n", MAX_HEADERS)[:MAX_HEADERS]:
        line = line.rstrip(b"\r")
        if line[:1] in (b" ", b"\t") and found:
            name, value = found[-1]
            found[-1] = name, f"{value} {text(line.strip())}"
        elif b":" in line:
            name_bytes, _, value_bytes = line.partition(b":")
            found.append((text(name_bytes.strip()), text(value_bytes.strip())))
    return [(name, decoded_words(value)) for name, value in found]


def _decoded_body(body: bytes, encoding: str) -> str:
    if encoding == "base64":
        try:
            body = base64.b64decode(body)
        except binascii.Error:
            return text(body)
    elif encoding == "quoted-printable":
        body = quopri.decodestring(body)
    return body.decode("utf-8", "replace")
