"""A capture onto a real disk that is full: it goes on, counts what it loses, and works again when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("how", ["room comes back", "retention"])
@pytest.mark.timeout(200)
def test_a_full_disk(how: str, tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    program = Path(__file__).with_name("_full_disk_child.py")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, program, folder, how],
        env={**os.environ, "PYTHONPATH": str(root), "KUBESHARK_IDENTITY": str(tmp_path / "identity")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "LiveCounters" in done.stdout
