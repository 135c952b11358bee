"""Compile firewall.c to firewall.o, beside it. Run by scripts/setup.sh and by setup.py when a wheel is built.

Needs clang with the bpf target and the kernel's headers (Debian: clang, linux-libc-dev). Without them it says so and
exits with 0: everything but enforcement works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MISSING = "note: the firewall cannot enforce: {}; on Debian, apt-get install clang linux-libc-dev, then make setup"


def build(target: Path = HERE / "firewall.o") -> str:
    """Compile; return what is missing, or nothing. An object that is newer than its source is left alone."""
    sources = [*HERE.glob("*.c"), *HERE.glob("*.h")]
    if target.exists() and target.stat().st_mtime >= max(each.stat().st_mtime for each in sources):
        return ""
    clang = os.environ.get("CLANG") or shutil.which("clang")
    if clang is None:
        return "there is no clang"
    machine = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / "firewall.o"
        command = [clang, "-target", "bpf", "-O2", "-mcpu=v2", "-Wall", "-Wextra", "-Werror"]
        command += [f"-I/usr/include/{machine}", "-c", str(HERE / "firewall.c"), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["clang failed"])[0]
        built.replace(target)
    return ""


if __name__ == "__main__":
    if missing := build():
        sys.stderr.write(MISSING.format(missing) + "\n")
