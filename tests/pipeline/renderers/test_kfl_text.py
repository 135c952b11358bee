"""KFL literals made from traffic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl import VARIABLES, compile_filter
from kubeshark.pipeline.renderers._kfl_text import MAX_LITERAL, at_key, equals, is_selectable, literal, member


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", '""'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("\n\r\t\x1b\x00", '"\\n\\r\\t\\u001b\\u0000"'),
        ("\u202e\U000e0001", '"\\u202e\\U000e0001"'),
        ("größe", '"größe"'),
        (True, "true"),
        (-3, "-3"),
        (0.5, "0.5"),
    ],
)
def test_literals(value: str | float | bool, text: str) -> None:
    assert literal(value) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_a_literal_reads_back_as_what_it_was(value: str) -> None:
    assert compile_filter(f"path == {literal(value)}", now_ns=0, variables=VARIABLES).matches({"path": value})


@pytest.mark.parametrize(
    ("value", "selectable"),
    [("a", True), ("a" * MAX_LITERAL, True), ("a" * (MAX_LITERAL + 1), False), (1, True), (True, True), (0.5, False)],
)
def test_is_selectable(value: object, selectable: bool) -> None:
    assert is_selectable(value) is selectable


def test_queries() -> None:
    assert equals("path", "/a") == 'path == "/a"'
    assert equals("status_code", 0) == "status_code == 0"
    assert equals("path", "") == equals("path", "a" * 3000) == ""
    assert member("A", "dns_question_types") == '"A" in dns_question_types'
    assert member("", "dns_questions") == ""
    assert at_key("request.headers", 'a"') == 'request.headers["a\\""]'
    assert at_key("request.headers", "a" * 3000) == ""
