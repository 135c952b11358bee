"""README is executed: its commands print what it says they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """A working folder that has the examples where README says they are."""
    (tmp_path / "examples").symlink_to(root / "examples")
    return tmp_path


def block(readme: str, language: str) -> str:
    found = re.search(rf"<!-- tested.*?-->\n```{language}\n(.*?)```", readme, re.DOTALL)
    assert found, f"README has no tested {language} block"
    return found[1]


def test_console_block(root: Path, folder: Path) -> None:
    commands = re.split(r"^\$ ", block((root / "README.md").read_text(), "console"), flags=re.MULTILINE)[1:]
    assert len(commands) >= 5
    for command in commands:
        line, _, expected = command.partition("\n")
        name, *arguments = shlex.split(line)
        assert name == "kubeshark"
        done = subprocess.run(
            [sys.executable, "-m", "kubeshark", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if expected.strip():
            assert done.stdout.strip() == expected.strip(), line


def test_python_block(root: Path, folder: Path) -> None:
    readme = (root / "README.md").read_text()
    program = block(readme, "python")
    expected = re.search(r"```python\n" + re.escape(program) + r"```\n\n```\n(.*?)```", readme, re.DOTALL)
    assert expected
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip() == expected[1].rstrip()


def test_make_targets_that_readme_names_exist(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", (root / "README.md").read_text(), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere(root: Path) -> None:
    for page in [*root.glob("*.md"), *(root / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
