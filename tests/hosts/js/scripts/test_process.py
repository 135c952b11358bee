"""The process of an isolate: loading, places of errors, limits, questions, hostile answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kubeshark.hosts.js.scripts._process import Answer, ScriptChild, ScriptError

Asked = list[dict[str, Any]]


@pytest.fixture
def child() -> Iterator[ScriptChild]:
    made = ScriptChild()
    made.open("hub")
    yield made
    made.end()


def load(child: ScriptChild, text: str, asked: Asked | None = None, value: Any = None, id: str = "a") -> Answer:
    def answer(question: bytes) -> bytes:
        if asked is not None:
            asked.append(json.loads(question))
        return json.dumps({"value": value}).encode()

    return child.load(id, "A title", "a.js", text, {}, answer)


def said(answer: Answer) -> list[Any]:
    return [values[1] for _, name, values in answer.commands if name == "console"]


@pytest.mark.parametrize(
    "text",
    [
        "function onItemCaptured(data) {}",
        "var onItemCaptured = function (data) {};",
        "onItemCaptured = function (data) {};",
        "const onItemCaptured = (data) => {};",
        "let other; function onItemCaptured() {} return; let onItemQueried = 1;",
    ],
)
def test_hooks_are_found_however_they_are_defined(child: ScriptChild, text: str) -> None:
    answer = load(child, text)
    assert (answer.error, answer.result) == ("", ["onItemCaptured"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("var a = 1;\n  foo(;\n", "SyntaxError: Unexpected token ';' 2:7"),
        ("var a;\n  throw 'not here';", "not here 2:3"),
        ("\n\n  null.x", "TypeError: Cannot read properties of null (reading 'x') 3:8"),
        ("missing()", "ReferenceError: missing is not defined 1:1"),
        ("require('fs')", "ReferenceError: require is not defined 1:1"),
    ],
)
def test_an_error_says_where_and_the_isolate_goes_on(child: ScriptChild, text: str, error: str) -> None:
    assert load(child, text).error == error
    assert load(child, "function onItemCaptured() {}", id="b").result == ["onItemCaptured"]


def test_what_the_engine_lacks_is_there(child: ScriptChild) -> None:
    answer = load(
        child,
        """console.log(atob(btoa("h\\u00e9")));
        console.log(new TextDecoder().decode(new TextEncoder().encode("h\\u00e9\\u20ac\\u{1f600}")));
        console.log(new Date(0).toISOString(), [1, 2].map((n) => n * 2), `${1 + 1}`, "\\ud800", Symbol("s"), undefined);
        console.log(typeof fetch, typeof process, chatgpt.sentiment("not good, a terrible error").neg > 0.5);
        (async () => { await null; console.log("later"); })();""",
    )
    assert said(answer) == [
        "hé",
        "hé€😀",
        "1970-01-01T00:00:00.000Z [2,4] 2 ? [symbol] undefined",
        "undefined undefined true",
        "later",
    ]


def test_yaml_is_block_style_and_safe(child: ScriptChild) -> None:
    document = {"z": [1, {"b": "x: y", "c": []}], "a": {"yes": None, "": "no", "t": "two\nlines"}, "e": {}}
    text = json.dumps(json.dumps(document))
    answer = load(child, f"console.log(utils.json2Yaml({text})); utils.json2Yaml('no');")
    assert answer.error.startswith("SyntaxError")  # of the second call
    assert said(answer) == ['z:\n- 1\n- b: "x: y"\n  c: []\na:\n  "yes": null\n  "": "no"\n  t: "two\\nlines"\ne: {}\n']


def test_a_question_waits_for_its_answer(child: ScriptChild) -> None:
    asked: Asked = []
    answer = load(child, "console.log(kfl.match('é', {a: '\\u20ac'}))", asked, value=True)
    assert said(answer) == ["true"]
    assert asked == [{"script": "a", "name": "kfl.match", "values": ["é", {"a": "€"}]}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("for (;;) {}", "took more than 3,000 ms"),
        ("var a = []; for (;;) a.push(new Array(1e6).fill(1.5));", "memory"),
    ],
)
def test_loading_has_limits(text: str, reason: str) -> None:
    child = ScriptChild()
    child.open("hub")
    with pytest.raises(ScriptError, match=reason):
        load(child, text)


def test_a_hook_has_a_limit_and_the_child_is_gone(child: ScriptChild) -> None:
    load(child, "onItemCaptured = () => { for (;;) {} }")
    request = {"do": "items", "id": "a", "hook": "onItemCaptured", "items": [{}], "filter": ""}
    with pytest.raises(ScriptError, match="took more than 50 ms"):
        child.ask(request, 0.05, lambda _: b"{}")


def test_console_lines_beyond_the_bound_are_dropped_and_counted(child: ScriptChild) -> None:
    answer = load(child, "for (var i = 0; i < 30; i++) console.log('x'.repeat(200000)); console.log('end');")
    assert sum(map(len, said(answer))) < 2 << 20
    assert said(answer)[-2:] == ["20 lines were dropped", "end"]


def test_an_answer_that_lies_ends_the_child(child: ScriptChild) -> None:
    load(child, "onItemCaptured = () => { __ks; }; console.log('x');")
    answer = load(child, "__result = 5; console.log('mine');", id="b")
    assert said(answer) == ["mine"]
    with pytest.raises(ValueError, match="a request of"):
        child.ask_encoded(bytes(5 << 20), 1, lambda _: b"{}")
