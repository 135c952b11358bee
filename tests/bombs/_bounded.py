"""Runs a command and says what it took."""

from __future__ import annotations

import os
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


LAUNCHER = """
import os, resource, sys
pid = os.fork()
if not pid:
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
    os.execv(sys.argv[3], sys.argv[3:])
_, status, used = os.wait4(pid, 0)
told = f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime} {used.ru_maxrss}"
os.write(int(sys.argv[1]), told.encode())
"""
"""A small process between this one and the command: a child's peak begins with what its parent has."""


def take(*arguments: str | Path, out: Path | None = None) -> Taken:
    """Run `kubeshark ARGUMENTS`, its output written to `out` or thrown away."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile("w+") as stderr, Path(out or os.devnull).open("w") as stdout, os.fdopen(reader) as told:
        command = [sys.executable, "-S", "-c", LAUNCHER, str(writer), str(CPU_LIMIT_S), COMMAND, *arguments]
        try:
            subprocess.run(command, stdout=stdout, stderr=stderr, pass_fds=[writer], check=True)
        finally:
            os.close(writer)
        code, cpu_s, peak_kib = told.read().split()
        stderr.seek(0)
        return Taken(int(code), float(cpu_s), int(peak_kib) >> 10, stderr.read())
