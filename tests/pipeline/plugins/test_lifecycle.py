"""Python plugins: configured and started once, stopped within a second, and left out if they refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark.extension_api import Enrichment, EntryView, SettingSpec, hookimpl
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.plugins import _registered
from kubeshark.pipeline.plugins._state import PluginState, change_state
from tests.pipeline._plugins import Point
from tests.pipeline._traffic import Capture, Connection, find


class Local:
    """Notes what it was told, and redacts."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.hang = threading.Event()

    @hookimpl
    def settings(self) -> Sequence[SettingSpec]:
        return (SettingSpec("word", default="x"),)

    @hookimpl
    def configure(self, values: dict[str, Any]) -> None:
        self.told.append(values)
        if values["word"] == "refuse":
            raise ValueError("that word is taken")

    @hookimpl
    def start(self) -> None:
        self.told.append("start")
        if self.told[0]["word"] == "raise":
            raise RuntimeError("no")

    @hookimpl
    def stop(self) -> None:
        self.told.append("stop")
        if self.told[0]["word"] == "hang":
            self.hang.wait(100)

    @hookimpl
    def enrich(self, entries: Sequence[EntryView]) -> Sequence[Enrichment | None]:
        return [Enrichment(tags=("local",))] * len(entries)


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Local:
    plugin = Local()
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path))
    monkeypatch.setattr(_registered, "python_plugins", lambda: [Point("local", lambda: plugin)])
    return plugin


def choose(folder: Path, word: object) -> None:
    change_state(folder, "local", lambda _: PluginState(settings={"word": word}))  # type: ignore[dict-item]


def exchange() -> Capture:
    capture = Capture()
    Connection(capture).open().ask().answer()
    return capture


def test_configured_started_used_stopped(local: Local, tmp_path: Path) -> None:
    choose(tmp_path, "y")
    with Plugins.installed() as plugins:
        (entry,) = find(exchange(), "http", plugins)
        assert entry.get("tags") == ["local"]
        assert plugins.take_problems() == []
    plugins.close()
    assert local.told == [{"word": "y"}, "start", "stop"]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("refuse", "in configure: refuses its settings: that word is taken"),
        ("raise", "in start: raised RuntimeError: no"),
        (3, "in configure: setting word: 3 is not of type string"),
    ],
)
def test_who_does_not_start_is_left_out_and_hides_everything(
    local: Local, tmp_path: Path, word: object, reason: str
) -> None:
    choose(tmp_path, word)
    with Plugins.installed() as plugins:
        (problem,) = plugins.take_problems()
        assert reason in str(problem)
        (entry,) = find(exchange(), "http", plugins)
        assert entry.get("url") == ""
        assert entry.error is not None
        assert entry.error.message.startswith("withheld: plugin local cannot be used")
    assert "stop" not in local.told


def test_a_stop_that_hangs_is_left_behind(local: Local, tmp_path: Path) -> None:
    choose(tmp_path, "hang")
    plugins = Plugins.installed()
    began = time.monotonic()
    plugins.close()
    assert time.monotonic() - began < 30, "of 100"
    assert "took longer than 1 s" in str(plugins.take_problems()[0])
    local.hang.set()
