"""Hub, worker and front as repositories of their own: whole, and each passes its own tests in a clean place."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

ENVIRONMENT = dict(os.environ)
"""Before a test gets a home of its own: what uv and npm got before is kept in the user's cache."""


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


def read(path: Path) -> Iterator[str]:
    """Yield places in the tree that a file names as `root / "folder" / "file"`, as far as they are written out."""
    for node in ast.walk(ast.parse(path.read_text())):
        parts: list[str] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            is_known = isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
            parts = [str(node.right.value), *parts] if is_known else []  # type: ignore[attr-defined]
            node = node.left
        if parts and isinstance(node, ast.Name) and node.id.lower() == "root":
            yield "/".join(parts)


@pytest.mark.parametrize("role", ["hub", "worker"])
def test_what_tests_read_is_there(exported: Path, root: Path, role: str) -> None:
    """No import tells it: who finds a test here names it in `STAY` of scripts/split.py."""
    folder = exported / f"kubeshark-{role}"
    short = {
        f"{path.relative_to(folder)} reads {place}"
        for path in (folder / "tests").rglob("test_*.py")
        for place in read(path)
        if (root / place).exists() and not (folder / place).exists()
    }
    assert not short, f"put into STAY of scripts/split.py, or have read what comes along: {sorted(short)}"


@pytest.mark.parametrize(("role", "without"), [("hub", "worker"), ("worker", "hub"), ("front", "hub/_app.py")])
def test_each_is_one_of_the_three(exported: Path, root: Path, role: str, without: str) -> None:
    folder = exported / f"kubeshark-{role}"
    assert not (folder / without).exists()
    for name in ("VERSION", "CHANGELOG.md"):
        assert (folder / name).read_text() == (root / "deploy/images" / role / name).read_text()
    assert (folder / "LICENSE").is_file() and (folder / "README.md").is_file()
    if role != "front":
        assert len([*(folder / "tests" / role).rglob("test_*.py")]) >= 8, "its own tests stayed behind"


def test_what_is_there_is_not_written_over(exported: Path, root: Path) -> None:
    again = subprocess.run([sys.executable, root / "scripts/split.py", exported], capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.timeout(900)
def test_the_worker_builds_and_passes_its_tests(exported: Path, root: Path) -> None:
    folder = exported / "kubeshark-worker"
    make(root, folder, "build")
    [wheel] = folder.glob("dist/*.whl")
    with ZipFile(wheel) as archive:
        held = archive.namelist()
    assert "kubeshark/worker/_app.py" in held and not [name for name in held if name.startswith("kubeshark/hub/")]
    assert " passed" in make(root, folder, "test", PYTEST="-q -n 2 tests/worker tests/settings")
    said = subprocess.run(
        [folder / ".venv/bin/python", "-Ic", "import kubeshark.worker as w; print(w.__file__); import kubeshark.hub"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.stdout == f"{folder}/worker/__init__.py\n"
    assert "No module named 'kubeshark.hub'" in said.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_hub_builds_and_passes_its_tests(exported: Path, root: Path) -> None:
    folder = exported / "kubeshark-hub"
    make(root, folder, "build")
    assert [*folder.glob("dist/*.whl")]
    assert " passed" in make(root, folder, "test", PYTEST="-q -n 2 --dist loadfile tests/hub")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_front_builds_and_passes_its_tests(exported: Path, root: Path) -> None:
    folder = exported / "kubeshark-front"
    make(root, folder, "build")
    assert (folder / "hub/page/app/index.html").is_file()
    make(root, folder, "test")


def make(root: Path, folder: Path, goal: str, **variables: str) -> str:
    """Run `make` there, in an environment that it makes itself, and, as root, where this tree is not to be seen."""
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("KUBESHARK_", "PYTEST_"))}
    places = environment.pop("PATH").split(os.pathsep)
    environment["PATH"] = os.pathsep.join(place for place in places if not Path(place).is_relative_to(root))
    environment.pop("VIRTUAL_ENV", None)
    command = ["make", goal, *(f"{name}={value}" for name, value in variables.items())]
    hidden = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none "$0"; exec "$@"', str(root)]
    if os.geteuid() == 0 and subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode == 0:
        command = [*hidden, *command]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"make {goal}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
