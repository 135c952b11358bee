"""Runs commands behind the shim, each in a fork of one process that has everything imported: 20 ms, not 400.

As a program (python _commands.py) it is that process: a request a line on standard input, an answer a line back.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["Commands", "Done"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said, and its exit code (negative: it died of that signal)."""

    code: int
    stdout: str
    stderr: str


class Commands:
    """The process; use it as a context manager."""

    def __init__(self, shim: Path, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, line: Sequence[str | Path], disk: Path, *, fail: str = "", log: Path | None = None) -> Done:
        """Run `kubeshark LINE`, at home in `disk`/home; `fail` and `log` as shim.c has them."""
        request = {"line": [str(word) for word in line], "disk": str(disk.resolve()), "fail": fail}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**request, "log": str(log or "")}) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


def _child(request: dict[str, Any], out: int, err: int) -> int:
    from kubeshark.cli import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ["HOME"] = str(Path(request["disk"]) / "home")
    settings = [(request[name] or "").encode() or None for name in ("disk", "log", "fail")]
    ctypes.CDLL(None).disk_start(*settings)
    code = main(request["line"])
    sys.stdout.flush()
    return code


def _serve() -> None:
    import kubeshark.pipeline  # noqa: F401  (children need not import it again)

    for name in ("KUBESHARK_IDENTITY", "KUBESHARK_STORE"):
        os.environ.pop(name, None)
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                os._exit(_child(json.loads(line), out.fileno(), err.fileno()))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            texts = [os.pread(file.fileno(), 1 << 20, 0).decode() for file in (out, err)]
        print(json.dumps({"code": code, "stdout": texts[0], "stderr": texts[1]}), flush=True)


if __name__ == "__main__":
    _serve()
