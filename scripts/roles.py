"""What of the tree hub and worker are made of: modules that their commands reach, and the packages these import.

scripts/roles.py ROLE modules         dotted names, one a line
scripts/roles.py ROLE requirements    lines of pyproject.toml, for pip
scripts/roles.py ROLE files           paths in the tree
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeGuard

ROOMS = (
    "cluster", "core_capture", "extension_api", "firewall", "hosts", "hub", "packages", "pipeline", "settings",
    "worker",
)  # fmt: skip
IMPORTED_AS = {
    "cel-expr-python": "cel_expr_python", "google-re2": "re2", "mini-racer": "py_mini_racer",
    "prometheus-client": "prometheus_client", "pyelftools": "elftools", "pyyaml": "yaml",
}  # fmt: skip
"""Where the name of a package is not that of its module."""

IMPLIED = {"uvicorn": ("h11", "websockets"), "kubeshark.core_capture._core_native": ("cffi",)}
"""What is imported by what we import, and asked for by us."""

MAIN = "kubeshark.cli._main"
"""Of the modules that it names, those of the role's commands are followed."""

CHOSEN = re.compile(r"""import_module\(f["'](kubeshark(?:\.\w+)*)\.\{""")
WORD = re.compile(r"""["'](\w+)["']""")
NAMED = re.compile(r"""["'](kubeshark(?:\.\w+)+)["']""")


@dataclass(frozen=True)
class Role:
    """What of the tree it starts from."""

    commands: tuple[str, ...] | None  # of the command line; None: all but those of `without`
    rooms: tuple[str, ...]  # held whole
    without: tuple[str, ...] = ()
    never: tuple[str, ...] = ()  # not followed


ROLES = {
    "hub": Role(
        None,
        tuple(room for room in ROOMS if room != "worker"),
        without=("init", "worker"),
        never=("kubeshark.worker",),  # serve -i: for a machine of one's own
    ),
    "worker": Role(
        ("version", "worker"),
        ("core_capture", "worker"),
        # A worker captures without plugins, and has no account at the API server: it is told of pods by its kubelet.
        never=("kubeshark.pipeline.intake._import_hooks", "kubeshark.cluster"),
    ),
}


@dataclass
class Needs:
    """What was reached: modules of ours, and top-level names of others."""

    modules: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)


class Tree:
    """The packages of a checkout by the names under which they are imported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders = {"kubeshark": root / "src" / "kubeshark"} | {f"kubeshark.{room}": root / room for room in ROOMS}

    def path(self, module: str) -> Path | None:
        """Return the file of a module, None where there is none."""
        room = ".".join(module.split(".")[:2])
        package = room if room in self.folders else "kubeshark"
        rest = module[len(package) + 1 :].replace(".", "/")
        base = self.folders[package] / rest if rest else self.folders[package]
        if (base / "__init__.py").is_file():
            return base / "__init__.py"
        return base.with_suffix(".py") if rest and base.with_suffix(".py").is_file() else None

    def modules(self, room: str) -> Iterator[str]:
        for path in sorted((self.root / room).rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            if (path.parent / "__init__.py").is_file():
                yield ".".join(("kubeshark", *(part for part in parts if part != "__init__")))

    def commands(self) -> dict[str, str]:
        """Return the modules of the command line by command: what `_main.py` finds them by."""
        assign = next(
            node for node in _parsed((self.folders["kubeshark"] / "cli/_main.py").read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS"
        )  # fmt: skip
        return {name: f"kubeshark.cli.{module}" for name, (module, _) in ast.literal_eval(assign.value).items()}

    def needs(self, role: Role) -> Needs:
        """Follow imports, those under TYPE_CHECKING aside; a package's lazy names lead to their homes alone."""
        commands = self.commands()
        chosen = role.commands if role.commands is not None else tuple(commands.keys() - set(role.without))
        found, seen = Needs(), set[tuple[str, str]]()
        waits = [("kubeshark.__main__", ""), (MAIN, ""), *((commands[name], "") for name in chosen)]
        waits += [(module, "") for room in role.rooms for module in self.modules(room)]
        while waits:
            module, name = waits.pop()
            if (module, name) in seen or any(module == never or module.startswith(f"{never}.") for never in role.never):
                continue
            seen.add((module, name))
            path = self.path(module) if module.partition(".")[0] == "kubeshark" else None
            if path is None:
                top = module if module.startswith("kubeshark.") else module.partition(".")[0]
                if top not in sys.stdlib_module_names:
                    found.foreign.add(top)
                continue
            waits += [(reached, "") for reached in self.reached(module, name) if name]
            if module not in found.modules:
                found.modules.add(module)
                text = path.read_text(encoding="utf-8")
                waits += [(module.rpartition(".")[0] or "kubeshark", ""), *imports_of(text, self)]
                if module != MAIN:
                    waits += ((name, "") for name in self.chosen(text))
        return found

    def chosen(self, text: str) -> Iterator[str]:
        """Yield the modules of which a text loads one: import_module(f"PACKAGE.{…}") of a word that stands in it."""
        for package in CHOSEN.findall(text):
            yield from (name for word in WORD.findall(text) if self.path(name := f"{package}.{word}"))

    def reached(self, module: str, name: str) -> set[str]:
        """Return the modules that `from module import name` loads of ours, one step far."""
        path = self.path(module)
        if path is None:
            return set() if module.endswith("_native") else {module}
        if name and self.path(f"{module}.{name}"):
            return {module, f"{module}.{name}"}
        home = _homes(path).get(name) if name and path.name == "__init__.py" else None
        return {module, home} if home else {module}

    def files(self, needs: Needs, tracked: list[Path]) -> list[Path]:
        """Return those of the files that git tracks which are of what is needed, relative to the root.

        That is modules, data in the folders of packages, and what compiles a package's C (build_*.py).
        """
        packages = {
            path.parent for module in needs.modules if (path := self.path(module)) and path.name == "__init__.py"
        }
        modules = {self.path(module) for module in needs.modules}
        found = []
        for relative in tracked:
            path = self.root / relative
            package = next((parent for parent in path.parents if (parent / "__init__.py").is_file()), None)
            is_code = path.suffix == ".py" and not path.name.startswith("build_")
            if path in modules or (package in packages and not is_code):
                found.append(relative)
        return sorted(found)


def tracked(root: Path) -> list[Path]:
    """Return the files that git tracks; raise CalledProcessError where `root` is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    return [Path(name.decode()) for name in listed.split(b"\0") if name]


def imports_of(text: str, names: Tree) -> Iterator[tuple[str, str]]:
    """Yield (module, name): imports, and modules that are named as text (BUILTINS, `python -m`)."""
    yield from _imports(text)
    yield from ((name, "") for name in set(NAMED.findall(text)) if names.path(name))


@cache
def _imports(text: str) -> tuple[tuple[str, str], ...]:
    """Look at statements alone, what is in expressions imports nothing: a third of the time of ast.walk."""
    found: list[tuple[str, str]] = []
    waits: list[ast.AST] = [_parsed(text)]
    while waits:
        node = waits.pop()
        if isinstance(node, ast.Import):
            found += ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += ((node.module, alias.name) for alias in node.names)
        else:
            blocks = ("orelse",) if _is_for_types(node) else ("body", "orelse", "finalbody", "handlers", "cases")
            # a lambda's body is an expression
            waits += (
                inner for block in blocks if isinstance(held := getattr(node, block, None), list) for inner in held
            )
    return tuple(found)


def requirements(root: Path, needs: Needs) -> list[str]:
    """Return those dependencies of pyproject.toml that are needed; raise SystemExit for an undeclared import."""
    said = tomllib.loads((root / "pyproject.toml").read_text())
    project = said["project"]
    wanted = set(needs.foreign)
    for name, more in IMPLIED.items():
        if name in wanted:
            wanted.update(more)
    optional = {import_name(line) for lines in project["optional-dependencies"].values() for line in lines}
    declared = {import_name(line): line for line in project["dependencies"]}
    builds = set(map(import_name, said["build-system"]["requires"]))  # of build_*.py, which nothing imports
    missing = {name for name in wanted if not name.startswith("kubeshark.")} - declared.keys() - optional - builds
    if missing:
        raise SystemExit(f"imported, and not in pyproject.toml: {', '.join(sorted(missing))}")
    return sorted(declared[name] for name in wanted & declared.keys())


def import_name(requirement: str) -> str:
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return IMPORTED_AS.get(name, name.replace("-", "_"))


def _is_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _homes(package: Path) -> dict[str, str]:
    """Return the lazy names of a package: what it imports under TYPE_CHECKING."""
    return {
        alias.asname or alias.name: node.module
        for block in _parsed(package.read_text(encoding="utf-8")).body if _is_for_types(block)
        for node in ast.walk(block) if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }  # fmt: skip


@cache
def _parsed(text: str) -> ast.Module:
    """Kept by text: who asks again after a change gets what is true then."""
    return ast.parse(text)


def main(name: str, what: str) -> None:
    tree = Tree(Path(__file__).resolve().parent.parent)
    needs = tree.needs(ROLES[name])
    asked: dict[str, Callable[[], Sequence[object]]] = {
        "modules": lambda: sorted(needs.modules),
        "requirements": lambda: requirements(tree.root, needs),
        "files": lambda: tree.files(needs, tracked(tree.root)),
    }
    print(*asked[what](), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
