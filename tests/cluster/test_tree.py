"""Trees of settings, evaluated."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from kubeshark.cluster._tree import (
    OMIT,
    AsJson,
    Built,
    Digest,
    Each,
    Equals,
    Item,
    Material,
    Not,
    Scope,
    Setting,
    Spread,
    Text,
    When,
    evaluate,
)

SCOPE = Scope(
    {"a": {"on": True, "off": False, "list": ["x", "y"], "map": {"k": "v"}, "text": "t", "rows": [{"n": 1}]}},
    {"namespace": "ns"},
    {"key": "QQ=="},
)
ON, OFF = Setting("a.on"), Setting("a.off")


@pytest.mark.parametrize(
    ("tree", "value"),
    [
        (Setting("a.text"), "t"),
        (Built("namespace"), "ns"),
        (Material("key"), "QQ=="),
        (Text.of("x-", Setting("a.text"), "-", Built("namespace")), "x-t-ns"),
        (When(ON, 1, 2), 1),
        (When(OFF, 1, 2), 2),
        (When(Not(OFF), When(Equals(Setting("a.text"), "t"), "yes"), "no"), "yes"),
        ({"kept": 1, "left": When(OFF, 2)}, {"kept": 1}),
        ({"own": 1, Spread(Setting("a.map")): None}, {"own": 1, "k": "v"}),
        (["first", When(OFF, "no"), When(ON, Each(Setting("a.list"), Item()))], ["first", "x", "y"]),
        ([Each(Setting("a.rows"), {"number": Item("n")})], [{"number": 1}]),
        (AsJson({"b": Setting("a.on"), "a": {"c": Setting("a.text")}}), '{"a":{"c":"t"},"b":true}'),
        (Digest(AsJson({})), hashlib.sha256(b"{}").hexdigest()),
        ({"deep": [{"x": When(OFF, 1)}]}, {"deep": [{}]}),
    ],
)
def test_evaluate(tree: Any, value: Any) -> None:
    assert evaluate(tree, SCOPE) == value


def test_what_is_left_out_is_said() -> None:
    assert evaluate(When(OFF, 1), SCOPE) is OMIT


def test_json_is_as_go_writes_it() -> None:
    scope = Scope({"t": "<a> & \u2028é"}, {}, {})
    assert evaluate(AsJson({"t": Setting("t")}), scope) == '{"t":"\\u003ca\\u003e \\u0026 \\u2028é"}'


def test_a_key_that_is_not_there_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        evaluate(Setting("a.missing"), SCOPE)
