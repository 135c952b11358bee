"""The house is what ARCHITECTURE.md and pyproject.toml say it is."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOMS = {
    "cluster": "kubeshark.cluster",
    "core_capture": "kubeshark.core_capture",
    "extension_api": "kubeshark.extension_api",
    "firewall": "kubeshark.firewall",
    "hosts": "kubeshark.hosts",
    "hub": "kubeshark.hub",
    "packages": "kubeshark.packages",
    "pipeline": "kubeshark.pipeline",
    "settings": "kubeshark.settings",
    "worker": "kubeshark.worker",
    "src/kubeshark": "kubeshark",
}


def tracked(root: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: the layout test compares with what git tracks")
    return listed.stdout.splitlines()


def test_packages_list_equals_the_folders_on_disk(root: Path) -> None:
    listed = set(tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = set()
    for folder, name in ROOMS.items():
        for init in (root / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(root / folder).parts
            found.add(".".join([name, *inside]))
    assert listed == found


def test_every_top_level_folder_has_a_heading_in_architecture(root: Path) -> None:
    folders = {path.split("/")[0] for path in tracked(root) if "/" in path and not path.startswith(".")}
    text = (root / "ARCHITECTURE.md").read_text()
    assert [folder for folder in sorted(folders) if f"## `{folder}/`" not in text] == []


def test_import_directions(root: Path) -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed: scripts/setup.sh check")
    command = [Path(sys.executable).with_name("lint-imports")]
    environment = {**os.environ, "PYTHONPATH": str(root / "typing_root")}  # where the rooms lie under one package
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_typing_root_mirrors_the_import_names(root: Path) -> None:
    links = {path.name: path.resolve() for path in (root / "typing_root" / "kubeshark").iterdir()}
    for folder in (
        "cluster",
        "core_capture",
        "extension_api",
        "firewall",
        "hosts",
        "hub",
        "packages",
        "pipeline",
        "settings",
        "worker",
    ):
        assert links[folder] == root / folder
    for path in (root / "src" / "kubeshark").iterdir():
        if path.name != "__pycache__":
            assert links[path.name] == path, f"link typing_root/kubeshark/{path.name} is missing"


def test_no_logic_in_init_files(root: Path) -> None:
    """Thin `__init__`: imports, __all__, docstring; or a lazy __getattr__, where importing must stay cheap."""
    for room in ROOMS:
        for init in (root / room).rglob("__init__.py"):
            for node in ast.parse(init.read_text()).body:
                lazy = isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
                plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr | ast.If)
                assert lazy or plain, init
