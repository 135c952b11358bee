"""Values of PostgreSQL as text: of rows and parameters, in text and binary form, and of COPY data."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._database_stream import SHOWN_ITEMS, hex_text

__all__ = ["Column", "CopyRows", "are_texts", "form_at", "read_columns", "texts", "value_text", "values"]

MAX_TEXT = 64 << 10
"""Characters of one value that a document shows."""

TYPES = {
    16: "bool",
    17: "bytea",
    18: "char",
    19: "name",
    20: "int8",
    21: "int2",
    23: "int4",
    25: "text",
    26: "oid",
    114: "json",
    142: "xml",
    700: "float4",
    701: "float8",
    869: "inet",
    1000: "bool[]",
    1007: "int4[]",
    1009: "text[]",
    1016: "int8[]",
    1042: "bpchar",
    1043: "varchar",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1186: "interval",
    1700: "numeric",
    2249: "record",
    2278: "void",
    2950: "uuid",
    3802: "jsonb",
}
_INTEGERS = {20: 8, 21: 2, 23: 4, 26: 4}
_TEXTS = frozenset((18, 19, 25, 114, 142, 1042, 1043))
_EPOCH = datetime(2000, 1, 1)
"""PostgreSQL counts days and microseconds from there, without a zone."""


class Column(NamedTuple):
    name: str
    type: int = 0
    format: int = 0  # 0 text, 1 binary

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "type": TYPES.get(self.type, f"oid {self.type}")}


_COLUMN = struct.Struct(">6xI6xH")  # behind a column's name: its type and format, and what nobody asks for
_LENGTH = struct.Struct(">i")
KEPT_BYTES = 4096
"""Of a RowDescription that is remembered: longer ones are seldom, and would fill memory."""


def read_columns(body: bytes) -> Sequence[Column]:
    """Read a RowDescription; of the same statements they come over and over."""
    return _known_columns(body) if len(body) <= KEPT_BYTES else _read_columns(body)


def _read_columns(body: bytes) -> Sequence[Column]:
    columns, at = list[Column](), 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.find(b"\0", at)
        behind = end + 1 + _COLUMN.size
        if end < 0 or behind > len(body):
            break
        columns.append(Column(text(body[at:end]), *_COLUMN.unpack_from(body, end + 1)))
        at = behind
    return columns


_known_columns = functools.lru_cache(maxsize=256)(_read_columns)


def are_texts(columns: Sequence[Column], formats: Sequence[int]) -> bool:
    """Say whether all values of a row are text."""
    return not any(formats or [column.format for column in columns])


def _items(body: bytes) -> list[bytes | None]:
    """Return the values of a DataRow as far as they go; None is NULL."""
    items, at, size, read = list[bytes | None](), 2, len(body), _LENGTH.unpack_from
    for _ in range(int.from_bytes(body[:2], "big")):
        start = at + 4
        if start > size:
            break
        (length,) = read(body, at)
        if length > 0:
            at = start + length
            if at > size:
                break
            items.append(body[start:at])
        else:
            at = start
            items.append(None if length else b"")
    return items


def texts(body: bytes) -> list[str | None]:
    """Return the values of a row that has only texts: nearly always, and nearly always they are UTF-8."""
    items = _items(body)
    if len(body) < MAX_TEXT:
        try:
            decoded = [None if item is None else item.decode() for item in items]
        except UnicodeDecodeError:
            pass
        else:
            if "\0" not in "".join(filter(None, decoded)):
                return decoded
    return [item if item is None else _shown(item) for item in items]


def values(body: bytes, columns: Sequence[Column], formats: Sequence[int]) -> list[Any]:
    found: list[Any] = []
    for at, item in enumerate(_items(body)):
        column = columns[at] if at < len(columns) else Column("")
        form = form_at(formats, at) if formats else column.format
        found.append(value_text(item, form, column.type))
    return found


def _shown(value: bytes) -> str:
    shown = text(value)  # asked for a zero, bytes raise an exception inside: they try an integer first
    return shown[:MAX_TEXT] if "\0" not in shown else "\\x" + hex_text(value)


def form_at(formats: Sequence[int], at: int) -> int:
    if len(formats) == 1:
        return formats[0]
    return formats[at] if at < len(formats) else 0


def value_text(value: bytes | None, form: int, kind: int) -> Any:
    """Return a value as text; binary ones of common types decoded, others in hexadecimal."""
    if value is None:
        return None
    if form == 0:
        return _shown(value)
    if kind in _INTEGERS and len(value) == _INTEGERS[kind]:
        return str(int.from_bytes(value, "big", signed=kind != 26))
    if kind in _TEXTS:
        return text(value)[:MAX_TEXT]
    try:
        return _binary(value, kind)
    except (struct.error, ValueError, OverflowError):
        return "\\x" + hex_text(value)


def _binary(value: bytes, kind: int) -> str:
    if kind == 16 and len(value) == 1:
        return "t" if value[0] else "f"
    if kind in (700, 701):
        return repr(struct.unpack(">f" if kind == 700 else ">d", value)[0])
    if kind == 2950:
        return str(UUID(bytes=value))
    if kind == 3802 and value[:1] == b"\x01":
        return text(value[1:])[:MAX_TEXT]
    if kind == 1082:
        return str((_EPOCH + timedelta(days=struct.unpack(">i", value)[0])).date())
    if kind in (1114, 1184):
        return str(_EPOCH + timedelta(microseconds=struct.unpack(">q", value)[0]))
    if kind == 1700:
        return _numeric(value)
    if not kind and value.isascii() and (shown := value.decode("ascii")).isprintable():
        return shown[:MAX_TEXT]  # a parameter whose type the server chose: mostly text
    return "\\x" + hex_text(value)


def _numeric(value: bytes) -> str:
    """Return a numeric: digits of base 10,000 with a weight (src/backend/utils/adt/numeric.c, numeric_send)."""
    count, weight, sign, scale = struct.unpack_from(">HhHH", value)
    if sign not in (0, 0x4000):
        return {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}.get(sign, "")
    digits = struct.unpack(f">{count}H", value[8:])
    if abs(weight) > SHOWN_ITEMS or scale > 4 * SHOWN_ITEMS:
        return "\\x" + hex_text(value)
    whole = "".join(f"{digits[at] if at < count else 0:04}" for at in range(weight + 1)).lstrip("0") or "0"
    places = (scale + 3) // 4
    fraction = "".join(f"{digits[at] if 0 <= at < count else 0:04}" for at in range(weight + 1, weight + 1 + places))[
        :scale
    ]
    return ("-" if sign else "") + whole + ("." + fraction if scale else "")


MAX_ROW = 1 << 20
"""Bytes of a row of COPY data that are put together of several messages."""


class CopyRows:
    """The first rows of COPY data: in text form messages end anywhere, within rows, too.

    Binary COPY has signature and zero bytes; its messages are shown in hexadecimal.
    """

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self._part = bytearray()  # of a row
        self._is_binary = False

    def add(self, body: bytes) -> None:
        """Read a CopyData message."""
        left = SHOWN_ITEMS - len(self.shown)
        if left <= 0:
            return
        if self._is_binary or b"\0" in body:
            self._is_binary = True
            self.shown.append(["\\x" + hex_text(body)])
            return
        first, *lines = body.split(b"\n", left)
        self._part += first[: MAX_ROW - len(self._part)]
        for line in lines:
            self._end_row()
            self._part += line[:MAX_ROW]

    def end(self) -> None:
        """Read CopyDone: what follows is other data."""
        self._end_row()
        self._is_binary = False

    def _end_row(self) -> None:
        if self._part and len(self.shown) < SHOWN_ITEMS:
            self.shown.append([text(item)[:MAX_TEXT] for item in bytes(self._part).split(b"\t")])
        self._part.clear()
