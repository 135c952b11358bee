"""docs/init.md is executed: its sessions say what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

NEXT_RUN = re.compile(r"next run: \S+ \S+ \S+")  # of the day it runs


def test_the_sessions_are_true(root: Path, tmp_path: Path, own_home: Path) -> None:
    page = (root / "docs" / "init.md").read_text()
    blocks = re.findall(r"<!-- tested -->\n```console\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    command = tmp_path / "kubeshark"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m kubeshark "$@"\n')
    command.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(own_home)}
    for text in (each for block in blocks for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]):
        line, _, expected = text.partition("\n")
        done = subprocess.run(
            ["sh", "-c", f"{line} 2>&1"], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert plain(done.stdout) == plain(expected), line


def plain(said: str) -> str:
    return NEXT_RUN.sub("next run: …", said).strip()
