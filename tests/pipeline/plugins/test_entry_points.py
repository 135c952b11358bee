"""Plugins of Python packages are found wherever `importlib.metadata` would find them, which is asked only then."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from kubeshark.pipeline.plugins._entry_points import python_plugins

OURS, THEIRS = "[kubeshark.plugins]\nmine = mine:Plugin\n", "[console_scripts]\nkubeshark.plugins = mine:main\n"
METADATA = "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n"


def package(folder: Path, entry_points: str, kind: str = "mine-1.0.dist-info") -> Path:
    (folder / kind).mkdir(parents=True)
    (folder / kind / "METADATA").write_text(METADATA)
    (folder / kind / "entry_points.txt").write_text(entry_points)
    return folder


def names() -> list[str]:
    return [point.name for point in python_plugins()]


@pytest.mark.parametrize("kind", ["mine-1.0.dist-info", "mine-1.0.egg-info"])
def test_those_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.syspath_prepend(str(package(tmp_path / "packages", OURS, kind)))
    assert names() == ["mine"]


def test_those_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "packages.zip", "w") as archive:
        archive.writestr("mine-1.0.dist-info/METADATA", METADATA)
        archive.writestr("mine-1.0.dist-info/entry_points.txt", OURS)
    monkeypatch.syspath_prepend(str(tmp_path / "packages.zip"))
    assert names() == ["mine"]


def test_what_names_our_group_elsewhere_is_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(package(tmp_path / "packages", THEIRS)), str(tmp_path / "missing")])
    assert names() == []


def test_nobody_is_asked_where_no_package_names_our_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "missing"), ""])
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)  # importing it would fail
    monkeypatch.chdir(package(tmp_path, "[console_scripts]\nmine = mine:main\n"))
    assert names() == []
