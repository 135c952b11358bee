"""Bundled plugins: several files, TypeScript and packages become one script, and errors name the author's places."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.extension_api._scaffold import scaffold
from kubeshark.hosts._build import build_plugin
from kubeshark.pipeline.plugins._trial import Trial, expectations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in scaffold("fruit", "ts").items():
        (tmp_path / "fruit" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fruit" / name).write_bytes(data)
    return tmp_path / "fruit"


@pytest.fixture
def change(folder: Path) -> Callable[[str, str], None]:
    def replace_in_line(old: str, new: str) -> None:
        path = folder / "line.ts"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace_in_line


def build(folder: Path) -> None:
    build_plugin(folder, read_manifest(folder))


def test_the_same_sources_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    build(folder)
    first = (folder / "build" / "plugin.js").read_bytes(), (folder / "build" / "plugin.js.map").read_bytes()
    build(folder.rename(tmp_path / "elsewhere"))
    other = tmp_path / "elsewhere" / "build"
    assert ((other / "plugin.js").read_bytes(), (other / "plugin.js.map").read_bytes()) == first
    assert str(tmp_path).encode() not in b"".join(first)


def test_mistakes_have_a_place(folder: Path, change: Callable[[str, str], None]) -> None:
    change("let space = ", "let space: string = ")
    with pytest.raises(PluginError, match=r"line.ts:\d+:\d+: TS2322: Type 'number' is not assignable") as failure:
        build(folder)
    assert len(failure.value.__notes__[0].splitlines()) > 1
    (folder / "tsconfig.json").unlink()  # types are checked where the author asks for it
    build(folder)
    change("let space: string = ", "let space == ")
    with pytest.raises(PluginError, match=r'line.ts:\d+:\d+: Expected ";" but found "=="'):
        build(folder)
    (folder / "plugin.ts").unlink()
    with pytest.raises(PluginError, match=r"plugin.ts is missing"):
        build(folder)


def test_declarations_are_kept_up_to_date(folder: Path) -> None:
    ours = (folder / "kubeshark.d.ts").read_text()
    (folder / "kubeshark.d.ts").write_text("stale")
    build(folder)
    assert (folder / "kubeshark.d.ts").read_text() == ours


def test_packages_and_exceptions(folder: Path, change: Callable[[str, str], None]) -> None:
    """An exception in a package names its file, and where the author called it."""
    package = folder / "node_modules" / "picky"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "picky", "version": "1.0.0", "main": "index.js"}')
    (package / "index.js").write_text(
        "module.exports = (status) => {\n  if (status === '404') throw new Error('picky');\n};\n"
    )
    change("const CR = 13", 'import picky from "picky";\nconst CR = 13')
    change("const digits = item.latin1(start, space);", "const digits = item.latin1(start, space);\n  picky(digits);")
    (folder / "tsconfig.json").unlink()  # the package has no types
    (expectation,) = expectations(folder)
    with Trial(folder) as trial:
        outcome = trial.test(expectation)
        assert trial.foreign is not None
        reason = trial.foreign.status.reason
    assert not outcome.is_good
    line = (folder / "line.ts").read_text().partition("picky(digits)")[0].count("\n") + 1
    said = rf"node_modules/picky/index.js:2:\d+: Error: picky \(called from line.ts:{line}:3, plugin.ts:\d+:\d+\)"
    assert re.search(said, outcome.problems[0]), outcome.problems
    assert re.search(said, reason), reason


def test_what_node_has_is_not_there(folder: Path) -> None:
    path = folder / "line.ts"
    path.write_text('import { readFileSync } from "fs";\nreadFileSync("/etc/passwd");\n' + path.read_text())
    (folder / "tsconfig.json").unlink()
    with pytest.raises(PluginError, match=r'line.ts:1:\d+: Could not resolve "fs"'):
        build(folder)
