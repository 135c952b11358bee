"""An image is made again when what is in it changed, and only then."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of what the images are made of."""
    target = tmp_path_factory.mktemp("checkout")
    inputs = runpy.run_path(str(root / "scripts/image_digest.py"))["INPUTS"]
    wanted = sorted({path for paths in inputs.values() for path in paths})
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *wanted], cwd=root, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name)
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    subprocess.run(["git", "add", "-Af"], cwd=target, check=True)
    return target


def digests(root: Path, copy: Path) -> dict[str, str]:
    command = [sys.executable, root / "scripts/image_digest.py", copy]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: line.split()[2] for line in said.splitlines()}


@pytest.mark.parametrize(
    ("touched", "changed"),
    [
        ("ui/index.html", {"front", "hub"}),  # a hub alone, on a laptop or behind a proxy, has the page too
        ("deploy/images/front/front.conf", {"front"}),
        ("worker/_app.py", {"worker"}),
        ("hub/_app.py", {"hub"}),
        ("pipeline/__init__.py", {"hub", "worker"}),
        ("pyproject.toml", {"hub", "worker"}),
        ("deploy/images/hub/VERSION", {"hub"}),
        ("deploy/images/worker/CHANGELOG.md", set()),
    ],
)
def test_only_what_holds_a_file_changes_with_it(root: Path, copy: Path, touched: str, changed: set[str]) -> None:
    before, path = digests(root, copy), copy / touched
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"\n")
        after = digests(root, copy)
    finally:
        path.write_bytes(content)
    assert {name for name in before if before[name] != after[name]} == changed
    assert digests(root, copy) == before
