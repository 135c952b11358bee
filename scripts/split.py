"""Exports hub, worker and front as repositories of their own: what each needs, its tests, and how to run both.

scripts/split.py TARGET [ROLE...]      writes TARGET/kubeshark-ROLE; ROLE is hub, worker or front, by default all three

A test comes along if all that it imports does, and it is about what does. In each, `make test` builds in a clean
environment with what its own pyproject.toml or package.json asks for, and runs them.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from roles import ROLES, Needs, Tree, import_name, imports_of, requirements, tracked

FRONT = ("LICENSE", "deploy/images/front", "scripts/build_ui.sh", "ui", "hub/page")
COMMON = ("LICENSE", "setup.py", "examples/captures", "examples/firewall")
ABOUT = {
    "hub": "The hub of kubeshark: API, queries and page over captures that workers keep.",
    "worker": "The worker of kubeshark: captures on a node, and serves packets that it cannot read.",
    "front": "The front of kubeshark: the page's files, and nginx before the hub.",
}
TEST_TOOLS = {"pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "moto", "flask", "flask-cors"}
"""Of the extra `test`: what every one of them starts with. The last three are an S3 server, started as a program."""

ELSEWHERE = {"cli", "hosts"}
"""Tests that stay: of commands, each with what another wrote, and of plugins, built of what lies all over the tree."""

STAY = {
    "cluster/test_build.py", "cluster/test_chart.py", "cluster/test_manifests.py", "extension_api/test_sdk_c.py",
    "pipeline/scripts/test_vendors.py", "pipeline/plugins/test_conform.py", "pipeline/plugins/test_installed.py",
    "pipeline/names/test_name_file.py", "pipeline/reading/test_open_segments.py", "pipeline/plugins/test_state.py",
}  # fmt: skip
"""Tests that read what no import tells: the chart, docs/, example plugins, scripts/, more captures than the samples."""

BROUGHT = {"werkzeug", "botocore"}
"""What tests import that a tool of theirs brings: flask, boto3."""

PROGRAM = re.compile(r"""["'](\w+\.py)["']""")
"""A file beside a test, or among those that fuzz, that it starts, not imports."""

COMMAND = re.compile(r"""["']kubeshark["'], ["'](\w+)["']""")
WITHIN = re.compile(r"\b(?:from|import) (?:\w+, )*(kubeshark(?:\.\w+)+)")
"""What a test starts as a command, and what programs in its text import."""

MAKEFILE = """# build: a wheel in dist/.  test: an environment with what pyproject.toml asks for, and the tests in it.
.PHONY: build test clean
PYTHON ?= python3

.venv/.made: pyproject.toml setup.py
\t$(PYTHON) -m venv .venv
\t.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
\t.venv/bin/uv pip install --quiet --python .venv/bin/python --editable '.[test]'
\ttouch $@

build: .venv/.made
\t.venv/bin/uv build --quiet --wheel

test: .venv/.made
\t.venv/bin/python -m pytest $(PYTEST)

clean:
\trm -rf .venv build dist *.egg-info
"""
FRONT_MAKEFILE = """# build: the page in hub/page/app.  test: types and the tests of its logic. Node 20.19 or newer.
.PHONY: build test
build:
\tscripts/build_ui.sh
\ttest -f hub/page/app/index.html

test:
\tscripts/build_ui.sh check
"""


class Tests:
    """Those tests that need nothing else of the tree."""

    def __init__(self, tree: Tree, needs: Needs, listed: list[Path], allowed: set[str]) -> None:
        self._tree, self._needs, self._allowed = tree, needs, allowed
        stay = {Path("tests", name) for name in STAY}
        self._listed = {path for path in listed if path.parts[0] == "tests" and path not in stay}
        self._known: dict[Path, set[Path] | None] = {}

    def chosen(self, rooms: set[str]) -> set[Path]:
        """Return tests of these rooms with what they import and, in the same folders, read."""
        found: set[Path] = set()
        for path in self._listed:
            if path.parts[1] in rooms and path.name.startswith("test_") and path.suffix == ".py":
                found |= self._with(path) or set()
        folders = {path.parent for path in found}
        return found | {path for path in self._listed if path.suffix != ".py" and path.parent in folders}

    def _with(self, path: Path) -> set[Path] | None:
        """Return a file with all of ours that it imports, None if something is missing."""
        if path in self._known:
            return self._known[path]
        self._known[path] = {path}  # a circle is no reason to leave both out
        beside = {parent / "conftest.py" for parent in path.parents} & self._listed - {path}
        found: set[Path] | None = {path}
        for wanted in [*beside, *self._imports(path)]:
            more = None if wanted is None else self._with(wanted)
            found = None if found is None or more is None else found | more
        self._known[path] = found
        return found

    def _imports(self, path: Path) -> list[Path | None]:
        text = (self._tree.root / path).read_text()
        programs = {folder / name for name in PROGRAM.findall(text) for folder in (path.parent, Path("tests/fuzz"))}
        found: list[Path | None] = [*(programs & self._listed - {path})]
        commands = self._tree.commands()
        modules = {commands[name] for name in COMMAND.findall(text) if name in commands}
        modules |= {name for name in WITHIN.findall(text) if self._tree.path(name)}
        if not modules <= self._needs.modules:
            found.append(None)
        for module, name in imports_of(text, self._tree):
            top = module.partition(".")[0]
            if top == "tests":
                places = [
                    Path(*module.split("."), name).with_suffix(".py"),
                    Path(*module.split(".")).with_suffix(".py"),
                ]
                found.append(next((place for place in places if place in self._listed), None))
            elif top == "kubeshark":
                if not self._tree.reached(module, name) <= self._needs.modules:
                    found.append(None)
            elif top not in sys.stdlib_module_names and top not in self._allowed:
                found.append(None)
        return found


def pyproject(said: dict[str, Any], packages: set[str], wanted: list[str], tests: list[str]) -> str:
    """Return the project file of a role: the names are those of this tree, the lists are the role's."""
    tools = said["tool"]["setuptools"]
    project = {name: said["project"][name] for name in ("name", "version", "requires-python", "license")}
    lines = ["[build-system]", *_lines(said["build-system"]), "", "[project]", *_lines(project)]
    lines += [*_lines({"dependencies": wanted}), "", "[project.optional-dependencies]", *_lines({"test": tests})]
    lines += ["", "[project.scripts]", *_lines(said["project"]["scripts"]), "", "[tool.setuptools]"]
    lines += _lines({"packages": sorted(packages), "include-package-data": False})
    folders = {name: folder for name, folder in tools["package-dir"].items() if name in packages}
    data = {name: given for name, given in tools["package-data"].items() if name in packages}
    lines += [
        "",
        "[tool.setuptools.package-dir]",
        *_lines(folders),
        "",
        "[tool.setuptools.package-data]",
        *_lines(data),
    ]
    lines += ["", "[tool.distutils.bdist_wheel]", *_lines(said["tool"]["distutils"]["bdist_wheel"])]
    lines += ["", "[tool.pytest.ini_options]", *_lines(said["tool"]["pytest"]["ini_options"])]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, Any]) -> list[str]:
    """TOML of strings, numbers, truths and lists of strings is JSON behind a name."""
    return [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in table.items()]


def split(root: Path, role: str, target: Path) -> None:
    """Write a repository; raise SystemExit where there is something already."""
    if target.exists():
        raise SystemExit(f"{target} is there already: name a folder that is not")
    listed = tracked(root)
    if role == "front":
        files = {path for path in listed if any(path.is_relative_to(kept) for kept in FRONT)}
        makefile = FRONT_MAKEFILE
        written: dict[str, str] = {}
    else:
        files, written = _python(root, role, listed)
        makefile = MAKEFILE
    for path in sorted(files):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target / path)
    for name in ("VERSION", "CHANGELOG.md"):
        shutil.copy2(root / "deploy/images" / role / name, target / name)
    about = f"# kubeshark-{role}\n\n{ABOUT[role]}\nExported from the tree of kubeshark, where it is developed.\n\n"
    written |= {"README.md": about + "```\nmake build\nmake test\n```\n", "Makefile": makefile}
    written[".gitignore"] = (
        ".venv/\nbuild/\ndist/\n*.egg-info/\n__pycache__/\n*.o\n*.so\nnode_modules/\nhub/page/app/\n"
    )
    for name, text in written.items():
        (target / name).write_text(text)


def _python(root: Path, role: str, listed: list[Path]) -> tuple[set[Path], dict[str, str]]:
    tree = Tree(root)
    needs = tree.needs(ROLES[role])
    said = tomllib.loads((root / "pyproject.toml").read_text())
    extra = {import_name(line): line for line in said["project"]["optional-dependencies"]["test"]}
    wanted = requirements(root, needs)
    tests = Tests(tree, needs, listed, {import_name(line) for line in wanted} | extra.keys() - {"ray"} | BROUGHT)
    folders = {path.parts[1] for path in listed if path.parts[0] == "tests"}
    rooms = {module.split(".")[1] for module in needs.modules if "." in module} & folders - ELSEWHERE
    chosen = tests.chosen(rooms)
    used = {
        module.partition(".")[0]
        for path in chosen if path.suffix == ".py"
        for module, _ in imports_of((root / path).read_text(), tree)
    }  # fmt: skip
    tools = [line for name, line in extra.items() if name in used or _distribution(line) in TEST_TOOLS]
    files = {path for path in listed if any(path.is_relative_to(kept) for kept in COMMON)}
    files |= {*tree.files(needs, listed), *chosen}
    packages = {module for module in needs.modules if (path := tree.path(module)) and path.name == "__init__.py"}
    return files, {
        "pyproject.toml": pyproject(said, packages, wanted, tools),
        "setup.py": _setup(root, packages),
    }


def _setup(root: Path, packages: set[str]) -> str:
    """Return setup.py without the C of packages that are not here."""
    lines = (root / "setup.py").read_text().splitlines(keepends=True)
    built = re.compile(r'.*"(\w+)/(\w+)/build_\w+\.py(:ffibuilder"|"\)\["extension"\]),\s*')
    return "".join(
        line for line in lines if not (found := built.fullmatch(line)) or f"kubeshark.{found[1]}.{found[2]}" in packages
    )


def _distribution(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def main(target: Path, *roles: str) -> None:
    root = Path(__file__).resolve().parent.parent
    for role in roles or (*ROLES, "front"):
        split(root, role, target / f"kubeshark-{role}")
        print(target / f"kubeshark-{role}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
