"""Header fields of any version of HTTP as documents and filters need them, and the lines of HTTP/1 (RFC 9112 §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.tables._objects import native

__all__ = ["NO_FIELDS", "Fields", "fields_of", "read_fields"]


class Fields(NamedTuple):
    """A section of header fields."""

    shown: Mapping[str, str | list[str]]  # by name as first spelt; a list if it came more than once
    by_name: dict[str, str]  # by name in lower case, what came more than once joined

    def values(self, low: str) -> list[str]:
        """Return every value of a name in lower case, in order."""
        found = next((value for name, value in self.shown.items() if name.lower() == low), [])
        return [found] if isinstance(found, str) else found


NO_FIELDS = Fields({}, {})


def read_fields(block: bytes) -> Fields:
    """Read header lines; what is plain in C, where that was built."""
    if native is not None and (plain := native.fields(block)) is not None:
        return Fields._make(plain)
    return fields_of(_pairs(block))


def fields_of(pairs: Sequence[tuple[str, str]]) -> Fields:
    """Return (name as on the wire, value) pairs as fields."""
    by_name = _joined(pairs)
    return Fields(_grouped(pairs, by_name), by_name)


def _grouped(headers: Sequence[tuple[str, str]], by_name: Mapping[str, str]) -> dict[str, str | list[str]]:
    if len(headers) == len(by_name):  # nearly always: each name once
        return dict(headers)
    values: dict[str, tuple[str, list[str]]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.values()}


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    result: dict[str, str] = {}
    for name, value in headers:
        low = name.lower()
        if low in result:
            comma = "; " if low == "cookie" else ","  # HTTP/2 may split cookies: RFC 9113 §8.2.3
            value = f"{result[low]}{comma}{value}"
        result[low] = value
    return result


def _pairs(block: bytes) -> list[tuple[str, str]]:
    """Read header lines: names as on the wire, folded lines joined (RFC 9112 §5.2), a line without colon as a name."""
    headers: list[tuple[str, str]] = []
    decode: Callable[[str], str] = str
    try:
        lines = block.decode().split("\n")
        if not _is_folded(block):  # nearly always: the loop below, but for folded lines
            named = [line.partition(":") for line in lines if line and line != "\r"]
            return [(name.strip(BLANKS), value.strip(BLANKS)) for name, _, value in named]
    except UnicodeDecodeError:  # each value for itself
        lines = block.decode("latin-1").split("\n")
        decode = _as_text
    for line in lines:
        if line[:1] in (" ", "\t") and headers and line != "\r":
            name, value = headers[-1]
            headers[-1] = name, f"{value} {decode(line.strip(BLANKS))}".strip()
        elif line.rstrip("\r"):
            name, _, value = line.partition(":")
            headers.append((decode(name.strip(BLANKS)), decode(value.strip(BLANKS))))
    return headers


def _is_folded(block: bytes) -> bool:
    """Say whether lines go on with the one before, or consist of more than one carriage return.

    One regular expression for this took a tenth of a query that dissects everything, and `in` costs three times what
    `find` does: Python first asks whether the bytes are a number, by an exception.
    """
    begins = block[:1] in (b" ", b"\t")
    return begins or block.find(b"\n ") >= 0 or block.find(b"\n\t") >= 0 or block.find(b"\r\r") >= 0


BLANKS = " \t\n\r\x0b\x0c"
"""What bytes.strip takes off; str.strip would take more."""


def _as_text(latin: str) -> str:
    return text(latin.encode("latin-1"))
