"""Runs a command and says what it took."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CPU_LIMIT_S", "Taken", "take"]

CPU_LIMIT_S = 60
"""A command is ended behind this. What a test allows it is less."""

COMMAND = Path(sys.executable).with_name("kubeshark")


@dataclass(frozen=True, slots=True)
class Taken:
    code: int  # negative: a signal ended it
    cpu_s: float
    peak_mib: int  # resident
    stderr: str


def take(*arguments: str | Path, out: Path | None = None) -> Taken:
    """Run `kubeshark ARGUMENTS`, its output written to `out` or thrown away."""
    with tempfile.TemporaryFile("w+") as stderr, Path(out or os.devnull).open("w") as stdout:
        process = subprocess.Popen(
            [COMMAND, *arguments],
            stdout=stdout,
            stderr=stderr,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S)),
        )
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        return Taken(process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10, stderr.read())
