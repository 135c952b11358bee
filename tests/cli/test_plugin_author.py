"""kubeshark plugin new, test, run, conformance and dev, as an author types them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kubeshark.cli import main
from kubeshark.cli.plugin_author import Watcher


def run(*arguments: str | Path) -> int:
    return main(["plugin", *map(str, arguments)])


@pytest.fixture
def fruit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run("new", "fruit", "--lang", "js", "--into", tmp_path) == 0
    assert "made" in capsys.readouterr().out
    return tmp_path / "fruit"


@pytest.mark.parametrize("language", ["js", "ts", "c", "cpp", "python"])
def test_a_new_plugin_passes_its_test(language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "fruit", "--lang", language, "--into", tmp_path) == 0
    assert run("test", tmp_path / "fruit") == 0
    assert "ok      fruit: 5 entries" in capsys.readouterr().out
    assert run("new", "fruit", "--lang", language, "--into", tmp_path) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_failing_test_shows_the_difference(fruit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = fruit / "tests" / "fruit.expected.jsonl"
    expected.write_text(expected.read_text().replace("404", "405"))
    assert run("test", fruit) == 1
    done = capsys.readouterr().out
    assert "FAILED  fruit: 5 entries" in done
    assert "entry 2: fruit_status  expected 405, got 404" in done
    assert run("test", fruit, "--update") == 0
    assert run("test", fruit) == 0
    (fruit / "tests" / "fruit.pcap").unlink()
    assert run("test", fruit) == 1
    assert "has no captures" in capsys.readouterr().err


def test_run_shows_entries_times_and_memory(fruit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = fruit / "tests" / "fruit.pcap"
    assert run("run", capture, fruit, "--filter", "fruit && fruit_failed()", "--limit", "1") == 0
    done = capsys.readouterr().out
    assert "PUT" in done
    assert "apple" not in done
    lines = {line.split()[0]: line.split() for line in done.splitlines() if line.strip()}
    assert lines["dissect"][1:3] == ["1", "2"]
    assert lines["filter"][1:3] == ["1", "5"]
    assert float(lines["memory"][1]) > 5
    assert run("run", capture, fruit, "--limit", "2") == 0
    assert "… and 3 more" in capsys.readouterr().out
    assert run("run", capture, fruit, "--set", "x=1") == 2


def test_conformance(fruit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("conformance", fruit, "--streams", "5") == 0
    assert "fruit@0.1.0 conforms: 2 sides of captures, 5 made-up ones (seed 1)" in capsys.readouterr().out
    vectors = fruit / "tests" / "fruit.vectors.jsonl"
    assert run("conformance", fruit, "--streams", "3", "--write", vectors) == 0
    assert "5 vectors in " in capsys.readouterr().out
    assert run("conformance", fruit, "--streams", "1") == 0
    capsys.readouterr()
    script = fruit / "plugin.js"
    script.write_text(script.read_text().replace("} else if (item.last) {", "} else if (true) {"))
    assert run("conformance", fruit, "--streams", "5") == 1
    assert "differs when cut at" in capsys.readouterr().out


def test_dev_keeps_what_works(fruit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad save leaves the loaded plugin; the next good one replaces it."""
    script = fruit / "plugin.js"
    good = script.read_text()
    with Watcher(fruit, {}) as watcher:
        assert watcher.look()
        assert "ok      fruit: 5 entries" in capsys.readouterr().out
        first = watcher.trial
        assert not watcher.look()
        save(script, good.replace("kubeshark.plugin({", "kubeshark.plugin({ nonsense"))
        assert watcher.look()
        done = capsys.readouterr()
        assert "plugin.js changed" in done.out
        assert "plugin.js:" in done.err
        assert "fruit@0.1.0 as it was before goes on" in done.out
        assert watcher.trial is first
        assert first is not None
        assert first.foreign is not None
        assert first.foreign.status.pid != 0
        save(script, good.replace("status >= 400", "status >= 300"))
        assert watcher.look()
        assert watcher.trial is not first
        assert first.foreign.status.pid == 0
        assert "ok      fruit: 5 entries" in capsys.readouterr().out
        save(fruit / "tests" / "fruit.expected.jsonl", "{")
        assert watcher.look()
        assert "expected.jsonl:1" in capsys.readouterr().err


def test_dev_bundles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TypeScript, and what it imports of node_modules, is bundled again with each save; nothing of it is watched."""
    assert run("new", "fruit", "--lang", "ts", "--into", tmp_path) == 0
    folder = tmp_path / "fruit"
    package = folder / "node_modules" / "limit"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "limit", "version": "1.0.0", "main": "i.js", "types": "i.d.ts"}')
    (package / "i.js").write_text("exports.limit = 400;")
    (package / "i.d.ts").write_text("export const limit: number;")
    script = folder / "plugin.ts"
    good = script.read_text()
    with Watcher(folder, {}) as watcher:
        assert watcher.look()
        save(script, 'import { limit } from "limit";\n' + good.replace("status >= 400", "status >= limit"))
        assert watcher.look()
        done = capsys.readouterr()
        assert "plugin.ts changed" in done.out
        assert done.out.count("ok      fruit: 5 entries") == 2
        assert "error" not in done.err
        first = watcher.trial
        save(script, good.replace("status >= 400", 'status >= "400"'))
        assert watcher.look()
        assert "plugin.ts:30:42: TS2365" in capsys.readouterr().err
        assert watcher.trial is first
        save(package / "i.js", "exports.limit = 300;")
        assert not watcher.look()
    assert not (folder / "build").exists()


def save(path: Path, text: str) -> None:
    time.sleep(0.01)  # a file's time stamp must move
    path.write_text(text)
