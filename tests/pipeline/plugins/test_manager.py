"""One manager for all plugins: what it refuses, what it indexes, and who is asked first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kubeshark.extension_api import Classifier, EntryView, FilterSpec, Value, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.plugins import _manager
from kubeshark.pipeline.query._filter import EntryFilter
from tests.pipeline._plugins import Foreign, Lines, failure, with_plugins
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


def test_what_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_manager, "_installed", lambda only: ([], [], [failure("gone")]))
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
