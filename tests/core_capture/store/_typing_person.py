"""Runs a command that asks for a passphrase on the terminal, and answers it."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["run_on_a_terminal"]


def run_on_a_terminal(
    command: Sequence[str | Path], answers: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Answer each prompt that ends with a colon; return the exit code and what the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execvpe(command[0], [str(part) for part in command], {**os.environ, **(environment or {})})
        finally:
            os._exit(127)
    shown, left, asked = b"", list(answers), 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 1)
        if not ready:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the child closed it
            break
        if not piece:
            break
        shown += piece
        if left and shown[asked:].rstrip().endswith(b":"):
            time.sleep(0.1)  # until it has switched the echo off
            asked = len(shown)
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode(errors="replace")
