"""Protocols whose messages cannot match, and that being wrong about it would lose entries."""

from __future__ import annotations

import pytest

from kubeshark.pipeline.kfl import compile_filter

FLAGS = frozenset({"http", "http2", "dns", "redis", "tcp", "conn"})


@pytest.mark.parametrize(
    ("text", "http", "dns"),
    [
        ("", True, True),
        ("http", True, False),
        ("!http", True, True),
        ("http && status_code >= 500", True, False),
        ("status_code >= 500", True, True),
        ("http || dns", True, True),
        ("redis", False, False),
        ("!(http || redis)", True, True),
        ("!(!http)", True, False),
        ("conn", False, False),
        ("http && !dns", True, False),
        ("(http || src.port == 1) && !redis", True, True),
        ("http == true", True, True),  # not taken apart: kept
        ("tls && http", True, False),
        ("true || http", True, True),
        ("false && dns", False, False),
        ('protocol == "HTTP"', True, True),
        ("http ? dns : redis", True, True),
    ],
)
def test_who_may_match(text: str, http: bool, dns: bool) -> None:
    compiled = compile_filter(text, now_ns=0)
    assert compiled.may_match({"http", "status_code"}, FLAGS) is http
    assert compiled.may_match({"dns"}, FLAGS) is dns


def test_further_flags_count() -> None:
    assert compile_filter("http", now_ns=0).may_match({"http2", "http"}, FLAGS)
