"""The file of settings and health: nothing is lost between two writers, and secrets are the user's alone."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._frame import DISSECT, FrameItem
from kubeshark.hosts import PluginState as Running
from kubeshark.hosts import Supervision
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.plugins._stage import Stage
from kubeshark.pipeline.plugins._state import (
    STATE_NAME,
    Health,
    PluginState,
    change_state,
    quarantine_of,
    read_states,
)

FAULTY = Path(__file__).parents[2] / "hosts" / "faulty" / "js"


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


def test_only_crashes_of_the_same_plugin_keep_it_quarantined() -> None:
    health = Health("quarantined", "5 crashes", 5, "2026-01-01T00:00:00Z", "abc")
    assert quarantine_of(PluginState(health=health), "abc") == "is quarantined since 2026-01-01T00:00:00Z: 5 crashes"
    for other in (
        msgspec.structs.replace(health, crashes=0),  # it refused its settings: they may be others now
        msgspec.structs.replace(health, state="failed"),
        msgspec.structs.replace(health, digest=""),
        msgspec.structs.replace(health, digest="another"),
        Health(),
    ):
        assert quarantine_of(PluginState(health=other), "abc") == ""


def test_a_quarantine_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "plugins"
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(root))
    with Stage(FAULTY) as stage:
        stage.commit()
    with Plugins.installed() as plugins:
        (faulty,) = plugins._foreign
        faulty.process.supervision = Supervision(crashes=2, backoff_s=0.0)
        faulty.process.call(DISSECT, [FrameItem(b"throw"), FrameItem(b"throw")], lambda *_: [])
        assert faulty.status.state is Running.QUARANTINED
    for _ in range(2):
        with Plugins.installed() as plugins:
            assert plugins._foreign == []
            (problem,) = plugins.take_problems()
            assert "is quarantined since" in str(problem)
            assert 'use "kubeshark plugin enable faulty-js"' in str(problem)
    assert read_states(root)["faulty-js"].health.crashes == 2
    change_state(root, "faulty-js", lambda state: PluginState(settings=state.settings))  # as `plugin enable` does
    with Plugins.installed() as plugins:
        assert len(plugins._foreign) == 1
