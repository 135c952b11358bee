"""Patterns a user types cost linear time, and bounded memory."""

from __future__ import annotations

import time

import pytest

from kubeshark.pipeline.kfl._regex import PatternError, searcher


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b+", "abbc", True),
        ("^b", "ab", False),
        ("", "", True),
        ("(?i)GET", "get", True),
        ("ä.", "xäö", True),
        ("^.$", "\U0001f600", True),  # a code point is one character
        (".", "\ud800", True),
        ("x", "\ud800", False),
    ],
)
def test_search(pattern: str, text: str, expected: bool) -> None:
    assert searcher(pattern)(text) is expected


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", r"(a)\1", "(?=a)", "x{1000}{1000}", "\ud800"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError) as refused:
        searcher(pattern)
    assert str(refused.value)


def test_no_pattern_explodes() -> None:
    started = time.process_time()
    assert not searcher("(a*)*(a|aa)+b")("a" * 100_000)
    assert time.process_time() - started < 5


def test_a_pattern_is_compiled_once() -> None:
    assert searcher("only once") is searcher("only once")
