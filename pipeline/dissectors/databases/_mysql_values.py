"""MySQL's values: length-encoded integers and strings, column definitions, rows in text and in binary form."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._database_stream import Cursor, Short, hex_text

__all__ = ["Column", "binary_row", "binary_value", "column", "encoded_int", "encoded_text", "shown", "text_row"]

MAX_TEXT = 64 << 10
"""Characters of one value that a document shows."""

NULL = 0xFB
TYPES = {
    0x00: "decimal",
    0x01: "tinyint",
    0x02: "smallint",
    0x03: "int",
    0x04: "float",
    0x05: "double",
    0x06: "null",
    0x07: "timestamp",
    0x08: "bigint",
    0x09: "mediumint",
    0x0A: "date",
    0x0B: "time",
    0x0C: "datetime",
    0x0D: "year",
    0x0E: "date",
    0x0F: "varchar",
    0x10: "bit",
    0xF2: "vector",
    0xF5: "json",
    0xF6: "decimal",
    0xF7: "enum",
    0xF8: "set",
    0xF9: "tinyblob",
    0xFA: "mediumblob",
    0xFB: "longblob",
    0xFC: "blob",
    0xFD: "varchar",
    0xFE: "char",
    0xFF: "geometry",
}
_INTEGERS = {0x01: 1, 0x02: 2, 0x03: 4, 0x08: 8, 0x09: 4, 0x0D: 2}
_BINARY_CHARSET = 63
_BLOBS = frozenset((0xF9, 0xFA, 0xFB, 0xFC))
UNSIGNED = 0x20
"""Flag of a column definition."""


class Column(Struct, frozen=True):
    """A column of a result, or a parameter of a statement."""

    name: str
    type: int
    is_unsigned: bool = False
    table: str = ""
    charset: int = 0

    def document(self) -> dict[str, Any]:
        kind = TYPES.get(self.type, f"type {self.type}")
        if self.type in _BLOBS and self.charset != _BINARY_CHARSET:
            kind = kind.replace("blob", "text")
        return {"name": self.name, "type": kind, "table": self.table}


def encoded_int(cursor: Cursor) -> int:
    """Read a length-encoded integer; Short for NULL and ERR markers, which are none."""
    first = cursor.uint(1)
    if first < NULL:
        return first
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    if size is None:
        raise Short(f"no length but {first:#x}")
    return cursor.uint(size)


def encoded_text(cursor: Cursor) -> bytes:
    """Read a length-encoded string."""
    return cursor.take(encoded_int(cursor))


def column(payload: bytes) -> Column:
    """Read a column definition of protocol 4.1; Short if it is none."""
    cursor = Cursor(payload, order="little")
    for _ in range(2):
        encoded_text(cursor)  # catalog, schema
    table = encoded_text(cursor)
    encoded_text(cursor)
    name = encoded_text(cursor)
    encoded_text(cursor)
    fixed = encoded_int(cursor)
    if fixed != 0x0C or cursor.left > 14:  # MariaDB: extended type information comes before
        cursor.take(fixed)
        encoded_int(cursor)
    charset = cursor.uint(2)
    cursor.take(4)
    kind = cursor.uint(1)
    return Column(text(name), kind, bool(cursor.uint(2) & UNSIGNED), text(table), charset)


def shown(value: bytes) -> str:
    """Return a string value as text, in hexadecimal if it holds control characters of binary data."""
    if b"\0" in value:
        return "0x" + hex_text(value)
    return text(value)[:MAX_TEXT]


def text_row(payload: bytes) -> list[Any]:
    """Read a row of a text result: a string or NULL for each column. A cut row gives the values it has."""
    cursor, values = Cursor(payload, order="little"), list[Any]()
    try:
        while cursor.left:
            if payload[cursor.at] == NULL:
                cursor.at += 1
                values.append(None)
            else:
                values.append(shown(encoded_text(cursor)))
    except Short:
        pass
    return values


def binary_row(payload: bytes, columns: Sequence[Column]) -> list[Any]:
    """Read a row of a binary result: a map of NULLs (offset 2), then values by the columns' types."""
    cursor, values = Cursor(payload, 1, "little"), list[Any]()
    try:
        nulls = cursor.take((len(columns) + 9) // 8)
        for at, item in enumerate(columns, 2):
            is_null = nulls[at // 8] >> at % 8 & 1
            values.append(None if is_null else binary_value(cursor, item.type, is_unsigned=item.is_unsigned))
    except Short:
        pass
    return values


def binary_value(cursor: Cursor, kind: int, *, is_unsigned: bool) -> Any:
    """Read a value in binary form; integers and floats are numbers, everything else is text."""
    if kind in _INTEGERS:
        return cursor.uint(_INTEGERS[kind]) if is_unsigned else cursor.int(_INTEGERS[kind])
    if kind == 0x04:
        return float(f"{struct.unpack('<f', cursor.take(4))[0]:.7g}")
    if kind == 0x05:
        return _finite(struct.unpack("<d", cursor.take(8))[0])
    if kind == 0x06:
        return None
    if kind in (0x07, 0x0A, 0x0C, 0x0E):
        return _datetime(cursor.take(cursor.uint(1)), is_date=kind in (0x0A, 0x0E))
    if kind == 0x0B:
        return _time(cursor.take(cursor.uint(1)))
    return shown(encoded_text(cursor))


def _finite(value: float) -> float | str:
    return value if abs(value) < float("inf") else str(value)  # JSON has no infinity and no NaN


def _datetime(data: bytes, *, is_date: bool) -> str:
    """Return date and time: 0, 4, 7 or 11 bytes, what is left out is zero."""
    cursor = Cursor(data.ljust(11, b"\0"), order="little")
    year, month, day, hour, minute, second = cursor.uint(2), *(cursor.uint(1) for _ in range(5))
    date = f"{year:04}-{month:02}-{day:02}"
    if is_date:
        return date
    micros = cursor.uint(4)
    return f"{date} {hour:02}:{minute:02}:{second:02}" + (f".{micros:06}" if micros else "")


def _time(data: bytes) -> str:
    """Return a time span: 0, 8 or 12 bytes: sign, days, hour, minute, second, microseconds."""
    cursor = Cursor(data.ljust(12, b"\0"), order="little")
    sign, days, hour, minute, second = cursor.uint(1), cursor.uint(4), *(cursor.uint(1) for _ in range(3))
    micros = cursor.uint(4)
    return f"{'-' if sign else ''}{days * 24 + hour:02}:{minute:02}:{second:02}" + (f".{micros:06}" if micros else "")
