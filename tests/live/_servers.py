"""Real servers for the live tests: found on PATH or in sbin folders, started on a free port, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

__all__ = ["free_port", "need", "running", "wait_for_port"]

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
DEADLINE = 60.0


def need(program: str, package: str = "") -> str:
    """Return the path of a program; skip the test, naming the Debian package, if it is not there."""
    path = shutil.which(program, path=PLACES)
    if path is None:
        pytest.skip(f"{program} is not installed: apt-get install {package or program}")
    return path


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once something accepts on 127.0.0.1:port; fail if `process` ends first or the deadline passes."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            pytest.fail(f"the server ended with status {process.returncode}: {_tail(process)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port} after {DEADLINE:.0f} s")


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], port: int = 0, *, env: dict[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; with `port`, wait until it accepts connections there."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    try:
        if port:
            wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _tail(process: subprocess.Popen[bytes]) -> str:
    out = process.stdout.read() if process.stdout else b""
    return out.decode("utf-8", "replace")[-2000:]
