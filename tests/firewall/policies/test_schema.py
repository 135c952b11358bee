"""Each form takes what its JSON Schema takes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from kubeshark._document import DocumentError, read_documents
from kubeshark.firewall.policies._schema import (
    Dictionary,
    Duration,
    Enumeration,
    Form,
    Items,
    Number,
    OneOf,
    Structure,
    Switch,
    Text,
)

FORMS: dict[str, tuple[Form, list[Any], list[Any]]] = {
    "text": (Text(pattern="[a-z]+", max_length=3), ["a", "abc"], ["", "A", "abcd", 1, True, None, []]),
    "duration": (Duration(), ["0", "90s", "1h30m", "7d"], ["1", "s", "1x", "-1s", 5, True]),
    "number": (Number(0, 10), [0, 10], [-1, 11, "5", 1.5, None]),
    "switch": (Switch(), [True, False], ["true", 1, None]),
    "only true": (Switch(only=True), [True], [False]),
    "enumeration": (Enumeration(("A", "B")), ["A"], ["a", "", 1]),
    "items": (Items(Number(0, 9), 2), [[1], [1, 2]], [[], [1, 2, 3], [10], {}, 1]),
    "dictionary": (
        Dictionary(Text(pattern="[a-z]"), Number(0, 9), 2),
        [{}, {"a": 1}],
        [{"A": 1}, {"a": 10}, [], {"a": 1, "b": 1, "c": 1}],
    ),
    "structure": (
        Structure({"a": Number(0, 9), "b": Switch()}, ("a",)),
        [{"a": 1}],
        [{}, {"b": True}, {"a": 1, "c": 1}, []],
    ),
    "others": (Structure({"a": Number(0, 9)}, takes_others=True), [{"x": 1}], [{"a": "x"}]),
    "one of": (OneOf({"a": Switch(), "b": Switch()}), [{"a": True}], [{}, {"a": True, "b": True}, {"c": 1}]),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_takes_what_its_schema_takes(name: str) -> None:
    form, good, bad = FORMS[name]
    Draft202012Validator.check_schema(form.json_schema())
    validator = Draft202012Validator(form.json_schema())
    for value in good:
        [node] = read_documents(json.dumps(value).encode(), "f")
        form.check(node, "x")
        assert validator.is_valid(value), value
    for value in bad:
        [node] = read_documents(json.dumps(value).encode(), "f")
        with pytest.raises(DocumentError) as refused:
            form.check(node, "x")
        assert refused.value.line == 1 and refused.value.path.startswith("x")
        assert not validator.is_valid(value), value


def test_durations_are_seconds() -> None:
    def seconds(text: str) -> int:
        [node] = read_documents(text.encode(), "f")
        return Duration().check(node, "ttl")

    assert [seconds(text) for text in ("0", "90s", "1h30m", "7d")] == [0, 90, 5400, 604_800]
    with pytest.raises(DocumentError, match="more than 366 days"):
        seconds("367d")


@pytest.mark.parametrize("text", ["no", "012", "1.5", "null", "~", "0x10", "True"])
def test_plain_texts_that_look_otherwise_ask_for_quotes(text: str) -> None:
    [node] = read_documents(f"[{text}]".encode(), "f")
    with pytest.raises(DocumentError, match="write it in quotes"):
        Items(Text(), 1).check(node, "x")
    [node] = read_documents(f'["{text}"]'.encode(), "f")
    assert Items(Text(), 1).check(node, "x") == (text,)
