"""Where hosts keep native code, and what of it is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubeshark.hosts._cache import is_ours, users_cache


def test_the_folder_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert users_cache("wasm") == tmp_path / "kubeshark" / "wasm"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert users_cache("npm") == tmp_path / "home" / ".cache" / "kubeshark" / "npm"


@pytest.mark.parametrize(("mode", "ours"), [(0o600, True), (0o755, True), (0o620, False), (0o602, False)])
def test_what_others_may_write_is_not_ours(tmp_path: Path, mode: int, ours: bool) -> None:
    file = tmp_path / "program"
    assert not is_ours(file)
    file.touch()
    file.chmod(mode)
    assert is_ours(file) is ours


def test_what_others_own_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "program"
    file.touch(mode=0o600)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert not is_ours(file)
