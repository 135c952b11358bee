"""Compilers are run as they are, and a long wait has its reason; what they build is tested elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubeshark.hosts.c import _build
from kubeshark.hosts.c._build import FIRST_CPP, _compiled

SLOW = ["sh", "-c", "sleep 0.3; echo said >&2; exit 3"]


def test_who_waits_for_zigs_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_build, "NOTE_AFTER_SECONDS", 0.05)
    done = _compiled(SLOW, tmp_path, is_zig_cpp=True)
    assert (done.returncode, done.stderr) == (3, "said\n")
    assert capsys.readouterr().err == FIRST_CPP
    assert _compiled(SLOW, tmp_path, is_zig_cpp=False).returncode == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_zig_cpp", [False, True])
def test_a_compiler_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_zig_cpp: bool) -> None:
    monkeypatch.setattr(_build, "NOTE_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(_build, "BUILD_SECONDS", 0.1)
    with pytest.raises(subprocess.TimeoutExpired):
        _compiled(["sleep", "100"], tmp_path, is_zig_cpp=is_zig_cpp)
