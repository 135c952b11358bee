"""MySQL streams in, messages out."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import pytest
import zstandard
from hypothesis import given

from kubeshark.extension_api import Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import mysql

from .._damage import assert_sound, damaged_streams, document
from .._streams import FakeStream, tcp

REQUEST, RESPONSE, EVENT = MessageKind.REQUEST, MessageKind.RESPONSE, MessageKind.EVENT


def p(sequence: int, payload: bytes) -> bytes:
    return pack("<I", len(payload))[:3] + bytes([sequence & 0xFF]) + payload


def pieces(first: int, *payloads: bytes) -> bytes:
    return b"".join(p(first + at, payload) for at, payload in enumerate(payloads))


def query(text: bytes) -> bytes:
    return p(0, b"\x03" + text)


def s(text: bytes) -> bytes:
    assert len(text) < 251
    return bytes([len(text)]) + text


def column(name: bytes, kind: int = 0xFD, flags: int = 0) -> bytes:
    fixed = pack("<HIBHBH", 33, 255, kind, flags, 0, 0)
    return s(b"def") + s(b"shop") + s(b"t") + s(b"t") + s(name) + s(name) + b"\x0c" + fixed


def ok(affected: int = 0, inserted: int = 0, status: int = 2, head: int = 0) -> bytes:
    return bytes([head, affected, inserted]) + pack("<HH", status, 0)


def err(code: int, message: bytes) -> bytes:
    return b"\xff" + pack("<H", code) + b"#42S02" + message


EOF = b"\xfe\0\0\2\0"
MORE = b"\xfe\0\0\x0a\0"
COLUMNS = (column(b"id", 3), column(b"name"))
ROWS = (s(b"1") + s(b"one"), s(b"2") + b"\xfb")
RESULT = pieces(1, b"\2", *COLUMNS, EOF, *ROWS, EOF)
RESULT_WITHOUT_EOF = pieces(1, b"\2", *COLUMNS, *ROWS, ok(head=0xFE))

VERSION = b"\x0a8.0.36\0" + pack("<I", 7) + b"12345678\0" + pack("<HBHH", 0xFFFF, 255, 2, 0xDFFF) + b"\x15" + bytes(10)
GREETING = p(0, VERSION + b"123456789012\0caching_sha2_password\0")
BASE = 0x001FA68D  # protocol 4.1, database, plugin, attributes, secure connection


def login(capabilities: int = BASE) -> bytes:
    attributes = s(b"_client_name") + s(b"libmysql")
    return (
        pack("<IIB", capabilities, 1 << 24, 255)
        + bytes(23)
        + b"ann\0"
        + s(b"hash-of-the-password")
        + b"shop\0caching_sha2_password\0"
        + s(attributes)
    )


LOGIN = p(1, login())
PREPARED = pieces(1, b"\0" + pack("<IHHBH", 9, 2, 1, 0, 0), column(b"?"), EOF, *COLUMNS, EOF)
PREPARE = p(0, b"\x16select id, name from t where id > ?")
EXECUTE = p(0, b"\x17" + pack("<IBI", 9, 0, 1) + b"\0\1" + b"\x03\0" + pack("<i", 41))
BINARY = pieces(1, b"\2", *COLUMNS, EOF, b"\0\0" + pack("<i", 42) + s(b"life"), b"\0\x08" + pack("<i", 43), EOF)


def dissected(stream: FakeStream) -> list[Message]:
    return [message for message in mysql.dissect(mysql.MYSQL, [stream])[0] if isinstance(message, Message)]


def exchanges(client: bytes, server: bytes, **more: Any) -> list[tuple[Message, Message | None]]:
    """Requests with their responses, paired in order as the pipeline does."""
    found = dissected(tcp(client, server, port=3306, **more))
    answers = iter([message for message in found if message.kind == RESPONSE])
    return [(message, None if message.one_way else next(answers, None)) for message in found if message.kind == REQUEST]


def is_mine(stream: FakeStream) -> bool:
    return mysql.probe(mysql.MYSQL, [stream]) == [Verdict.MINE]


@pytest.mark.parametrize("result", [RESULT, RESULT_WITHOUT_EOF], ids=["eof", "deprecated-eof"])
def test_query(result: bytes) -> None:
    ((asked, answer),) = exchanges(query(b"select * from t"), result)
    assert answer
    assert (asked.error, asked.one_way, answer.error, answer.end) == ("", False, "", len(result))
    assert asked.fields == {
        "mysql_command": "COM_QUERY",
        "mysql_query": "select * from t",
        "mysql_database": "",
        "mysql_request_size": 20,
    }
    assert answer.fields == {
        "mysql_success": True,
        "mysql_error_code": 0,
        "mysql_error_message": "",
        "mysql_response_size": len(result),
    }
    assert document(asked) == {
        "command": "COM_QUERY",
        "commandCode": 3,
        "query": "select * from t",
        "database": "",
        "statementId": 0,
        "parameters": [],
    }
    assert document(answer) == {
        "ok": True,
        "affectedRows": 0,
        "lastInsertId": 0,
        "warnings": 0,
        "columns": [{"name": "id", "type": "int", "table": "t"}, {"name": "name", "type": "varchar", "table": "t"}],
        "rows": [["1", "one"], ["2", None]],
        "rowCount": 2,
        "errorCode": 0,
        "sqlState": "",
        "errorMessage": "",
    }


def test_login_with_authentication_is_one_exchange_without_password() -> None:
    client = LOGIN + p(3, b"scrambled") + p(5, b"cleartext") + query(b"select 1")
    server = GREETING + p(2, b"\xfemysql_native_password\0salt") + p(4, b"\1\4") + p(6, ok()) + RESULT
    (asked, answer), (selected, result) = exchanges(client, server)
    assert answer and result
    assert (asked.fields["mysql_command"], asked.fields["mysql_database"]) == ("LOGIN", "shop")
    assert asked.end == len(LOGIN) + len(p(3, b"scrambled") + p(5, b"cleartext"))
    shown = document(asked)
    assert (shown["user"], shown["password"], shown["attributes"]) == (
        "ann",
        "[redacted]",
        {"_client_name": "libmysql"},
    )
    assert "hash" not in str(shown) and "cleartext" not in str(shown)
    assert document(answer)["authPlugin"] == "mysql_native_password"
    assert selected.fields["mysql_database"] == "shop"
    assert document(result)["rowCount"] == 2


def test_greeting_is_an_event() -> None:
    (event,) = (message for message in dissected(tcp(LOGIN, GREETING, port=3306)) if message.kind == EVENT)
    assert document(event) == {
        "type": "HANDSHAKE",
        "protocolVersion": 10,
        "serverVersion": "8.0.36",
        "connectionId": 7,
        "capabilities": "0xdfffffff",
        "charset": 255,
        "authPlugin": "caching_sha2_password",
    }


def test_refused_connection_is_an_event() -> None:
    (event,) = dissected(tcp(b"", p(0, b"\xff\x6a\x04Host 'x' is not allowed to connect"), port=3306))
    assert (event.kind, event.fields["mysql_error_code"], event.fields["mysql_success"]) == (EVENT, 1130, False)


def test_error() -> None:
    ((_, answer),) = exchanges(query(b"select * from x"), p(1, err(1146, b"no such table")))
    assert answer
    assert answer.fields["mysql_error_code"] == 1146
    assert (answer.fields["mysql_success"], answer.fields["mysql_error_message"]) == (False, "no such table")
    assert document(answer)["sqlState"] == "42S02"


def test_error_behind_rows() -> None:
    ((_, answer),) = exchanges(query(b"select 1"), pieces(1, b"\2", *COLUMNS, EOF, ROWS[0], err(1317, b"killed")))
    assert answer
    assert answer.fields["mysql_error_code"] == 1317
    assert document(answer)["rowCount"] == 1


def test_several_results() -> None:
    server = pieces(1, ok(3, status=10), b"\1", column(b"a", 3), EOF, s(b"1"), MORE, b"\1", column(b"b"), EOF, EOF)
    ((_, answer),) = exchanges(query(b"call p()"), server)
    assert answer
    shown = document(answer)
    assert (shown["affectedRows"], shown["rows"]) == (3, [["1"]])
    assert [result["columns"][0]["name"] for result in shown["results"]] == ["a", "b"]


def test_prepared_statement_shows_text_and_parameters() -> None:
    again = p(0, b"\x17" + pack("<IBI", 9, 0, 1) + b"\0\0" + pack("<i", 7))
    (asked, made), (executed, rows), (second, _) = exchanges(PREPARE + EXECUTE + again, PREPARED + BINARY + BINARY)
    assert made and rows
    assert (asked.fields["mysql_statement_id"], made.fields["mysql_statement_id"]) == (9, 9)
    assert document(made)["parameterCount"] == 1
    assert [item["name"] for item in document(made)["columns"]] == ["id", "name"]
    assert executed.fields["mysql_query"] == "select id, name from t where id > ?"
    assert document(executed)["parameters"] == [41]
    assert document(rows)["rows"] == [[42, "life"], [43, None]]
    assert document(second)["parameters"] == [7]


def test_rows_of_a_cursor_have_the_columns_of_its_execution() -> None:
    opened = pieces(1, b"\2", *COLUMNS, b"\xfe\0\0\x42\0")
    fetched = pieces(1, b"\0\0" + pack("<i", 42) + s(b"life"), b"\0\x08" + pack("<i", 43), b"\xfe\0\0\xc2\0")
    fetch = p(0, b"\x1c" + pack("<II", 9, 2))
    *_, (asked, rows), (_, none) = exchanges(
        PREPARE + EXECUTE + fetch + fetch, PREPARED + opened + fetched + p(1, b"\xfe\0\0\x82\0")
    )
    assert rows and none
    assert asked.fields["mysql_query"] == "select id, name from t where id > ?"
    assert [item["name"] for item in document(rows)["columns"]] == ["id", "name"]
    assert document(rows)["rows"] == [[42, "life"], [43, None]]
    assert (document(none)["rowCount"], document(none)["rows"]) == (0, [])


def test_rows_of_a_cursor_from_before_the_capture() -> None:
    ((_, rows),) = exchanges(p(0, b"\x1c" + pack("<II", 9, 2)), pieces(1, b"\0\0\x2a\0\0\0", EOF))
    assert rows
    assert document(rows)["rows"] == [["0x00002a000000"]]


def test_parameters_sent_ahead_have_no_values_in_the_execution() -> None:
    prepared = p(1, b"\0" + pack("<IHHBH", 9, 0, 3, 0, 0))
    ahead = p(0, b"\x18" + pack("<IH", 9, 1) + b"hello") + p(0, b"\x18" + pack("<IH", 9, 1) + b" world")
    beyond = p(0, b"\x18" + pack("<IH", 9, 3) + b"of no parameter")
    types = b"\3\0" + b"\xfc\0" + b"\3\0"
    execute = p(0, b"\x17" + pack("<IBI", 9, 0, 1) + b"\0\1" + types + pack("<ii", 9, 10))
    again = p(0, b"\x17" + pack("<IBI", 9, 0, 1) + b"\0\0" + pack("<i", 11) + s(b"zz") + pack("<i", 12))
    reset = ahead + p(0, b"\x1a" + pack("<I", 9))
    client = p(0, b"\x16insert into t values (?, ?, ?)") + ahead + beyond + execute + again + reset + again
    found = [asked for asked, _ in exchanges(client, prepared + p(1, ok()) * 4)]
    executed = [document(asked)["parameters"] for asked in found if asked.fields["mysql_command"] == "COM_STMT_EXECUTE"]
    assert executed == [[9, "[11 bytes of long data]", 10], [11, "zz", 12], [11, "zz", 12]]


def test_execution_of_an_unknown_statement() -> None:
    ((asked, rows),) = exchanges(EXECUTE, BINARY)
    assert rows
    assert (asked.fields["mysql_query"], asked.fields["mysql_statement_id"]) == ("", 9)
    assert document(rows)["rows"] == [[42, "life"], [43, None]]


VALUES = [
    (0x01, 0, b"\xff", -1),
    (0x02, 0x80, b"\xff\xff", 65535),
    (0x08, 0, pack("<q", -5), -5),
    (0x04, 0, pack("<f", 0.1), 0.1),
    (0x05, 0, pack("<d", 1.5), 1.5),
    (0x05, 0, pack("<d", float("inf")), "inf"),
    (0x0C, 0, b"\x0b" + pack("<HBBBBBI", 2024, 2, 29, 1, 2, 3, 4), "2024-02-29 01:02:03.000004"),
    (0x0A, 0, b"\x04" + pack("<HBB", 2024, 2, 29), "2024-02-29"),
    (0x0C, 0, b"\0", "0000-00-00 00:00:00"),
    (0x0B, 0, b"\x08\1" + pack("<IBBB", 1, 2, 3, 4), "-26:03:04"),
    (0xFD, 0, s(b"text"), "text"),
    (0xFC, 0, s(b"\0\1"), "0x0001"),
]


@pytest.mark.parametrize(("kind", "flag", "value", "shown"), VALUES, ids=[str(at) for at in range(len(VALUES))])
def test_binary_values(kind: int, flag: int, value: bytes, shown: Any) -> None:
    execute = p(0, b"\x17" + pack("<IBI", 9, 0, 1) + b"\0\1" + bytes([kind, flag]) + value)
    (_, _), (asked, _) = exchanges(PREPARE + execute, PREPARED + BINARY)
    assert document(asked)["parameters"] == [shown]


def test_commands_without_answer() -> None:
    client = p(0, b"\x18" + pack("<IH", 9, 0) + b"blob") + p(0, b"\x19" + pack("<I", 9)) + p(0, b"\x0e") + p(0, b"\x01")
    found = exchanges(client, p(1, ok()))
    assert [(asked.fields["mysql_command"], asked.one_way) for asked, _ in found] == [
        ("COM_STMT_SEND_LONG_DATA", True),
        ("COM_STMT_CLOSE", True),
        ("COM_PING", False),
        ("COM_QUIT", True),
    ]
    assert found[2][1]
    assert [asked.fields.get("mysql_success") for asked, _ in found] == [True, True, None, True]


@pytest.mark.parametrize(
    ("payload", "key", "value"),
    [
        (b"\x02shop", "database", "shop"),
        (b"\x04t\0%", "argument", "t"),
        (b"\x0c" + pack("<I", 5), "processId", 5),
        (b"\x12" + pack("<IHI", 4, 0, 2) + b"bin.1", "file", "bin.1"),
        (b"\x15" + pack("<I", 2) + b"\0\3ann\6secret", "password", "[redacted]"),
        (b"\x11ann\0\4hash", "user", "ann"),
        (b"\x1b\1\0", "option", 1),
        (b"\x1c" + pack("<II", 9, 50), "fetchRows", 50),
    ],
    ids=["init-db", "field-list", "kill", "binlog", "slave", "user", "option", "fetch"],
)
def test_other_commands(payload: bytes, key: str, value: Any) -> None:
    ((asked, _),) = exchanges(p(0, payload), p(1, ok()))
    assert document(asked)[key] == value
    assert "secret" not in str(document(asked)) and "hash" not in str(document(asked))


def test_statistics_field_list_and_binlog() -> None:
    server = p(1, b"Uptime: 1") + pieces(1, column(b"a") + b"\xfb", EOF) + pieces(1, b"\0event", b"\0event")
    client = p(0, b"\x09") + p(0, b"\x04t\0") + p(0, b"\x12" + bytes(10))
    found = [document(answer) for _, answer in exchanges(client, server) if answer]
    assert found[0]["text"] == "Uptime: 1"
    assert found[1]["columns"][0]["name"] == "a"
    assert found[2]["events"] == 2


def test_local_infile_belongs_to_its_statement() -> None:
    client = query(b"load data local infile 'f'") + pieces(2, b"1\tone\n", b"") + query(b"select 1")
    found = exchanges(client, p(1, b"\xfbf") + p(4, ok(1)) + RESULT)
    assert len(found) == 2
    assert document(found[0][0])["fileBytes"] == 6
    assert document(found[0][1])["affectedRows"] == 1 if found[0][1] else False
    assert document(found[0][1])["localInfile"] == "f" if found[0][1] else False


def test_database_follows_use() -> None:
    found = exchanges(query(b"use `shop`;") + query(b"select 1") + p(0, b"\x02till"), p(1, ok()) + RESULT + p(1, ok()))
    assert [asked.fields["mysql_database"] for asked, _ in found] == ["shop", "shop", "till"]


@pytest.mark.parametrize("use", [query(b"use nowhere"), p(0, b"\x02nowhere")], ids=["query", "init-db"])
def test_a_refused_database_is_not_entered(use: bytes) -> None:
    client = query(b"use shop") + use + query(b"select 1")
    found = exchanges(client, p(1, ok()) + p(1, err(1049, b"Unknown database")) + RESULT)
    assert [asked.fields["mysql_database"] for asked, _ in found] == ["shop", "nowhere", "shop"]


def test_a_prepared_use_counts_when_it_runs() -> None:
    run = p(0, b"\x17" + pack("<IBI", 9, 0, 1))
    client = query(b"use shop") + p(0, b"\x16use till") + query(b"select 1") + run + query(b"select 2")
    made = p(1, b"\0" + pack("<IHHBH", 9, 0, 0, 0, 0))
    found = exchanges(client, p(1, ok()) + made + RESULT + p(1, ok()) + RESULT)
    assert [asked.fields["mysql_database"] for asked, _ in found] == ["shop", "shop", "shop", "till", "till"]


def test_database_follows_another_user() -> None:
    change = b"\x11ben\0" + s(b"hash\0of")
    client = LOGIN + p(0, change + b"till\0\x21\0plugin\0") + query(b"select 1") + p(0, change) + query(b"select 2")
    found = exchanges(client, GREETING + p(2, ok()) + p(1, ok()) + RESULT + p(1, ok()) + RESULT)
    assert [asked.fields["mysql_database"] for asked, _ in found] == ["shop"] + ["till"] * 4
    assert document(found[1][0])["database"] == "till"


@pytest.mark.parametrize(
    "payload", [b"\x03\0\1select 1", b"\x03\1\1\0\1\xfd\0" + s(b"trace") + s(b"77") + b"select 1"], ids=["none", "one"]
)
def test_query_attributes(payload: bytes) -> None:
    ((asked, _),) = exchanges(p(0, payload), RESULT)
    assert asked.fields["mysql_query"] == "select 1"


def test_zero_byte_of_a_c_string_is_no_part_of_the_statement() -> None:
    ((asked, _),) = exchanges(query(b"select 1\0"), RESULT)
    assert asked.fields["mysql_query"] == "select 1"


def test_statement_longer_than_a_packet() -> None:
    text = b"\x03insert into t values ('" + b"x" * 0xFFFFFF
    client = query(b"select 1") + p(0, text[:0xFFFFFF]) + p(1, text[0xFFFFFF:]) + query(b"select 2")
    stream = tcp(client, RESULT + p(2, ok(1)) + RESULT, port=3306)
    cuts = [len(query(b"select 1")), len(client) - len(query(b"select 2")), len(client)]
    ends = [len(RESULT), len(RESULT + p(2, ok(1))), len(RESULT * 2 + p(2, ok(1)))]
    stream.runs = []
    asked = told = 0
    for cut, end in zip(cuts, ends, strict=True):
        stream.runs += [(0, asked, cut), (1, told, end)]
        asked, told = cut, end
    found = dissected(stream)
    assert [message.kind for message in found] == [REQUEST] * 3 + [RESPONSE] * 3
    assert len(str(found[1].fields["mysql_query"])) == len(text) - 1


def test_result_of_more_than_256_packets() -> None:
    rows = [s(b"%d" % at) + s(b"r") for at in range(600)]
    found = exchanges(query(b"select 1") * 2, pieces(1, b"\2", *COLUMNS, EOF, *rows, EOF) + RESULT)
    assert [document(answer)["rowCount"] for _, answer in found if answer] == [600, 2]
    assert len(document(found[0][1])["rows"]) == 100 if found[0][1] else False


def test_ssl_request_hands_over_to_tls() -> None:
    request = p(1, login(BASE | 0x800)[:32])
    stream = tcp(request + b"\x16\x03\x01", GREETING + b"\x16\x03\x03", port=3306)
    *messages, handover = mysql.dissect(mysql.MYSQL, [stream])[0]
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data) for side in handover.sides] == [b"\x16\x03\x01", b"\x16\x03\x03"]
    assert [m.fields["mysql_command"] for m in messages if isinstance(m, Message)] == [
        "SSLREQUEST",
        "HANDSHAKE",
    ]


def framed(sequence: int, plain: bytes, packed: bytes = b"") -> bytes:
    body = packed or plain
    return pack("<I", len(body))[:3] + bytes([sequence]) + (pack("<I", len(plain))[:3] if packed else bytes(3)) + body


@pytest.mark.parametrize("squeeze", [zlib.compress, zstandard.compress], ids=["zlib", "zstd"])
@pytest.mark.parametrize("midway", [False, True], ids=["login", "midway"])
def test_compressed_protocol(squeeze: Any, midway: bool) -> None:
    long_query = query(b"select " + b"1, " * 100)
    client = framed(0, query(b"select 1")) + framed(0, long_query, squeeze(long_query))
    server = framed(1, RESULT, squeeze(RESULT)) + framed(1, RESULT[:40]) + framed(2, RESULT[40:])
    if not midway:
        client, server = p(1, login(BASE | 0x20)) + client, GREETING + p(2, ok()) + server
    *messages, handover = mysql.dissect(mysql.MYSQL, [tcp(client, server, port=3306, midway=midway)])[0]
    assert isinstance(handover, Handover)
    assert handover.protocol == "mysql"
    inner = tcp(*(bytes(side.data) for side in handover.sides), port=3306)
    found = dissected(inner)
    assert [message.kind for message in found] == [REQUEST, REQUEST, RESPONSE, RESPONSE]
    assert len(messages) == (0 if midway else 3)


def test_compressed_commands_are_for_the_database_of_the_login() -> None:
    attributes = b"\x03\1\1\0\1\xfd\0" + s(b"trace") + s(b"77") + b"select 1"
    client = p(1, login(BASE | 0x20 | 1 << 27)) + framed(0, query(b"select 0")) + framed(0, p(0, attributes))
    server = GREETING + p(2, ok()) + framed(1, RESULT, zlib.compress(RESULT)) * 2
    handover = mysql.dissect(mysql.MYSQL, [tcp(client, server, port=3306)])[0][-1]
    assert isinstance(handover, Handover)
    inner = tcp(*(bytes(side.data) for side in handover.sides), port=3306)
    inner.sides = handover.sides  # type: ignore[assignment]
    found = [message for message in dissected(inner) if message.kind == REQUEST]
    shown = [(message.fields["mysql_query"], message.fields["mysql_database"]) for message in found]
    assert shown == [("select 0", "shop"), ("select 1", "shop")]


def test_compression_that_is_none_ends_there() -> None:
    client = framed(0, query(b"select 1")) + framed(0, b"x" * 60, b"nothing that was ever deflated")
    (handover,) = mysql.dissect(mysql.MYSQL, [tcp(client, b"", port=3306, midway=True)])[0]
    assert isinstance(handover, Handover)
    assert bytes(handover.sides[0].data) == query(b"select 1")


def test_proxy_header_before_the_login() -> None:
    client = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + LOGIN
    found = exchanges(client, GREETING + p(2, ok()))
    assert [asked.fields["mysql_command"] for asked, _ in found] == ["LOGIN"]


def test_reply_from_before_the_capture_stays_alone() -> None:
    stream = tcp(query(b"select 1"), RESULT + RESULT, port=3306, midway=True)
    stream.runs = [(1, 0, len(RESULT)), (0, 0, 13), (1, len(RESULT), 2 * len(RESULT))]
    assert [message.kind for message in dissected(stream)] == [REQUEST, RESPONSE, RESPONSE]


def test_midway_inside_a_result() -> None:
    ((_, answer),) = exchanges(query(b"select 1"), b"\x99junk of a row" + RESULT, midway=True)
    assert answer
    assert answer.start == 14


def test_gap_spoils_one_reply() -> None:
    lost = RESULT[:30] + bytes(20) + RESULT[50:] + RESULT
    found = exchanges(query(b"select 1") + query(b"select 2"), lost, gaps={1: [(30, 50, 20)]})
    assert [answer and answer.error for _, answer in found] == ["gap: 20 bytes missing at 30", ""]


def test_malformed_bytes_spoil_one_message() -> None:
    junk = b"\x05\0\0\0\x77junk and more of it"
    found = dissected(tcp(query(b"select 1") + junk + query(b"select 2"), port=3306))
    assert [bool(message.error) for message in found] == [False, True, False]


def test_truncated() -> None:
    ((asked, _),) = exchanges(query(b"select 1")[:-3], b"")
    assert (asked.error, asked.fields["mysql_query"]) == ("truncated: 3 bytes of a packet were not captured", "selec")


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (LOGIN, b""),
        (b"", GREETING),
        (query(b"select 1"), b""),
        (p(0, b"\x0e") + query(b"SELECT 1"), b""),
        (b"", RESULT),
        (b"", p(1, err(1146, b"no"))),
        (query(b"insert into t values (1)")[:-4], b""),
    ],
    ids=["login", "greeting", "query", "ping", "result", "error", "cut"],
)
def test_probe_takes_it_on_any_port(client: bytes, server: bytes) -> None:
    assert is_mine(tcp(client, server, port=20130))


@pytest.mark.parametrize(
    "client",
    [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\xa0", bytes(64), b"\x01\0\0\0\x0e", b"SELECT 1", b"\x05\0\0\0\x03hell"],
    ids=["http", "tls", "zeros", "ping", "text", "no-sql"],
)
def test_probe_leaves_others(client: bytes) -> None:
    assert not is_mine(tcp(client, b"", port=20130))
    assert not is_mine(tcp(b"", client, port=20130))


@pytest.mark.parametrize("cut", range(0, len(LOGIN + EXECUTE + PREPARE), 11))
def test_cut_anywhere(cut: int) -> None:
    client, server = LOGIN + PREPARE + EXECUTE, GREETING + p(2, ok()) + PREPARED + BINARY
    for stream in (tcp(client[:cut], server, port=3306), tcp(client, server[:cut], port=3306)):
        assert_sound(dissected(stream), stream)


@given(
    damaged_streams(
        LOGIN + PREPARE + EXECUTE + query(b"select 1") + p(0, b"\x04t\0"),
        GREETING + p(2, ok()) + PREPARED + BINARY + RESULT + pieces(1, column(b"a"), EOF),
        3306,
    )
)
def test_any_bytes(stream: FakeStream) -> None:
    mysql.probe(mysql.MYSQL, [stream])
    assert_sound(mysql.dissect(mysql.MYSQL, [stream])[0], stream)


@given(damaged_streams(framed(0, query(b"select 1")), framed(1, RESULT, zlib.compress(RESULT)), 3306))
def test_any_bytes_compressed(stream: FakeStream) -> None:
    assert_sound(mysql.dissect(mysql.MYSQL, [stream])[0], stream)
