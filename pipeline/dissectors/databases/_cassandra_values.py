"""CQL's types and values (native protocol 5, §6) as JSON."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from msgspec import Struct

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._database_stream import SHOWN_ITEMS, Cursor, Short, hex_text

__all__ = ["Type", "address_text", "read_bytes", "shown"]

MAX_TEXT = 64 << 10
"""Characters of one value that a document shows."""
MAX_SCALE = 10_000
TYPES = {
    0x00: "custom",
    0x01: "ascii",
    0x02: "bigint",
    0x03: "blob",
    0x04: "boolean",
    0x05: "counter",
    0x06: "decimal",
    0x07: "double",
    0x08: "float",
    0x09: "int",
    0x0B: "timestamp",
    0x0C: "uuid",
    0x0D: "varchar",
    0x0E: "varint",
    0x0F: "timeuuid",
    0x10: "inet",
    0x11: "date",
    0x12: "time",
    0x13: "smallint",
    0x14: "tinyint",
    0x15: "duration",
    0x20: "list",
    0x21: "map",
    0x22: "set",
    0x30: "udt",
    0x31: "tuple",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Type(Struct, frozen=True):
    """A column's type: its id, and the types it is made of."""

    id: int
    parts: tuple[Type, ...] = ()
    names: tuple[str, ...] = ()  # of a user-defined type's fields

    def __str__(self) -> str:
        name = TYPES.get(self.id, f"type {self.id:#x}")
        return f"{name}<{', '.join(map(str, self.parts))}>" if self.parts else name


def read_bytes(cursor: Cursor) -> bytes | None:
    """Read [bytes] or a [value]: NULL, and "not set", are None."""
    length = cursor.int(4)
    return cursor.take(length) if length >= 0 else None


def shown(value: bytes | None, kind: Type | None) -> Any:
    """Return a value as JSON (§6); one of an unknown or other type as text if it is that, else in hexadecimal."""
    if value is None:
        return None
    try:
        return _decoded(value, kind) if kind else _guessed(value)
    except (ValueError, struct.error, OverflowError):
        return "0x" + hex_text(value)


def _guessed(value: bytes) -> str:
    if value.isascii() and (plain := value.decode("ascii")).isprintable():
        return plain[:MAX_TEXT]
    return "0x" + hex_text(value)


_INTEGERS = {0x02: 8, 0x05: 8, 0x09: 4, 0x13: 2, 0x14: 1}


def _decoded(value: bytes, kind: Type) -> Any:
    code = kind.id
    if code in (0x01, 0x0D):
        return text(value)[:MAX_TEXT]
    if code in _INTEGERS:
        if len(value) != _INTEGERS[code]:
            raise ValueError("an integer of another size")
        return int.from_bytes(value, "big", signed=True)
    if code == 0x04:
        return value != b"\0"
    if code in (0x07, 0x08):
        number = struct.unpack(">d" if code == 0x07 else ">f", value)[0]
        return number if number - number == 0 else str(number)
    if code in (0x0C, 0x0F):
        return str(UUID(bytes=value))
    if code == 0x0B:
        moment = _EPOCH + timedelta(milliseconds=struct.unpack(">q", value)[0])
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if code == 0x0E and len(value) <= 64:
        return str(int.from_bytes(value, "big", signed=True))
    if code == 0x06 and 4 < len(value) <= 64:
        return _scaled(int.from_bytes(value[4:], "big", signed=True), struct.unpack(">i", value[:4])[0])
    if code == 0x10:
        return address_text(value)
    if code == 0x11:
        return str(date(1970, 1, 1) + timedelta(days=int.from_bytes(value, "big") - (1 << 31)))
    if code == 0x12:
        seconds, nanos = divmod(struct.unpack(">q", value)[0], 1_000_000_000)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{nanos:09}"
    return _composed(value, kind) if kind.parts else "0x" + hex_text(value)


def _scaled(number: int, scale: int) -> str:
    """Return number × 10^-scale."""
    if not 0 <= scale <= MAX_SCALE:
        return f"{number}E{-scale}"
    digits = str(abs(number)).rjust(scale + 1, "0")
    whole, fraction = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return ("-" if number < 0 else "") + whole + (f".{fraction}" if fraction else "")


def address_text(value: bytes) -> str:
    return str(ip_address(value))


def _composed(value: bytes, kind: Type) -> Any:
    """Read a collection, a tuple or a user-defined type: values with their lengths."""
    cursor = Cursor(value)
    try:
        if kind.id in (0x30, 0x31):
            items = [shown(read_bytes(cursor), part) if cursor.left else None for part in kind.parts]
            return dict(zip(kind.names, items, strict=False)) if kind.id == 0x30 else items
        count = min(max(0, cursor.int(4)), SHOWN_ITEMS)
        if kind.id == 0x21:
            return {
                str(shown(read_bytes(cursor), kind.parts[0])): shown(read_bytes(cursor), kind.parts[1])
                for _ in range(count)
            }
        return [shown(read_bytes(cursor), kind.parts[0]) for _ in range(count)]
    except Short:
        return "0x" + hex_text(value)
