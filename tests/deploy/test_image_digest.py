"""An image is made again when what is in it changed, and only then."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Digests = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of what the images are made of."""
    target = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if name.startswith(("tests/", "docs/", "examples/", "benchmarks/", "typing_root/")):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name)
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    subprocess.run(["git", "add", "-Af"], cwd=target, check=True)
    return target


@pytest.fixture(scope="module")
def digests(root: Path, copy: Path) -> Digests:
    """What the script says of the copy; in this process, because it remembers what it read of files that stay."""
    ask: Callable[[Path], dict[str, str]] = runpy.run_path(str(root / "scripts/image_digest.py"))["digests"]
    return lambda: ask(copy)


@pytest.fixture(scope="module")
def before(digests: Digests) -> dict[str, str]:
    return digests()


def changed_by(digests: Digests, before: dict[str, str], path: Path, change: Callable[[str], str]) -> set[str]:
    """Return the images that a change of a file makes anew; it is undone."""
    content = path.read_text()
    try:
        path.write_text(change(content))
        assert path.read_text() != content
        after = digests()
    finally:
        path.write_text(content)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("touched", "changed"),
    [
        ("ui/index.html", {"front", "hub"}),  # a hub alone, on a laptop or behind a proxy, has the page too
        ("deploy/images/front/front.conf", {"front"}),
        ("worker/_app.py", {"worker"}),
        ("hub/_app.py", {"hub"}),
        ("pipeline/__init__.py", {"hub", "worker"}),
        ("pipeline/intake/_capture.py", {"hub", "worker"}),
        ("pipeline/dissectors/web/__init__.py", {"hub"}),
        ("core_capture/native/walk.h", {"hub", "worker"}),
        ("deploy/images/python/slim", {"hub", "worker"}),
        ("pyproject.toml", set()),
        ("README.md", set()),
        ("deploy/images/hub/VERSION", {"hub"}),
        ("deploy/images/worker/CHANGELOG.md", set()),
    ],
)
def test_only_what_holds_a_file_changes_with_it(
    copy: Path, digests: Digests, before: dict[str, str], touched: str, changed: set[str]
) -> None:
    assert changed_by(digests, before, copy / touched, lambda text: text + "\n") == changed


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('"numpy>=1.26"', '"numpy>=2"', {"hub", "worker"}),
        ('"kubernetes>=36"', '"kubernetes>=37"', {"hub"}),
        ('"questionary>=2.1"', '"questionary>=2.2"', set()),
        ('description = "', 'description = "It ', set()),
    ],
)
def test_only_who_imports_a_package_changes_with_it(
    copy: Path, digests: Digests, before: dict[str, str], old: str, new: str, changed: set[str]
) -> None:
    assert changed_by(digests, before, copy / "pyproject.toml", lambda text: text.replace(old, new)) == changed


def test_the_command_says_the_same_of_the_same(root: Path, copy: Path, before: dict[str, str]) -> None:
    command = [sys.executable, root / "scripts/image_digest.py", copy]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0]: line.split()[2] for line in said.splitlines()} == before
