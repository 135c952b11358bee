"""ASN.1 basic encoding (X.690), the part that LDAP allows: definite lengths, one-octet tags (RFC 4511 §5.1).

A cursor over bytes, not a decoder of schemas: callers know which element comes next. Every element lies inside its
parent, so no length can point outside the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BadBer", "Element", "children", "element", "header", "integer", "payload"]

MAX_LENGTH_OCTETS = 4


class BadBer(ValueError):
    """These bytes are not an element; `str` says why."""


class Element(NamedTuple):
    """An element of `data`: its tag octet, and where its content lies."""

    tag: int
    start: int  # of the tag octet
    body: int
    end: int  # exclusive; header() may return one beyond the data


def header(data: bytes, at: int, end: int) -> Element | None:
    """Read tag and length at `at`; None if they are cut. The content may reach beyond `end`."""
    if at + 2 > end:
        return None
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise BadBer(f"long tag at {at}")
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= MAX_LENGTH_OCTETS:
            raise BadBer(f"length form {length:#04x} at {at}")
        body += octets
        if body > end:
            return None
        length = int.from_bytes(data[body - octets : body], "big")
    return Element(tag, at, body, body + length)


def element(data: bytes, at: int, end: int) -> Element:
    """Read the element at `at`, which must lie inside `end`. Raise BadBer."""
    found = header(data, at, end)
    if found is None or found.end > end:
        raise BadBer(f"element at {at} is longer than what holds it")
    return found


def children(data: bytes, parent: Element) -> Iterator[Element]:
    """Yield the elements inside a constructed one. Raise BadBer at the first that is none."""
    at = parent.body
    while at < parent.end:
        found = element(data, at, parent.end)
        yield found
        at = found.end


def payload(data: bytes, found: Element) -> bytes:
    return data[found.body : found.end]


def integer(data: bytes, found: Element) -> int:
    """Return an INTEGER or ENUMERATED. Raise BadBer for more octets than any LDAP field has."""
    if not 1 <= found.end - found.body <= 8:
        raise BadBer(f"integer of {found.end - found.body} octets at {found.start}")
    return int.from_bytes(payload(data, found), "big", signed=True)
