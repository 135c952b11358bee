"""Fails unless mypy and pyright both report a seeded error in a room: proof that they look at the code at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CANARY = ROOT / "pipeline" / "_typing_canary.py"
TOOLS = {
    "mypy": [sys.executable, "-m", "mypy", "-m", "kubeshark.pipeline._typing_canary"],
    "pyright": [
        sys.executable,
        "-m",
        "pyright",
        "--pythonpath",
        sys.executable,
        "typing_root/kubeshark/pipeline/_typing_canary.py",
    ],
}


def main() -> int:
    CANARY.write_text("wrong: int = 'a string'\n")
    try:
        silent = [
            name
            for name, command in TOOLS.items()
            if "_typing_canary.py"
            not in subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "MYPYPATH": "typing_root"},
            ).stdout
        ]
    finally:
        CANARY.unlink()
    if silent:
        print(f"the seeded type error was not found by {' and '.join(silent)}: these checkers look at nothing")
    return bool(silent)


if __name__ == "__main__":
    sys.exit(main())
