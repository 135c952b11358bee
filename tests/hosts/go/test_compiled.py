"""Native code is made once, apart, and only ours is taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts._instance import InstanceError
from kubeshark.hosts.go import _compiled
from kubeshark.hosts.go._compiled import compiled_file, read_compiled
from kubeshark.hosts.go._instance import prepare


@pytest.fixture
def plugin(faulty_go: tuple[Path, Manifest], tmp_path: Path) -> tuple[Path, Manifest]:
    """A copy with a module that does nothing, which compiles at once."""
    folder = tmp_path / "plugin"
    shutil.copytree(faulty_go[0], folder)
    (folder / faulty_go[1].entry).write_bytes(b"\0asm\1\0\0\0")
    return folder, faulty_go[1]


def test_it_is_compiled_once(plugin: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = compiled_file(*plugin, tmp_path / "cache")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert read_compiled(file)
    monkeypatch.setattr(_compiled, "_compile_apart", lambda *_: pytest.fail("compiled again"))
    assert compiled_file(*plugin, tmp_path / "cache") == file


def test_a_file_that_others_may_write_is_made_again(plugin: tuple[Path, Manifest], tmp_path: Path) -> None:
    file = compiled_file(*plugin, tmp_path / "cache")
    good = file.read_bytes()
    file.write_bytes(b"another's")
    file.chmod(0o666)
    assert compiled_file(*plugin, tmp_path / "cache").read_bytes() == good


def test_a_damaged_file_is_refused(plugin: tuple[Path, Manifest], tmp_path: Path) -> None:
    file = compiled_file(*plugin, tmp_path / "cache")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        read_compiled(file)
    with pytest.raises(InstanceError, match="damaged"):
        prepare(*plugin, file)


def test_where_it_cannot_be_kept_it_says_so(
    plugin: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PluginRejected, match=r"cannot be kept.*XDG_CACHE_HOME"):
        compiled_file(*plugin)


def test_what_cannot_be_compiled_is_rejected(plugin: tuple[Path, Manifest], tmp_path: Path) -> None:
    folder, manifest = plugin
    (folder / manifest.entry).write_bytes(b"\0asm\1\0\0\0\x0a\xff\xff\xff\xff\x0f")
    with pytest.raises(PluginRejected, match="not a WebAssembly module"):
        compiled_file(folder, manifest, tmp_path / "cache")
    (folder / manifest.entry).unlink()
    with pytest.raises(PluginRejected, match="kubeshark plugin build"):
        compiled_file(folder, manifest, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
