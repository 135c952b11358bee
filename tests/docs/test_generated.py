from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_generated_pages_are_fresh(root: Path) -> None:
    command = [sys.executable, root / "scripts" / "generate_docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
