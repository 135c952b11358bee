"""KFL v1: each row of the translation table, as old text → KFL → result on an entry (see conftest.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubeshark.pipeline.kfl import ENTRY, KflError, compile_filter

Rows = Mapping[str, Mapping[str, Any]]

TABLE = [
    ("http and dns", "http && dns", "A", False),
    ("http or dns", "http || dns", "A", True),
    ('request.path == r"us.*"', 'path.matches("us.*")', "A", True),
    ('request.path != r"us.*"', '!path.matches("us.*")', "A", False),
    ('response.status == r"4.*"', 'string(status_code).matches("4.*")', "A", False),
    ("response.status == r'^5'", 'string(status_code).matches("^5")', "A", True),
    ("request.method == nil", 'method == ""', "A", False),
    ("response.status == nil", "status_code == 0", "H", True),
    ("http and tags == nil", "http && tags == []", "A", True),
    ("response.status == 500", "status_code == 500", "A", True),
    ('response.status == "500"', "status_code == 500", "A", True),
    ('request.method == "GET"', 'method == "GET"', "A", True),
    ('request.path == "/api/users"', 'path == "/api/users"', "A", True),
    ('request.url == "/api/users?id=7"', 'url == "/api/users?id=7"', "A", True),
    (
        'request.headers["Content-Type"] == "application/json" and http',
        'map_get(request.headers, "content-type", "") == "application/json" && http',
        "A",
        True,
    ),
    ('request.queryString["id"] == "7"', 'map_get(query_string, "id", "") == "7"', "A", True),
    ('request.query.id == "7"', 'map_get(query_string, "id", "") == "7"', "A", True),
    ('request.path[1] == "users"', 'size(path_segments) > 1 && path_segments[1] == "users"', "A", True),
    ('request.path[9] == "users"', 'size(path_segments) > 9 && path_segments[9] == "users"', "A", False),
    ('request.pathSegments[0] == "api"', 'size(path_segments) > 0 && path_segments[0] == "api"', "A", True),
    ('request.path.* == "users"', 'path_segments.exists(p, p == "users")', "A", True),
    ('request.path.* != "users"', 'path_segments.exists(p, p != "users")', "A", True),
    ('request.headers.* == "users.production"', None, "A", True),
    ('response.body.json().error.code == "E42"', 'response_body.json("error.code") == "E42"', "A", True),
    ('response.body.json().error.tags[1] == "slow"', 'response_body.json("error.tags[1]") == "slow"', "A", True),
    ('response.body.json().error.tags.* == "slow"', None, "A", True),
    ('response.body.xml().a.b == "x"', 'response_body.xml("a.b") == "x"', "A", False),
    ('protocol.name == "http"', 'protocol == "HTTP"', "A", True),
    ('protocol.abbr == "HTTP"', 'protocol == "HTTP"', "A", True),
    ('src.port == "43210"', "src.port == 43210", "A", True),
    ("dst.port == 8080 and http", "dst.port == 8080 && http", "A", True),
    ('src.namespace == "shop" and src.ip == "10.1.2.3"', None, "A", True),
    ("tls or http", "tls || http", "A", True),
    ('request.url == "{}" or request.path.* == "{x"', 'url == "{}" || path_segments.exists(p, p == "{x")', "A", False),
    ("request.headers == nil and http", "request.headers == {} && http", "B", False),
    ("elapsedTime > 500", "elapsed_time > 500000", "A", True),
    ("elapsedTime > 0.5", "double(elapsed_time) > 500.0", "B", True),
    (
        'timestamp > datetime("10/19/2021, 6:29:02 PM")',
        'timestamp > timestamp("2021-10-19T18:29:02Z")',
        "A",
        True,
    ),
    ('timestamp > datetime("10/19/2021, 6:29:02.593 AM")', None, "A", True),
    ("timestamp > seconds(-30)", 'timestamp > now() - duration("30s")', "A", False),
    ("timestamp > minutes(-5)", 'timestamp > now() - duration("5m")', "A", True),
    ("timestamp > hours(-1)", 'timestamp > now() - duration("1h")', "A", True),
    ("timestamp < days(1)", 'timestamp < now() + duration("24h")', "A", True),
    ("timestamp > weeks(-2)", 'timestamp > now() - duration("336h")', "A", True),
    ("timestamp > months(-1)", 'timestamp > timestamp("2026-02-14T22:05:00Z")', "A", True),
    ("timestamp > years(-1)", 'timestamp > timestamp("2025-03-14T22:05:00Z")', "A", True),
    ("timestamp > 1773525000000", 'timestamp > timestamp("2026-03-14T21:50:00Z")', "A", True),
    (
        'request.questions[0].name == "api.example.test"',
        'size(dns_questions) > 0 && dns_questions[0] == "api.example.test"',
        "B",
        True,
    ),
    ('response.answers[0].ip == "192.0.2.1"', 'size(dns_answers) > 0 && dns_answers[0] == "192.0.2.1"', "B", False),
    ('redis and request.command == "GET"', 'redis && redis_type == "GET"', "D", True),
    ('request.key == "session:1"', 'redis_key == "session:1"', "D", True),
    ('request.apiKeyName == "Produce"', 'kafka_api_key_name == "PRODUCE"', "K", True),
    ('request.apiKeyName == "ListOffsets"', 'kafka_api_key_name == "LIST_OFFSETS"', "K", False),
    ('request.clientID == "c1"', 'kafka_client_id == "c1"', "K", True),
    ('request.payload.topics[0].name == "orders"', 'kafka_topics.exists(t, t == "orders")', "K", True),
    ('amqp and request.method == "basic publish"', 'amqp && amqp_method == "basic.publish"', "Q", True),
    ('request.exchange == "stock"', 'amqp_exchange == "stock"', "Q", True),
    ('request.queue == "q" or request.routingKey == "item.low"', None, "Q", True),
    ("error and http", "error && http", "H", True),
    ('error.type == "pair-not-found"', 'error_type == "pair-not-found"', "H", True),
    ('error.msg == ""', 'error_message == ""', "H", True),
    ('tcp and data.payload.startsWith("GET")', 'tcp && tcp_payload_text.startsWith("GET")', "T", True),
    ('request.deep[0]["odd key"] == 5', 'field("request.deep[0][\\"odd key\\"]") == 5', "T", True),
    ('request.deep == r"a"', 'string(field("request.deep")).matches("a")', "A", False),
    ("http and limit(100)", "http", "A", True),
    ("limit(100)", "", "A", True),
    ("http and https", "http && https", "A", False),
    ("!(http and dns)", "!(http && dns)", "A", True),
    ("(http or dns) and method == 5", '(http || dns) && method == "5"', "A", False),
    ('"GET" == request.method', 'method == "GET"', "A", True),
]


@pytest.fixture
def old_rows(rows: Rows, make_row: Callable[..., Mapping[str, Any]]) -> Rows:
    entry = {"request": {"deep": [{"odd key": 5}]}}
    return {
        **rows,
        "A": make_row(**{**rows["A"], ENTRY: {}}),
        "K": make_row(kafka=True, kafka_api_key_name="PRODUCE", kafka_client_id="c1", kafka_topics=["orders"]),
        "Q": make_row(amqp=True, amqp_method="basic.publish", amqp_exchange="stock", amqp_routing_key="item.low"),
        "T": make_row(tcp=True, tcp_payload_text="GET /", **{ENTRY: entry}),
    }


@pytest.mark.parametrize(("old", "new", "entry", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_translation(old: str, new: str | None, entry: str, expected: bool, old_rows: Rows, now_ns: int) -> None:
    compiled = compile_filter(old, now_ns=now_ns)
    assert compiled.original == old
    assert compiled.notices, "a translation is announced"
    assert new is None or compiled.text == new
    assert compiled.matches(old_rows[entry]) is expected
    again = compile_filter(compiled.text, now_ns=now_ns)
    assert again.notices == (), "the translation is KFL"
    assert again.matches(old_rows[entry]) is expected


def test_mixed_chain_nests_to_the_right_and_warns(rows: Rows, now_ns: int) -> None:
    compiled = compile_filter("dns and http or http", now_ns=now_ns)
    assert compiled.text == "dns && (http || http)"
    assert not compiled.matches(rows["A"])
    assert len(compiled.notices) == 2
    assert "mixed" in compiled.notices[1]


def test_an_unmixed_chain_does_not_warn(now_ns: int) -> None:
    assert len(compile_filter("dns and http and (tls or ws)", now_ns=now_ns).notices) == 1


def test_limit_becomes_the_query_s(now_ns: int) -> None:
    compiled = compile_filter("http and limit(100)", now_ns=now_ns)
    assert compiled.limit == 100
    assert "limit" in compiled.notices[1]


def test_no_text_of_either_language_has_a_place(now_ns: int) -> None:
    with pytest.raises(KflError) as raised:
        compile_filter("htt ??? a : p", now_ns=now_ns)
    assert (raised.value.line, raised.value.column) == (1, 6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('http and redact("request.path")', "redaction"),
        ('redact("a")', "redaction"),
        ('http and record("x")', "redaction"),
        ("http and secondz(5)", "seconds"),
        ('http and a..b == "x"', "field("),
        ('timestamp > datetime("yesterday")', "timestamp("),
    ],
)
def test_what_is_refused_says_what_to_do(text: str, words: str, now_ns: int) -> None:
    with pytest.raises(KflError, match=words.replace("(", r"\(")) as raised:
        compile_filter(text, now_ns=now_ns)
    assert raised.value.line == 1


@pytest.mark.parametrize("text", ["nope == 1", 'status_code == "500"', "src.nmae == 1", "nope", 'nope("a")', '"a"'])
def test_misspelt_kfl_is_not_taken_for_v1(text: str, now_ns: int) -> None:
    with pytest.raises(KflError):
        compile_filter(text, now_ns=now_ns)


def test_old_paths_in_new_texts_get_the_new_name(now_ns: int) -> None:
    with pytest.raises(KflError, match=r"did you mean method\?"):
        compile_filter('request.method == "GET" && http', now_ns=now_ns)


def test_macros_may_be_in_the_old_language(rows: Rows, now_ns: int) -> None:
    macros = {"slow": "http and elapsedTime > 5000", "bad": "slow && status_code >= 500"}
    assert compile_filter("bad", now_ns=now_ns, macros=macros).matches(rows["A"])
    assert compile_filter("slow and http", now_ns=now_ns, macros=macros).matches(rows["A"])
    assert not compile_filter("slow", now_ns=now_ns, macros=macros).matches(rows["B"])
