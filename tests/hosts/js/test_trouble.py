"""What V8 says, in one line of the author's places."""

from __future__ import annotations

import pytest

from kubeshark.hosts.js._source_map import SourceMap
from kubeshark.hosts.js._trouble import explain
from tests.hosts.js.test_source_map import a_map, encode

NO_MAP = SourceMap(b"")
STACK = """prelude.js:231: RangeError: 4 to 9 reaches beyond the item's 5 bytes
        throw new RangeError(`…`);
        ^

RangeError: 4 to 9 reaches beyond the item's 5 bytes
    at Output.check (prelude.js:231:15)
    at parse (plugin.js:7:9)
    at Object.dissect (plugin.js:2:3)
    at dissect (prelude.js:300:12)
    at <anonymous>:1:6
"""


def test_the_sdk_is_left_out() -> None:
    said = "plugin.js:7:9: RangeError: 4 to 9 reaches beyond the item's 5 bytes (called from plugin.js:2:3)"
    assert explain(STACK, "plugin.js", NO_MAP) == said


def test_through_a_source_map() -> None:
    mappings = f";{encode(0, 0, 40, 0)};;;;;{encode(4, 1, -30, 2)}"
    said = explain(STACK, "plugin.js", SourceMap(a_map(mappings, ["plugin.ts", "parse.ts"])))
    assert said == "parse.ts:11:3: RangeError: 4 to 9 reaches beyond the item's 5 bytes (called from plugin.ts:41:1)"


def test_callers_are_few_and_named_once() -> None:
    frames = "".join(f"\n    at f (p.js:{line}:1)" for line in (3, 3, 3, 4, 5, 6, 7))
    said = explain(f"p.js:3: RangeError: Maximum call stack size exceeded\n\n{frames}", "p.js", NO_MAP)
    assert said == "p.js:3:1: RangeError: Maximum call stack size exceeded (called from p.js:4:1, p.js:5:1)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p.js:3: [object Object]\n  throw {}\n  ^\n", "p.js:3:3: [object Object]"),
        (
            "<anonymous>:2: SyntaxError: Unexpected token\nvar x = ;\n        ^\n",
            "p.js:2:9: SyntaxError: Unexpected token",
        ),
        ("other.js:2: Error: x", "other.js:2: Error: x"),
        ("no place at all\nmore", "no place at all"),
        ("", ""),
        ("p.js:1: Error: \x1b[31m", "p.js:1:1: Error: ?[31m"),
    ],
)
def test_what_has_no_stack(text: str, said: str) -> None:
    assert explain(text, "p.js", NO_MAP) == said


def test_it_is_bounded() -> None:
    text = "p.js:1: Error: " + "x" * 100_000 + "\n" + "    at f (" * 200_000
    assert len(explain(text, "p.js", NO_MAP)) < 400
