"""One holder at a time; the lock goes with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store.places._lock import StoreLock
from kubeshark.errors import StoreError


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    with StoreLock(tmp_path):
        with pytest.raises(StoreError, match="another process writes"):
            StoreLock(tmp_path)
        StoreLock(tmp_path, ".other").release()
    lock = StoreLock(tmp_path)
    lock.release()
    lock.release()


def test_it_ends_with_its_process(tmp_path: Path, root: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from kubeshark.core_capture.store.places._lock import StoreLock\n"
    )
    program += "lock = StoreLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=root, check=False)
    assert done.returncode == -9
    StoreLock(tmp_path).release()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write to"):
        StoreLock(tmp_path / "nothing")
