"""The file of settings and health: nothing is lost between two writers, and secrets are the user's alone."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from kubeshark.errors import PluginRejected
from kubeshark.pipeline._plugin_state import STATE_NAME, Health, PluginState, change_state, read_states


def test_a_state_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "plugins"
    assert read_states(folder) == {}
    state = PluginState(True, {"word": "x", "n": 1, "l": ["a"]}, Health("failed", "SIGSEGV", 2, "2026-01-01T00:00:00Z"))
    change_state(folder, "demo", lambda _: state)
    assert read_states(folder) == {"demo": state}
    assert (folder / STATE_NAME).stat().st_mode & 0o777 == 0o600
    change_state(folder, "demo", lambda before: msgspec.structs.replace(before, disabled=False))
    assert read_states(folder)["demo"].settings == state.settings
    change_state(folder, "demo", lambda _: None)
    assert read_states(folder) == {}


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    def count(name: str) -> None:
        for _ in range(20):
            change_state(
                tmp_path, name, lambda before: PluginState(settings={"n": int(str(before.settings.get("n", 0))) + 1})
            )

    threads = [threading.Thread(target=count, args=(name,)) for name in ("a", "b", "a")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: state.settings["n"] for name, state in read_states(tmp_path).items()} == {"a": 40, "b": 20}


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / STATE_NAME).write_text("{")
    with pytest.raises(PluginRejected, match=r"state\.json cannot be read"):
        read_states(tmp_path)
    with pytest.raises(PluginRejected):
        change_state(tmp_path, "demo", lambda before: before)
