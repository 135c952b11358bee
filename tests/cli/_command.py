"""Runs the command as a user would: a process of its own, in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["kubeshark"]


def kubeshark(
    *arguments: str | Path, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `kubeshark ARGUMENTS`; what it prints is decoded, nothing is raised."""
    done = subprocess.run(
        [sys.executable, "-m", "kubeshark", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=100,
        env={**os.environ, **environment},
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
