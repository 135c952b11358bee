"""GraphQL operations, told from everything else that has a "query"."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors.web._graphql import Operation, find_operation, may_hold_operation

JSON = "application/json"


def posted(value: Any) -> Operation | None:
    return find_operation("POST", "/api", JSON, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ hero { name } }", ("query", "")),
        ("{a}", ("query", "")),
        ("{ ...F }  fragment F on Query { a }", ("query", "")),
        ("query { a }", ("query", "")),
        ("query Hero($id: ID!) { hero(id: $id) }", ("query", "Hero")),
        ("query Hero @live { a }", ("query", "Hero")),
        ("# why\n\n  mutation Buy{ buy }", ("mutation", "Buy")),
        ("subscription OnBuy { bought }", ("subscription", "OnBuy")),
        ("fragment F on User { id } mutation Buy { ...F }", ("mutation", "Buy")),
    ],
)
def test_documents(document: str, expected: tuple[str, str]) -> None:
    found = posted({"query": document, "variables": {"id": 1}})
    assert found
    assert (found.kind, found.name, found.query, found.variables) == (*expected, document, {"id": 1})


@pytest.mark.parametrize(
    "value",
    [
        {"query": {"match_all": {}}},
        {"query": "select * from items"},
        {"query": "query for shoes"},
        {"query": 'up{job="x"}'},
        {"query": '{job="x"} |= "error"'},
        {"query": '{"match": 1}'},
        {"query": ""},
        {"q": "{ a }"},
        ["query"],
        "query",
        {},
    ],
)
def test_other_queries(value: Any) -> None:
    assert posted(value) is None


def test_the_operation_asked_for() -> None:
    found = posted({"query": "query A { a }\nmutation B { b }", "operationName": "B"})
    assert found
    assert (found.kind, found.name) == ("mutation", "B")


def test_a_batch_is_named_by_its_first_operation() -> None:
    found = posted([{"query": "query A { a }"}, {"query": "query B { b }"}])
    assert found
    assert found.name == "A"


def test_a_persisted_query() -> None:
    found = posted({"operationName": "A", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "00"}}})
    assert found == Operation("query", "A")


def test_get() -> None:
    url = "/graphql?query=" + quote("query A { a }") + "&variables=" + quote('{"n": 1}')
    assert find_operation("GET", url, "", b"") == Operation("query", "A", "query A { a }", {"n": 1})
    assert find_operation("GET", "/search?query=shoes", "", b"") is None
    assert find_operation("GET", "/api/v1/query?query=" + quote('{job="x"}'), "", b"") is None


def test_media_types() -> None:
    assert find_operation("POST", "/", "application/graphql", b"{ a }") == Operation("query", "", "{ a }")
    assert find_operation("POST", "/", "text/plain", b'{"query": "{ a }"}') is None
    assert find_operation("PUT", "/", JSON, b'{"query": "{ a }"}') is None
    assert may_hold_operation("POST", JSON)
    assert not may_hold_operation("GET", JSON)


def test_a_cut_body() -> None:
    found = find_operation("POST", "/", JSON, b'{"variables": {}, "query": "query A {\\n a }", "oper')
    assert found
    assert (found.kind, found.name) == ("query", "A")


@pytest.mark.parametrize("hostile", ["{" * 60_000, "#" * 60_000, "query" * 12_000, "{a " * 20_000, "[" * 60_000])
def test_hostile_documents_take_no_time(hostile: str) -> None:
    posted({"query": hostile})
    find_operation("POST", "/", JSON, b'{"query": ' + hostile.encode())


@given(st.text(max_size=60), st.binary(max_size=60))
def test_anything(text: str, data: bytes) -> None:
    posted({"query": text, "variables": text, "extensions": text, "operationName": [text]})
    posted({"query": "{" + text})
    find_operation("POST", "/", JSON, b'{"query": "' + data)
    find_operation("GET", "/?query=" + text, "", data)
