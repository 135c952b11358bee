"""Scripts of a process that lives long come and go with their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.scripts import ServedScripts, running

SAYS = 'console.log("it is loaded");\nfunction onItemCaptured(data) {}\n'


def test_files_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    pushed = tmp_path / "pushed"
    with (
        Pipeline.open(tmp_path / "store") as pipeline,
        ServedScripts(pipeline.plugins, pushed=pushed) as served,
    ):
        assert served.current is None and running() == []
        served.log("nobody hears it")
        (pushed / "one.js").write_text(SAYS)
        served.begin_again()
        first = served.current
        assert first is not None and pipeline.plugins.scripts is first
        assert [script.id for script in first.scripts] == ["one"]
        assert len(running()) == 1
        said = served.console.lines()
        assert {line.text for line in said} == {"it is loaded"}

        (pushed / "two.js").write_text(SAYS)
        served.begin_again()
        assert served.current is not None and served.current is not first
        assert {script.id for script in served.current.scripts} == {"one", "two"}
        lines, last = served.console.after(len(said))  # what was said before is still there, and not said again
        assert {line.script for line in lines} == {"one", "two"} and last == len(said) + len(lines)

        for path in pushed.iterdir():
            path.unlink()
        served.begin_again()
        assert served.current is None and pipeline.plugins.scripts is None and running() == []
    assert running() == []
