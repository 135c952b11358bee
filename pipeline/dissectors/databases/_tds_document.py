"""What TDS messages say (MS-TDS §2.2.6 requests, §2.2.7 tokens): for summaries in brief, for documents in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors.databases._database_stream import REDACTED, SHOWN_ITEMS, Cursor, Short, hex_text
from kubeshark.pipeline.dissectors.databases._tds_packets import BULK, LOGIN7, PRELOGIN, RPC, SQL_BATCH, TRANSACTION
from kubeshark.pipeline.dissectors.databases._tds_values import Type, read_type, read_value, short_text, wide

__all__ = [
    "Answer",
    "Login",
    "Procedure",
    "Version",
    "batch_text",
    "has_failed",
    "is_prelogin",
    "login",
    "prelogin_options",
    "procedure",
    "read_answer",
    "request_detail",
    "response_detail",
]

PROCEDURES = {
    1: "sp_cursor",
    2: "sp_cursoropen",
    3: "sp_cursorprepare",
    4: "sp_cursorexecute",
    5: "sp_cursorprepexec",
    6: "sp_cursorunprepare",
    7: "sp_cursorfetch",
    8: "sp_cursoroption",
    9: "sp_cursorclose",
    10: "sp_executesql",
    11: "sp_prepare",
    12: "sp_execute",
    13: "sp_prepexec",
    14: "sp_prepexecrpc",
    15: "sp_unprepare",
}
_STATEMENT_AT = {"sp_executesql": 0, "sp_prepare": 2, "sp_prepexec": 2, "sp_cursoropen": 1, "sp_cursorprepexec": 3}
"""Which parameter of a system procedure is the statement."""
ENCRYPTION = {0: "off", 1: "on", 2: "not supported", 3: "required"}
MAX_TOKENS = 1_000_000
MAX_COLUMNS = 4096


class Version(Struct, frozen=True):
    """Widths that depend on the protocol's version: 7.2 (SQL Server 2005) made some of them longer."""

    is_72: bool = True


class Login(Struct):
    host: str = ""
    user: str = ""
    application: str = ""
    server: str = ""
    library: str = ""
    database: str = ""
    version: int = 0


class Procedure(Struct):
    """A remote procedure call."""

    name: str = ""
    parameters: list[dict[str, Any]] = field(default_factory=list)
    comment: str = ""

    @property
    def statement(self) -> str:
        """Return the statement that a system procedure runs or prepares."""
        at = _STATEMENT_AT.get(self.name.lower(), -1)
        value = self.parameters[at]["value"] if 0 <= at < len(self.parameters) else ""
        return value if isinstance(value, str) else ""

    @property
    def handle(self) -> int:
        """Return the handle of a prepared statement that a system procedure is given."""
        is_given = self.name.lower() in ("sp_execute", "sp_unprepare", "sp_cursorexecute") and self.parameters
        value = self.parameters[0]["value"] if is_given else 0
        return value if isinstance(value, int) else 0


class Answer(Struct):
    """What the tokens of a server's message say."""

    columns: list[tuple[str, Type]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    row_count: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    affected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, str] = field(default_factory=dict)
    returned: list[dict[str, Any]] = field(default_factory=list)
    status: int | None = None
    server: str = ""
    comment: str = ""


def is_prelogin(payload: bytes) -> bool:
    """Say whether these bytes are a PRELOGIN's options: a table that begins with the version."""
    return (
        payload[:1] == b"\0"
        and payload[1:3] >= b"\0\x06"
        and payload[3:5] == b"\0\x06"
        and bool(prelogin_options(payload))
    )


def prelogin_options(payload: bytes) -> dict[str, Any]:
    """Return the options of a PRELOGIN message, of either side (§2.2.6.5)."""
    cursor, found = Cursor(payload), dict[str, Any]()
    try:
        while (option := cursor.uint(1)) != 0xFF:
            offset, length = cursor.uint(2), cursor.uint(2)
            value = payload[offset : offset + length]
            if option == 0 and len(value) >= 6:
                found["version"] = f"{value[0]}.{value[1]}.{int.from_bytes(value[2:4], 'big')}"
            elif option == 1 and value:
                found["encryption"] = ENCRYPTION.get(value[0], str(value[0]))
            elif option == 2:
                found["instance"] = value.rstrip(b"\0").decode("latin-1")
            elif option == 4 and value:
                found["mars"] = value != b"\0"
            elif option == 6 and value:
                found["federatedAuthentication"] = value != b"\0"
            if cursor.at > 64:
                return {}
    except Short:
        return {}
    return found


def login(payload: bytes) -> Login:
    """Read a LOGIN7 (§2.2.6.4): offsets and lengths, then the texts; the password stays where it is."""
    found = Login(version=int.from_bytes(payload[4:8], "little"))
    for name, at in (
        ("host", 36),
        ("user", 40),
        ("application", 48),
        ("server", 52),
        ("library", 60),
        ("database", 68),
    ):
        offset = int.from_bytes(payload[at : at + 2], "little")
        length = int.from_bytes(payload[at + 2 : at + 4], "little")
        setattr(found, name, wide(payload[offset : offset + 2 * length]))
    return found


def _body(payload: bytes) -> bytes:
    """Return a request without its ALL_HEADERS (§2.2.5.3), which versions before 7.2 do not have."""
    total = int.from_bytes(payload[:4], "little")
    first = int.from_bytes(payload[4:8], "little")
    if 4 < total <= len(payload) and 6 <= first <= total - 4 and payload[9:10] == b"\0" and 1 <= payload[8] <= 3:
        return payload[total:]
    return payload


def batch_text(payload: bytes) -> str:
    return wide(_body(payload))


def procedure(payload: bytes) -> Procedure:
    """Read an RPC request's first call (§2.2.6.6), as far as its types can be read."""
    cursor, found = Cursor(_body(payload), order="little"), Procedure()
    try:
        length = cursor.uint(2)
        if length == 0xFFFF:
            number = cursor.uint(2)
            found.name = PROCEDURES.get(number, f"procedure {number}")
        else:
            found.name = wide(cursor.take(2 * length))
        cursor.take(2)
        while cursor.left and cursor.data[cursor.at] not in (0x80, 0xFF, 0xFE) and len(found.parameters) < SHOWN_ITEMS:
            name, flags = short_text(cursor), cursor.uint(1)
            kind = read_type(cursor, of_column=False)
            value = read_value(cursor, kind)
            found.parameters.append({"name": name, "type": kind.name, "value": value, "output": bool(flags & 1)})
    except Short as short:
        found.comment = f"parameters behind number {len(found.parameters)} were not read: {short}"
    return found


def has_failed(payload: bytes, version: Version) -> bool | None:
    """Say what the last DONE token says; None if the message does not end with one."""
    size = 13 if version.is_72 else 9
    done = payload[-size:]
    if len(done) < size or done[0] not in (0xFD, 0xFE, 0xFF):
        return None
    return bool(done[1] & 0x02)


def read_answer(payload: bytes, version: Version) -> Answer:
    """Read a server's tokens (§2.2.7) one by one; where one cannot be read, what came before is the answer."""
    answer, cursor = Answer(), Cursor(payload, order="little")
    try:
        for _ in range(MAX_TOKENS):
            if not cursor.left:
                break
            _token(answer, cursor, cursor.uint(1), version)
    except Short as short:
        answer.comment = f"the answer ends early: {short}"
    return answer


def _token(answer: Answer, cursor: Cursor, token: int, version: Version) -> None:
    if token in (0xD1, 0xD2):
        _row(answer, cursor, has_nulls=token == 0xD2)
    elif token == 0x81:
        _columns(answer, cursor, version)
    elif token in (0xFD, 0xFE, 0xFF):
        _done(answer, cursor, version)
    elif token in (0xAA, 0xAB):
        inner = Cursor(cursor.take(cursor.uint(2)), order="little")
        (answer.errors if token == 0xAA else answer.infos).append(_notice(inner, version))
    elif token == 0xE3:
        _change(answer, Cursor(cursor.take(cursor.uint(2)), order="little"))
    elif token == 0xAD:
        inner = Cursor(cursor.take(cursor.uint(2)), 5, "little")
        answer.server = short_text(inner).rstrip("\0")
    elif token == 0x79:
        answer.status = cursor.int(4)
    elif token == 0xAC:
        _returned(answer, cursor, version)
    elif token in (0xA9, 0xA5, 0xA4, 0xED):  # ORDER, COLINFO, TABNAME, SSPI
        cursor.take(cursor.uint(2))
    elif token in (0xE4, 0xEE):  # SESSIONSTATE, FEDAUTHINFO
        cursor.take(cursor.uint(4))
    elif token == 0xAE:  # FEATUREEXTACK
        while cursor.uint(1) != 0xFF:
            cursor.take(cursor.uint(4))
    elif token == 0x78:  # OFFSET
        cursor.take(4)
    else:
        raise Short(f"token {token:#04x} at {cursor.at - 1}")


def _columns(answer: Answer, cursor: Cursor, version: Version) -> None:
    _close(answer)
    count = cursor.uint(2)
    if count == 0xFFFF:
        return
    if count > MAX_COLUMNS:
        raise Short(f"{count} columns")
    columns = []
    for _ in range(count):
        cursor.take((4 if version.is_72 else 2) + 2)  # user type, flags
        kind = read_type(cursor, of_column=True)
        if kind.code in (0x22, 0x23, 0x63):
            for _ in range(cursor.uint(1) if version.is_72 else 1):
                short_text(cursor, 2)
        columns.append((short_text(cursor), kind))
    answer.columns = columns


def _row(answer: Answer, cursor: Cursor, *, has_nulls: bool) -> None:
    if not answer.columns:
        raise Short("a row without columns")
    nulls = cursor.take((len(answer.columns) + 7) // 8) if has_nulls else b""
    values = [
        None if has_nulls and nulls[at // 8] >> at % 8 & 1 else read_value(cursor, kind)
        for at, (_, kind) in enumerate(answer.columns)
    ]
    answer.row_count += 1
    if len(answer.rows) < SHOWN_ITEMS:
        answer.rows.append(values)


def _close(answer: Answer) -> None:
    """Put a result away before the next one."""
    if answer.columns and len(answer.results) < SHOWN_ITEMS:
        answer.results.append(_result(answer))
    answer.columns, answer.rows, answer.row_count = [], [], 0


def _result(answer: Answer) -> dict[str, Any]:
    return {
        "columns": [{"name": name, "type": kind.name} for name, kind in answer.columns[:SHOWN_ITEMS]],
        "rows": answer.rows,
        "rowCount": answer.row_count,
    }


def _done(answer: Answer, cursor: Cursor, version: Version) -> None:
    status, _ = cursor.uint(2), cursor.uint(2)
    count = cursor.uint(8 if version.is_72 else 4)
    if status & 0x10 and not answer.columns:
        answer.affected += count


def _notice(cursor: Cursor, version: Version) -> dict[str, Any]:
    """Read an ERROR or INFO token."""
    found: dict[str, Any] = {"number": cursor.int(4), "state": cursor.uint(1), "severity": cursor.uint(1)}
    found["message"] = short_text(cursor, 2)
    try:
        found["server"] = short_text(cursor)
        found["procedure"] = short_text(cursor)
        found["line"] = cursor.uint(4 if version.is_72 else 2)
    except Short:
        pass
    return found


_CHANGES = {1: "database", 2: "language", 3: "characterSet", 4: "packetSize", 13: "mirror", 19: "instance"}


def _change(answer: Answer, cursor: Cursor) -> None:
    name = _CHANGES.get(cursor.uint(1))
    if name:
        answer.changes[name] = short_text(cursor)


def _returned(answer: Answer, cursor: Cursor, version: Version) -> None:
    cursor.take(2)
    name = short_text(cursor)
    cursor.take(1 + (4 if version.is_72 else 2) + 2)
    kind = read_type(cursor, of_column=True)
    answer.returned.append({"name": name, "type": kind.name, "value": read_value(cursor, kind)})


def request_detail(
    kind: int, payload: bytes, fields: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "type": fields.get("tds_type", ""),
        "query": fields.get("tds_query", ""),
        "database": fields.get("tds_database", ""),
        "procedure": "",
        "parameters": [],
    }
    if kind == RPC:
        called = procedure(payload)
        document |= {"procedure": called.name, "parameters": called.parameters}
        if called.comment:
            document["comment"] = called.comment
    elif kind == LOGIN7:
        found = login(payload)
        document |= {
            "user": found.user,
            "password": REDACTED,
            "host": found.host,
            "application": found.application,
            "server": found.server,
            "library": found.library,
            "version": f"{found.version:#010x}",
        }
    elif kind == PRELOGIN:
        document["options"] = prelogin_options(payload)
    elif kind == TRANSACTION:
        document["transaction"] = _transaction(payload)
    elif kind == BULK:
        document["bytes"] = len(payload)
    elif kind != SQL_BATCH:
        document["token"] = REDACTED if payload else ""
    return {}, document


_TRANSACTIONS = {0: "get address", 1: "propagate", 5: "begin", 6: "promote", 7: "commit", 8: "rollback", 9: "savepoint"}


def _transaction(payload: bytes) -> str:
    number = int.from_bytes(_body(payload)[:2], "little")
    return _TRANSACTIONS.get(number, str(number))


def response_detail(payload: bytes, version: Version) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    if is_prelogin(payload):
        return {}, {"ok": True, "options": prelogin_options(payload), **_NO_RESULT}
    answer = read_answer(payload, version)
    if answer.columns:
        _close(answer)
    first = answer.results[0] if answer.results else {"columns": [], "rows": [], "rowCount": 0}
    error = answer.errors[0] if answer.errors else {}
    document: dict[str, Any] = {
        "ok": not answer.errors and not has_failed(payload, version),
        **first,
        "affectedRows": answer.affected,
        "errorCode": error.get("number", 0),
        "errorMessage": error.get("message", ""),
    }
    if len(answer.results) > 1:
        document["results"] = answer.results
    extra = {
        "errors": answer.errors,
        "messages": answer.infos,
        "changes": answer.changes,
        "outputs": answer.returned,
        "server": answer.server,
        "comment": answer.comment,
    }
    document |= {name: value for name, value in extra.items() if value}
    if answer.status is not None:
        document["returnStatus"] = answer.status
    if not document["ok"] and not answer.errors and answer.comment:
        document["tokens"] = hex_text(payload)
    return {}, document


_NO_RESULT: dict[str, Any] = {"columns": [], "rows": [], "rowCount": 0, "errorCode": 0, "errorMessage": ""}
