"""Errors: where, in which words, with which hint (rule 3)."""

from __future__ import annotations

import pytest

from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import KflError, compile_filter

NOW_NS = 1_773_525_900 * 10**9
PLUGINS = {"is_bot": FilterSpec("is_bot"), "near": FilterSpec("near", ("string", "int"))}


def refusal(text: str) -> KflError:
    with pytest.raises(KflError) as raised:
        compile_filter(text, now_ns=NOW_NS, plugins=PLUGINS, macros={"mine": "status_code >= 'x'"})
    return raised.value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ('mtehod == "GET"', (1, 1), "unknown variable mtehod: did you mean method?"),
        ("elapsedTime + 1 > 500", (1, 1), "unknown variable elapsedTime: did you mean elapsed_time?"),
        ("statusCode == 200", (1, 1), "unknown variable statusCode: did you mean status_code?"),
        ("http &&\n  src.prot == 1", (2, 3), "unknown variable src.prot: did you mean src.port?"),
        ("src == 1", (1, 1), "unknown variable src: did you mean src.ip?"),
        ('path.contain("x")', (1, 6), "unknown function contain: did you mean contains?"),
        ('src.ip.incidr("10.0.0.0/8")', (1, 8), "unknown function incidr: did you mean inCidr?"),
        ("http && is_bott()", (1, 9), "unknown function is_bott: did you mean is_bot?"),
        ('status_code == "200"', (1, 13), "int cannot be compared with string by ==: write 200 without quotes"),
        ("method == 5", (1, 8), 'string cannot be compared with int by ==: write "5" in quotes'),
        ("http && dns and tls", (1, 13), "not KFL: write && for and"),
        ("status_code = 200", (1, 13), "not KFL: write == for ="),
        ("http && dns # note", (1, 13), "not KFL: write // for #"),
        ("http &&", (1, 8), "the filter ends too early"),
        ("http OR dns", (1, 6), "not KFL: write || for OR"),
        ("NOT http", (1, 1), "not KFL: write ! for NOT"),
        ('url eq "x"', (1, 5), "not KFL: write == for eq"),
        ('url like "x"', (1, 5), 'not KFL: write url.contains("x")'),
        ('url starts with "x"', (1, 5), 'not KFL: write url.startsWith("x")'),
        ('response.headers.server ~ "x"', (1, 25), 'not KFL: write response.headers.server.matches("x")'),
        ("http dns", (1, 6), "unexpected 'dns': write && or || between conditions"),
        ("dst.port == 80,443", (1, 15), "unexpected ','"),
        ("src.ip == 10.0.0.1", (1, 11), 'an address is a string: write "10.0.0.1" in quotes'),
        ("http && src.ip == 10.0.0.0/8", (1, 19), 'an address is a string: write inCidr("10.0.0.0/8")'),
        ("dst.ip == fe80::1", (1, 11), 'an address is a string: write "fe80::1" in quotes'),
        (
            'map_get(request.headers, "host") == ""',
            (1, 1),
            'wrong arguments for map_get(): write map_get(request.headers, "host", "")',
        ),
        ("http && url.contains()", (1, 13), 'wrong arguments for contains(): write url.contains("text")'),
        ("size(url, 1) > 1", (1, 1), "wrong arguments for size(): write size(url)"),
        ('near("x")', (1, 1), 'wrong arguments for near(): write near("text", int)'),
        (
            'timestamp > "2026-01-01"',
            (1, 11),
            'timestamp cannot be compared with string by >: write timestamp("2026-01-01T00:00:00Z")',
        ),
        (
            'timestamp > "2026-03-14 22:05"',
            (1, 11),
            'timestamp cannot be compared with string by >: write timestamp("2026-03-14T22:05:00Z")',
        ),
        (
            'timestamp > "yesterday"',
            (1, 11),
            'timestamp cannot be compared with string by >: write timestamp("2026-01-01T00:00:00Z")',
        ),
        ('b"a" == "a"', (1, 6), 'bytes cannot be compared with string by ==: write b"a"'),
        ('url == b"a"', (1, 5), 'string cannot be compared with bytes by ==: write "a"'),
        ("bytes(url) == url", (1, 12), "bytes cannot be compared with string by ==: write string(…) for the bytes"),
        (
            'duration("5s") == "5s"',
            (1, 16),
            'duration cannot be compared with string by ==: write duration("5s")',
        ),
        ("has(src.nope)", (1, 5), "unknown variable src.nope: did you mean src.name?"),
        ("http && has(src.ipp)", (1, 13), "unknown variable src.ipp: did you mean src.ip?"),
        ("status_code && http", (1, 13), "&& joins conditions, not int"),
        ("!status_code", (1, 1), "! does not work on int"),
        ("status_code", (1, 1), "a filter must be bool, this is int: compare it with something"),
        ('response_body.json("a")', (1, 1), "a filter must be bool, this is dyn: compare it with something"),
        ('path.matches("(")', (1, 14), "missing ): ("),
        ('path.matches("(?=a)")', (1, 14), "invalid perl operator: (?="),
        ('path.matches("(a)\\\\1")', (1, 14), "invalid escape sequence: \\1"),
        ('src.ip.inCidr("10.0.0.0/33")', (1, 15), "not a network: 10.0.0.0/33"),
        ('timestamp > timestamp("yesterday")', (1, 23), "not an RFC 3339 time: yesterday"),
        ('timestamp > now() - duration("5 minutes")', (1, 30), "not a duration: 5 minutes"),
        ('response_body.json("a..b") == 1', (1, 20), "not a path: a..b"),
        ('field("a[x]") == 1', (1, 7), "not a path: a[x]"),
        ("near(path, 3)", (1, 6), "arguments of the plugin filter near must be literals"),
        ("near(3, 3)", (1, 5), "near() does not work on int, int"),
        ("http && mine", (1, 9), "in macro mine: int cannot be compared with string by >="),
        ("google.protobuf.Duration{seconds: 5} == duration('5s')", (1, 1), "KFL has no messages: "),
    ],
)
def test_place_words_and_hint(text: str, place: tuple[int, int], message: str) -> None:
    error = refusal(text)
    assert (error.line, error.column) == place
    assert str(error).startswith(f"line {place[0]}, column {place[1]}: {message}")


def test_the_picture_shows_the_line_and_a_caret() -> None:
    error = refusal('http &&\n\tpath == "é😀" && nope')
    assert error.picture == ' path == "é😀" && nope\n' + " " * 17 + "^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    error = refusal("http || " * 100 + "nope")
    source, caret = error.picture.split("\n")
    assert len(source) <= 100
    assert source[caret.index("^") :] == "nope"


def test_limits_are_named() -> None:
    assert "16 KiB" in str(refusal("http || " * 3000 + "http"))
    assert "nested" in str(refusal("(" * 100 + "http" + ")" * 100))
    assert "1,000" in str(refusal("http || " * 1200 + "http"))


def test_comments_run_to_the_end_of_the_line() -> None:
    kfl = compile_filter("// all of it\nhttp // and nothing else", now_ns=NOW_NS)
    assert kfl.variables == {"http"}
    assert compile_filter(" // only this", now_ns=NOW_NS).variables == frozenset()
