"""Prints what each image is made of as one digest: the tag under which it is pushed, once.

scripts/image_digest.py [ROOT]      lines of `NAME VERSION DIGEST`

A change log is about an image, a README about the project: neither is in one, and neither makes another of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from roles import ROLES, Needs, Tree, requirements, tracked

PAGE = ("ui", "hub/page", "scripts/build_ui.sh")
PYTHON = ("deploy/images/python", "scripts/image_code.py", "setup.py")
FOLDERS = {"front": ("deploy/images/front", *PAGE), "hub": ("deploy/images/hub", *PYTHON, *PAGE),
           "worker": ("deploy/images/worker", *PYTHON)}  # fmt: skip
"""Files and folders by image, beside the files of a role (roles.py)."""


def files_digest(root: Path, names: Iterable[Path], more: str) -> str:
    """Return SHA-256 over paths, modes and contents as they lie on disk, and over `more`."""
    digest = hashlib.sha256(more.encode())
    for name in sorted(set(names)):
        if name.name == "CHANGELOG.md":
            continue
        path, text = root / name, str(name).encode()
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = b"x" if path.stat().st_mode & 0o100 else b"-"
        digest.update(b"%d:%b%b%d:%b" % (len(text), text, mode, len(content), content))
    return digest.hexdigest()


def of_project(root: Path, needs: Needs) -> str:
    """Return what pyproject.toml says that is in an image: packages, data, version; not how it describes them."""
    said = tomllib.loads((root / "pyproject.toml").read_text())
    tool = said["tool"]
    data = {name: given for name, given in tool["setuptools"]["package-data"].items() if name in needs.modules}
    kept = [said["build-system"], said["project"]["version"], requirements(root, needs), data, tool["distutils"]]
    return json.dumps(kept, sort_keys=True)


def digests(root: Path) -> dict[str, str]:
    """Return the digest of each image; raise CalledProcessError where `root` is no checkout, FileNotFoundError for a
    folder that is not there."""
    tree, listed = Tree(root), tracked(root)
    found = {}
    for image, folders in FOLDERS.items():
        for folder in folders:
            if not (root / folder).exists():
                raise FileNotFoundError(f"{folder}: named as an input of an image, but not there")
        names = [name for name in listed if any(name.is_relative_to(folder) for folder in folders)]
        more = ""
        if image in ROLES:
            needs = tree.needs(ROLES[image])
            names += tree.files(needs, listed)
            more = of_project(root, needs)
        found[image] = files_digest(root, names, more)
    return found


def main(root: Path) -> None:
    for name, digest in digests(root).items():
        version = (root / "deploy" / "images" / name / "VERSION").read_text().strip()
        print(name, version, digest)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parent.parent)
