"""Texts that mean harm or nothing: only UsageError, always on one line, never slow."""

from __future__ import annotations

import random
import time

import pytest

from kubeshark.errors import UsageError
from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import CompiledFilter, compile_filter

NOW_NS = 1_773_525_900 * 10**9
PLUGINS = {"is_bot": FilterSpec("is_bot"), "near": FilterSpec("near", ("string", "int"))}
MACROS = {"slow": "http and elapsedTime > 500", "bad": "slow && status_code >= 500 // comment"}

BOMBS = {
    "brackets": "(" * 5000,
    "closed brackets": "(" * 40 + "http" + ")" * 40,
    "lists": "[" * 5000 + "]" * 5000,
    "maps": "{1:" * 3000 + "1" + "}" * 3000,
    "ternaries": "http?http:" * 1500 + "http",
    "sums": "1+" * 7000 + "1==1",
    "selections": "http" + ".a" * 7000,
    "indices": "tags" + "[0]" * 5000,
    "calls": "tags" + ".map(x,x)" * 1500,
    "loops": "tags.all(x," * 500 + "true" + ")" * 500,
    "conversions": "string(" * 2000 + "1" + ")" * 2000,
    "has": "has(" * 3000,
    "too long": "http || " * 3000 + "http",
    "too long with macros": "bad || " * 1000 + "bad",
    "too many parts": "http && " * 1500 + "http",
    "old brackets": "(" * 3000 + "http" + ")" * 3000 + " and http",
    "old negations": "!" * 5000 + "http and http",
    "old comparisons": "http == " * 1500 + "http and dns",
    "old arguments": "a(" * 3000,
    "a pattern that grows": 'path.matches("(x{1000}){1000}")',
    "lone surrogate": "http \ud800",
    "lone surrogate in a string": '"\udfff" == path',
    "nothing visible": "\u200b\u2060",
    "null": "http\0",
    "emoji": "😀 && 日本",
    "right to left": "http\u202e && dns",
    "open string": '"' + "a" * 5000,
    "open raw string": 'r"""' + "a" * 5000,
    "backslashes": '"' + "\\" * 5001 + '" == path',
    "bad escape": '"\\q" == path',
    "number": "9" * 5000 + " == 1",
    "message": "google.protobuf.Duration{seconds: 5} == duration('5s')",
    "any message": "google.protobuf.Any{} == null",
    "other lines": "\r\n\v\f\x85\u2028",
}


def attempt(text: str) -> CompiledFilter | UsageError:
    try:
        return compile_filter(text, now_ns=NOW_NS, plugins=PLUGINS, macros=MACROS)
    except UsageError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 400
        assert error.line >= 0
        assert "\n" not in text or error.line <= text.count("\n") + 1
        return error


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused(text: str) -> None:
    before = time.process_time()
    assert isinstance(attempt(text), UsageError)
    assert time.process_time() - before < 5


@pytest.mark.parametrize("text", ["!" * 4000 + "http", "http && " * 900 + "http", "-" * 4000 + "1 == 1"])
def test_long_is_not_deep(text: str) -> None:
    assert isinstance(attempt(text), CompiledFilter)


SEEDS = [
    'http && status_code >= 500 && path.matches("^/api") || !(src.ip.inCidr("10.0.0.0/8"))',
    'dns_questions.exists(q, q.endsWith(".test")) ? size(tags) > 0 : has(src.pod)',
    'map_get(local_labels, "app", "") in ["a", "b"] && near("x", 3) && bad',
    'response_body.json("a[*].b") == null && timestamp > now() - duration("5m")',
    'redis and request.command == "GET" and response.status != r"4.*" or timestamp > seconds(-30)',
    'request.path.* == "v1" and limit(5) and !(request.headers["a"] == nil)',
    "1 + 2 * -3 / 4 % 5 == 6 // comment\n && b'x' == tcp_payload",
]
SPARE = [
    *"()[]{}.,?:+-*/%!<>=&|\"'`~@#$;\\\n\t\0é😀\ud800 09ax",
    " and ",
    " or ",
    "&&",
    "||",
    "has(",
    ".json(",
    'r"',
    "1u",
]


def test_mutations_raise_nothing_else() -> None:
    chance = random.Random(20260314)
    for _ in range(1500):
        text = list(chance.choice(SEEDS))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(text) + 1)
            match chance.randrange(4):
                case 0:
                    text.insert(place, chance.choice(SPARE))
                case 1:
                    del text[place : place + chance.randint(1, 8)]
                case 2:
                    text[place:place] = list(chance.choice(SEEDS))[: chance.randint(1, 30)]
                case _:
                    text[place : place + 1] = chance.choice(SPARE)
        attempt("".join(text))
