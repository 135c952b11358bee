"""TDS streams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import tds

from .._damage import assert_sound, damaged_streams, document
from .._streams import FakeStream, tcp

REQUEST, RESPONSE = MessageKind.REQUEST, MessageKind.RESPONSE


def packet(kind: int, payload: bytes, *, last: bool = True, number: int = 1, spid: int = 0) -> bytes:
    return pack(">BBHHBB", kind, int(last), 8 + len(payload), spid, number, 0) + payload


def reply(*tokens: bytes) -> bytes:
    return packet(4, b"".join(tokens), spid=52)


def w(text: str) -> bytes:
    return text.encode("utf-16-le")


def b(text: str) -> bytes:
    return bytes([len(text)]) + w(text)


def us(text: str) -> bytes:
    return pack("<H", len(text)) + w(text)


HEADERS = pack("<IIHQI", 22, 18, 2, 0, 1)
COLLATION = b"\x09\x04\xd0\0\x34"
NVARCHAR = b"\xe7" + pack("<H", 8000) + COLLATION
INT = b"\x26\x04"
DONE = b"\xfd" + pack("<HHQ", 0x10, 0xC1, 2)
FAILED = b"\xfd" + pack("<HHQ", 2, 0, 0)
SELECT = packet(1, HEADERS + w("select * from items"))
COLUMNS = b"\x81" + pack("<H", 2) + pack("<IH", 0, 9) + INT + b("id") + pack("<IH", 0, 9) + NVARCHAR + b("name")
ROWS = b"\xd1\x04" + pack("<i", 7) + pack("<H", 4) + w("ab") + b"\xd2\x02\x04" + pack("<i", 8)
SELECTED = reply(COLUMNS, ROWS, DONE)


def notice(token: int, number: int, text: str) -> bytes:
    body = pack("<iBB", number, 1, 16) + us(text) + b("db") + b("") + pack("<I", 3)
    return bytes([token]) + pack("<H", len(body)) + body


def change(kind: int, new: str, old: str = "") -> bytes:
    body = bytes([kind]) + b(new) + b(old)
    return b"\xe3" + pack("<H", len(body)) + body


PRELOGIN = packet(18, b"\0\0\x10\0\6\1\0\x16\0\1\4\0\x17\0\1\xff" + b"\x10\0\x07\xd0\0\0" + b"\2" + b"\0")
WELCOME = packet(4, b"\0\0\x0b\0\6\1\0\x11\0\1\xff" + b"\x0f\0\x08\x98\0\0" + b"\2")


def login(user: str = "ann", password: str = "secret", database: str = "shop") -> bytes:
    texts = ["host", user, password, "app", "server", "", "lib", "", database]
    at, table, data = 94, b"", b""
    for text in texts:
        table += pack("<HH", at + len(data), len(text))
        data += w(text)
    fixed = pack("<IIIIII", 94 + len(data), 0x74000004, 4096, 7, 1, 0) + bytes(12)
    return packet(16, fixed + table + bytes(94 - 36 - len(table)) + data)


LOGIN = login()
ACK_BODY = b"\1\x74\0\0\4" + b("SQL Server") + b"\x0f\0\x08\x98"
LOGGED_IN = reply(
    change(1, "shop", "master"), notice(0xAB, 5701, "changed"), b"\xad" + pack("<H", len(ACK_BODY)) + ACK_BODY, DONE
)


def parameter(name: str, type_info: bytes, value: bytes, status: int = 0) -> bytes:
    return b(name) + bytes([status]) + type_info + value


def nvarchar(text: str) -> bytes:
    return pack("<H", 2 * len(text)) + w(text)


def rpc(number: int, *parameters: bytes) -> bytes:
    return packet(3, HEADERS + pack("<HHH", 0xFFFF, number, 0) + b"".join(parameters))


EXECUTE_SQL = rpc(
    10,
    parameter("", NVARCHAR, nvarchar("select @a")),
    parameter("", NVARCHAR, nvarchar("@a int")),
    parameter("@a", INT, b"\4" + pack("<i", 41)),
)
PREPARE = rpc(
    11,
    parameter("", INT, b"\0", 1),
    parameter("", NVARCHAR, nvarchar("@a int")),
    parameter("", NVARCHAR, nvarchar("select @a, 1")),
    parameter("", INT, b"\4" + pack("<i", 1)),
)
HANDLE = b"\xac" + pack("<H", 0) + b("") + b"\1" + pack("<IH", 0, 0) + INT + b"\4" + pack("<i", 5)
PREPARED = reply(HANDLE, b"\x79" + pack("<i", 0), b"\xfe" + pack("<HHQ", 0, 0xE0, 0))
EXECUTE = rpc(12, parameter("", INT, b"\4" + pack("<i", 5)), parameter("", INT, b"\4" + pack("<i", 42)))


def dissected(stream: FakeStream) -> list[Message]:
    return [message for message in tds.dissect(tds.TDS, [stream])[0] if isinstance(message, Message)]


def exchanges(client: bytes, server: bytes, **more: Any) -> list[tuple[Message, Message | None]]:
    found = dissected(tcp(client, server, port=1433, **more))
    answers = iter([message for message in found if message.kind == RESPONSE])
    return [(message, None if message.one_way else next(answers, None)) for message in found if message.kind == REQUEST]


def is_mine(stream: FakeStream) -> bool:
    return tds.probe(tds.TDS, [stream]) == [Verdict.MINE]


def test_batch_and_rows() -> None:
    ((asked, told),) = exchanges(SELECT, SELECTED)
    assert told
    assert (asked.error, asked.one_way, told.error) == ("", False, "")
    assert asked.fields == {
        "tds_type": "SQL_BATCH",
        "tds_query": "select * from items",
        "tds_procedure": "",
        "tds_database": "",
        "tds_request_size": len(SELECT),
    }
    assert told.fields == {
        "tds_type": "TABULAR_RESULT",
        "tds_success": True,
        "tds_error_code": 0,
        "tds_error_message": "",
        "tds_response_size": len(SELECTED),
    }
    assert document(asked) == {
        "type": "SQL_BATCH",
        "query": "select * from items",
        "database": "",
        "procedure": "",
        "parameters": [],
    }
    assert document(told) == {
        "ok": True,
        "columns": [{"name": "id", "type": "int"}, {"name": "name", "type": "nvarchar"}],
        "rows": [[7, "ab"], [8, None]],
        "rowCount": 2,
        "affectedRows": 0,
        "errorCode": 0,
        "errorMessage": "",
    }


def test_login_without_password() -> None:
    _, (asked, told), (batch, _) = exchanges(PRELOGIN + LOGIN + SELECT, WELCOME + LOGGED_IN + SELECTED)
    assert told
    shown = document(asked)
    assert (shown["user"], shown["password"], shown["database"]) == ("ann", "[redacted]", "shop")
    assert "secret" not in str(shown)
    answer = document(told)
    assert (answer["server"], answer["changes"], answer["messages"][0]["number"]) == (
        "SQL Server",
        {"database": "shop"},
        5701,
    )
    assert batch.fields["tds_database"] == "shop"


def test_prelogin() -> None:
    ((asked, told),) = exchanges(PRELOGIN, WELCOME)
    assert told
    assert document(asked)["options"] == {"version": "16.0.2000", "encryption": "not supported", "mars": False}
    assert document(told)["options"] == {"version": "15.0.2200", "encryption": "not supported"}
    assert told.fields["tds_success"] is True


def test_error() -> None:
    ((_, told),) = exchanges(SELECT, reply(notice(0xAA, 208, "Invalid object name"), FAILED))
    assert told
    assert (told.fields["tds_success"], told.fields["tds_error_code"]) == (False, 208)
    assert told.fields["tds_error_message"] == "Invalid object name"
    assert document(told)["errors"][0]["severity"] == 16


def test_several_results() -> None:
    ((_, told),) = exchanges(SELECT, reply(COLUMNS, ROWS, DONE, COLUMNS, DONE, b"\xfd" + pack("<HHQ", 0x10, 0xC3, 5)))
    assert told
    assert [result["rowCount"] for result in document(told)["results"]] == [2, 0]


def test_sp_executesql_shows_its_statement() -> None:
    ((asked, _),) = exchanges(EXECUTE_SQL, SELECTED)
    assert (asked.fields["tds_query"], asked.fields["tds_procedure"]) == ("select @a", "sp_executesql")
    assert document(asked)["parameters"][2] == {"name": "@a", "type": "int", "value": 41, "output": False}


def test_prepared_statement_shows_its_text() -> None:
    (_, made), (asked, _) = exchanges(PREPARE + EXECUTE, PREPARED + SELECTED)
    assert made
    assert document(made)["outputs"] == [{"name": "", "type": "int", "value": 5}]
    assert document(made)["returnStatus"] == 0
    assert asked.fields["tds_query"] == "select @a, 1"


def test_named_procedure_and_type_that_cannot_be_read() -> None:
    body = HEADERS + us("dbo.p") + b"\0\0" + parameter("@n", INT, b"\0") + parameter("@t", b"\xf3", b"")
    ((asked, _),) = exchanges(packet(3, body), SELECTED)
    shown = document(asked)
    assert (shown["procedure"], shown["parameters"][0]["value"]) == ("dbo.p", None)
    assert "0xf3" in shown["comment"]


VALUES = [
    (b"\x32", b"\1", True),
    (b"\x30", b"\xff", 255),
    (b"\x26\1", b"\1\xff", 255),
    (b"\x7f", pack("<q", -5), -5),
    (b"\x6d\x08", b"\x08" + pack("<d", 1.5), 1.5),
    (b"\x6e\x08", b"\x08" + pack("<iI", 0, 12_3456), "12.3456"),
    (b"\x7a", pack("<i", -5000), "-0.5000"),
    (b"\x6a\x09\x0a\x02", b"\5\1" + pack("<I", 12345), "123.45"),
    (b"\x6c\x05\x0a\x03", b"\5\0" + pack("<I", 5), "-0.005"),
    (b"\x24\x10", b"\x10" + bytes(range(16)), "03020100-0504-0706-0809-0a0b0c0d0e0f"),
    (b"\x6f\x08", b"\x08" + pack("<iI", 1, 300), "1900-01-02 00:00:01"),
    (b"\x3a", pack("<HH", 1, 61), "1900-01-02 01:01:00"),
    (b"\x28", b"\3" + (365).to_bytes(3, "little"), "0002-01-01"),
    (b"\x29\3", b"\4" + pack("<I", 3_661_500), "01:01:01.500"),
    (b"\x2a\0", b"\6" + (61).to_bytes(3, "little") + bytes(3), "0001-01-01 00:01:01"),
    (b"\x2b\0", b"\x08" + (61).to_bytes(3, "little") + bytes(3) + pack("<h", -90), "0001-01-01 00:01:01 -01:30"),
    (b"\xa7" + pack("<H", 50) + COLLATION, pack("<H", 2) + b"ab", "ab"),
    (b"\xa5" + pack("<H", 50), pack("<H", 2) + b"\1\2", "0x0102"),
    (b"\xe7\xff\xff" + COLLATION, pack("<QI", 4, 4) + w("ab") + pack("<I", 0), "ab"),
    (b"\xe7\xff\xff" + COLLATION, b"\xff" * 8, None),
    (b"\xf1\0", pack("<QI", 4, 4) + w("<a") + pack("<I", 0), "<a"),
    (b"\x62" + pack("<I", 8016), pack("<I", 6) + b"\x38\0" + pack("<i", 9), 9),
    (b"\x28", b"\0", None),
    (b"\x1f", b"", None),
]


@pytest.mark.parametrize(("type_info", "value", "shown"), VALUES, ids=[str(at) for at in range(len(VALUES))])
def test_values(type_info: bytes, value: bytes, shown: Any) -> None:
    columns = b"\x81" + pack("<H", 1) + pack("<IH", 0, 0) + type_info + b("c")
    ((_, told),) = exchanges(SELECT, reply(columns, b"\xd1" + value, DONE))
    assert told
    assert (document(told)["rows"], document(told).get("comment")) == ([[shown]], None)


def test_text_columns_name_their_table() -> None:
    kind = b"\x63" + pack("<I", 100) + COLLATION
    columns = b"\x81" + pack("<H", 1) + pack("<IH", 0, 0) + kind + b"\1" + us("items") + b("note")
    row = b"\xd1\x10" + bytes(24) + pack("<I", 4) + w("hi")
    ((_, told),) = exchanges(SELECT, reply(columns, row, b"\xd1\0", DONE))
    assert told
    assert document(told)["rows"] == [["hi"], [None]]


def test_other_requests() -> None:
    begin = packet(14, HEADERS + pack("<H", 5) + b"\0\0")
    found = exchanges(begin + packet(7, b"bulk") + packet(6, b"") + packet(17, b"secret"), reply(DONE) * 3)
    assert [asked.fields["tds_type"] for asked, _ in found] == [
        "TRANSACTION_MANAGER_REQUEST",
        "BULK_LOAD",
        "ATTENTION",
        "SSPI",
    ]
    assert [asked.one_way for asked, _ in found] == [False, False, True, False]
    assert (document(found[0][0])["transaction"], document(found[1][0])["bytes"]) == ("begin", 4)
    assert "secret" not in str(document(found[3][0]))


def test_message_of_several_packets() -> None:
    body = HEADERS + w("select '" + "x" * 50 + "'")
    client = packet(1, body[:40], last=False) + packet(1, body[40:], number=2)
    ((asked, _),) = exchanges(client, SELECTED)
    assert (asked.end, asked.fields["tds_query"]) == (len(client), "select '" + "x" * 50 + "'")


def test_batch_of_versions_before_7_2() -> None:
    ((asked, _),) = exchanges(packet(1, w("select 1")), SELECTED)
    assert asked.fields["tds_query"] == "select 1"


def record(data: bytes, kind: int = 0x16) -> bytes:
    return bytes([kind]) + b"\x03\x03" + pack(">H", len(data)) + data


@pytest.mark.parametrize("everything", [False, True], ids=["login-only", "everything"])
def test_tls_is_handed_over(everything: bool) -> None:
    hello, done, sealed = record(b"hello"), record(b"done"), record(b"sealed", 0x17)
    client = PRELOGIN + packet(18, hello) + packet(18, done[:4], last=False) + packet(18, done[4:]) + sealed
    server = WELCOME + packet(18, record(b"server hello"))
    if not everything:
        client, server = client + SELECT, server + SELECTED
    *messages, handover = tds.dissect(tds.TDS, [tcp(client, server, port=1433)])[0]
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data) for side in handover.sides] == [hello + done + sealed, record(b"server hello")]
    shown = [message.fields["tds_type"] for message in messages if isinstance(message, Message)]
    assert shown == (
        ["PRELOGIN", "TABULAR_RESULT"] if everything else ["PRELOGIN", "SQL_BATCH", *["TABULAR_RESULT"] * 2]
    )


def smp(session: int, data: bytes, flag: int = 8) -> bytes:
    return pack("<BBHIII", 0x53, flag, session, 16 + len(data), 1, 4) + data


def test_sessions_of_mars_are_streams_of_their_own() -> None:
    client = (
        PRELOGIN
        + LOGIN
        + smp(0, b"", 1)
        + smp(1, b"", 1)
        + smp(0, SELECT[:20])
        + smp(1, EXECUTE_SQL)
        + smp(0, SELECT[20:])
    )
    server = WELCOME + LOGGED_IN + smp(1, SELECTED) + smp(0, SELECTED)
    stream = tcp(client, server, port=1433)
    *messages, first, second = tds.dissect(tds.TDS, [stream])[0]
    assert isinstance(first, Handover) and isinstance(second, Handover)
    assert len(messages) == 4
    assert [tuple(bytes(side.data) for side in found.sides) for found in (first, second)] == [
        (SELECT, SELECTED),
        (EXECUTE_SQL, SELECTED),
    ]
    assert first.protocol == "tds"
    stream = tcp(smp(0, SELECT), b"", port=1433, midway=True)
    assert is_mine(stream)
    (alone,) = tds.dissect(tds.TDS, [stream])[0]
    assert isinstance(alone, Handover)
    assert bytes(alone.sides[0].data) == SELECT


def test_gap_midway_malformed_and_truncated() -> None:
    size = len(SELECT)
    lost = SELECT + SELECT[:30] + bytes(10) + SELECT[40:] + SELECT
    found = exchanges(lost, b"", gaps={0: [(size + 30, size + 40, 10)]})
    assert [asked.error for asked, _ in found] == ["", f"gap: 10 bytes missing at {size + 30}", ""]
    assert [asked.start for asked, _ in exchanges(b"\x99tail of a packet" + SELECT, b"", midway=True)] == [17]
    found = exchanges(SELECT + b"\x99no packet at all" + SELECT, b"")
    assert [bool(asked.error) for asked, _ in found] == [False, True, False]
    ((cut, _),) = exchanges(SELECT[:-3], b"")
    assert cut.error == "truncated: 3 bytes of a packet were not captured"


def test_sides_that_were_guessed_wrongly() -> None:
    found = dissected(tcp(SELECTED, SELECT, port=1433, midway=True))
    assert sorted((message.direction, message.kind) for message in found) == [(0, RESPONSE), (1, REQUEST)]


@pytest.mark.parametrize("data", [PRELOGIN, LOGIN, SELECT, EXECUTE_SQL], ids=["prelogin", "login", "batch", "rpc"])
def test_probe_takes_it_on_any_port(data: bytes) -> None:
    assert is_mine(tcp(data, b"", port=30000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01" + bytes(40),
        bytes(64),
        b"\x12\1\0\x20" + bytes(40),
        b"\x10\1\0\x09" + bytes(30),
    ],
    ids=["empty", "http", "tls", "zeros", "prelogin", "login"],
)
def test_probe_leaves_others(data: bytes) -> None:
    assert not is_mine(tcp(data, b"", port=30000))


@given(
    damaged_streams(
        PRELOGIN + LOGIN + SELECT + PREPARE + EXECUTE,
        WELCOME + LOGGED_IN + SELECTED + PREPARED + reply(notice(0xAA, 1, "x"), FAILED),
        1433,
    )
)
def test_any_bytes(stream: FakeStream) -> None:
    tds.probe(tds.TDS, [stream])
    assert_sound(tds.dissect(tds.TDS, [stream])[0], stream)


@given(
    damaged_streams(
        PRELOGIN + packet(18, record(b"hello")) + record(b"sealed", 0x17) + SELECT,
        WELCOME + packet(18, record(b"hello")) + SELECTED,
        1433,
    )
)
def test_any_bytes_with_tls(stream: FakeStream) -> None:
    assert_sound(tds.dissect(tds.TDS, [stream])[0], stream)
