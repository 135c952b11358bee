"""Reads Thrift messages without their interface: headers and values, in the binary and the compact protocol.

A struct becomes a dict of field ids, as the names are not on the wire; a map whose keys are scalars becomes a dict of
their texts. The formats: https://github.com/apache/thrift/tree/master/doc/specs. Depth and elements are bounded.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from struct import Struct
from typing import Any

import msgspec

from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["TYPES", "Early", "Header", "Malformed", "Values", "read_header"]

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
TYPES = {CALL: "call", REPLY: "reply", EXCEPTION: "exception", ONEWAY: "oneway"}
MAX_NAME = 255
MAX_DEPTH = 32
MAX_ITEMS = 100_000

_INT16, _INT32, _INT64 = Struct(">h"), Struct(">i"), Struct(">q")
_DOUBLE, _COMPACT_DOUBLE = Struct(">d"), Struct("<d")
STRICT = 0x80010000
COMPACT_ID, COMPACT_VERSION = 0x82, 1


class Malformed(ValueError):
    """Bytes that are no Thrift value."""


class Early(Malformed):
    """The bytes end inside a value that may be right."""


class Header(msgspec.Struct, frozen=True):
    """What precedes the arguments of a message; they start at `end`."""

    protocol: str  # "binary", "compact"
    method: str
    type: int
    sequence: int
    end: int


class Values(msgspec.Struct):
    """Reads values in data[at:end]."""

    data: bytes
    at: int
    end: int
    items: int = 0

    def struct(self, protocol: str) -> dict[str, Any]:
        """Return the struct that starts here; `at` is behind it then. Raise Malformed, or Early at the end."""
        found: dict[str, Any] = {}
        self.fill(protocol, found)
        return found

    def fill(self, protocol: str, found: dict[str, Any]) -> None:
        """Read a struct into a dict: damage keeps the fields before it."""
        if protocol == "compact":
            self._compact_fields(found, 1)
        else:
            self._binary_fields(found, 1)

    def take(self, count: int) -> bytes:
        start = self.at
        if count < 0:
            raise Malformed(f"length {count} at {start}")
        if count > self.end - start:
            raise Early(f"{count} bytes expected at {start}, {self.end - start} left")
        self.at = start + count
        return self.data[start : self.at]

    def byte(self) -> int:
        if self.at >= self.end:
            raise Early(f"ends at {self.at}")
        self.at += 1
        return self.data[self.at - 1]

    def number(self, form: Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed(f"varint without an end at {self.at}")

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def _count(self, depth: int, *counts: int) -> None:
        """Allow so many elements at this depth; each has a byte at least."""
        if depth > MAX_DEPTH:
            raise Malformed(f"deeper than {MAX_DEPTH} at {self.at}")
        for count in counts:
            if count < 0:
                raise Malformed(f"{count} elements at {self.at}")
            if count > self.end - self.at:
                raise Early(f"{count} elements at {self.at}, {self.end - self.at} bytes left")
            self.items += count
        if self.items > MAX_ITEMS:
            raise Malformed(f"more than {MAX_ITEMS} elements")

    def _binary_fields(self, found: dict[str, Any], depth: int) -> None:
        while kind := self.byte():
            self._count(depth, 0)
            self.items += 1
            name = str(self.number(_INT16))
            if kind == STRUCT:
                inner = found[name] = {}
                self._binary_fields(inner, depth + 1)
            else:
                found[name] = self._binary(kind, depth)

    def _binary(self, kind: int, depth: int) -> Any:
        if kind in _BINARY:
            return _BINARY[kind](self)
        if kind == STRUCT:
            found: dict[str, Any] = {}
            self._count(depth, 0)
            self._binary_fields(found, depth + 1)
            return found
        if kind == MAP:
            key, value, count = self.byte(), self.byte(), self.number(_INT32)
            self._count(depth, count)
            return _mapping([(self._binary(key, depth + 1), self._binary(value, depth + 1)) for _ in range(count)])
        if kind in (SET, LIST):
            element, count = self.byte(), self.number(_INT32)
            self._count(depth, count)
            return [self._binary(element, depth + 1) for _ in range(count)]
        raise Malformed(f"type {kind} at {self.at - 1}")

    def _compact_fields(self, found: dict[str, Any], depth: int) -> None:
        number = 0
        while head := self.byte():
            self._count(depth, 0)
            self.items += 1
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self.zigzag()
            name = str(number)
            if kind in (C_TRUE, C_FALSE):
                found[name] = kind == C_TRUE
            elif kind == C_STRUCT:
                inner = found[name] = {}
                self._compact_fields(inner, depth + 1)
            else:
                found[name] = self._compact(kind, depth)

    def _compact(self, kind: int, depth: int) -> Any:
        if kind in _COMPACT:
            return _COMPACT[kind](self)
        if kind == C_STRUCT:
            found: dict[str, Any] = {}
            self._count(depth, 0)
            self._compact_fields(found, depth + 1)
            return found
        if kind == C_MAP:
            count = self.varint()
            kinds = self.byte() if count else 0
            self._count(depth, count)
            return _mapping(
                [(self._compact(kinds >> 4, depth + 1), self._compact(kinds & 15, depth + 1)) for _ in range(count)]
            )
        if kind in (C_LIST, C_SET):
            head = self.byte()
            count = head >> 4 if head >> 4 != 15 else self.varint()
            self._count(depth, count)
            return [self._compact(head & 15, depth + 1) for _ in range(count)]
        raise Malformed(f"type {kind} at {self.at - 1}")


def _mapping(pairs: list[tuple[Any, Any]]) -> Any:
    if any(isinstance(key, (dict, list)) for key, _ in pairs):
        return [{"key": key, "value": value} for key, value in pairs]
    return {str(key): value for key, value in pairs}


def _text(data: bytes) -> str:
    shown, encoding = text_or_base64(data)
    return shown if not encoding else f"base64:{base64.b64encode(data).decode('ascii')}"


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


STRUCT, MAP, SET, LIST = 12, 13, 14, 15
_BINARY: dict[int, Callable[[Values], Any]] = {
    2: lambda values: bool(values.byte()),
    3: lambda values: _signed(values.byte()),
    4: lambda values: values.number(_DOUBLE),
    6: lambda values: values.number(_INT16),
    8: lambda values: values.number(_INT32),
    10: lambda values: values.number(_INT64),
    11: lambda values: _text(values.take(values.number(_INT32))),
    16: lambda values: str(uuid.UUID(bytes=values.take(16))),
}
C_TRUE, C_FALSE, C_LIST, C_SET, C_MAP, C_STRUCT = 1, 2, 9, 10, 11, 12
_COMPACT: dict[int, Callable[[Values], Any]] = {
    C_TRUE: lambda values: values.byte() == C_TRUE,
    C_FALSE: lambda values: values.byte() == C_TRUE,
    3: lambda values: _signed(values.byte()),
    4: lambda values: values.zigzag(),
    5: lambda values: values.zigzag(),
    6: lambda values: values.zigzag(),
    7: lambda values: values.number(_COMPACT_DOUBLE),
    8: lambda values: _text(values.take(values.varint())),
    13: lambda values: str(uuid.UUID(bytes=values.take(16))),
}


def read_header(data: bytes, at: int, end: int) -> Header | None:
    """Return the message header at `at`, whichever protocol it is in; None if there is none."""
    values = Values(data, at, end)
    try:
        if data[at : at + 1] == b"\x82":
            return _compact_header(values)
        first = values.number(_INT32) & 0xFFFFFFFF
        if first & 0xFFFFFF00 == STRICT:
            kind, count = first & 0xFF, values.number(_INT32)
            name = _name(values, count)
            return _header("binary", name, kind, values.number(_INT32), values)
        name = _name(values, first)  # before version 1 a message began with its name
        return _header("binary", name, values.byte(), values.number(_INT32), values)
    except Malformed:
        return None


def _compact_header(values: Values) -> Header | None:
    values.at += 1
    version = values.byte()
    if version & 0x1F != COMPACT_VERSION:
        return None
    sequence = values.varint()
    if sequence > 0xFFFFFFFF:
        return None
    sequence -= (sequence & 0x80000000) << 1
    return _header("compact", _name(values, values.varint()), version >> 5, sequence, values)


def _header(protocol: str, name: str, kind: int, sequence: int, values: Values) -> Header | None:
    return Header(protocol, name, kind, sequence, values.at) if kind in TYPES else None


def _name(values: Values, count: int) -> str:
    """Read a method's name, with its service before a colon where several share a connection."""
    if not 0 < count <= MAX_NAME:
        raise Malformed(f"a name of {count} bytes")
    name = values.take(count).decode("latin-1")
    if not all(character.isascii() and (character.isalnum() or character in "_.:$-") for character in name):
        raise Malformed(f"{name!r} is no name")
    return name
