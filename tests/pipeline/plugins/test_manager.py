"""One manager for all plugins: what it refuses, what it indexes, and who is asked first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kubeshark.errors import PluginRejected
from kubeshark.extension_api import Classifier, EntryView, FilterSpec, ProtocolSpec, Value, Verdict, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.kfl._pushdown import describe
from kubeshark.pipeline.plugins import _manager
from kubeshark.pipeline.query._filter import EntryFilter
from tests.pipeline._plugins import Envelope, Foreign, Lines, ProbedLines, failure, with_plugins
from tests.pipeline._traffic import Capture, Connection, find


class Bots(Foreign):
    """is_bot(): whatever it was told to answer."""

    def __init__(self, answer: bool, name: str = "is_bot") -> None:
        super().__init__()
        self.answer, self.name = answer, name

    @hookimpl
    def filters(self) -> Sequence[FilterSpec]:
        return (FilterSpec(self.name),)

    @hookimpl
    def filter(
        self, filter: FilterSpec, arguments: Sequence[Value], entries: Sequence[EntryView]
    ) -> Sequence[bool | None]:
        return [self.answer] * len(entries)


def reasons(plugins: Plugins) -> list[str]:
    return [str(problem) for problem in plugins.take_problems()]


def test_built_ins_are_plugins() -> None:
    plugins = Plugins()
    assert {"http", "dns", "icmp"} <= {binding.protocol.name for binding in plugins.bindings}
    assert all(binding.is_builtin for binding in plugins.bindings)
    priorities = [binding.protocol.priority for binding in plugins.bindings]
    assert priorities == sorted(priorities)
    assert set(plugins.fallbacks) == {"tcp", "udp", "sctp"}
    assert reasons(plugins) == []


def test_a_foreign_protocol_is_no_built_in() -> None:
    with with_plugins(lines=Lines()) as plugins:
        (binding,) = [binding for binding in plugins.bindings if binding.protocol.name == "lines"]
    assert (binding.plugin, binding.is_builtin, binding.probe) == ("lines@1.0.0", False, None)


def test_a_protocol_without_dissector_is_left_out() -> None:
    class Silent(Foreign):
        @hookimpl
        def protocols(self) -> Sequence[ProtocolSpec]:
            return (ProtocolSpec("silent", "S", "Silent"),)

    with with_plugins(silent=Silent()) as plugins:
        assert "silent" not in {binding.protocol.name for binding in plugins.bindings}


def test_an_unknown_argument_of_a_hook_is_refused_and_the_rest_is_loaded() -> None:
    class Wrong(Foreign):
        @hookimpl
        def render(self, entry: EntryView, colour: str) -> None:
            return None

    with with_plugins(wrong=Wrong(), lines=Lines()) as plugins:
        (problem,) = plugins.take_problems()
        assert isinstance(problem, PluginRejected)
        assert problem.plugin == "wrong@1.0.0"
        assert "colour" in str(problem)
        assert "\n" not in str(problem)
        assert "lines" in plugins.variables


def test_the_same_plugin_twice_is_refused_once() -> None:
    lines = Lines()
    with Plugins([("lines@1.0.0", lines), ("lines@1.0.0", lines)]) as plugins:  # type: ignore[list-item]
        assert len(reasons(plugins)) == 1


def test_two_plugins_with_one_filter_name() -> None:
    capture = Capture()
    Connection(capture).open().ask().answer()
    with with_plugins(first=Bots(True), second=Bots(False)) as plugins:
        assert list(plugins.filters) == ["is_bot", "second.is_bot"]
        (reason,) = reasons(plugins)
        assert "second.is_bot()" in reason
        assert len(find(capture, "http && is_bot()", plugins)) == 1
        assert find(capture, "http && second.is_bot()", plugins) == []


@pytest.mark.parametrize("name", ["http", "matches", "Is-Bot"])
def test_a_filter_cannot_take_a_name_of_kfl(name: str) -> None:
    with with_plugins(bots=Bots(True, name)) as plugins:
        assert plugins.filters == {}
        assert len(reasons(plugins)) == 1
        EntryFilter("http", plugins, now_ns=0)


def test_flags_and_the_transports_they_lie_in() -> None:
    both = Lines(Classifier("tcp", (7000,)), Classifier("udp", (7000,)))
    with with_plugins(lines=both) as plugins:
        assert "transport tcp/udp" in described(plugins, "lines")
        assert described(plugins, "icmp") == "transport icmp/icmpv6"


TCP_7000 = Classifier("tcp", (7000, 7001))


@pytest.mark.parametrize(
    ("plugin", "others", "is_bound"),
    [
        (Lines(TCP_7000), [], True),
        (Lines(TCP_7000, Classifier("tcp", (7002,), prefix=b"x")), [], True),
        (Lines(TCP_7000, Classifier("tcp", prefix=b"x")), [], False),  # on any port
        (Lines(), [], False),
        (ProbedLines(Verdict.MINE, TCP_7000), [], False),
        (Lines(TCP_7000), [Envelope(Classifier("tcp", (9,)), name="envelope")], False),  # hands over to anybody
        (Lines(TCP_7000, name="ws"), [], False),  # a built-in hands over to whoever has this name
    ],
)
def test_a_protocol_is_bound_to_its_ports_where_nothing_else_finds_it(
    plugin: Lines, others: list[Lines], is_bound: bool
) -> None:
    with with_plugins(lines=plugin, **{f"other{at}": other for at, other in enumerate(others)}) as plugins:
        binding = next(binding for binding in plugins.bindings if binding.plugin == "lines@1.0.0")
        assert (plugins.ports_of(binding) is not None) == is_bound
        assert plugins.on_any_port(binding.protocol.flag) != is_bound
        if is_bound:
            assert "port 7000-7001" in described(plugins, "lines") or "port 7000-7002" in described(plugins, "lines")


def described(plugins: Plugins, flag: str) -> str:
    return describe(plugins.flag_flows()[flag])


def test_variables_of_plugins_are_known() -> None:
    with with_plugins(lines=Lines()) as plugins:
        assert (plugins.variables["lines_text"].type, plugins.variables["lines"].type) == ("string", "bool")
    assert "lines" not in Plugins().variables


def test_a_variable_that_is_taken_with_another_type_is_refused() -> None:
    lines = Lines(Classifier("tcp", (7000,)), variables={"status_code": "string", "lines_text": "string"})
    with with_plugins(lines=lines) as plugins:
        assert plugins.variables["status_code"].type == "int"
        assert plugins.variables["lines_text"].type == "string"
        (reason,) = reasons(plugins)
        assert "status_code" in reason


def test_problems_of_processes_are_taken_once() -> None:
    lines = Lines()
    with with_plugins(lines=lines) as plugins:
        lines.problems.append(failure("slow"))
        assert reasons(plugins) == ["plugin test@1.0.0: slow"]
        assert reasons(plugins) == []


def test_closing_stops_every_foreign_plugin() -> None:
    first, second = Lines(), Bots(True)
    with with_plugins(first=first, second=second) as plugins:
        assert plugins is not None
    assert (first.is_closed, second.is_closed) == (True, True)


def test_plugins_of_python_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Point:
        name: str
        plugin: Any

        def load(self) -> Any:
            return self.plugin

    monkeypatch.setattr(_manager, "python_plugins", lambda: [Point("kubeshark.plugins", Lines())])
    names = {binding.plugin for binding in Plugins().bindings if not binding.is_builtin}
    assert names == {"kubeshark.plugins"}


def test_what_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_manager, "_installed", lambda: ([], [], [failure("gone")]))
    assert reasons(Plugins.installed()) == ["plugin test@1.0.0: gone"]


def test_queries_beside_each_other_are_all_told() -> None:
    """Whoever ends first takes the problems, and takes them from nobody."""
    lines = Lines()
    with with_plugins(lines=lines) as plugins, plugins.listening() as first:
        with plugins.listening() as second:
            lines.problems.append(failure("one"))
        lines.problems.append(failure("two"))
        with plugins.listening() as third:
            lines.problems.append(failure("one"))
    assert [each.message[-3:] for each in second.values()] == ["one"]
    assert [each.message[-3:] for each in third.values()] == ["two", "one"]
    assert [each.message[-3:] for each in first.values()] == ["one", "two"]
    assert plugins.take_problems() == []
