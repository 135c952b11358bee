"""scripts/second_run.py: what failed once has to pass alone, and nothing else is forgiven."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
def test_well(): pass
def test_ill(): assert 0
"""


def second_run(
    root: Path, folder: Path, failed: list[str] | None, ran_all: bool = True
) -> subprocess.CompletedProcess[str]:
    (folder / "test_some.py").write_text(TESTS)
    cache = folder / ".pytest_cache" / "v"
    for name, value in (("kubeshark/ran_all", ran_all), ("cache/lastfailed", dict.fromkeys(failed or [], True))):
        if failed is not None:
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            (cache / name).write_text(json.dumps(value))
    command = [sys.executable, str(root / "scripts" / "second_run.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_lost_race_is_said_and_forgiven(root: Path, tmp_path: Path) -> None:
    done = second_run(root, tmp_path, ["test_some.py::test_well"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "race with something:\n  test_some.py::test_well" in done.stdout and "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("failed", "ran_all"),
    [
        (["test_some.py::test_well", "test_some.py::test_ill"], True),
        (["test_some.py::test_gone"], True),
        (["test_some.py::test_well"], False),  # others were skipped, or not reached
        ([f"test_some.py::test_{number}" for number in range(5)], True),
        ([], True),
        (None, True),  # make test failed before pytest
    ],
)
def test_what_is_not_forgiven(root: Path, tmp_path: Path, failed: list[str] | None, ran_all: bool) -> None:
    done = second_run(root, tmp_path, failed, ran_all)
    assert done.returncode != 0 and "race with something" not in done.stdout
