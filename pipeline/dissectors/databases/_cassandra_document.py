"""CQL bodies as JSON documents (native protocol 3 to 5, §4, §6): built on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.databases._cassandra_frames import OPCODES, PAYLOAD, TRACED, WARNED, Frame
from kubeshark.pipeline.dissectors.databases._cassandra_values import Type, address_text, read_bytes, shown
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED, SHOWN_ITEMS, Cursor, Short, hex_text

__all__ = [
    "CONSISTENCIES",
    "Column",
    "Statement",
    "error_of",
    "prepared_of",
    "query_of",
    "request_detail",
    "response_detail",
    "start_of_body",
    "string_map",
]

CONSISTENCIES = {
    0: "ANY",
    1: "ONE",
    2: "TWO",
    3: "THREE",
    4: "QUORUM",
    5: "ALL",
    6: "LOCAL_QUORUM",
    7: "EACH_QUORUM",
    8: "SERIAL",
    9: "LOCAL_SERIAL",
    10: "LOCAL_ONE",
}
KINDS = {1: "Void", 2: "Rows", 3: "Set_keyspace", 4: "Prepared", 5: "Schema_change"}
MAX_DEPTH = 8
"""Levels of collections in collections that are read."""
MAX_COLUMNS = 10_000


class Column(Struct, frozen=True):
    name: str
    type: Type
    table: str = ""

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "type": str(self.type), "table": self.table}


class Statement(Struct):
    """What a prepared id stands for."""

    query: str
    parameters: list[Column] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)


def _string(cursor: Cursor) -> str:
    return text(cursor.take(cursor.uint(2)))


def _long_string(cursor: Cursor) -> str:
    return text(cursor.take(cursor.uint(4)))


def _string_list(cursor: Cursor) -> list[str]:
    return [_string(cursor) for _ in range(cursor.uint(2))]


def string_map(cursor: Cursor) -> dict[str, str]:
    return {_string(cursor): _string(cursor) for _ in range(cursor.uint(2))}


def start_of_body(frame: Frame, cursor: Cursor, document: dict[str, Any]) -> None:
    """Read what flags put before a body (§2.2): tracing id, warnings, custom payload."""
    if frame.flags & TRACED and frame.is_response:
        document["tracingId"] = str(UUID(bytes=cursor.take(16)))
    if frame.flags & WARNED and frame.is_response:
        document["warnings"] = _string_list(cursor)
    if frame.flags & PAYLOAD:
        document["customPayload"] = {
            _string(cursor): hex_text(read_bytes(cursor) or b"") for _ in range(cursor.uint(2))
        }


def query_of(frame: Frame, body: bytes) -> tuple[str, bytes]:
    """Return (statement, prepared id) of a request, as far as it names them itself; a batch joins its statements."""
    cursor = Cursor(body)
    try:
        start_of_body(frame, cursor, {})
        if frame.opcode in (0x07, 0x09):
            return _long_string(cursor), b""
        if frame.opcode == 0x0A:
            return "", cursor.take(cursor.uint(2))
    except Short:
        pass
    return "", b""


def error_of(frame: Frame, body: bytes) -> tuple[int, str]:
    cursor = Cursor(body)
    try:
        start_of_body(frame, cursor, {})
        return cursor.int(4), _string(cursor)
    except Short:
        return 0, ""


def prepared_of(frame: Frame, body: bytes) -> tuple[bytes, Statement] | None:
    """Return (id, what it takes and gives) of a RESULT of the kind Prepared; None for other results."""
    cursor, statement = Cursor(body), Statement("")
    try:
        start_of_body(frame, cursor, {})
        if cursor.int(4) != 4:
            return None
        name = cursor.take(cursor.uint(2))
    except Short:
        return None
    try:
        if frame.version == 5:
            cursor.take(cursor.uint(2))  # result_metadata_id
        statement.parameters = _metadata(cursor, frame.version, has_keys=frame.version >= 4)[0]
        statement.columns = _metadata(cursor, frame.version)[0]
    except Short:
        pass
    return name, statement


def request_detail(
    frame: Frame, body_of: Callable[[Frame], bytes], fields: Mapping[str, Value], statement: Statement | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "version": frame.version,
        "opcode": fields.get("cassandra_opcode", ""),
        "streamId": frame.stream,
        "query": fields.get("cassandra_query", ""),
        "keyspace": fields.get("cassandra_keyspace", ""),
        "consistency": "",
        "parameters": [],
    }
    cursor = Cursor(body_of(frame))
    try:
        start_of_body(frame, cursor, document)
        if frame.opcode == 0x01:
            document["options"] = string_map(cursor)
        elif frame.opcode in (0x04, 0x0F):
            document["token"] = REDACTED
        elif frame.opcode == 0x07:
            _long_string(cursor)
            _parameters(document, frame, cursor, [])
        elif frame.opcode == 0x0A:
            document["preparedId"] = cursor.take(cursor.uint(2)).hex()
            if frame.version == 5:
                cursor.take(cursor.uint(2))
            _parameters(document, frame, cursor, statement.parameters if statement else [])
        elif frame.opcode == 0x0B:
            document["events"] = _string_list(cursor)
        elif frame.opcode == 0x0D:
            _batch(document, cursor)
    except Short as short:
        document["comment"] = f"the body ends early: {short}"
    return {}, document


def _parameters(document: dict[str, Any], frame: Frame, cursor: Cursor, columns: Sequence[Column]) -> None:
    """Read what QUERY and EXECUTE have in common (§4.1.4)."""
    if frame.version == 1:
        if frame.opcode == 0x0A:
            document["parameters"] = _values(cursor, columns, has_names=False)
        document["consistency"] = _consistency(cursor)
        return
    document["consistency"] = _consistency(cursor)
    flags = cursor.uint(4 if frame.version == 5 else 1)
    if flags & 0x01:
        document["parameters"] = _values(cursor, columns, has_names=bool(flags & 0x40))
    if flags & 0x04:
        document["pageSize"] = cursor.int(4)
    if flags & 0x08:
        document["pagingState"] = hex_text(read_bytes(cursor) or b"")
    if flags & 0x10:
        document["serialConsistency"] = _consistency(cursor)
    if flags & 0x20:
        document["timestamp"] = cursor.int(8)
    if flags & 0x80:
        document["keyspace"] = _string(cursor)


def _consistency(cursor: Cursor) -> str:
    code = cursor.uint(2)
    return CONSISTENCIES.get(code, str(code))


def _values(cursor: Cursor, columns: Sequence[Column], *, has_names: bool) -> list[Any]:
    values: list[Any] = []
    for at in range(cursor.uint(2)):
        name = _string(cursor) if has_names else ""
        value = shown(read_bytes(cursor), columns[at].type if at < len(columns) else None)
        if len(values) < SHOWN_ITEMS:
            values.append({"name": name, "value": value} if has_names else value)
    return values


def _batch(document: dict[str, Any], cursor: Cursor) -> None:
    document["batchType"] = {0: "LOGGED", 1: "UNLOGGED", 2: "COUNTER"}.get(cursor.uint(1), "")
    statements: list[dict[str, Any]] = []
    document["statements"] = statements
    for _ in range(cursor.uint(2)):
        is_prepared = cursor.uint(1) == 1
        statement: dict[str, Any] = {"query": "", "preparedId": ""}
        if is_prepared:
            statement["preparedId"] = cursor.take(cursor.uint(2)).hex()
        else:
            statement["query"] = _long_string(cursor)
        statement["parameters"] = _values(cursor, [], has_names=False)
        if len(statements) < SHOWN_ITEMS:
            statements.append(statement)
    document["consistency"] = _consistency(cursor)


def response_detail(
    frame: Frame, body_of: Callable[[Frame], bytes], statement: Statement | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "opcode": OPCODES.get(frame.opcode, ""),
        "kind": "",
        "columns": [],
        "rows": [],
        "errorCode": 0,
        "errorMessage": "",
        "version": frame.version,
        "streamId": frame.stream,
    }
    cursor = Cursor(body_of(frame))
    try:
        start_of_body(frame, cursor, document)
        if frame.opcode == 0x00:
            document["errorCode"], document["errorMessage"] = cursor.int(4), _string(cursor)
        elif frame.opcode == 0x03:
            document["authenticator"] = _string(cursor)
        elif frame.opcode in (0x0E, 0x10):
            document["token"] = REDACTED
        elif frame.opcode == 0x06:
            document["options"] = {_string(cursor): _string_list(cursor) for _ in range(cursor.uint(2))}
        elif frame.opcode == 0x08:
            _result(document, frame, cursor, statement)
        elif frame.opcode == 0x0C:
            _event(document, cursor)
    except Short as short:
        document["comment"] = f"the body ends early: {short}"
    return {}, document


def _event(document: dict[str, Any], cursor: Cursor) -> None:
    document["type"] = _string(cursor)
    document["change"] = _string(cursor)
    if document["type"] == "SCHEMA_CHANGE":
        document |= {"target": _string(cursor), "keyspace": _string(cursor)}
        document["name"] = _string(cursor) if cursor.left else ""
    else:
        address = cursor.take(cursor.uint(1))
        document["address"] = f"{address_text(address)}:{cursor.int(4)}"


def _result(document: dict[str, Any], frame: Frame, cursor: Cursor, statement: Statement | None) -> None:
    kind = cursor.int(4)
    document["kind"] = KINDS.get(kind, str(kind))
    if kind == 2:
        _rows(document, frame, cursor, statement)
    elif kind == 3:
        document["keyspace"] = _string(cursor)
    elif kind == 4:
        document["preparedId"] = cursor.take(cursor.uint(2)).hex()
        if frame.version == 5:
            cursor.take(cursor.uint(2))
        parameters, _ = _metadata(cursor, frame.version, has_keys=frame.version >= 4)
        document["parameters"] = [column.document() for column in parameters[:SHOWN_ITEMS]]
        columns, _ = _metadata(cursor, frame.version)
        document["columns"] = [column.document() for column in columns[:SHOWN_ITEMS]]
    elif kind == 5:
        document |= {"change": _string(cursor), "target": _string(cursor), "keyspace": _string(cursor)}
        document["name"] = _string(cursor) if cursor.left else ""


def _rows(document: dict[str, Any], frame: Frame, cursor: Cursor, statement: Statement | None) -> None:
    columns, count = _metadata(cursor, frame.version)
    if not columns and statement:  # the client has the metadata, and asked to leave it out
        columns = statement.columns
    document["columns"] = [column.document() for column in columns[:SHOWN_ITEMS]]
    document["rowCount"] = rows = cursor.uint(4)
    for _ in range(min(rows, SHOWN_ITEMS)):
        values = []
        for at in range(count):
            value = shown(read_bytes(cursor), columns[at].type if at < len(columns) else None)
            if at < SHOWN_ITEMS:
                values.append(value)
        if not count:
            break
        document["rows"].append(values)


def _metadata(cursor: Cursor, version: int, *, has_keys: bool = False) -> tuple[list[Column], int]:
    """Read the metadata of rows or of parameters (§4.2.5.2, §4.2.5.4): (columns, how many there are)."""
    flags, count = cursor.int(4), cursor.int(4)
    if not 0 <= count <= MAX_COLUMNS:
        raise Short(f"{count} columns")
    if has_keys:
        cursor.take(2 * max(0, cursor.int(4)))
    if flags & 0x02:
        read_bytes(cursor)  # paging state
    if flags & 0x08 and version == 5:
        cursor.take(cursor.uint(2))  # new metadata id
    if flags & 0x04:
        return [], count
    table = _table(cursor) if flags & 0x01 else ""
    columns = []
    for _ in range(count):
        own = table or _table(cursor)
        columns.append(Column(_string(cursor), _type(cursor, 0), own))
    return columns, count


def _table(cursor: Cursor) -> str:
    return f"{_string(cursor)}.{_string(cursor)}"


def _type(cursor: Cursor, depth: int) -> Type:
    """Read an [option]: a type's id and what it is made of."""
    if depth > MAX_DEPTH:
        raise Short("types in types")
    code = cursor.uint(2)
    if code == 0x00:
        _string(cursor)
    elif code in (0x20, 0x22):
        return Type(code, (_type(cursor, depth + 1),))
    elif code == 0x21:
        return Type(code, (_type(cursor, depth + 1), _type(cursor, depth + 1)))
    elif code == 0x30:
        _table(cursor)
        fields = [(_string(cursor), _type(cursor, depth + 1)) for _ in range(cursor.uint(2))]
        return Type(code, tuple(kind for _, kind in fields), tuple(name for name, _ in fields))
    elif code == 0x31:
        return Type(code, tuple(_type(cursor, depth + 1) for _ in range(cursor.uint(2))))
    return Type(code)
