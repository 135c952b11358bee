"""PostgreSQL questions and answers as JSON documents: built on demand, by walking a unit's messages again (§55.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED, SHOWN_ITEMS, Cursor, Short
from kubeshark.pipeline.dissectors.databases._postgresql_framing import (
    CANCEL,
    STARTUP,
    UNTYPED,
    error_fields,
    walk,
)
from kubeshark.pipeline.dissectors.databases._postgresql_units import Unit
from kubeshark.pipeline.dissectors.databases._postgresql_values import (
    Column,
    CopyRows,
    are_texts,
    form_at,
    read_columns,
    texts,
    value_text,
    values,
)

__all__ = [
    "Statement",
    "cancelled",
    "notification_detail",
    "request_detail",
    "response_detail",
    "startup_parameters",
    "subject",
]

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
    parameters_at: int = -1  # the server's ParameterDescription of it
    columns_at: int = -1  # its RowDescription


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
    wire: Wire, unit: Unit, fields: Mapping[str, Value], statement: Statement | None, answering: Wire
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
        bind, types = _bind(wire, unit), _parameter_types(wire, unit, statement, answering)
        document["parameters"] = [
            value_text(value, form_at(bind.formats, at), types[at] if at < len(types) else 0)
            for at, value in enumerate(bind.values)
        ]
        if bind.count > len(bind.values):
            document["parametersTruncated"] = True
    elif 0x70 in unit.types:
        document["password"] = REDACTED
    if 0x64 in unit.types:
        document["copyData"] = _copied(wire, unit)
    return {}, document


def _copied(wire: Wire, unit: Unit) -> list[list[str]]:
    rows = CopyRows()
    for kind, body in walk(wire, unit.start, unit.end):
        if kind == 0x64:
            rows.add(body)
        elif kind in (0x63, 0x66):
            rows.end()
        if len(rows.shown) == SHOWN_ITEMS:
            break
    rows.end()
    return rows.shown


def _add_startup(document: dict[str, Any], wire: Wire, unit: Unit) -> None:
    length = int.from_bytes(wire.data[unit.start : unit.start + 4], "big")
    body = wire.captured(unit.start + 8, min(unit.end, unit.start + length))
    if unit.code == CANCEL:
        document["processId"] = cancelled(wire, unit)
        document["secretKey"] = REDACTED
    elif unit.code >> 16 == 3:
        document["protocolVersion"] = f"{unit.code >> 16}.{unit.code & 0xFFFF}"
        document["options"] = startup_parameters(body)
        if 0x70 in unit.types:
            document["password"] = REDACTED


def cancelled(wire: Wire, unit: Unit) -> int:
    """Return the process whose statement a request to cancel means."""
    return int.from_bytes(wire.captured(unit.start + 8, unit.start + 12), "big")


class _Result(Struct):
    """What one statement returned."""

    columns: Sequence[Column] = ()
    rows: list[list[Any]] = field(default_factory=list)
    count: int = 0
    tag: str = ""
    copied: CopyRows | None = None

    def end(self, tag: str) -> None:
        self.tag = tag
        if self.copied:
            self.copied.end()
            count = tag.removeprefix("COPY ")
            self.count = int(count) if count.isdecimal() else 0

    def document(self) -> dict[str, Any]:
        return {
            "columns": [column.document() for column in self.columns],
            "rows": self.rows,
            "rowCount": self.count,
        }


def response_detail(
    wire: Wire, unit: Unit, bound: tuple[Wire, Unit] | None, columns_at: int
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Build the answer; `bound` has the Bind with its formats, `columns_at` is an older RowDescription."""
    result = _Result()
    if columns_at >= 0 and unit.columns_at < 0:
        result.columns = read_columns(_message_at(wire, columns_at))
    results = [result]
    formats = _bind(*bound).result_formats if bound else []
    is_text = are_texts(result.columns, formats)
    notices: list[dict[str, str]] = []
    options: dict[str, str] = {}
    document: dict[str, Any] = {}
    for kind, body in walk(wire, unit.start, unit.end):
        if kind == 0x44:
            result.count += 1
            if len(result.rows) < SHOWN_ITEMS:
                result.rows.append(texts(body) if is_text else values(body, result.columns, formats))
        elif kind in (0x54, 0x48, 0x64):  # RowDescription, CopyOutResponse, CopyData
            if result.tag:
                result = _Result()
                if len(results) < SHOWN_ITEMS:
                    results.append(result)
            if kind == 0x54:
                result.columns = read_columns(body)
                is_text = are_texts(result.columns, formats)
            elif result.copied is None:
                result.copied = CopyRows()
                result.rows = result.copied.shown
            if kind == 0x64 and result.copied:
                result.copied.add(body)
        elif kind == 0x43:
            if not result.tag and (result.columns or result.count or result.copied):
                result.end(text(body.partition(b"\0")[0]))
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
    if result.copied:
        result.copied.end()
    failure = unit.failure
    if UNTYPED in unit.types:
        document["answer"] = text(wire.data[unit.start : unit.end])
    head = {
        "ok": not failure,
        "tag": unit.tags[0] if unit.tags else "",
        **results[0].document(),
        "errorCode": failure.get("C", ""),
        "severity": failure.get("V", failure.get("S", "")),
        "errorMessage": failure.get("M", ""),
    }
    if len(unit.tags) > 1:
        head["tags"] = unit.tags
    if len(results) > 1:
        head["results"] = [{"tag": each.tag} | each.document() for each in results]
    if failure:
        head["errorFields"] = _named(failure)
    if notices:
        head["notices"] = notices
    if options:
        head["options"] = options
    return {}, head | document


def notification_detail(wire: Wire, unit: Unit) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Build the data of an event: notifications, and notices, parameters and last words that came unasked."""
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


def subject(wire: Wire, unit: Unit, kind: int) -> str:
    """Return what an event of this type is about: the channel of a notification, a setting's name, a message."""
    body = next((body for found, body in walk(wire, unit.start, unit.end) if found == kind), b"")
    if kind == 0x41:
        return text(body[4:].partition(b"\0")[0])
    if kind == 0x53:
        return text(body.partition(b"\0")[0])
    return error_fields(body).get("M", "")


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
        bind.result_formats = [cursor.uint(2) for _ in range(cursor.uint(2))] or [0]
    except Short:
        pass  # the summary says that the message is cut
    return bind


def _parameter_types(wire: Wire, unit: Unit, statement: Statement | None, answering: Wire) -> Sequence[int]:
    """Return the types that Parse gave; the server says what it chose where there are none."""
    parsed = unit if unit.is_parsed else statement.parse if statement else None
    given = described = list[int]()
    if parsed:
        cursor = Cursor(next((body for kind, body in walk(wire, parsed.start, parsed.end) if kind == 0x50), b""))
        try:
            cursor.until_nul()
            cursor.until_nul()
            given = _oids(cursor)
        except Short:
            pass
    if statement and statement.parameters_at >= 0:
        described = _oids(Cursor(_message_at(answering, statement.parameters_at)))
    return [one or other for one, other in zip_longest(given, described, fillvalue=0)]


def _oids(cursor: Cursor) -> list[int]:
    try:
        return [cursor.uint(4) for _ in range(min(cursor.uint(2), SHOWN_ITEMS))]
    except Short:
        return []


def _message_at(wire: Wire, at: int) -> bytes:
    return next((body for _, body in walk(wire, at, len(wire.data))), b"")
