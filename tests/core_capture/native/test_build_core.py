"""The C files compile without a warning, as one unit and each header alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-unused-function", "-fsyntax-only")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_warnings(compiler: str, root: Path, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: apt-get install {compiler}")
    folder = root / "core_capture" / "native"
    unit = tmp_path / "unit.c"
    unit.write_text('#include "core.c"\n')
    for source in (unit, *sorted(folder.glob("*.h"))):
        command = [compiler, *FLAGS, "-I", folder, "-x", "c", "-include", "stddef.h", "-include", "stdint.h", source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
