"""MySQL commands and replies as JSON documents: built on demand, by walking their packets again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED, SHOWN_ITEMS, Cursor, Short, hex_text
from kubeshark.pipeline.dissectors.databases._mysql_framing import (
    CHANGE_USER,
    EXECUTE,
    FETCH,
    FULL_PACKET,
    LONG_DATA,
    Exchange,
    payloads,
)
from kubeshark.pipeline.dissectors.databases._mysql_values import (
    Column,
    binary_row,
    binary_value,
    column,
    encoded_int,
    encoded_text,
    text_row,
)

__all__ = [
    "CLIENT_COMPRESS",
    "CLIENT_QUERY_ATTRIBUTES",
    "CLIENT_SSL",
    "CLIENT_ZSTD",
    "LOGIN",
    "UNKNOWN",
    "Asked",
    "Failure",
    "Login",
    "Statement",
    "bound_types",
    "changed_database",
    "failure",
    "greeting_detail",
    "login",
    "prepared",
    "request_detail",
    "response_detail",
    "statement_text",
]

CLIENT_CONNECT_WITH_DB = 1 << 3
CLIENT_COMPRESS = 1 << 5
CLIENT_SSL = 1 << 11
CLIENT_SECURE_CONNECTION = 1 << 15
CLIENT_PLUGIN_AUTH = 1 << 19
CLIENT_CONNECT_ATTRS = 1 << 20
CLIENT_PLUGIN_AUTH_LENENC = 1 << 21
CLIENT_ZSTD = 1 << 26
CLIENT_QUERY_ATTRIBUTES = 1 << 27

MORE_RESULTS = 0x0008
"""Server status: another result follows."""
CURSOR_EXISTS = 0x0040


class Statement(Struct):
    """A prepared statement."""

    query: str
    parameters: int = -1  # how many; -1: the answer to its preparation was not seen
    types: list[tuple[int, bool]] = field(default_factory=list)  # (type, unsigned) as bound last
    long_bytes: dict[int, int] = field(default_factory=dict)  # parameter → bytes sent ahead of the next execution
    executed: Exchange | None = None  # the answer to the last execution, whose columns a cursor's rows have


class Failure(Struct, frozen=True):
    code: int = 0
    state: str = ""
    message: str = ""


class Login(Struct):
    """What a client says when it connects; never its password."""

    capabilities: int = 0
    charset: int = 0
    user: str = ""
    database: str = ""
    plugin: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class Asked(Struct):
    """What one command means in its connection."""

    code: int  # -1: a login, -2: unknown
    name: str
    query: str = ""
    database: str = ""
    chosen: str | None = None  # the database that it asks to go on in
    statement_id: int = 0
    statement: Statement | None = None
    types: list[tuple[int, bool]] = field(default_factory=list)  # of COM_STMT_EXECUTE's parameters
    long_bytes: dict[int, int] = field(default_factory=dict)  # parameters that COM_STMT_EXECUTE has no values of
    executed: Exchange | None = None  # where the columns of COM_STMT_FETCH's rows are
    has_attributes: bool = False


LOGIN, UNKNOWN = -1, -2


def failure(payload: bytes) -> Failure:
    """Read an ERR packet: code, SQLSTATE (missing before the login), message."""
    code = int.from_bytes(payload[1:3], "little")
    if payload[3:4] == b"#":
        return Failure(code, text(payload[4:9]), text(payload[9:]))
    return Failure(code, "", text(payload[3:]))


def login(payload: bytes) -> Login:
    """Read a HandshakeResponse41 as far as it goes; the authentication response is skipped."""
    cursor, found = Cursor(payload, order="little"), Login()
    try:
        found.capabilities = cursor.uint(4)
        cursor.take(4)
        found.charset = cursor.uint(1)
        cursor.take(23)
        found.user = text(cursor.until_nul())
        if found.capabilities & CLIENT_PLUGIN_AUTH_LENENC:
            encoded_text(cursor)
        elif found.capabilities & CLIENT_SECURE_CONNECTION:
            cursor.take(cursor.uint(1))
        else:
            cursor.until_nul()
        if found.capabilities & CLIENT_CONNECT_WITH_DB:
            found.database = text(cursor.until_nul())
        if found.capabilities & CLIENT_PLUGIN_AUTH:
            found.plugin = text(cursor.until_nul())
        if found.capabilities & CLIENT_CONNECT_ATTRS:
            found.attributes = _attributes(encoded_text(cursor))
    except Short:
        pass
    return found


def changed_database(payload: bytes) -> str | None:
    """Return the database of a COM_CHANGE_USER; None if it ends before."""
    cursor = Cursor(payload, 1, "little")
    try:
        cursor.until_nul()
        cursor.take(cursor.uint(1))
        return text(cursor.until_nul())
    except Short:
        return None


def _attributes(data: bytes) -> dict[str, str]:
    cursor, found = Cursor(data, order="little"), dict[str, str]()
    while cursor.left and len(found) < SHOWN_ITEMS:
        name = encoded_text(cursor)
        found[text(name)] = text(encoded_text(cursor))
    return found


def statement_text(payload: bytes, *, has_attributes: bool) -> str:
    """Return the statement of a COM_QUERY or COM_STMT_PREPARE payload, query attributes (8.0.23) before it skipped."""
    is_query = payload[:1] == b"\x03"
    if is_query and (has_attributes or payload[1:2] < b"\x09"):
        cursor = Cursor(payload, 1, "little")
        try:
            count = encoded_int(cursor)
            encoded_int(cursor)  # sets of parameters: 1
            if count:
                _parameters(cursor, count, [], {}, has_names=True)
            return text(cursor.rest().rstrip(b"\0"))
        except Short:
            pass
    return text(payload[1:].rstrip(b"\0"))  # some clients count the zero byte of a C string


def prepared(payload: bytes) -> tuple[int, int] | None:
    """Return (statement id, number of parameters) of a COM_STMT_PREPARE_OK."""
    if len(payload) < 9 or payload[0]:
        return None
    return int.from_bytes(payload[1:5], "little"), int.from_bytes(payload[7:9], "little")


def _parameters(
    cursor: Cursor, count: int, types: list[tuple[int, bool]], long_bytes: Mapping[int, int], *, has_names: bool
) -> list[Any]:
    """Read `count` parameters; `types` are those bound before, and are replaced if new ones are bound.

    Parameters of `long_bytes` were sent ahead and have no values here.
    """
    if count > 0xFFFF:
        raise Short("more parameters than there can be")
    nulls = cursor.take((count + 7) // 8)
    if cursor.uint(1):
        types.clear()
        for _ in range(count):
            kind, flags = cursor.uint(1), cursor.uint(1)
            types.append((kind, bool(flags & 0x80)))
            if has_names:
                encoded_text(cursor)
    values: list[Any] = []
    for at in range(count):
        if at in long_bytes:
            values.append(f"[{long_bytes[at]} bytes of long data]")
        elif nulls[at // 8] >> at % 8 & 1:
            values.append(None)
        elif at < len(types):
            values.append(binary_value(cursor, types[at][0], is_unsigned=types[at][1]))
    return values


def bound_types(payload: bytes, asked: Asked) -> list[tuple[int, bool]]:
    """Return the parameter types that hold for this COM_STMT_EXECUTE: its own, else those bound before."""
    types = list(asked.types)
    _executed(payload, asked, types)
    return types


def _executed(payload: bytes, asked: Asked, types: list[tuple[int, bool]]) -> list[Any]:
    cursor = Cursor(payload, 5, "little")
    count = asked.statement.parameters if asked.statement else -1
    try:
        flags = cursor.uint(1)
        cursor.take(4)  # iterations: 1
        if asked.has_attributes and (count > 0 or flags & 0x08):
            count = encoded_int(cursor)
        if count <= 0:
            return []
        return _parameters(cursor, count, types, asked.long_bytes, has_names=asked.has_attributes)
    except Short:
        return []


def request_detail(wire: Wire, exchange: Exchange, asked: Asked) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    payload = next(payloads(wire, exchange.start, exchange.end), b"")
    document: dict[str, Any] = {
        "command": asked.name,
        "commandCode": max(asked.code, 0),
        "query": asked.query,
        "database": asked.database,
        "statementId": asked.statement_id,
        "parameters": [],
    }
    if not exchange.is_packet:
        return {}, document
    if asked.code == LOGIN:
        document |= _login_document(payload)
    elif asked.code == EXECUTE:
        document["parameters"] = _executed(payload, asked, list(asked.types))[:SHOWN_ITEMS]
    elif asked.code == 0x03 and exchange.next_sequence > 1:
        document["fileBytes"] = _file_bytes(wire, exchange)
    elif asked.code == CHANGE_USER:
        document |= {"user": text(payload[1:].partition(b"\0")[0]), "password": REDACTED}
    elif asked.code in (0x04, 0x05, 0x06):
        document["argument"] = text(payload[1:].partition(b"\0")[0])
    elif asked.code == 0x0C:
        document["processId"] = int.from_bytes(payload[1:5], "little")
    elif asked.code == 0x12:
        document |= {
            "position": int.from_bytes(payload[1:5], "little"),
            "serverId": int.from_bytes(payload[7:11], "little"),
            "file": text(payload[11:]),
        }
    elif asked.code == 0x15:
        document |= {"serverId": int.from_bytes(payload[1:5], "little"), "password": REDACTED}
    elif asked.code == LONG_DATA:
        document |= {"parameter": int.from_bytes(payload[5:7], "little"), "bytes": max(0, len(payload) - 7)}
    elif asked.code == 0x1B:
        document["option"] = int.from_bytes(payload[1:3], "little")
    elif asked.code == FETCH:
        document["fetchRows"] = int.from_bytes(payload[5:9], "little")
    return {}, document


def _login_document(payload: bytes) -> dict[str, Any]:
    found = login(payload)
    return {
        "user": found.user,
        "password": REDACTED,
        "authPlugin": found.plugin,
        "charset": found.charset,
        "capabilities": f"{found.capabilities:#010x}",
        "attributes": found.attributes,
    }


def _file_bytes(wire: Wire, exchange: Exchange) -> int:
    """Return how long the file of a LOAD DATA LOCAL INFILE was that its client sent behind the statement."""
    sizes = [len(payload) for payload in payloads(wire, exchange.start, exchange.end)]
    return sum(sizes[1:])


def greeting_detail(payload: bytes) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    """Build the data of the server's first packet, its random bytes left out; or of an error that came unasked."""
    if payload[:1] == b"\xff":
        found = failure(payload)
        return {}, {
            "type": "ERR",
            "errorCode": found.code,
            "sqlState": found.state,
            "errorMessage": found.message,
        }
    version, _, rest = payload[1:].partition(b"\0")
    cursor = Cursor(rest, order="little")
    document: dict[str, Any] = {
        "type": "HANDSHAKE",
        "protocolVersion": payload[0] if payload else 0,
        "serverVersion": text(version),
        "connectionId": 0,
        "capabilities": "",
        "charset": 0,
        "authPlugin": "",
    }
    try:
        document["connectionId"] = cursor.uint(4)
        cursor.take(9)
        low = cursor.uint(2)
        document["charset"] = cursor.uint(1)
        cursor.take(2)
        capabilities = low | cursor.uint(2) << 16
        document["capabilities"] = f"{capabilities:#010x}"
        challenge = cursor.uint(1)
        cursor.take(10 + max(13, challenge - 8))
        document["authPlugin"] = text(cursor.rest().partition(b"\0")[0])
    except Short:
        pass
    return {}, document


def response_detail(
    wire: Wire, exchange: Exchange, asked: Asked | None, failed: Failure | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "ok": failed is None,
        "affectedRows": 0,
        "lastInsertId": 0,
        "warnings": 0,
        "columns": [],
        "rows": [],
        "rowCount": 0,
        "errorCode": failed.code if failed else 0,
        "sqlState": failed.state if failed else "",
        "errorMessage": failed.message if failed else "",
    }
    code = asked.code if asked else UNKNOWN
    found = payloads(wire, exchange.start, exchange.end)
    try:
        if code in (LOGIN, CHANGE_USER):
            _read_login(document, found)
        elif code == 0x09:
            document["text"] = text(next(found, b""))
        elif code == 0x16:
            _read_prepared(document, found)
        elif code in (0x12, 0x1E):
            document["events"] = sum(payload[:1] == b"\0" for payload in found)
        elif code == 0x04:
            _read_rows(document, found, _Result(is_binary=False, is_list=True))
        elif code == FETCH:
            executed = asked.executed if asked else None
            columns = _definitions(payloads(wire, executed.start, executed.end)) if executed else []
            _read_rows(document, found, _Result(is_binary=True, columns=columns))
        else:
            _read_results(document, found, is_binary=code in (EXECUTE, 0xFA))
    except Short as short:
        document["comment"] = f"the reply ends early: {short}"
    return {}, document


def _read_login(document: dict[str, Any], found: Iterator[bytes]) -> None:
    for payload in found:
        if payload[:1] == b"\0":
            _read_ok(document, payload)
        elif payload[:1] == b"\xfe" and len(payload) > 1:
            document["authPlugin"] = text(payload[1:].partition(b"\0")[0])


def _read_ok(document: dict[str, Any], payload: bytes) -> int:
    """Read an OK packet (or an EOF one); return the server's status."""
    cursor = Cursor(payload, 1, "little")
    if payload[:1] == b"\xfe" and len(payload) < 7:
        warnings = cursor.uint(2) if cursor.left >= 4 else 0
        document["warnings"] = warnings
        return cursor.uint(2) if cursor.left >= 2 else 0
    affected, inserted = encoded_int(cursor), encoded_int(cursor)
    document["affectedRows"] += affected
    document["lastInsertId"] = inserted or document["lastInsertId"]
    status = cursor.uint(2) if cursor.left >= 2 else 0
    document["warnings"] = cursor.uint(2) if cursor.left >= 2 else 0
    return status


def _read_prepared(document: dict[str, Any], found: Iterator[bytes]) -> None:
    payload = next(found, b"")
    head = prepared(payload)
    if head is None:
        return
    count = int.from_bytes(payload[5:7], "little")
    document |= {"statementId": head[0], "parameterCount": head[1], "columnCount": count}
    definitions = [item for item in found if _is_definition(item)]
    document["columns"] = [column(item).document() for item in definitions[head[1] :][:SHOWN_ITEMS]]


def _definitions(found: Iterator[bytes]) -> list[Column]:
    """Read the columns of a result set, behind the packet that counts them."""
    next(found, b"")
    return [column(payload) for payload in takewhile(_is_definition, found)]


def _is_definition(payload: bytes) -> bool:
    return payload[:4] == b"\x03def"


class _Result(Struct):
    """One result set while it is read."""

    is_binary: bool
    is_list: bool = False  # COM_FIELD_LIST: definitions alone
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    count: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "columns": [item.document() for item in self.columns[:SHOWN_ITEMS]],
            "rows": self.rows,
            "rowCount": self.count,
        }


def _read_results(document: dict[str, Any], found: Iterator[bytes], *, is_binary: bool) -> None:
    """Read results until the server says that no more follow."""
    results: list[_Result] = []
    outcomes = 0
    for payload in found:
        first = payload[:1]
        if first == b"\xff" or not payload:
            continue
        if first == b"\0" or first == b"\xfe":
            outcomes += 1
            if not _read_ok(document, payload) & MORE_RESULTS:
                break
            continue
        if first == b"\xfb":
            document["localInfile"] = text(payload[1:])
            continue
        result = _Result(is_binary)
        if _is_definition(payload):  # the capture began behind the number of columns
            result.columns.append(column(payload))
            count = 0
        else:
            count = encoded_int(Cursor(payload, order="little"))
        results.append(result)
        outcomes += 1
        if not _read_rows(document, found, result, count) & MORE_RESULTS:
            break
    if results:
        document |= results[0].document()
    if outcomes > 1:
        document["results"] = [result.document() for result in results[:SHOWN_ITEMS]]


def _read_rows(document: dict[str, Any], found: Iterator[bytes], result: _Result, count: int = 0) -> int:
    """Read `count` column definitions and then rows up to an EOF, OK or ERR packet; return the server's status."""
    ends = 0
    for payload in found:
        first = payload[:1]
        if first == b"\xff":
            return 0
        if first == b"\xfe" and len(payload) < FULL_PACKET:
            ends += 1
            is_between = ends == 1 and len(payload) == 5 and result.columns and not (result.count or result.is_list)
            status = _read_ok(document, payload)
            if is_between and not status & CURSOR_EXISTS:
                continue  # between definitions and rows; CLIENT_DEPRECATE_EOF leaves it out
            return _finished(document, result, status)
        if len(result.columns) < max(count, 1 if result.is_list else 0) or (result.is_list and _is_definition(payload)):
            if _is_definition(payload):
                result.columns.append(column(payload))
                continue
            count = 0  # MariaDB: the definitions were sent before
        elif not count and not result.count and not ends and _is_definition(payload):
            result.columns.append(column(payload))
            continue
        result.count += 1
        if len(result.rows) < SHOWN_ITEMS:
            result.rows.append(_row(payload, result))
    return _finished(document, result, 0)


def _finished(document: dict[str, Any], result: _Result, status: int) -> int:
    if result.is_list or not document["columns"]:
        document |= result.document()
    return status


def _row(payload: bytes, result: _Result) -> list[Any]:
    if not result.is_binary:
        values = text_row(payload)
        if not result.columns or len(values) == len(result.columns) or payload[:1] != b"\0":
            return values  # a binary row, where the command was not captured, has another number of values
    if not result.columns:
        return ["0x" + hex_text(payload)]
    return binary_row(payload, result.columns)
