"""The compiled filter: errors counted, plugin filters in batches, what is heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import ENTRY, FilterCall, KflError, compile_filter

NOW_NS = 1_773_525_900 * 10**9
PLUGINS = {
    "is_bot": FilterSpec("is_bot"),
    "near": FilterSpec("near", ("string", "int")),
    "acme.is_bot": FilterSpec("is_bot"),
    "my-own.is_bot": FilterSpec("is_bot"),
}
IS_BOT, NEAR = FilterCall("is_bot", ()), FilterCall("near", ("10.0.0.1", -3))
Rows = Mapping[str, Mapping[str, Any]]


def compiled(text: str) -> Any:
    return compile_filter(text, now_ns=NOW_NS, plugins=PLUGINS)


class Asked:
    """Plays the plugins: answers by call, and remembers who was asked about."""

    def __init__(self, answers: Mapping[FilterCall, bool | None]) -> None:
        self.answers = answers
        self.batches: list[tuple[FilterCall, list[int]]] = []

    def __call__(self, call: FilterCall, places: Sequence[int]) -> list[bool | None]:
        self.batches.append((call, list(places)))
        return [self.answers[call]] * len(places)


def test_plugins_are_asked_about_what_cheaper_terms_let_through(rows: Rows) -> None:
    kfl = compiled("is_bot() && http")
    ask = Asked({IS_BOT: True})
    assert kfl.matching([rows["A"], rows["B"], rows["H"]], ask) == [True, False, True]
    assert ask.batches == [(IS_BOT, [0, 2])]


def test_a_true_branch_needs_no_plugin(rows: Rows) -> None:
    ask = Asked({IS_BOT: False})
    assert compiled("http || is_bot()").matching([rows["A"], rows["B"]], ask) == [True, False]
    assert ask.batches == [(IS_BOT, [1])]


def test_calls_are_asked_in_turn_and_each_once(rows: Rows) -> None:
    kfl = compiled('(is_bot() && near("10.0.0.1", -3)) || (is_bot() && dns)')
    assert kfl.calls == (IS_BOT, NEAR)
    ask = Asked({IS_BOT: True, NEAR: False})
    assert kfl.matching([rows["A"], rows["B"]], ask) == [False, True]
    assert ask.batches == [(IS_BOT, [0, 1]), (NEAR, [0])]


def test_a_failing_plugin_is_an_evaluation_error(rows: Rows) -> None:
    kfl = compiled("is_bot() || dns")
    assert kfl.matching([rows["A"], rows["B"]], Asked({IS_BOT: None})) == [False, True]
    assert (kfl.errors.count, kfl.errors.first) == (1, "plugin filter is_bot failed")


def test_an_open_answer_may_still_absorb_an_error(rows: Rows) -> None:
    kfl = compiled("1 / status_code == 0 && is_bot()")
    assert kfl.cheap(rows["H"]) is None
    assert kfl.matching([rows["H"]], Asked({IS_BOT: False})) == [False]
    assert kfl.errors.count == 0


def test_bodies_come_after_plugins(make_row: Callable[..., Mapping[str, Any]]) -> None:
    kfl = compiled('request_body.contains("x") && is_bot() && http')

    class Watched(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            assert name != "request_body", "built too early"
            return super().__getitem__(name)

    assert kfl.cheap(Watched(make_row(http=True))) is None
    assert kfl.cheap(Watched(http=False)) is False
    assert kfl.matches(make_row(http=True, request_body="x"), {IS_BOT: True})


def test_a_qualified_name_and_calls_in_loops(rows: Rows) -> None:
    kfl = compiled("acme.is_bot() && dns_questions.exists(q, is_bot())")
    answers = {FilterCall("acme.is_bot", ()): True, IS_BOT: True}
    assert kfl.cheap(rows["B"]) is None
    assert kfl.matches(rows["B"], answers)


def test_a_plugin_id_may_have_dashes(rows: Rows) -> None:
    kfl = compiled("http && my-own.is_bot() && path != 'my-own.is_bot()'")
    assert kfl.calls == (FilterCall("my-own.is_bot", ()),)
    assert kfl.matches(rows["A"], {kfl.calls[0]: True})


def test_without_answers_a_plugin_failed(rows: Rows) -> None:
    kfl = compiled("is_bot()")
    assert not kfl.matches(rows["A"])
    assert kfl.errors.count == 1


def test_heavy_names() -> None:
    assert compiled("http && status_code == 200").heavy == frozenset()
    assert compiled('request.headers["a"] == "b" && request_body != ""').heavy == {"request.headers", "request_body"}
    assert compiled('field("request.x") == 1').heavy == {"field()"}


def test_field_reads_the_entry(make_row: Callable[..., Mapping[str, Any]]) -> None:
    row = make_row(**{ENTRY: {"request": {"headers": {"Host": ["a", "b"]}, "size": 2**70}}})
    assert compiled('field("request.headers.Host[1]") == "b"').matches(row)
    assert compiled('field("request.headers.Host") == ["a", "b"]').matches(row)
    assert compiled('field("request.nope") == null').matches(row)
    assert compiled('field("request.size") > 1e20').matches(row)
    assert compiled('field("request." + "size") > 1e20').matches(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Content-Type" in request.headers', True),
        ('request.headers["Content-Type"] == "application/json"', True),
        ('map_get(request.headers, "HOST", "") == "users.production"', True),
        ("request.headers.Host == 'users.production'", True),
        ("has(request.headers.Host)", True),
        ('"SID" in request.cookies', False),
        ('request.headers["host"] == "USERS.production"', False),
    ],
)
def test_header_names_are_folded_and_nothing_else(text: str, expected: bool, rows: Rows) -> None:
    assert compiled(text).matches(rows["A"]) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("src.ip.isPrivate() && !dst.dns.lower().isPrivate()", True),
        ('"ÀB-Z".lower() == "Àb-z"', True),
        ('"fe80::1".isPrivate() && "127.0.0.9".isPrivate() && "100.64.0.1".isPrivate()', True),
        ('"8.8.8.8".isPrivate() || "x".isPrivate() || "".isPrivate()', False),
        ('"::ffff:10.0.0.1".inCidr("10.0.0.0/8")', False),
        ('"10.0.0.1".inCidr(path)', None),
        ('path.matches(path + "(")', None),
        ('response_body.json("error.tags[*]") == ["db", "slow"]', True),
        ('"slow" in response_body.json("error.tags")', True),
        ('response_body.json("error").code == "E42"', True),
        ('response_body.json("error").nope == "E42"', None),
        ('has(response_body.json("error").nope)', False),
        ('response_body.json("n") < "a"', None),
        ('response_body.json("n") == "3"', False),
        ('type(response_body.json("n")) == int', True),
        ("type(timestamp) == google.protobuf.Timestamp", True),
        ("dyn(timestamp) == dyn(1)", False),
        ("[timestamp][0] == timestamp", True),
        ('"api/users".split("/") == []', "refused"),
    ],
)
def test_our_functions(text: str, expected: object, rows: Rows) -> None:
    if expected == "refused":
        with pytest.raises(KflError, match="unknown function"):
            compiled(text)
        return
    kfl = compiled(text)
    assert kfl.matches(rows["A"]) is (expected is True)
    assert kfl.errors.count == (expected is None)


def test_now_does_not_move(rows: Rows) -> None:
    kfl = compile_filter('now() == timestamp("2026-03-14T22:05:00Z")', now_ns=NOW_NS)
    assert kfl.matches(rows["A"])


def test_deep_json_is_an_error_not_a_crash(make_row: Callable[..., Mapping[str, Any]]) -> None:
    kfl = compiled('request_body.json("a") == response_body.json("a")')
    deep = '{"a":' + "[" * 900 + "]" * 900 + "}"
    row = make_row(request_body=deep, response_body=" " + deep)
    kfl.matches(row)
    assert kfl.errors.count <= 1
    assert compiled('request_body.json("a") == null').matches(make_row(request_body="[" * 100_000))


@pytest.mark.parametrize(
    "text", ['path.startsWith("/")', "status_code > 3", "path in tags", "dyn(path) == 1 || type(path) == int"]
)
def test_a_wrong_value_from_a_plugin_is_counted(text: str, make_row: Callable[..., Mapping[str, Any]]) -> None:
    kfl = compiled(text)
    assert not kfl.matches(make_row(path=None, status_code="x", tags=None))
    assert not kfl.matches(make_row(path=object(), status_code=b"x", tags=3))
    assert kfl.errors.count >= 1


@pytest.mark.parametrize(
    ("kfl", "reason"),
    [
        ("1/0 == 1", "division by zero"),
        ("http && 1/0 == 1", "division by zero"),
        ("1/0 == 1 && dst.port == 5", "division by zero"),
        ("http && (true || 1/0 == 1) && [1, 2][5] == 1", "index 5 is outside"),
        ('int("a") == 1', "string is not an int"),
        ("timestamp > timestamp(1 / 0)", "division by zero"),
    ],
)
def test_a_constant_that_fails_is_told(kfl: str, reason: str) -> None:
    """Nothing is read for such a filter, so that no entry would ever be counted."""
    (told,) = compiled(kfl).notices
    assert told.startswith("no entry can match: ")
    assert reason in told


@pytest.mark.parametrize(
    "kfl", ["false && 1/0 == 1", "true || 1/0 == 1", "http || 1/0 == 1", "dst.port == 1/1", "false"]
)
def test_a_constant_that_fails_nothing_is_not(kfl: str) -> None:
    assert compiled(kfl).notices == ()
