"""Data types of AMQP 0-9-1 (specification §4.2.5), tables as RabbitMQ writes them, and the properties of a message.

Everything is bounded: reading never goes beyond a frame, tables are MAX_DEPTH deep and hold MAX_FIELDS fields.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from math import isfinite
from struct import unpack
from typing import Any

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.messaging._amqp_methods import Method

__all__ = ["Cursor", "Short", "read_arguments", "read_properties"]

MAX_DEPTH = 16
MAX_FIELDS = 1_000
MAX_TEXT = 64 << 10

_SIZES = {"o": 1, "s": 2, "l": 4, "L": 8}
_INTEGERS = {  # RabbitMQ's field types: (bytes, signed)
    0x62: (1, True),
    0x42: (1, False),
    0x73: (2, True),
    0x75: (2, False),
    0x49: (4, True),
    0x69: (4, False),
    0x6C: (8, True),
    0x4C: (8, False),
}
_PROPERTIES = (  # in the order of the flags, bit 15 first
    ("contentType", "S"),
    ("contentEncoding", "S"),
    ("headers", "T"),
    ("deliveryMode", "o"),
    ("priority", "o"),
    ("correlationId", "S"),
    ("replyTo", "S"),
    ("expiration", "S"),
    ("messageId", "S"),
    ("timestamp", "L"),
    ("type", "S"),
    ("userId", "S"),
    ("appId", "S"),
    ("clusterId", "S"),
)
_DEFAULTS: dict[str, Any] = {
    "appId": "",
    "contentEncoding": "",
    "contentType": "",
    "correlationId": "",
    "deliveryMode": 0,
    "expiration": "",
    "headers": {},
    "messageId": "",
    "priority": 0,
    "replyTo": "",
    "timestamp": "",
    "type": "",
    "userId": "",
}


class Short(Exception):
    """A value reaches beyond its frame, or is of no known type."""


class Cursor:
    """Reads values one after the other; raises Short instead of reading beyond its end."""

    __slots__ = ("at", "data", "end", "left")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end, self.left = data, at, end, MAX_FIELDS

    def take(self, count: int) -> bytes:
        start = self.at
        if count > self.end - start:
            raise Short
        self.at += count
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def value(self, kind: str) -> Any:
        """Read an argument or property of this type."""
        if kind in _SIZES:
            return self.number(_SIZES[kind])
        if kind == "S":
            return text(self.take(self.number(1)))
        if kind == "X":
            return _shown(self.take(self.number(4)))
        return self.table(MAX_DEPTH)

    def table(self, depth: int) -> dict[str, Any]:
        end = self._inner(depth)
        found: dict[str, Any] = {}
        while self.at < end:
            name = text(self.take(self.number(1)))
            found[name] = self._field(depth)
        return found

    def _array(self, depth: int) -> list[Any]:
        end = self._inner(depth)
        found = []
        while self.at < end:
            found.append(self._field(depth))
        return found

    def _inner(self, depth: int) -> int:
        """Return where a table or array that begins here ends."""
        size = self.number(4)
        if size > self.end - self.at or not depth:
            raise Short
        return self.at + size

    def _field(self, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Short
        kind = self.number(1)
        if kind in _INTEGERS:
            size, signed = _INTEGERS[kind]
            return int.from_bytes(self.take(size), "big", signed=signed)
        match chr(kind):
            case "S":
                return _shown(self.take(self.number(4)))
            case "t":
                return self.number(1) != 0
            case "F":
                return self.table(depth - 1)
            case "A":
                return self._array(depth - 1)
            case "T":
                return _moment(self.number(8))
            case "V":
                return None
            case "f":
                return _finite(unpack(">f", self.take(4))[0])
            case "d":
                return _finite(unpack(">d", self.take(8))[0])
            case "D":
                scale, digits = self.number(1), int.from_bytes(self.take(4), "big", signed=True)
                return f"{digits}e-{scale}" if scale else digits
            case "x":
                return base64.b64encode(self.take(self.number(4))).decode("ascii")
        raise Short


def read_arguments(method: Method, cursor: Cursor) -> dict[str, Any]:
    """Read a method's arguments; reserved ones are skipped."""
    found: dict[str, Any] = {}
    bits = at_bit = 0
    for kind, name in method.arguments:
        value: Any
        if kind == "b":
            if at_bit % 8 == 0:
                bits = cursor.number(1)
            value = bool(bits >> at_bit % 8 & 1)
            at_bit += 1
        else:
            at_bit = 0
            value = cursor.value(kind)
        if name != "-":
            found[name] = value
    return found


def read_properties(cursor: Cursor) -> dict[str, Any]:
    """Read a content header behind its body size: flags, then the properties they announce (§4.2.6.1)."""
    flags = cursor.number(2)
    found = dict(_DEFAULTS)
    for at, (name, kind) in enumerate(_PROPERTIES):
        if flags >> (15 - at) & 1:
            value = cursor.value(kind)
            found[name] = _moment(value) if name == "timestamp" else value
    return found


def _shown(data: bytes) -> str:
    """Return a long string as text; long ones are cut."""
    return text(data[:MAX_TEXT])


def _finite(value: float) -> float | str:
    return value if isfinite(value) else str(value)  # JSON has neither


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
