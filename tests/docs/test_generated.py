from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("script", ["generate_docs.py", "generate_sdk.py"])
def test_what_is_made_from_code_is_fresh(root: Path, script: str) -> None:
    command = [sys.executable, root / "scripts" / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
