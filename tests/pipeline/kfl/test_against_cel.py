"""Closures against CEL's own evaluation: typed expressions and entries made by hypothesis, CEL as the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.pipeline.kfl import compile_filter

NOW = datetime(2026, 3, 14, 22, 5, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
ERROR = "error"

INTS = ("status_code", "elapsed_time", "src.port")
STRINGS = ("method", "path", "src.ip")
BOOLS = ("http", "dns", "tls")
LISTS = ("dns_questions", "tags")
MAPS = ("local_labels", "query_string")
TYPES = {
    **dict.fromkeys(INTS, cel.Type.INT),
    **dict.fromkeys(STRINGS, cel.Type.STRING),
    **dict.fromkeys(BOOLS, cel.Type.BOOL),
    **dict.fromkeys(LISTS, cel.Type.List(cel.Type.STRING)),
    **dict.fromkeys(MAPS, cel.Type.Map(cel.Type.STRING, cel.Type.STRING)),
    "timestamp": cel.Type.TIMESTAMP,
    "tcp_payload": cel.Type.BYTES,
}


@lru_cache(maxsize=1)
def oracle() -> Any:
    text, strings = cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    map_get = cel.Overload("map_get", text, [strings, text, text], False, lambda m, k, d: m.get(k, d))
    now = cel.Overload("now", cel.Type.TIMESTAMP, [], False, lambda: NOW)
    return cel.NewEnv(
        variables=TYPES, functions=[cel.FunctionDecl("map_get", [map_get]), cel.FunctionDecl("now", [now])]
    )


def by_cel(text: str, values: Mapping[str, Any]) -> bool | str:
    result = oracle().compile(text).eval(data=dict(values))
    return ERROR if result.type() == cel.Type.ERROR else bool(result.value())


def by_closure(text: str, values: Mapping[str, Any]) -> bool | str:
    row = dict(values)
    row["timestamp"] = int((values["timestamp"] - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
    compiled = compile_filter(text, now_ns=NOW_NS)
    matched = compiled.matches(row)
    return ERROR if compiled.errors.count else matched


words = st.sampled_from(["", "a", "ab", "b", "GET", "/api/v1", "10.0.0.1", "é", "日本😀", "12", "true", "a\nb"])
numbers = st.one_of(
    st.integers(-3, 600), st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**31, 9_007_199_254_740_993])
)
rows = st.fixed_dictionaries(
    {
        **dict.fromkeys(INTS, numbers),
        **dict.fromkeys(STRINGS, words),
        **dict.fromkeys(BOOLS, st.booleans()),
        **dict.fromkeys(LISTS, st.lists(words, max_size=3)),
        **dict.fromkeys(MAPS, st.dictionaries(words, words, max_size=3)),
        "timestamp": st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
        "tcp_payload": st.binary(max_size=4),
    }
)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


int_literals = numbers.map(str)
string_literals = words.map(quoted)
PATTERNS = ["", "a", "^a", "b$", "[a-z]+", "(?i)get", r"\\d+", "a|b", "^.$", r"\\bapi\\b", ".*", "日", "x{0,3}"]
DURATIONS = ["1s", "-1.5h", "90m", "1h1m1s1ms1us1ns", "0", "2562047h"]
TIMES = ["2026-03-14T22:00:00Z", "1969-12-31T23:59:59.999999999+02:00", "0001-01-03T00:00:00Z", "9999-12-29T23:59:59Z"]
ZONES = ["", '"UTC"', '"+02:00"', '"-09:30"']
PARTS = "getHours getMinutes getSeconds getMilliseconds getDate getDayOfMonth getDayOfWeek getDayOfYear getMonth"


class Grammar:
    """Expressions of each type, at most `depth` deep; `local` says that a loop variable q (string) is in scope."""

    def __init__(self, depth: int, local: bool = False) -> None:
        self.depth, self.local = depth, local

    def inner(self) -> Grammar:
        return Grammar(self.depth - 1, self.local)

    @property
    def strings(self) -> st.SearchStrategy[str]:
        options = [string_literals, st.sampled_from(STRINGS)]
        if self.local:
            options.append(st.just("q"))
        if self.depth > 0:
            deeper = self.inner()
            options += [
                st.builds("({} + {})".format, deeper.strings, deeper.strings),
                st.builds("string({})".format, st.one_of(deeper.ints, deeper.bools, deeper.times, deeper.durations)),
                st.builds("{}[{}]".format, st.sampled_from(LISTS), deeper.ints),
                st.builds("{}[{}]".format, st.sampled_from(MAPS), deeper.strings),
                st.builds("map_get({}, {}, {})".format, st.sampled_from(MAPS), deeper.strings, deeper.strings),
                st.builds("({} ? {} : {})".format, deeper.bools, deeper.strings, deeper.strings),
                st.builds("{}.{}".format, st.sampled_from(MAPS), st.sampled_from(["a", "GET"])),
            ]
        return st.one_of(options)

    @property
    def ints(self) -> st.SearchStrategy[str]:
        options = [int_literals, st.sampled_from(INTS)]
        if self.depth > 0:
            deeper = self.inner()
            options += [
                st.builds("({} {} {})".format, deeper.ints, st.sampled_from("+-*/%"), deeper.ints),
                st.builds("(-({}))".format, deeper.ints),
                st.builds("size({})".format, st.one_of(deeper.strings, deeper.lists, st.sampled_from(MAPS))),
                st.builds("int({})".format, st.one_of(deeper.strings, deeper.ints, deeper.doubles, deeper.times)),
                st.builds(
                    "{}.{}({})".format,
                    deeper.times,
                    st.sampled_from([*PARTS.split(), "getFullYear"]),
                    st.sampled_from(ZONES),
                ),
                st.builds("{}.{}()".format, deeper.durations, st.sampled_from(PARTS.split()[:4])),
                st.builds("({} ? {} : {})".format, deeper.bools, deeper.ints, deeper.ints),
            ]
        return st.one_of(options)

    @property
    def doubles(self) -> st.SearchStrategy[str]:
        options = [st.sampled_from(["0.0", "1.5", "-2.0", "1e300", "1e-7", "9007199254740993.0"])]
        if self.depth > 0:
            deeper = self.inner()
            options += [
                st.builds("({} {} {})".format, deeper.doubles, st.sampled_from("+-*/"), deeper.doubles),
                st.builds("double({})".format, st.one_of(deeper.ints, deeper.strings)),
            ]
        return st.one_of(options)

    @property
    def times(self) -> st.SearchStrategy[str]:
        options = [st.just("timestamp"), st.just("now()"), st.sampled_from(TIMES).map('timestamp("{}")'.format)]
        if self.depth > 0:
            deeper = self.inner()
            options.append(st.builds("({} {} {})".format, deeper.times, st.sampled_from("+-"), deeper.durations))
        return st.one_of(options)

    @property
    def durations(self) -> st.SearchStrategy[str]:
        options = [st.sampled_from(DURATIONS).map('duration("{}")'.format)]
        if self.depth > 0:
            deeper = self.inner()
            options += [
                st.builds("({} - {})".format, deeper.times, deeper.times),
                st.builds("({} {} {})".format, deeper.durations, st.sampled_from("+-"), deeper.durations),
            ]
        return st.one_of(options)

    @property
    def lists(self) -> st.SearchStrategy[str]:
        options = [st.sampled_from(LISTS), st.lists(string_literals, min_size=1, max_size=3).map(listed)]
        if self.depth > 0:
            deeper, loop = self.inner(), Grammar(self.depth - 1, local=True)
            options += [
                st.builds("({} + {})".format, deeper.lists, deeper.lists),
                st.builds("{}.filter(q, {})".format, deeper.lists, loop.bools),
                st.builds("{}.map(q, {})".format, st.one_of(deeper.lists, st.sampled_from(MAPS)), loop.strings),
                st.builds("{}.map(q, {}, {})".format, deeper.lists, loop.bools, loop.strings),
            ]
        return st.one_of(options)

    @property
    def dyns(self) -> st.SearchStrategy[str]:
        deeper = self.inner()
        whole = st.one_of(deeper.ints, deeper.strings, deeper.bools, deeper.doubles, deeper.times, deeper.durations)
        return st.one_of(
            st.builds("dyn({})".format, st.one_of(whole, deeper.lists, st.just("null"), st.just("7u"))),
            st.builds("[dyn({}), {}][{}]".format, whole, deeper.strings, deeper.ints),
            st.builds("({} ? dyn({}) : dyn({}))".format, deeper.bools, whole, whole),
            st.builds("(dyn({}) {} dyn({}))".format, whole, st.sampled_from("+-*/%"), whole),
        )

    @property
    def bools(self) -> st.SearchStrategy[str]:
        options = [st.sampled_from(["true", "false", *BOOLS])]
        if self.depth > 0:
            deeper, loop = self.inner(), Grammar(self.depth - 1, local=True)
            order = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
            same = st.sampled_from(["==", "!="])
            loops = st.sampled_from(["exists", "all", "exists_one"])
            options += [
                st.builds("({} {} {})".format, deeper.bools, st.sampled_from(["&&", "||"]), deeper.bools),
                st.builds("!({})".format, deeper.bools),
                *(
                    st.builds("({} {} {})".format, operands, order, operands)
                    for operands in (deeper.ints, deeper.strings, deeper.doubles, deeper.times, deeper.durations)
                ),
                st.builds("({} {} {})".format, deeper.bools, same, deeper.bools),
                st.builds("({} {} {})".format, deeper.lists, same, deeper.lists),
                st.builds("({} {} {})".format, deeper.dyns, order, deeper.dyns),
                st.builds("({} {} {})".format, deeper.dyns, order, st.one_of(deeper.ints, deeper.strings)),
                st.builds("({} in {})".format, deeper.strings, st.one_of(deeper.lists, st.sampled_from(MAPS))),
                st.builds("({} in [{}, {}])".format, deeper.ints, deeper.ints, deeper.ints),
                st.builds("({} in {})".format, deeper.dyns, deeper.lists),
                st.builds(
                    "{}.{}({})".format,
                    deeper.strings,
                    st.sampled_from(["contains", "startsWith", "endsWith"]),
                    deeper.strings,
                ),
                st.builds("{}.matches({})".format, deeper.strings, st.sampled_from(PATTERNS).map('"{}"'.format)),
                st.builds("{}.{}(q, {})".format, st.one_of(deeper.lists, st.sampled_from(MAPS)), loops, loop.bools),
                st.builds("bool({})".format, deeper.strings),
                st.builds("(type({}) == {})".format, deeper.dyns, st.sampled_from(["int", "string", "list"])),
                st.builds("has({}.{})".format, st.sampled_from(MAPS), st.sampled_from(["a", "GET"])),
                st.builds("(tcp_payload == bytes({}))".format, deeper.strings),
                st.builds("({} ? {} : {})".format, deeper.bools, deeper.bools, deeper.bools),
            ]
        return st.one_of(options)


def listed(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(Grammar(3).bools, rows)
def test_closures_agree_with_cel(text: str, values: dict[str, Any]) -> None:
    assert by_closure(text, values) == by_cel(text, values), text
