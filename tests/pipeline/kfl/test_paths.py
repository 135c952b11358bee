"""json(), xml() and field(): what they find, and what they refuse to read."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.pipeline.kfl._paths import EVERY, json_at, lookup, parse_path, xml_at
from kubeshark.pipeline.kfl._values import EvaluationError

BODY = '{"a":{"b":[{"c":1},{"c":2.5},{"d":null}],"":"empty"},"odd key":{"x.y":true},"big":18446744073709551616}'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", 1),
        ("a.b[*].c", [1, 2.5]),
        ("a.b[2].d", None),
        ("a.b[9]", None),
        ("a[0]", None),
        ("a.b.c", None),
        ("a.nope[*]", None),
        ("a[*]", None),
        ('["odd key"]["x.y"]', True),
        ("a['']", "empty"),
        ("big", 2.0**64),
        ("a.b", [{"c": 1}, {"c": 2.5}, {"d": None}]),
    ],
)
def test_json(path: str, found: Any) -> None:
    assert json_at(BODY, path) == found
    assert json_at(BODY.encode(), path) == found


@pytest.mark.parametrize("body", ["", "{", "{'a': 1}", '{"a": NaN}', "[" * 100_000, "\ud800", b"\xff{}", "nul"])
def test_what_is_no_json_is_null(body: str | bytes) -> None:
    assert json_at(body, "a") is None


def test_paths() -> None:
    assert parse_path('a.b[0][*]["c d"]') == ("a", "b", 0, EVERY, "c d")
    assert parse_path("") == ()
    assert parse_path("user-agent.x:y") == ("user-agent", "x:y")


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[", "a[x]", "a[-1]", "a b", "a[0]b", "[9999999999]", "a.[0]"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(EvaluationError):
        parse_path(path)


def test_a_selected_value_is_bounded() -> None:
    with pytest.raises(EvaluationError, match="too many"):
        lookup({"a": [0] * 200_000}, ("a",))


XML = '<?xml version="1.0"?><s:a x="1"><b>one<i>two</i></b><b>three</b><c><b y="&lt;"/></c></s:a>'


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", "onetwo"),
        ("s:a.b", "onetwo"),
        ("a.@x", "1"),
        ("a.c.b.@y", "<"),
        ("a.c.b", ""),
        ("b", None),
        ("a.nope", None),
        ("a.b.@y", None),
    ],
)
def test_xml(path: str, found: str | None) -> None:
    assert xml_at(XML, path) == found
    assert xml_at(XML.encode(), path) == found


LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>'
EXTERNAL = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>x</a>'


NO_XML = [LAUGHS, EXTERNAL, "", "<a", "<a>x", "&", b"\xff", "<a>" * 50_000, '<?xml encoding="q"?>']


@pytest.mark.parametrize("body", NO_XML)
def test_what_is_no_harmless_xml_is_null(body: str | bytes) -> None:
    assert xml_at(body, "a") is None


def test_xml_paths_are_names() -> None:
    with pytest.raises(EvaluationError):
        xml_at(XML, "a[0]")
