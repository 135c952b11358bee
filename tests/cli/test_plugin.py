"""kubeshark plugin …, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeshark.cli import main

MANIFEST = """
id = "lines"
version = "1.0.0"
abi = 1
language = "{language}"
entry = "build/lines.so"
hooks = ["dissect"]
{more}
[protocol]
name = "lines"
abbr = "LINES"
long_name = "Lines of text"
[[fields]]
name = "text"
type = "string"
variable = "lines_text"
"""
SOURCE = """
#include "kubeshark_plugin.h"
static uint32_t dissect(const ks_item *item, ks_writer *out) { (void)out; return item->bytes.length; }
const ks_plugin_hooks ks_plugin = {NULL, dissect, NULL, NULL};
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST.format(language="c", more=""))
    (folder / "lines.c").write_text(SOURCE)
    return folder


def run(*arguments: str | Path) -> int:
    return main(["plugin", *map(str, arguments)])


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_build_install_list_info_uninstall(folder: Path, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plugin.toml").write_text(MANIFEST.format(language=language, more=""))
    (folder / "lines.c").rename(folder / f"lines.{language}")
    assert run("list") == 0
    assert "no plugins in" in capsys.readouterr().out
    assert run("install", folder, "--allow-unsigned") == 1
    assert 'run "kubeshark plugin build' in capsys.readouterr().err
    assert run("build", folder) == 0
    assert run("install", folder) == 1
    assert "is not signed: install with --allow-unsigned" in capsys.readouterr().err
    assert run("install", folder, "--allow-unsigned") == 0
    assert "installed lines 1.0.0: sha256:" in capsys.readouterr().out
    assert run("list", "--output", "json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["language"], listed["hooks"], listed["problem"]) == (
        "lines",
        language,
        ["dissect"],
        "",
    )
    assert run("info", "lines") == 0
    assert "lines_text" in capsys.readouterr().out
    assert run("uninstall", "lines") == 0
    assert run("uninstall", "lines") == 2
    assert run("info", "lines") == 2


def test_a_build_is_reproducible_and_names_no_path(folder: Path, tmp_path: Path) -> None:
    assert run("build", folder) == 0
    first = (folder / "build" / "lines.so").read_bytes()
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert run("build", moved) == 0
    assert (moved / "build" / "lines.so").read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_a_compile_error_shows_the_compilers_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "lines.c").write_text("int x = ;")
    assert run("build", folder) == 1
    assert "lines.c:1:9" in capsys.readouterr().err


def test_permissions_are_shown_and_granted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plugin.toml").write_text(MANIFEST.format(language="c", more="[permissions]\nenv = ['A']"))
    assert run("build", folder) == 0
    assert run("install", folder, "--allow-unsigned", "--grant", "env") == 2
    assert run("install", folder, "--allow-unsigned", "--grant", "env=B") == 2
    assert "plugin lines: env=B was not asked for: it asks for A" in capsys.readouterr().err
    assert run("install", folder, "--allow-unsigned") == 0
    assert "it asks for env A, and would run without" in capsys.readouterr().err
    assert run("install", folder, "--allow-unsigned", "--grant", "env=A") == 0
    assert capsys.readouterr().err == ""
