"""Hub, worker and front as repositories of their own: whole, and each passes its own tests in a clean place."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROLES = ("hub", "worker", "front")


@pytest.fixture(scope="module")
def exported(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("split")
    subprocess.run([sys.executable, root / "scripts/split.py", target], capture_output=True, check=True)
    return target


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file cannot be imported without."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("role", ["hub", "worker"])
def test_what_is_imported_is_there(exported: Path, role: str) -> None:
    folder = exported / f"kubeshark-{role}"
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["package-dir"]

    def exists(module: str) -> bool:
        room = next(room for room in (".".join(module.split(".")[:2]), "kubeshark") if room in packages)
        base = folder.joinpath(packages[room], *module[len(room) + 1 :].split("."))
        return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()

    sources = [path for path in folder.rglob("*.py") if path.name != "setup.py"]
    assert len(sources) > 100
    for path in sources:
        for module in imported(path):
            if module.partition(".")[0] == "kubeshark" and not module.endswith("_native"):
                assert exists(module), f"{path} imports {module}"
            elif module.partition(".")[0] == "tests":
                assert folder.joinpath(*module.split(".")).with_suffix(".py").is_file(), f"{path} imports {module}"


@pytest.mark.parametrize(("role", "without"), [("hub", "worker"), ("worker", "hub"), ("front", "hub/_app.py")])
def test_each_is_one_of_the_three(exported: Path, root: Path, role: str, without: str) -> None:
    folder = exported / f"kubeshark-{role}"
    assert not (folder / without).exists()
    for name in ("VERSION", "CHANGELOG.md"):
        assert (folder / name).read_text() == (root / "deploy/images" / role / name).read_text()
    assert (folder / "LICENSE").is_file() and (folder / "README.md").is_file()
    if role != "front":
        assert len([*(folder / "tests" / role).glob("test_*.py")]) >= 8, "its own tests stayed behind"


def test_what_is_there_is_not_written_over(exported: Path, root: Path) -> None:
    again = subprocess.run([sys.executable, root / "scripts/split.py", exported], capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("role", ROLES)
def test_each_builds_and_passes_its_tests(exported: Path, role: str) -> None:
    """In an environment that `make` makes there, with what the repository itself declares."""
    folder = exported / f"kubeshark-{role}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KUBESHARK_", "PYTEST_"))}
    chosen = {"hub": "tests/hub", "worker": "tests/worker tests/settings", "front": ""}[role]
    for goal in ("build", "test"):
        done = subprocess.run(
            ["make", goal, f"PYTEST=-q -n 2 {chosen}"],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"make {goal}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert [*folder.glob("dist/*.whl")] or (folder / "hub/page/app/index.html").is_file()
