"""TDS types and values (MS-TDS §2.2.5.4, §2.2.5.5): what a TYPE_INFO says, and how a value of it is read."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._database_stream import Cursor, Short, hex_text

__all__ = ["Type", "read_type", "read_value", "short_text", "wide"]

MAX_TEXT = 64 << 10
_FIXED = {
    0x1F: ("null", 0),
    0x30: ("tinyint", 1),
    0x32: ("bit", 1),
    0x34: ("smallint", 2),
    0x38: ("int", 4),
    0x3A: ("smalldatetime", 4),
    0x3B: ("real", 4),
    0x3C: ("money", 8),
    0x3D: ("datetime", 8),
    0x3E: ("float", 8),
    0x7A: ("smallmoney", 4),
    0x7F: ("bigint", 8),
}
_BYTE_LENGTH = {
    0x24: "uniqueidentifier",
    0x26: "int",
    0x68: "bit",
    0x6D: "float",
    0x6E: "money",
    0x6F: "datetime",
    0x25: "varbinary",
    0x27: "varchar",
    0x2D: "binary",
    0x2F: "char",
}
_DECIMALS = {0x37: "decimal", 0x3F: "numeric", 0x6A: "decimal", 0x6C: "numeric"}
_SCALED = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}
_SHORT_LENGTH = {
    0xA5: "varbinary",
    0xA7: "varchar",
    0xAD: "binary",
    0xAF: "char",
    0xE7: "nvarchar",
    0xEF: "nchar",
}
_LONG_LENGTH = {0x22: "image", 0x23: "text", 0x62: "sql_variant", 0x63: "ntext"}
_WITH_COLLATION = frozenset((0xA7, 0xAF, 0xE7, 0xEF, 0x23, 0x63))
_WIDE = frozenset((0xE7, 0xEF, 0x63, 0xF1))
_TEXTS = frozenset((0xA7, 0xAF, 0x23, 0x27, 0x2F))
_EPOCH = datetime(1900, 1, 1)
PARTIAL = 0xFFFF
"""A maximum length of this value: the type is (max), its values come in chunks."""


class Type(Struct, frozen=True):
    code: int
    name: str
    size: int = 0
    scale: int = 0


def wide(data: bytes) -> str:
    """Decode UTF-16, what is none replaced."""
    return data.decode("utf-16-le", "replace")


def short_text(cursor: Cursor, size: int = 1) -> str:
    """Read a B_VARCHAR or US_VARCHAR: length in characters, then UTF-16."""
    return wide(cursor.take(2 * cursor.uint(size)))


def read_type(cursor: Cursor, *, of_column: bool) -> Type:
    """Read a TYPE_INFO; Short for a type whose length nobody can tell."""
    code = cursor.uint(1)
    if code in _FIXED:
        return Type(code, *_FIXED[code])
    if code in _BYTE_LENGTH:
        return Type(code, _BYTE_LENGTH[code], cursor.uint(1))
    if code in _DECIMALS:
        size = cursor.uint(1)
        cursor.take(1)
        return Type(code, _DECIMALS[code], size, cursor.uint(1))
    if code == 0x28:
        return Type(code, "date")
    if code in _SCALED:
        return Type(code, _SCALED[code], 0, cursor.uint(1))
    if code in _SHORT_LENGTH or code in _LONG_LENGTH:
        is_short = code in _SHORT_LENGTH
        size = cursor.uint(2 if is_short else 4)
        if code in _WITH_COLLATION:
            cursor.take(5)
        return Type(code, (_SHORT_LENGTH if is_short else _LONG_LENGTH)[code], size)
    if code == 0xF1:
        if cursor.uint(1):
            for size in (1, 1, 2):  # database, schema, collection of schemas
                short_text(cursor, size)
        return Type(code, "xml", PARTIAL)
    if code == 0xF0:
        if of_column:
            cursor.take(2)
        name = [short_text(cursor) for _ in range(3)][-1]
        if of_column:
            short_text(cursor, 2)
        return Type(code, name or "udt", PARTIAL)
    raise Short(f"type {code:#04x}")


def read_value(cursor: Cursor, kind: Type) -> Any:
    """Read a value of this type as JSON; NULL is None."""
    raw = _raw(cursor, kind)
    if raw is None:
        return None
    try:
        return _decoded(raw, kind)
    except (struct.error, ValueError, OverflowError, IndexError):
        return "0x" + hex_text(raw)


def _raw(cursor: Cursor, kind: Type) -> bytes | None:
    code = kind.code
    if code in _FIXED:
        return cursor.take(kind.size) if kind.size else None
    if code in _SHORT_LENGTH and kind.size != PARTIAL:
        length = cursor.uint(2)
        return None if length == PARTIAL else cursor.take(length)
    if code in _SHORT_LENGTH or code in (0xF1, 0xF0):
        return _chunks(cursor)
    if code in _LONG_LENGTH and code != 0x62:
        pointer = cursor.uint(1)
        if not pointer:
            return None
        cursor.take(pointer + 8)  # and a time stamp
        return cursor.take(cursor.uint(4))
    length = cursor.uint(4 if code == 0x62 else 1)
    return cursor.take(length) if length else None


def _chunks(cursor: Cursor) -> bytes | None:
    """Read a value of a (max) type: its length, or "unknown", then chunks up to an empty one."""
    if cursor.uint(8) == (1 << 64) - 1:
        return None
    found = bytearray()
    while size := cursor.uint(4):
        found += cursor.take(size)
    return bytes(found)


def _decoded(raw: bytes, kind: Type) -> Any:
    code, name = kind.code, kind.name
    if code in _WIDE:
        return wide(raw)[:MAX_TEXT]
    if code in _TEXTS:
        return text(raw)[:MAX_TEXT]
    if name == "bit":
        return raw != b"\0"
    if name == "tinyint" or (name == "int" and len(raw) == 1):
        return raw[0]
    if name in ("int", "smallint", "bigint"):
        return int.from_bytes(raw, "little", signed=True)
    if name in ("float", "real"):
        number = struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0]
        return number if number - number == 0 else str(number)
    if name in ("money", "smallmoney"):
        high_first = raw[4:] + raw[:4] if len(raw) == 8 else raw
        amount = int.from_bytes(high_first, "little", signed=True)
        return f"{'-' if amount < 0 else ''}{abs(amount) // 10_000}.{abs(amount) % 10_000:04}"
    if name in ("datetime", "smalldatetime"):
        return _datetime(raw)
    if name == "uniqueidentifier":
        return str(UUID(bytes_le=raw))
    if code in _DECIMALS:
        return _decimal(raw, kind.scale)
    if code == 0x28:
        return _date(raw)
    if code in _SCALED:
        return _scaled(raw, kind)
    if code == 0x62:
        return _variant(raw)
    return "0x" + hex_text(raw)


def _datetime(raw: bytes) -> str:
    """Days since 1900, then 1/300 seconds; the small form has minutes."""
    if len(raw) == 4:
        days, minutes = struct.unpack("<HH", raw)
        return str(_EPOCH + timedelta(days=days, minutes=minutes))
    days, ticks = struct.unpack("<iI", raw)
    return str(_EPOCH + timedelta(days=days, milliseconds=round(ticks * 10 / 3)))


def _decimal(raw: bytes, scale: int) -> str:
    digits = str(int.from_bytes(raw[1:], "little")).rjust(scale + 1, "0")
    sign = "" if raw[0] else "-"
    return sign + digits[: len(digits) - scale] + ("." + digits[len(digits) - scale :] if scale else "")


def _date(raw: bytes) -> str:
    return str(date(1, 1, 1) + timedelta(days=int.from_bytes(raw, "little")))


def _scaled(raw: bytes, kind: Type) -> str:
    """time: 10^-scale seconds since midnight; datetime2: and a date; datetimeoffset: and minutes east."""
    offset = ""
    if kind.code == 0x2B:
        minutes = int.from_bytes(raw[-2:], "little", signed=True)
        raw = raw[:-2]
        offset = f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    day = "" if kind.code == 0x29 else _date(raw[-3:]) + " "
    clock = raw if kind.code == 0x29 else raw[:-3]
    seconds, fraction = divmod(int.from_bytes(clock, "little"), 10**kind.scale)
    shown = f"{day}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return shown + (f".{fraction:0{kind.scale}}" if kind.scale else "") + offset


def _variant(raw: bytes) -> Any:
    """Read a sql_variant: a base type, how many bytes describe it, those, the value."""
    code, described = raw[0], raw[1]
    scale = raw[3] if code in _DECIMALS else raw[2] if code in _SCALED and described else 0
    name = next((names[code] for names in (_BYTE_LENGTH, _DECIMALS, _SCALED, _SHORT_LENGTH) if code in names), "")
    kind = Type(code, name or _FIXED.get(code, ("binary", 0))[0], 0, scale)
    return _decoded(raw[2 + described :], kind) if code != 0x62 else "0x" + hex_text(raw)
