"""PostgreSQL streams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given

from kubeshark.extension_api import SERVER, Handover, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import postgresql
from tests.pipeline._traffic import MS, Capture, Connection, find

from .._damage import assert_sound, damaged_streams, document
from .._streams import FakeStream, tcp

TLS, GSS = pack(">II", 8, 80877103), pack(">II", 8, 80877104)
STARTUP = b"user\0ann\0database\0shop\0application_name\0test\0\0"
LOGIN = pack(">II", 8 + len(STARTUP), 0x30000) + STARTUP


def m(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + pack(">I", 4 + len(body)) + body


def query(text: bytes) -> bytes:
    return m("Q", text + b"\0")


def parse(name: bytes, text: bytes, *types: int) -> bytes:
    return m("P", name + b"\0" + text + b"\0" + pack(f">H{len(types)}I", len(types), *types))


def bind(portal: bytes, name: bytes, *values: bytes | None, form: int = 0, results: int = 0) -> bytes:
    shown = b"".join(pack(">i", -1) if value is None else pack(">i", len(value)) + value for value in values)
    formats = pack(">HH", 1, form) if form else pack(">H", 0)
    return m("B", portal + b"\0" + name + b"\0" + formats + pack(">H", len(values)) + shown + pack(">HH", 1, results))


def columns(*named: tuple[bytes, int]) -> bytes:
    return m(
        "T",
        pack(">H", len(named))
        + b"".join(name + b"\0" + pack(">IHIhih", 0, 0, kind, -1, -1, 0) for name, kind in named),
    )


def row(*values: bytes | None) -> bytes:
    shown = (pack(">i", -1) if value is None else pack(">i", len(value)) + value for value in values)
    return m("D", pack(">H", len(values)) + b"".join(shown))


def failed(code: bytes, message: bytes) -> bytes:
    return m("E", b"SERROR\0VERROR\0C" + code + b"\0M" + message + b"\0\0")


EXECUTE, SYNC, DESCRIBE = m("E", bytes(5)), m("S"), m("D", b"P\0")
READY, PARSED, BOUND = m("Z", b"I"), m("1"), m("2")
OK, SASL = m("R", pack(">I", 0)), m("R", pack(">I", 10) + b"SCRAM-SHA-256\0\0")
PASSWORD = m("p", b"SCRAM-SHA-256\0" + pack(">I", 5) + b"n,,r=")
GREETING = OK + m("S", b"server_version\x0015.4\0") + m("K", pack(">II", 7, 8)) + READY


def done(tag: bytes) -> bytes:
    return m("C", tag + b"\0")


SELECTED = columns((b"id", 23), (b"name", 25)) + row(b"1", b"one") + row(b"2", None) + done(b"SELECT 2")


def messages(stream: FakeStream) -> list[Message]:
    return [
        message for message in postgresql.dissect(postgresql.POSTGRESQL, [stream])[0] if isinstance(message, Message)
    ]


def exchanges(client: bytes, server: bytes, **more: Any) -> list[tuple[Message, Message | None]]:
    """Requests with the response of the same key."""
    found = messages(tcp(client, server, port=5432, **more))
    answers = {message.key: message for message in found if message.kind == MessageKind.RESPONSE and message.key}
    return [(message, answers.get(message.key)) for message in found if message.kind == MessageKind.REQUEST]


def is_mine(stream: FakeStream) -> bool:
    return postgresql.probe(postgresql.POSTGRESQL, [stream]) == [Verdict.MINE]


def test_simple_query() -> None:
    ((asked, answer),) = exchanges(query(b"select * from t"), SELECTED + READY)
    assert answer
    assert (asked.start, asked.end, asked.error, answer.start, answer.error) == (0, 21, "", 0, "")
    assert asked.fields == {
        "postgresql_command": "SELECT",
        "postgresql_query": "select * from t",
        "postgresql_database": "",
        "postgresql_user": "",
        "postgresql_request_size": 21,
    }
    assert answer.fields == {
        "postgresql_command": "SELECT",
        "postgresql_success": True,
        "postgresql_error_code": "",
        "postgresql_error_message": "",
        "postgresql_response_size": len(SELECTED + READY),
    }
    assert document(answer) == {
        "ok": True,
        "tag": "SELECT 2",
        "columns": [{"name": "id", "type": "int4"}, {"name": "name", "type": "text"}],
        "rows": [["1", "one"], ["2", None]],
        "rowCount": 2,
        "errorCode": "",
        "severity": "",
        "errorMessage": "",
        "transaction": "idle",
    }


def test_login_is_one_exchange_without_password() -> None:
    (login, welcome), (_, result) = exchanges(
        LOGIN + PASSWORD + query(b"BEGIN"), SASL + GREETING + done(b"BEGIN") + READY
    )
    assert welcome and result
    assert (login.fields["postgresql_command"], login.end) == ("STARTUP", len(LOGIN + PASSWORD))
    assert (login.fields["postgresql_user"], login.fields["postgresql_database"]) == ("ann", "shop")
    shown = document(login)
    assert (shown["password"], shown["protocolVersion"], shown["options"]["user"]) == ("[redacted]", "3.0", "ann")
    assert "n,,r=" not in str(shown)
    assert document(welcome)["options"] == {"server_version": "15.4"}
    assert (document(welcome)["authentication"], document(welcome)["secretKey"]) == ("sasl", "[redacted]")


def test_login_refused() -> None:
    ((_, answer),) = exchanges(LOGIN, failed(b"28P01", b"no"))
    assert answer
    assert answer.fields["postgresql_error_code"] == "28P01"
    assert (answer.fields["postgresql_success"], answer.fields["postgresql_error_message"]) == (False, "no")
    assert document(answer)["errorFields"]["code"] == "28P01"


def test_several_statements_in_one_query() -> None:
    ((asked, answer),) = exchanges(
        query(b"create table t(); insert into t"), done(b"CREATE TABLE") + done(b"INSERT 0 1") + READY
    )
    assert answer
    assert asked.fields["postgresql_command"] == "CREATE TABLE"
    assert document(answer)["tags"] == ["CREATE TABLE", "INSERT 0 1"]


def test_execute_shows_the_statement_it_runs() -> None:
    prepare = parse(b"s1", b"select $1::int4", 23) + m("D", b"Ss1\0") + SYNC
    run = bind(b"", b"s1", pack(">i", 42), form=1, results=1) + EXECUTE + SYNC
    described = PARSED + m("t", pack(">HI", 1, 23)) + columns((b"n", 23)) + READY
    (parsed, _), (asked, answer) = exchanges(
        prepare + run, described + BOUND + row(pack(">i", 42)) + done(b"SELECT 1") + READY
    )
    assert answer
    assert (parsed.fields["postgresql_command"], parsed.fields["postgresql_query"]) == ("PARSE", "select $1::int4")
    assert (asked.fields["postgresql_command"], asked.fields["postgresql_query"]) == ("SELECT", "select $1::int4")
    assert (document(asked)["parameters"], document(asked)["statement"]) == (["42"], "s1")
    assert (document(answer)["rows"], document(answer)["columns"]) == ([["42"]], [{"name": "n", "type": "int4"}])


FLUSH = m("H")
PREPARE, PREPARED = (
    parse(b"s1", b"select $1") + m("D", b"Ss1\0"),
    PARSED + m("t", pack(">HI", 1, 23)) + columns((b"n", 23)),
)


def turns(*said: tuple[bytes, bytes]) -> FakeStream:
    """A stream in which each of these questions was answered before the next one was asked."""
    stream = tcp(b"".join(asked for asked, _ in said), b"".join(answer for _, answer in said), port=5432)
    stream.runs = []
    asked_at = answered_at = 0
    for asked, answer in said:
        stream.runs += [(0, asked_at, asked_at + len(asked)), (1, answered_at, answered_at + len(answer))]
        asked_at, answered_at = asked_at + len(asked), answered_at + len(answer)
    return stream


def told(stream: FakeStream) -> list[tuple[object, object, object]]:
    """Command, query and tag or error code of every exchange; None where there is no answer."""
    found = messages(stream)
    answers = {message.key: document(message) for message in found if message.kind == MessageKind.RESPONSE}
    return [
        (
            message.fields["postgresql_command"],
            message.fields["postgresql_query"],
            answer and (answer["tag"] or answer["errorCode"]),
        )
        for message in found
        if message.kind == MessageKind.REQUEST
        for answer in (answers.get(message.key),)
    ]


RUN, RAN = bind(b"", b"s1", b"1") + EXECUTE + SYNC, BOUND + row(b"1") + done(b"SELECT 1") + READY


@pytest.mark.parametrize("prepare", [PREPARE, m("C", b"Sold\0") + PREPARE], ids=["prepare", "close-prepare"])
def test_query_behind_a_flush_is_a_statement_of_its_own(prepare: bytes) -> None:
    prepared = PREPARED if prepare == PREPARE else m("3") + PREPARED
    stream = turns((prepare + FLUSH, prepared), (query(b"begin"), done(b"BEGIN") + READY), (RUN, RAN))
    assert told(stream) == [
        ("PARSE", "select $1", ""),
        ("BEGIN", "begin", "BEGIN"),
        ("SELECT", "select $1", "SELECT 1"),
    ]


@pytest.mark.parametrize(
    ("before", "answered"),
    [
        (PREPARE, PREPARED),
        (parse(b"s1", b"select 1"), PARSED),
        (m("C", b"Sold\0"), m("3")),
        (m("D", b"Ss1\0"), m("t", bytes(2)) + m("n")),
        (bind(b"", b"s1") + EXECUTE, BOUND + done(b"INSERT 0 1")),
        (bind(b"", b"s1") + EXECUTE, BOUND + row(b"1") + m("s")),
        (m("E", b"c\0\0\0\0\0"), row(b"1") + done(b"SELECT 1")),
    ],
    ids=["prepare", "parse", "close", "describe", "insert", "portion", "older-portal"],
)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (done(b"BEGIN"), "BEGIN"),
        (SELECTED, "SELECT 2"),
        (m("I"), ""),
        (failed(b"42601", b"syntax"), "42601"),
        (m("H", b"\0\0\1\0\0") + m("d", b"1\n") + m("c") + done(b"COPY 1"), "COPY 1"),
    ],
    ids=["begin", "select", "empty", "error", "copy"],
)
def test_answer_to_a_query_behind_a_flush(before: bytes, answered: bytes, answer: bytes, outcome: str) -> None:
    stream = turns((before + FLUSH, answered), (query(b"x"), answer + READY))
    (_, _, first), (_, asked, second) = told(stream)
    assert (asked, second) == ("x", outcome)
    assert first in ("", "INSERT 0 1", "SELECT 1")
    assert not any(message.error for message in messages(stream))
    assert all(message.key for message in messages(stream))


def test_function_call_and_end_behind_a_flush() -> None:
    stream = turns((PREPARE + FLUSH, PREPARED), (m("F", bytes(10)), m("V", pack(">i", -1)) + READY), (m("X"), b""))
    assert [command for command, _, _ in told(stream)] == ["PARSE", "FUNCTION CALL", "TERMINATE"]
    assert [outcome for _, _, outcome in told(stream)] == ["", "", None]


def test_flush_before_a_query_is_part_of_it() -> None:
    assert told(turns((FLUSH + query(b"begin"), done(b"BEGIN") + READY))) == [("BEGIN", "begin", "BEGIN")]


def test_older_portal_behind_a_prepared_statement() -> None:
    opened = parse(b"s2", b"fetch 2") + bind(b"c", b"s2") + m("E", b"c\0\0\0\0\1") + SYNC
    stream = turns(
        (opened, PARSED + BOUND + row(b"1") + m("s") + READY),
        (PREPARE + FLUSH, PREPARED),
        (m("E", b"c\0\0\0\0\1") + SYNC, row(b"2") + done(b"SELECT 1") + READY),
    )
    assert [query for _, query, _ in told(stream)] == ["fetch 2", "select $1", "fetch 2"]
    assert [outcome for _, _, outcome in told(stream)] == ["", "", "SELECT 1"]


@pytest.mark.parametrize(
    ("ask", "tell"),
    [
        (parse(b"", b"x") + bind(b"", b"") + EXECUTE + SYNC, PARSED),
        (PREPARE + bind(b"", b"s1") + EXECUTE + SYNC, PREPARED),
        (parse(b"", b"x") + m("D", b"S\0") + FLUSH, PARSED),
    ],
    ids=["bind", "bind-described", "describe"],
)
def test_failure_behind_what_went_well_is_of_the_same_statement(ask: bytes, tell: bytes) -> None:
    stream = tcp(ask, tell + failed(b"22P02", b"no") + READY, port=5432)
    ((_, _, outcome),) = told(stream)
    assert (outcome, len(messages(stream))) == ("22P02", 2)


def test_query_behind_a_statement_that_failed_is_not_run() -> None:
    stream = turns((PREPARE + FLUSH, failed(b"42601", b"syntax")), (query(b"begin"), b""))
    assert [outcome for _, _, outcome in told(stream)] == ["42601", None]
    assert "not run" in str(messages(stream)[-1].fields["postgresql_error_message"])


GOODBYE = m("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")


@pytest.mark.parametrize(
    ("ask", "tell"),
    [
        (query(b"select 1"), SELECTED + READY),
        (PREPARE + FLUSH, PREPARED),
        (bind(b"", b"s1") + EXECUTE + FLUSH, BOUND + done(b"INSERT 0 1")),
    ],
    ids=["query", "prepare", "execute"],
)
def test_server_that_ends_an_idle_connection_is_an_event(ask: bytes, tell: bytes) -> None:
    stream = turns((ask, tell + GOODBYE), (query(b"select 2"), b""))
    (event,) = (message for message in messages(stream) if message.kind == MessageKind.EVENT)
    assert (event.error, document(event)["type"], document(event)["code"]) == ("", "ErrorResponse", "57P01")
    assert event.fields["postgresql_success"] is False
    assert (event.fields["postgresql_command"], event.fields["postgresql_error_code"]) == ("ERROR", "57P01")
    assert all(message.key for message in messages(stream) if message.kind != MessageKind.EVENT)
    assert told(stream)[-1][-1] is None


def test_fatal_error_answers_who_waits() -> None:
    assert told(turns((query(b"select pg_sleep(9)"), GOODBYE)))[0][-1] == "57P01"


def test_refused_login_without_its_question_is_no_event() -> None:
    (answer,) = messages(tcp(b"", GOODBYE.replace(b"57P01", b"28P01"), port=5432))
    assert answer.kind == MessageKind.RESPONSE


def test_pipelined_statements_up_to_one_sync() -> None:
    ask = [parse(b"", text) + bind(b"", b"") + DESCRIBE + EXECUTE for text in (b"begin", b"select 1", b"commit")]
    tell = [PARSED + BOUND + m("n") + done(tag) for tag in (b"BEGIN", b"SELECT 1", b"COMMIT")]
    found = exchanges(b"".join(ask) + SYNC, b"".join(tell) + READY)
    assert [asked.fields["postgresql_query"] for asked, _ in found] == ["begin", "select 1", "commit"]
    assert [document(answer)["tag"] for _, answer in found if answer] == ["BEGIN", "SELECT 1", "COMMIT"]
    assert found[-1][0].end == len(b"".join(ask) + SYNC)


def test_error_skips_the_rest_of_the_batch() -> None:
    ask = [parse(b"", text) + bind(b"", b"") + EXECUTE for text in (b"begin", b"selec 1", b"commit")]
    server = PARSED + BOUND + done(b"BEGIN") + failed(b"42601", b"syntax") + READY + done(b"ROLLBACK") + READY
    found = exchanges(b"".join(ask) + SYNC + query(b"rollback"), server)
    assert [answer and answer.fields["postgresql_success"] for _, answer in found] == [True, False, None, True]
    assert found[2][0].one_way
    assert "not run" in str(found[2][0].fields["postgresql_error_message"])
    assert found[3][0].fields["postgresql_query"] == "rollback"


def test_commit_that_fails_at_sync_is_its_statement_s_failure() -> None:
    ask = parse(b"", b"insert into t") + bind(b"", b"") + EXECUTE + SYNC
    ((_, answer),) = exchanges(ask, PARSED + BOUND + done(b"INSERT 0 1") + failed(b"23503", b"deferred") + READY)
    assert answer
    assert answer.fields["postgresql_error_code"] == "23503"


def test_portal_in_portions() -> None:
    ask = (
        parse(b"", b"select 1")
        + bind(b"c", b"")
        + m("E", b"c\0" + pack(">I", 1))
        + m("E", b"c\0" + pack(">I", 1))
        + SYNC
    )
    found = exchanges(ask, PARSED + BOUND + row(b"1") + m("s") + row(b"2") + done(b"SELECT 1") + READY)
    assert [asked.fields["postgresql_query"] for asked, _ in found] == ["select 1", "select 1"]
    assert [document(answer)["rows"] for _, answer in found if answer] == [[["1"]], [["2"]]]


def test_portal_keeps_the_formats_that_it_was_bound_with() -> None:
    fetch = m("E", b"c\0\0\0\0\1") + SYNC
    stream = turns(
        (PREPARE + FLUSH, PREPARED),
        (bind(b"c", b"s1", pack(">i", 2), form=1, results=1) + fetch, BOUND + row(pack(">i", 7)) + m("s") + READY),
        (fetch, row(pack(">i", 8)) + done(b"SELECT 1") + READY),
    )
    found = messages(stream)
    assert document(found[0])["parameters"] == ["2"]
    assert [document(found[at])["rows"] for at in (1, 3)] == [[["7"]], [["8"]]]


def test_portal_of_an_unknown_statement_is_no_older_one_of_that_name() -> None:
    stream = turns(
        (parse(b"", b"select 1") + bind(b"c", b"") + EXECUTE + SYNC, PARSED + BOUND + done(b"SELECT 0") + READY),
        (bind(b"c", b"before") + SYNC, BOUND + READY),
        (m("E", b"c\0\0\0\0\1") + SYNC, done(b"SELECT 0") + READY),
    )
    assert [query for _, query, _ in told(stream)] == ["select 1", "", ""]


def test_description_of_a_portal_shows_what_it_runs() -> None:
    opened = parse(b"s2", b"select 2") + bind(b"c", b"s2") + SYNC
    stream = turns(
        (opened, PARSED + BOUND + READY),
        (parse(b"", b"select 1") + SYNC, PARSED + READY),
        (m("D", b"Pc\0") + SYNC, columns((b"n", 23)) + READY),
    )
    assert told(stream)[2][:2] == ("DESCRIBE", "select 2")


@pytest.mark.parametrize(
    ("given", "shown"), [((), ["7", "\\x00000007"]), ((0, 23), ["7", "7"]), ((20, 23), ["\\x00000007", "7"])]
)
def test_parameter_types_are_those_of_parse_or_else_of_the_server(given: tuple[int, ...], shown: list[str]) -> None:
    value = pack(">i", 7)
    ask = parse(b"a", b"select $1, $2", *given) + m("D", b"Sa\0") + SYNC
    run = bind(b"", b"a", value, value, form=1) + EXECUTE + SYNC
    stream = turns(
        (ask, PARSED + m("t", pack(">HII", 2, 23, 17)) + m("n") + READY), (run, BOUND + done(b"SELECT 0") + READY)
    )
    assert document(messages(stream)[2])["parameters"] == shown


def test_results_of_several_statements_are_apart() -> None:
    server = columns((b"el", 23), (b"tw", 23)) + row(b"11", b"12") + done(b"SELECT 1") + done(b"INSERT 0 1")
    server += columns((b"n", 23)) + row(b"13") + row(b"14") + done(b"SELECT 2") + READY
    ((_, answer),) = exchanges(query(b"select 11 as el, 12 as tw; insert ...; select n"), server)
    assert answer
    shown = document(answer)
    assert (shown["rows"], shown["rowCount"], shown["tag"]) == ([["11", "12"]], 1, "SELECT 1")
    assert shown["tags"] == ["SELECT 1", "INSERT 0 1", "SELECT 2"]
    assert shown["results"][0] == {"tag": "SELECT 1"} | {name: shown[name] for name in ("columns", "rows", "rowCount")}
    assert shown["results"][1] == {
        "tag": "SELECT 2",
        "columns": [{"name": "n", "type": "int4"}],
        "rows": [["13"], ["14"]],
        "rowCount": 2,
    }
    assert len(shown["results"]) == 2


def test_one_result_among_several_statements_is_no_list() -> None:
    ((_, answer),) = exchanges(query(b"begin; select"), done(b"BEGIN") + SELECTED + READY)
    assert answer
    assert (document(answer)["rowCount"], "results" in document(answer)) == (2, False)


def test_shown_results_and_rows_are_bounded() -> None:
    one = columns((b"n", 23)) + 101 * row(b"1") + done(b"SELECT 101")
    ((_, answer),) = exchanges(query(b"select ..."), 101 * one + READY)
    assert answer
    shown = document(answer)["results"]
    assert (len(shown), len(shown[99]["rows"]), shown[99]["rowCount"]) == (100, 100, 101)


def test_copy_data_does_not_end_rows_where_its_messages_end() -> None:
    client = query(b"copy t from stdin") + m("d", b"1\tx\n2\ty") + m("d", b"y") + m("d", b"\n3") + m("c")
    ((asked, _),) = exchanges(client, m("G", b"\0\0\2\0\0\0\0") + done(b"COPY 3") + READY)
    assert document(asked)["copyData"] == [["1", "x"], ["2", "yy"], ["3"]]


def test_copies_of_one_query_do_not_run_into_each_other() -> None:
    client = query(b"copy a from stdin; copy b from stdin") + m("d", b"1") + m("c") + m("d", b"2") + m("c")
    ((asked, _),) = exchanges(client, m("G", b"\0\0\1\0\0") + done(b"COPY 1") + READY)
    assert document(asked)["copyData"] == [["1"], ["2"]]


def test_binary_copy_is_hexadecimal() -> None:
    client = query(b"copy t from stdin binary") + m("d", b"PGCOPY\n\0") + m("d", b"\n\n") + m("c")
    ((asked, _),) = exchanges(client, m("G", b"\1\0\1\0\0") + done(b"COPY 1") + READY)
    assert document(asked)["copyData"] == [["\\x5047434f50590a00"], ["\\x0a0a"]]


def test_a_long_row_of_copy_data_is_bounded() -> None:
    client = query(b"copy t from stdin") + 40 * m("d", b"\t" + 50_000 * b"x") + m("d", b"\n2\n") + m("c")
    ((asked, _),) = exchanges(client, m("G", b"\0\0\1\0\0") + done(b"COPY 2") + READY)
    long, short = document(asked)["copyData"]
    assert (short, sum(map(len, long)) < 1 << 20, long[1]) == (["2"], True, 50_000 * "x")


def test_copy_among_other_statements() -> None:
    server = m("H", b"\0\0\1\0\0") + m("d", b"1\n") + m("d", b"2\n") + m("c") + done(b"COPY 2")
    ((_, answer),) = exchanges(query(b"copy t to stdout; select"), server + SELECTED + READY)
    assert answer
    shown = document(answer)["results"]
    assert [(each["tag"], each["rows"][0], each["rowCount"]) for each in shown] == [
        ("COPY 2", ["1"], 2),
        ("SELECT 2", ["1", "one"], 2),
    ]


def test_copy_in_belongs_to_its_query() -> None:
    client = query(b"copy t from stdin") + m("d", b"1\tone\n2\ttwo\n") + m("c") + query(b"select 1")
    found = exchanges(client, m("G", b"\0\0\2\0\0\0\0") + done(b"COPY 2") + READY + done(b"SELECT 1") + READY)
    assert document(found[0][0])["copyData"] == [["1", "one"], ["2", "two"]]
    assert [document(answer)["tag"] for _, answer in found if answer] == ["COPY 2", "SELECT 1"]


def test_copy_in_of_the_extended_protocol_ignores_the_first_sync() -> None:
    client = parse(b"", b"copy t from stdin") + bind(b"", b"") + EXECUTE + SYNC + m("d", b"1\n") + m("c") + SYNC
    found = exchanges(
        client + query(b"select 1"), PARSED + BOUND + m("G", b"\0\0\1\0\0") + done(b"COPY 1") + READY + SELECTED + READY
    )
    assert [document(answer)["tag"] for _, answer in found if answer] == ["COPY 1", "SELECT 2"]


def test_copy_out() -> None:
    ((_, answer),) = exchanges(
        query(b"copy t to stdout"),
        m("H", b"\0\0\1\0\0") + m("d", b"1\tone\n") + m("d", b"2\t\\N\n") + m("c") + done(b"COPY 2") + READY,
    )
    assert answer
    assert document(answer)["rows"] == [["1", "one"], ["2", "\\N"]]
    assert document(answer)["rowCount"] == 2


def test_notification_is_an_event() -> None:
    note = m("A", pack(">I", 9) + b"news\0hello\0")
    found = messages(tcp(query(b"select 1"), SELECTED + READY + note, port=5432))
    (event,) = (message for message in found if message.kind == MessageKind.EVENT)
    assert document(event) == {"type": "NotificationResponse", "channel": "news", "payload": "hello", "processId": 9}


def test_notices_that_come_unasked_are_events() -> None:
    notice = m("N", b"SWARNING\0C01000\0Mlook\0\0")
    stream = tcp(query(b"select 1"), SELECTED + READY + notice, port=5432)
    (event,) = (message for message in messages(stream) if message.kind == MessageKind.EVENT)
    assert (document(event)["type"], document(event)["message"]) == ("NoticeResponse", "look")


def test_notice_inside_an_answer_is_part_of_it() -> None:
    notice = m("N", b"SNOTICE\0C00000\0Mskipping\0\0")
    ((_, answer),) = exchanges(query(b"drop table t"), notice + done(b"DROP TABLE") + READY)
    assert answer
    assert document(answer)["notices"][0]["message"] == "skipping"


def test_cancel_shows_no_secret() -> None:
    ((asked, _),) = exchanges(pack(">IIII", 16, 80877102, 77, 0xDEADBEEF), b"")
    assert (asked.one_way, asked.fields["postgresql_command"]) == (True, "CANCEL")
    assert (document(asked)["processId"], document(asked)["secretKey"]) == (77, "[redacted]")


@pytest.mark.parametrize("refusal", [b"N", b"NN"])
def test_encryption_refused(refusal: bytes) -> None:
    client = (GSS + TLS)[-8 * len(refusal) :] + LOGIN
    found = exchanges(client, refusal + GREETING)
    assert [asked.fields["postgresql_command"] for asked, _ in found] == ["GSSENCREQUEST", "SSLREQUEST", "STARTUP"][
        -1 - len(refusal) :
    ]
    assert all(answer for _, answer in found)


def test_tls_is_handed_over() -> None:
    *_, handover = postgresql.dissect(postgresql.POSTGRESQL, [tcp(TLS + b"\x16\x03\x01", b"S\x16\x03\x03", port=5432)])[
        0
    ]
    assert isinstance(handover, Handover)
    assert handover.protocol == "tlsx"
    assert [bytes(side.data) for side in handover.sides] == [b"\x16\x03\x01", b"\x16\x03\x03"]


def test_terminate_has_no_answer() -> None:
    ((asked, _),) = exchanges(m("X"), b"")
    assert (asked.one_way, asked.fields["postgresql_command"]) == (True, "TERMINATE")
    assert asked.fields["postgresql_success"] is True


def test_answer_from_before_the_capture_stays_alone() -> None:
    stream = tcp(query(b"select 1"), row(b"9") + done(b"SELECT 1") + READY + SELECTED + READY, port=5432, midway=True)
    first = len(row(b"9") + done(b"SELECT 1") + READY)
    stream.runs = [(1, 0, first), (0, 0, 14), (1, first, first + 99)]
    found = messages(stream)
    assert [(message.kind, bool(message.key)) for message in found] == [(0, True), (1, True), (1, False)]
    assert found[1].start == first


def test_gap_spoils_one_unit() -> None:
    server = SELECTED + READY
    lost = server[:60] + bytes(30) + server[90:] + SELECTED + READY
    found = exchanges(query(b"select 1") + query(b"select 2"), lost, gaps={1: [(60, 90, 30)]})
    assert [bool(answer and answer.error) for _, answer in found] == [True, False]


def test_a_lost_answer_does_not_move_those_behind_it() -> None:
    """Who asks one thing after the other had read it."""
    capture = Capture()
    connection = Connection(capture, port=5432).open().ask(LOGIN).answer(OK + READY)
    for number in range(6):
        connection.ask(query(b"select %d" % number))
        answer = SELECTED + READY
        connection.lose(SERVER, len(answer)) if number == 3 else connection.answer(answer)
    found = find(capture, 'postgresql_command == "SELECT"')
    assert [entry.elapsed_ns for entry in found] == [MS, MS, MS, 0, MS, MS]
    assert [entry.error is None for entry in found] == [True, True, True, False, True, True]


def test_malformed_bytes_spoil_one_message() -> None:
    found = messages(tcp(query(b"select 1") + b"\xff\xfe junk \xff" + query(b"select 2"), port=5432))
    assert [message.error for message in found] == ["", "malformed: 9 bytes at 14 are no message", ""]


def test_truncated() -> None:
    ((asked, _),) = exchanges(query(b"select 1")[:-3], b"")
    assert asked.error == "truncated: 3 bytes of a message were not captured"


BINARY = [
    (16, b"\x01", "t"),
    (20, pack(">q", -5), "-5"),
    (21, pack(">h", 7), "7"),
    (701, pack(">d", 1.5), "1.5"),
    (25, b"text", "text"),
    (2950, bytes(range(16)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
    (3802, b'\x01{"a":1}', '{"a":1}'),
    (1082, pack(">i", 366), "2001-01-01"),
    (1114, pack(">q", 1_000_000), "2000-01-01 00:00:01"),
    (1700, pack(">HhHH3H", 3, 1, 0x4000, 2, 12, 3456, 7800), "-123456.78"),
    (1700, pack(">HhHH", 0, 0, 0xC000, 0), "NaN"),
    (1700, pack(">HhHH1H", 1, -1, 0, 4, 25), "0.0025"),
    (17, b"\xff\x00", "\\xff00"),
    (1114, b"\x01", "\\x01"),
]


@pytest.mark.parametrize(("kind", "value", "shown"), BINARY, ids=[f"{kind}-{shown}" for kind, _, shown in BINARY])
def test_binary_values(kind: int, value: bytes, shown: str) -> None:
    client = parse(b"", b"select $1", kind) + bind(b"", b"", value, form=1, results=1) + EXECUTE + SYNC
    ((asked, answer),) = exchanges(
        client, PARSED + BOUND + columns((b"c", kind)) + row(value) + done(b"SELECT 1") + READY
    )
    assert answer
    assert (document(asked)["parameters"], document(answer)["rows"]) == ([shown], [[shown]])


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (LOGIN, b""),
        (TLS, b""),
        (b"", GREETING),
        (query(b"select 1"), b""),
        (b"", SELECTED + READY),
        (b"", failed(b"1", b"x")),
    ],
    ids=["login", "tls", "greeting", "query", "result", "error"],
)
def test_probe_takes_it_on_any_port(client: bytes, server: bytes) -> None:
    assert is_mine(tcp(client, server, port=15432))


@pytest.mark.parametrize(
    "client",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\0\xa0",
        b"QUIT\r\n",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        bytes(64),
        b"\0\0\0\x10\0\x03\0\0\xff\xff",
    ],
    ids=["http", "tls", "quit", "ping", "redis", "zeros", "startup-like"],
)
def test_probe_leaves_others(client: bytes) -> None:
    assert not is_mine(tcp(client, b"", port=15432))
    assert not is_mine(tcp(client[:2] + b"\xff" * 20, b"", port=5432))


@pytest.mark.parametrize("cut", range(0, len(LOGIN + PASSWORD + query(b"select 1")), 7))
def test_cut_anywhere(cut: int) -> None:
    client, server = LOGIN + PASSWORD + query(b"select 1"), SASL + GREETING + SELECTED + READY
    for stream in (tcp(client[:cut], server, port=5432), tcp(client, server[:cut], port=5432)):
        assert_sound(messages(stream), stream)


@given(
    damaged_streams(
        LOGIN
        + PASSWORD
        + parse(b"a", b"select $1", 23)
        + bind(b"", b"a", b"1")
        + DESCRIBE
        + EXECUTE
        + SYNC
        + query(b"copy t")
        + m("d", b"1\n"),
        SASL + GREETING + PARSED + BOUND + SELECTED + READY + m("G", b"\0\0\0") + failed(b"X", b"y") + READY,
        5432,
    )
)
def test_any_bytes(stream: FakeStream) -> None:
    postgresql.probe(postgresql.POSTGRESQL, [stream])
    found = postgresql.dissect(postgresql.POSTGRESQL, [stream])[0]
    assert_sound(
        [message for message in found if isinstance(message, Message) and message.kind != MessageKind.EVENT], stream
    )
