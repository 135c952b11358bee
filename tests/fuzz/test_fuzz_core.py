"""A few seconds of fuzzing of the C core in every test run; `run_core.sh 600` for more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SECONDS = 4
NO_COMPILER = 77


def test_a_short_run_finds_nothing(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [root / "tests" / "fuzz" / "run_core.sh", str(SECONDS), tmp_path], capture_output=True, text=True, check=False
    )
    if done.returncode == NO_COMPILER:
        pytest.skip("no compiler with sanitizers, or no Python.h: apt-get install clang libclang-rt-dev python3-dev")
    assert done.returncode == 0, done.stderr[-4000:]
