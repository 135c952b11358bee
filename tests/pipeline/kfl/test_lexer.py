"""Tokens cover any text, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl._lexer import significant, tokens


@given(st.text() | st.text(st.sampled_from("\"'\\/rb.0eExu \n&|=aé")))
def test_tokens_cover_the_text(text: str) -> None:
    found = list(tokens(text))
    assert "".join(token.text for token in found) == text
    assert [token.start for token in found] == [0, *(token.end for token in found)][:-1] if found else True


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a.b", ["name", "operator", "name"]),
        ('http && path == "/a" // why', ["name", "operator", "name", "operator", "string"]),
        ("r'\\d' b\"x\" '''a'b'''", ["string"] * 3),
        ("0x1Fu 1.5e-3 .5 7u", ["number"] * 4),
        ("a // && b\n|| c", ["name", "operator", "name"]),
        ("'open", ["other", "name"]),
        ("é", ["other"]),
        ("!a<=-1", ["operator", "name", "operator", "operator", "number"]),
    ],
)
def test_kinds(text: str, kinds: list[str]) -> None:
    assert [token.kind for token in significant(text)] == kinds


@pytest.mark.parametrize(
    "text", ['"' * 50_000, "'''" + "a'" * 50_000, '"' + "\\" * 50_000, "/" * 50_000, "1e" * 50_000]
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.process_time()
    assert "".join(token.text for token in tokens(text)) == text
    assert time.process_time() - started < 5
