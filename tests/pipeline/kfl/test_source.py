"""Macros are tokens; has() of a name is spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kubeshark.errors import UsageError
from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import KflError, compile_filter
from kubeshark.pipeline.kfl._source import rewrite
from kubeshark.pipeline.kfl._variables import VARIABLES

NOW_NS = 1_773_525_900 * 10**9


def rewritten(text: str, **macros: str) -> str:
    return rewrite(text, VARIABLES, macros).text


def test_a_macro_is_a_token() -> None:
    assert rewritten("web && dst.web == 1 && webs && web(1)", web="http || ws") == (
        "(http || ws) && dst.web == 1 && webs && web(1)"
    )
    assert rewritten('path == "web" // web', web="http") == 'path == "web" // web'


def test_macros_use_macros_and_comments_end() -> None:
    assert rewritten("a", a="b // x", b="http") == "((http) // x\n)"


def test_built_in(rows: Mapping[str, Mapping[str, Any]]) -> None:
    kfl = compile_filter("https", now_ns=NOW_NS)
    assert not kfl.matches(rows["A"])
    assert kfl.variables == {"tls", "http", "http2"}


@pytest.mark.parametrize(
    ("macros", "words"),
    [
        ({"a": "a || http"}, "uses itself"),
        ({"a": "b", "b": "c", "c": "http || a"}, "uses itself"),
        ({"http": "dns"}, "name of a variable"),
        ({"src": "dns"}, "name of a variable"),
        ({"size": "dns"}, "name of a function"),
        ({"inCidr": "dns"}, "name of a function"),
        ({"is_bot": "dns"}, "name of a plugin filter"),
        ({"while": "dns"}, "name of a reserved word"),
        ({"https": "dns"}, "name of a macro"),
        ({"a-b": "dns"}, "not a name"),
        ({"": "dns"}, "not a name"),
        ({"é": "dns"}, "not a name"),
    ],
)
def test_bad_macros(macros: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        compile_filter("http", now_ns=NOW_NS, macros=macros, plugins={"is_bot": FilterSpec("is_bot")})


def test_a_broken_macro_hurts_only_where_it_is_used() -> None:
    macros = {"broken": "nope =="}
    assert compile_filter("http", now_ns=NOW_NS, macros=macros)
    with pytest.raises(KflError, match="line 1, column 9: in macro broken"):
        compile_filter("http && broken", now_ns=NOW_NS, macros=macros)


def test_expansion_is_bounded() -> None:
    doubling = {f"m{at}": f"m{at + 1} && m{at + 1}" for at in range(30)} | {"m30": "http"}
    with pytest.raises(KflError, match="16 KiB with its macros"):
        compile_filter("m0", now_ns=NOW_NS, macros=doubling)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("has(src.pod.name)", '(src.pod.name != "")'),
        ("has( src . port )", "(src.port != 0)"),
        ("has(src.pod)", '(src.pod.name != "" || src.pod.namespace != "")'),
        ("has(request.headers)", "(request.headers != {})"),
        ("has(local_labels.app)", "has(local_labels.app)"),
        ("has(nope.a)", "has(nope.a)"),
        ("x.has(src.ip)", "x.has(src.ip)"),
        ("has(src.ip", "has(src.ip"),
    ],
)
def test_has(text: str, expected: str) -> None:
    assert rewritten(text) == expected


def test_has_of_what_is_no_name_is_an_error() -> None:
    for text in ("has(src.nope)", "has(http)", "has(path)"):
        with pytest.raises(KflError):
            compile_filter(text, now_ns=NOW_NS)


def test_places_survive_rewriting() -> None:
    with pytest.raises(KflError) as raised:
        compile_filter("has(src.pod) && https && nope", now_ns=NOW_NS)
    assert raised.value.column == 26
