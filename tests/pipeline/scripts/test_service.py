from __future__ import annotations

import queue
import stat
import threading
from pathlib import Path

import pytest

from kubeshark.pipeline.scripts import Scripts
from kubeshark.pipeline.scripts._console import ConsoleLine
from kubeshark.pipeline.scripts._service import Service, console_lines, running, status_of


def test_lines_are_told_as_they_come_to_this_user_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / ("long" * 40) / "plugins"))
    assert running() == []
    with Scripts([]) as scripts, Service(scripts):
        scripts.console.add(ConsoleLine(1, "s", "S", "hub", "log", "before"))
        [place] = running()
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert status_of(place) == []
        assert [line.text for line in console_lines(place)] == ["before"]
        heard: queue.Queue[str] = queue.Queue()

        def listen() -> None:
            for line in console_lines(place, "s", follow=True):
                heard.put(line.text)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        assert heard.get(timeout=60) == "before"
        scripts.console.add(ConsoleLine(2, "other", "O", "hub", "log", "not mine"))
        scripts.console.add(ConsoleLine(3, "s", "S", "hub", "log", "after"))
        assert heard.get(timeout=60) == "after"
    listener.join(60)
    assert not listener.is_alive() and running() == []


def test_a_socket_of_a_process_that_is_gone_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path))
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "1.sock").write_text("")
    assert running() == [] and not list((tmp_path / ".run").iterdir())
