"""Runs a program behind shim.c: what it does to its disk is recorded, or fails where a test wants it to."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Entry", "build_shim", "read_log", "run"]

_ENTRY = struct.Struct("<c3xII4xQQQ")
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation; kinds are those of shim.c. Paths are relative to the recorded folder."""

    kind: str
    path: str
    target: str
    inode: int
    offset: int
    data: bytes


def build_shim(folder: Path) -> Path:
    """Compile shim.c; skip the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    shim = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", shim, source], check=True, timeout=TIMEOUT_S)
    return shim


def run(shim: Path, root: Path, program: Path, *arguments: str | Path, log: Path) -> str:
    """Run a Python program whose disk is the folder `root`; return what it said."""
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env={**os.environ, "LD_PRELOAD": str(shim), "DISK_ROOT": str(root.resolve()), "DISK_LOG": str(log)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read_log(log: Path) -> list[Entry]:
    """Return the operations in their order."""
    return list(_entries(log.read_bytes()))


def _entries(content: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(content):
        kind, path_bytes, target_bytes, inode, offset, data_bytes = _ENTRY.unpack_from(content, at)
        at += _ENTRY.size
        path, target = at + path_bytes, at + path_bytes + target_bytes
        end = target + data_bytes
        yield Entry(
            kind.decode(), content[at:path].decode(), content[path:target].decode(), inode, offset, content[target:end]
        )
        at = end
