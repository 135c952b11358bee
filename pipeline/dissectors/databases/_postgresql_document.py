"""PostgreSQL questions and answers as JSON documents: built on demand, by walking a unit's messages again (§55.7)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED, SHOWN_ITEMS, Cursor, Short, hex_text
from kubeshark.pipeline.dissectors.databases._postgresql_framing import (
    CANCEL,
    STARTUP,
    UNTYPED,
    Unit,
    error_fields,
    walk,
)

__all__ = ["Statement", "notification_detail", "request_detail", "response_detail", "startup_parameters"]

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
_AUTHENTICATION = {
    0: "ok",
    2: "kerberos",
    3: "password",
    5: "md5",
    7: "gss",
    8: "gss continue",
    9: "sspi",
    10: "sasl",
    11: "sasl continue",
    12: "sasl final",
}
_TRANSACTION = {b"I": "idle", b"T": "in transaction", b"E": "failed"}


class Statement(Struct):
    """What a name stands for: a statement, with what later messages leave out."""

    query: str
    parse: Unit | None = None  # the unit with its Parse: parameter types
    columns_at: int = -1  # the server's RowDescription of it


class Column(NamedTuple):
    name: str
    type: int = 0
    format: int = 0  # 0 text, 1 binary

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "type": TYPES.get(self.type, f"oid {self.type}")}


class _Bind(Struct):
    formats: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    count: int = 0
    result_formats: list[int] = field(default_factory=list)


def startup_parameters(body: bytes) -> dict[str, str]:
    """Return the parameters of a StartupMessage: user, database, options …"""
    items = body.split(b"\0")[: 2 * SHOWN_ITEMS]
    return {text(name): text(value) for name, value in zip(items[::2], items[1::2], strict=False) if name}


def request_detail(
    wire: Wire, unit: Unit, fields: Mapping[str, Value], statement: Statement | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "command": fields.get("postgresql_command", ""),
        "query": fields.get("postgresql_query", ""),
        "database": fields.get("postgresql_database", ""),
        "user": fields.get("postgresql_user", ""),
        "parameters": [],
        "portal": unit.portal,
        "statement": unit.statement,
    }
    if STARTUP in unit.types:
        _add_startup(document, wire, unit)
    elif 0x42 in unit.types:
        bind, types = _bind(wire, unit), _parameter_types(wire, unit, statement)
        document["parameters"] = [
            _value(value, _format(bind.formats, at), types[at] if at < len(types) else 0)
            for at, value in enumerate(bind.values)
        ]
        if bind.count > len(bind.values):
            document["parametersTruncated"] = True
    elif 0x70 in unit.types:
        document["password"] = REDACTED
    if 0x64 in unit.types:
        document["copyData"] = _copy_rows(wire, unit)
    return {}, document


def _add_startup(document: dict[str, Any], wire: Wire, unit: Unit) -> None:
    length = int.from_bytes(wire.data[unit.start : unit.start + 4], "big")
    body = wire.captured(unit.start + 8, min(unit.end, unit.start + length))
    if unit.code == CANCEL:
        document["processId"] = int.from_bytes(body[:4], "big")
        document["secretKey"] = REDACTED
    elif unit.code >> 16 == 3:
        document["protocolVersion"] = f"{unit.code >> 16}.{unit.code & 0xFFFF}"
        document["options"] = startup_parameters(body)
        if 0x70 in unit.types:
            document["password"] = REDACTED


def response_detail(
    wire: Wire, unit: Unit, asked: tuple[Wire, Unit] | None, columns_at: int
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Build the answer; `asked` is the question (its Bind has result formats), `columns_at` an older RowDescription."""
    columns: Sequence[Column] = ()
    if columns_at >= 0 and unit.columns_at < 0:
        columns = _columns(next((body for _, body in walk(wire, columns_at, len(wire.data))), b""))
    formats = _bind(*asked).result_formats if asked and 0x42 in asked[1].types else []
    is_text = _is_text(columns, formats)
    shown = columns
    rows: list[list[Any]] = []
    notices: list[dict[str, str]] = []
    options: dict[str, str] = {}
    document: dict[str, Any] = {}
    for kind, body in walk(wire, unit.start, unit.end):
        if kind == 0x44:
            if len(rows) < SHOWN_ITEMS:
                rows.append(_texts(body) if is_text else _row(body, columns, formats))
        elif kind == 0x54:
            columns = _columns(body)
            is_text = _is_text(columns, formats)
            shown = shown or columns
        elif kind == 0x64:
            if len(rows) < SHOWN_ITEMS:
                rows += _copy_lines(body)[: SHOWN_ITEMS - len(rows)]
        elif kind == 0x4E and len(notices) < SHOWN_ITEMS:
            notices.append(_named(error_fields(body)))
        elif kind == 0x53 and len(options) < SHOWN_ITEMS:
            options |= startup_parameters(body)
        elif kind == 0x52:
            number = int.from_bytes(body[:4], "big")
            if number or "authentication" not in document:
                document["authentication"] = _AUTHENTICATION.get(number, str(number)).partition(" ")[0]
        elif kind == 0x5A:
            document["transaction"] = _TRANSACTION.get(body, "")
        elif kind == 0x4B:
            document["processId"] = int.from_bytes(body[:4], "big")
            document["secretKey"] = REDACTED
    failure = unit.failure
    if UNTYPED in unit.types:
        document["answer"] = text(wire.data[unit.start : unit.end])
    head = {
        "ok": not failure,
        "tag": unit.tags[0] if unit.tags else "",
        "columns": [column.document() for column in shown],
        "rows": rows,
        "rowCount": unit.rows,
        "errorCode": failure.get("C", ""),
        "severity": failure.get("V", failure.get("S", "")),
        "errorMessage": failure.get("M", ""),
    }
    if len(unit.tags) > 1:
        head["tags"] = unit.tags
    if failure:
        head["errorFields"] = _named(failure)
    if notices:
        head["notices"] = notices
    if options:
        head["options"] = options
    return {}, head | document


def notification_detail(wire: Wire, unit: Unit) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Build the data of an event: notifications, and notices and parameters that came unasked."""
    document: dict[str, Any] = {"type": "", "channel": "", "payload": "", "processId": 0}
    for kind, body in walk(wire, unit.start, unit.end):
        if kind == 0x41:
            channel, _, payload = body[4:].partition(b"\0")
            document |= {
                "type": "NotificationResponse",
                "processId": int.from_bytes(body[:4], "big"),
                "channel": text(channel),
                "payload": text(payload.partition(b"\0")[0]),
            }
        elif kind == 0x53:
            document |= {"type": "ParameterStatus", "options": startup_parameters(body)}
        elif kind in (0x4E, 0x45):
            document |= {"type": "NoticeResponse" if kind == 0x4E else "ErrorResponse", **_named(error_fields(body))}
    return {}, document


_FIELD_NAMES = {
    "S": "severityText",
    "V": "severity",
    "C": "code",
    "M": "message",
    "D": "detail",
    "H": "hint",
    "P": "position",
    "p": "internalPosition",
    "q": "internalQuery",
    "W": "where",
    "s": "schema",
    "t": "table",
    "c": "column",
    "d": "dataType",
    "n": "constraint",
    "F": "file",
    "L": "line",
    "R": "routine",
}


def _named(fields: Mapping[str, str]) -> dict[str, str]:
    return {_FIELD_NAMES.get(code, code): value for code, value in fields.items()}


def _bind(wire: Wire, unit: Unit) -> _Bind:
    bind = _Bind()
    body = next((body for kind, body in walk(wire, unit.bind_at, unit.end) if kind == 0x42), b"")
    cursor = Cursor(body)
    try:
        cursor.until_nul()
        cursor.until_nul()
        bind.formats = [cursor.uint(2) for _ in range(cursor.uint(2))]
        bind.count = cursor.uint(2)
        for _ in range(bind.count):
            length = cursor.int(4)
            value = cursor.take(length) if length >= 0 else None
            if len(bind.values) < SHOWN_ITEMS:
                bind.values.append(value)
        bind.result_formats = [cursor.uint(2) for _ in range(cursor.uint(2))]
    except Short:
        pass  # the summary says that the message is cut
    return bind


def _parameter_types(wire: Wire, unit: Unit, statement: Statement | None) -> list[int]:
    parsed = unit if unit.is_parsed else statement.parse if statement else None
    if parsed is None:
        return []
    body = next((body for kind, body in walk(wire, parsed.start, parsed.end) if kind == 0x50), b"")
    cursor = Cursor(body)
    try:
        cursor.until_nul()
        cursor.until_nul()
        return [cursor.uint(4) for _ in range(min(cursor.uint(2), SHOWN_ITEMS))]
    except Short:
        return []


_COLUMN = struct.Struct(">6xI6xH")  # behind a column's name: its type and format, and what nobody asks for
_LENGTH = struct.Struct(">i")
KEPT_BYTES = 4096
"""Of a RowDescription that is remembered: longer ones are seldom, and would fill memory."""


def _columns(body: bytes) -> Sequence[Column]:
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


def _is_text(columns: Sequence[Column], formats: Sequence[int]) -> bool:
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


def _texts(body: bytes) -> list[str | None]:
    """Return the values of a row that has only texts: nearly always, and nearly always they are UTF-8."""
    items = _items(body)
    if len(body) < MAX_TEXT:
        try:
            texts = [None if item is None else item.decode() for item in items]
        except UnicodeDecodeError:
            pass
        else:
            if "\0" not in "".join(filter(None, texts)):
                return texts
    return [item if item is None else _shown(item) for item in items]


def _row(body: bytes, columns: Sequence[Column], formats: Sequence[int]) -> list[Any]:
    values: list[Any] = []
    for at, item in enumerate(_items(body)):
        column = columns[at] if at < len(columns) else Column("")
        form = _format(formats, at) if formats else column.format
        values.append(_value(item, form, column.type))
    return values


def _shown(value: bytes) -> str:
    shown = text(value)  # asked for a zero, bytes raise an exception inside: they try an integer first
    return shown[:MAX_TEXT] if "\0" not in shown else "\\x" + hex_text(value)


def _format(formats: Sequence[int], at: int) -> int:
    if len(formats) == 1:
        return formats[0]
    return formats[at] if at < len(formats) else 0


def _value(value: bytes | None, form: int, kind: int) -> Any:
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


def _copy_rows(wire: Wire, unit: Unit) -> list[Any]:
    rows: list[Any] = []
    for kind, body in walk(wire, unit.start, unit.end):
        if kind == 0x64:
            rows += _copy_lines(body)[: SHOWN_ITEMS - len(rows)]
            if len(rows) >= SHOWN_ITEMS:
                break
    return rows


def _copy_lines(body: bytes) -> list[list[str]]:
    """Return the rows of CopyData in text form; binary COPY has signature and zero bytes, shown in hexadecimal."""
    if b"\0" in body:
        return [["\\x" + hex_text(body)]]
    lines = body.split(b"\n", SHOWN_ITEMS)[:SHOWN_ITEMS]
    return [[text(item)[:MAX_TEXT] for item in line.split(b"\t")] for line in lines if line]
