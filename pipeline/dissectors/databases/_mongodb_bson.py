"""BSON (bsonspec.org, version 1.1) as JSON values: hostile, cut and damaged documents too.

Own code, not pymongo's `bson`: that refuses a document as a whole where this keeps what came before the damage, builds
Python objects that are no JSON, and has no bound on what one document may cost. Special types are written as MongoDB's
relaxed extended JSON; passwords and SASL payloads are replaced here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED

__all__ = ["Damaged", "document_at", "elements", "scalar"]

MAX_DEPTH = 64
"""Levels of documents in documents; MongoDB stores at most 100, JSON readers often take fewer."""
MAX_ELEMENTS = 20_000
"""Elements of one message that are shown."""
MAX_TOP_LEVEL = 256
"""Elements a summary looks at: commands have some 30 fields."""

_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0xFF: 0, 0x7F: 0}
_STRINGS = frozenset((0x02, 0x0D, 0x0E))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = {0x08: "<?", 0x10: "<i", 0x12: "<q"}


class Damaged(ValueError):
    """Bytes contradict BSON; `so_far` is what a document held before them."""

    def __init__(self, message: str, so_far: Any = None) -> None:
        super().__init__(message)
        self.so_far = so_far


def elements(data: bytes, at: int, end: int) -> Iterator[tuple[str, int, int, int]]:
    """Return (name, type, start, end of the value) of a document's elements; stops quietly where it is damaged."""
    length = int.from_bytes(data[at : at + 4], "little")
    stop = min(end, at + length)
    at += 4
    for _ in range(MAX_TOP_LEVEL):
        if at >= stop or not data[at]:
            return
        name_end = data.find(b"\0", at + 1, stop)
        if name_end < 0:
            return
        kind, start = data[at], name_end + 1
        try:
            after = _value_end(data, kind, start, stop)
        except Damaged:
            return
        yield text(data[at + 1 : name_end]), kind, start, after
        at = after


def _value_end(data: bytes, kind: int, at: int, stop: int) -> int:
    """Return where a value ends; raise Damaged if that is beyond its document."""
    size = _FIXED.get(kind)
    if size is not None:
        after = at + size
    elif kind in (0x03, 0x04):
        after = at + max(5, int.from_bytes(data[at : at + 4], "little"))
    elif kind in _STRINGS:
        after = at + 4 + max(1, int.from_bytes(data[at : at + 4], "little"))
    elif kind == 0x05:
        after = at + 5 + int.from_bytes(data[at : at + 4], "little")
    elif kind == 0x0B:
        middle = data.find(b"\0", at, stop)
        after = data.find(b"\0", middle + 1, stop) + 1 if middle >= 0 else 0
    elif kind == 0x0C:
        after = at + 16 + int.from_bytes(data[at : at + 4], "little")
    elif kind == 0x0F:
        after = at + max(14, int.from_bytes(data[at : at + 4], "little"))
    else:
        raise Damaged(f"unknown type {kind:#04x} at {at}")
    if not at <= after <= stop:
        raise Damaged(f"the value at {at} is longer than its document")
    return after


def scalar(data: bytes, kind: int, start: int, end: int) -> Any:
    """Return a string, number or boolean; None for values of other types."""
    if kind in _STRINGS:
        return text(data[start + 4 : end - 1])
    if kind in _INTEGERS:
        return struct.unpack(_INTEGERS[kind], data[start:end])[0]
    return struct.unpack("<d", data[start:end])[0] if kind == 0x01 else None


def document_at(data: bytes, at: int, end: int) -> tuple[dict[str, Any], int]:
    """Read the document at `at`: return it and the offset behind it. Raise Damaged, with what could be read."""
    length = int.from_bytes(data[at : at + 4], "little")
    if at + 5 > end or length < 5:
        raise Damaged(f"no document at {at}")
    found: dict[str, Any] = {}
    try:
        _Reader(data).fill(at, min(end, at + length), found, 0)
    except Damaged as damage:
        raise Damaged(str(damage), _without_secrets(found)) from None
    if at + length > end:
        raise Damaged(f"the document at {at} is cut", _without_secrets(found))
    return _without_secrets(found), at + length


class _Reader:
    """Reads one document with all that is in it, a bounded number of elements."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MAX_ELEMENTS

    def fill(self, at: int, stop: int, found: dict[str, Any], depth: int) -> None:
        data = self._data
        at += 4
        while at < stop and data[at]:
            self._left -= 1
            if self._left < 0:
                found["…"] = f"more than {MAX_ELEMENTS} elements"
                return
            name_end = data.find(b"\0", at + 1, stop)
            if name_end < 0:
                raise Damaged(f"the name at {at} has no end")
            kind, name, start = data[at], text(data[at + 1 : name_end]), name_end + 1
            if kind in (0x03, 0x04):
                self._nested(kind, name, start, stop, found, depth)
            at = _value_end(data, kind, start, stop)
            if kind not in (0x03, 0x04):
                found[name] = self._value(kind, start, at, depth)

    def _nested(self, kind: int, name: str, start: int, stop: int, found: dict[str, Any], depth: int) -> None:
        if depth >= MAX_DEPTH:
            found[name] = f"more than {MAX_DEPTH} levels"
            return
        inner: dict[str, Any] = {}
        found[name] = inner
        try:
            length = int.from_bytes(self._data[start : start + 4], "little")
            self.fill(start, min(stop, start + length), inner, depth + 1)
        finally:
            if kind == 0x04:
                found[name] = list(inner.values())

    def _value(self, kind: int, start: int, end: int, depth: int) -> Any:
        data = self._data
        plain = _PLAIN.get(kind)
        if plain is not None:
            return plain(data[start:end])
        if kind == 0x0B:
            pattern, options, _ = data[start:end].split(b"\0", 2)
            return {"$regularExpression": {"pattern": text(pattern), "options": text(options)}}
        if kind == 0x0C:
            return {
                "$dbPointer": {"$ref": text(data[start + 4 : end - 13]), "$id": {"$oid": data[end - 12 : end].hex()}}
            }
        if kind == 0x0F:
            size = int.from_bytes(data[start + 4 : start + 8], "little")
            scope: dict[str, Any] = {}
            if depth < MAX_DEPTH and start + 8 + size < end:
                self.fill(start + 8 + size, end, scope, depth + 1)
            return {"$code": text(data[start + 8 : max(start + 8, min(end, start + 7 + size))]), "$scope": scope}
        return None


def _binary(value: bytes) -> Any:
    subtype, content = value[4], value[5:]
    if subtype == 4 and len(content) == 16:
        return {"$uuid": str(UUID(bytes=content))}
    return {"$binary": {"base64": base64.b64encode(content).decode("ascii"), "subType": f"{subtype:02x}"}}


def _date(value: bytes) -> Any:
    millis = struct.unpack("<q", value)[0]
    try:
        moment = (_EPOCH + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds")
    except OverflowError:
        return {"$date": {"$numberLong": str(millis)}}
    return {"$date": moment.replace("+00:00", "Z")}


def _double(value: bytes) -> Any:
    number = struct.unpack("<d", value)[0]
    if number - number == 0:
        return number
    return {"$numberDouble": "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"}


def _decimal(value: bytes) -> Any:
    """Return a Decimal128 (IEEE 754-2008, binary integer significand) in scientific notation if it has an exponent."""
    bits = int.from_bytes(value, "little")
    sign = "-" if bits >> 127 else ""
    if bits >> 122 & 0x1F == 0x1F:
        return {"$numberDecimal": "NaN"}
    if bits >> 122 & 0x1F == 0x1E:
        return {"$numberDecimal": sign + "Infinity"}
    if bits >> 125 & 3 == 3:  # a significand beyond 34 digits counts as zero
        return {"$numberDecimal": sign + "0"}
    exponent = (bits >> 113 & 0x3FFF) - 6176
    digits = str(bits & (1 << 113) - 1)
    if exponent and -len(digits) < exponent < 0:
        return {"$numberDecimal": f"{sign}{digits[:exponent]}.{digits[exponent:]}"}
    return {"$numberDecimal": sign + digits + (f"E{exponent:+d}" if exponent else "")}


def _timestamp(value: bytes) -> Any:
    increment, seconds = struct.unpack("<II", value)
    return {"$timestamp": {"t": seconds, "i": increment}}


_PLAIN: dict[int, Callable[[bytes], Any]] = {
    0x01: _double,
    0x02: lambda value: text(value[4:-1]),
    0x05: _binary,
    0x06: lambda _: {"$undefined": True},
    0x07: lambda value: {"$oid": value.hex()},
    0x08: lambda value: value != b"\0",
    0x09: _date,
    0x0A: lambda _: None,
    0x0D: lambda value: {"$code": text(value[4:-1])},
    0x0E: lambda value: {"$symbol": text(value[4:-1])},
    0x10: lambda value: int.from_bytes(value, "little", signed=True),
    0x11: _timestamp,
    0x12: lambda value: int.from_bytes(value, "little", signed=True),
    0x13: _decimal,
    0xFF: lambda _: {"$minKey": 1},
    0x7F: lambda _: {"$maxKey": 1},
}

_SASL = ("saslStart", "saslContinue", "conversationId")
_WITH_PASSWORD = ("createUser", "updateUser", "authenticate", "copydb", "logApplicationMessage")


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """Replace what authenticates: SASL payloads, in a handshake too, passwords of users, keys of MONGODB-CR."""
    if any(name in document for name in _SASL) and "payload" in document:
        document["payload"] = REDACTED
    if any(name in document for name in _WITH_PASSWORD):
        for name in ("pwd", "key"):
            if name in document:
                document[name] = REDACTED
    inner = document.get("speculativeAuthenticate")
    if isinstance(inner, dict):
        _without_secrets(inner)
    query = document.get("$query")
    if isinstance(query, dict):
        _without_secrets(query)
    return document
