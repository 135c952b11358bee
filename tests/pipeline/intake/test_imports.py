"""What an import loads of plugins: nothing, unless one of them has to do with packets on their way into a store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kubeshark.pipeline.intake._imports import IMPORT_HOOKS, installed_hooks

OURS, THEIRS = "[kubeshark.plugins]\nmine = mine:Plugin\n", "[console_scripts]\nkubeshark.plugins = mine:main\n"


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))


def package(folder: Path, entry_points: str) -> Path:
    kind = "mine-1.0.dist-info"
    (folder / kind).mkdir(parents=True)
    (folder / kind / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (folder / kind / "entry_points.txt").write_text(entry_points)
    return folder


def test_a_python_package_with_plugins_may_have_all_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package(tmp_path / "packages", OURS)))
    assert installed_hooks() == IMPORT_HOOKS


def test_other_packages_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(package(tmp_path / "packages", THEIRS)), str(tmp_path / "missing")])
    assert installed_hooks() == frozenset()
