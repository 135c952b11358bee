"""Compile the eBPF programs, each to an object beside it. Run by scripts/setup.sh, and by setup.py for a wheel.

Needs clang with the bpf target and the kernel's headers (Debian: clang, linux-libc-dev). Without them it says so and
exits with 0: everything works but the firewall's enforcement and the probes for TLS.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "firewall" / "bpf" / "firewall.c", ROOT / "core_capture" / "ebpf" / "tls_probe.c")
MISSING = (
    "note: the firewall cannot enforce, nor TLS be probed: {}; "
    "on Debian, apt-get install clang linux-libc-dev, then make setup"
)


def build(source: Path, target: Path | None = None) -> str:
    """Compile; return what is missing, or nothing. An object that is newer than its sources is left alone."""
    target = target or source.with_suffix(".o")
    sources = [source, *source.parent.glob("*.h")]
    if target.exists() and target.stat().st_mtime >= max(each.stat().st_mtime for each in sources):
        return ""
    clang = os.environ.get("CLANG") or shutil.which("clang")
    if clang is None:
        return "there is no clang"
    machine = platform.machine()
    include = sysconfig.get_config_var("MULTIARCH") or f"{machine}-linux-gnu"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        command = [clang, "-target", "bpf", "-O2", "-mcpu=v2", "-Wall", "-Wextra", "-Werror"]
        command += [f"-DKUBESHARK_{machine}", f"-I/usr/include/{include}", "-c", str(source), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["clang failed"])[0]
        built.replace(target)
    return ""


def build_all() -> str:
    """Compile all; return the first thing that is missing, or nothing."""
    return next(filter(None, map(build, SOURCES)), "")


if __name__ == "__main__":
    if missing := build_all():
        sys.stderr.write(MISSING.format(missing) + "\n")
