"""Takes from a wheel what is of a role: its modules, the data of their packages, its name and version, and a command.

scripts/image_code.py ROLE WHEEL TARGET    writes TARGET/site-packages and TARGET/bin
"""

from __future__ import annotations

import sys
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).parent))
from roles import ROLES, Tree

KEPT_HEADERS = ("Metadata-Version", "Name", "Version", "License-Expression")
"""Of the metadata: what tells which version it is. Prose is about the project, not in an image."""

COMMAND = """#!/opt/kubeshark/bin/python3
import sys

from kubeshark.cli import main

sys.exit(main())
"""


def take(root: Path, role: str, wheel: Path, target: Path) -> None:
    """Write what is of the role; raise SystemExit for a wheel without one of its modules."""
    wanted = set(Tree(root).needs(ROLES[role]).modules)
    with ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
        modules = {name: _module(name) for name in names if name.suffix == ".py"}
        if missing := wanted - set(modules.values()):
            raise SystemExit(f"{wheel.name} lacks {', '.join(sorted(missing)[:5])}")
        all_packages = {name.parent for name in modules if name.name == "__init__.py"}
        packages = {package for package in all_packages if modules[package / "__init__.py"] in wanted}
        for name in names:
            if name.parts[0] == "kubeshark":
                if not (modules[name] in wanted if name in modules else _package(name, all_packages) in packages):
                    continue
                content = archive.read(str(name))
            elif name.name == "METADATA":
                content = _metadata(archive.read(str(name)).decode())
            else:
                continue
            path = target / "site-packages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    command = target / "bin" / "kubeshark"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(COMMAND)
    command.chmod(0o755)


def _package(name: PurePosixPath, packages: set[PurePosixPath]) -> PurePosixPath | None:
    """Return the package whose data a file is: it may lie in a folder of it, as page/, bpf/ and sdk/ do."""
    return next((parent for parent in name.parents if parent in packages), None)


def _module(name: PurePosixPath) -> str:
    return ".".join(part for part in name.with_suffix("").parts if part != "__init__")


def _metadata(text: str) -> bytes:
    found = HeaderParser().parsestr(text)
    return "".join(f"{name}: {found[name]}\n" for name in KEPT_HEADERS if found[name]).encode()


if __name__ == "__main__":
    take(Path(__file__).resolve().parent.parent, sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
