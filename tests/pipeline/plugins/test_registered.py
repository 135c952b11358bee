"""Plugins under their names: what is refused, and that the others are there all the same."""

from __future__ import annotations

import pytest

from kubeshark.errors import PluginRejected
from kubeshark.extension_api import EntryView, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.plugins import _registered
from tests.pipeline._plugins import Foreign, Lines, Point, with_plugins


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
        assert len(plugins.take_problems()) == 1


def test_plugins_of_python_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registered, "python_plugins", lambda: [Point("kubeshark.plugins", Lines)])
    names = {binding.plugin for binding in Plugins().protocols.all if not binding.is_builtin}
    assert names == {"kubeshark.plugins"}
