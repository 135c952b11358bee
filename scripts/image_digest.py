"""Prints what each image is made of as one digest: the tag under which it is pushed, once.

scripts/image_digest.py [ROOT]      lines of `NAME VERSION DIGEST`
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

WHEEL = (
    "README.md", "LICENSE", "cluster", "core_capture", "extension_api", "firewall", "hosts", "packages", "pipeline",
    "pyproject.toml", "settings", "setup.py", "src",
)  # fmt: skip
"""What both Python images take from the wheel, beside their own room."""

PAGE = ("ui", "hub/page", "scripts/build_ui.sh")
INPUTS: dict[str, tuple[str, ...]] = {
    "front": ("deploy/images/front", *PAGE),
    "hub": ("deploy/images/hub", "hub", *PAGE, *WHEEL),
    "worker": ("deploy/images/worker", "worker", *WHEEL),
}
"""Files and folders by image. A change log is about an image, not in it."""


def input_digest(root: Path, inputs: tuple[str, ...]) -> str:
    """Return SHA-256 over paths, modes and contents of the files that git tracks below `inputs`, as they lie on disk.

    Raises CalledProcessError where `root` is no checkout, FileNotFoundError for an input that names nothing.
    """
    digest = hashlib.sha256()
    for wanted in inputs:
        if not (root / wanted).exists():
            raise FileNotFoundError(f"{wanted}: named as an input of an image, but not there")
    listed = subprocess.run(["git", "ls-files", "-z", "--", *inputs], cwd=root, capture_output=True, check=True)
    for name in sorted(set(filter(None, listed.stdout.split(b"\0")))):
        path = root / name.decode()
        if path.name == "CHANGELOG.md":
            continue
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = b"x" if path.stat().st_mode & 0o100 else b"-"
        digest.update(b"%d:%b%b%d:%b" % (len(name), name, mode, len(content), content))
    return digest.hexdigest()


def main(root: Path) -> None:
    for name, inputs in INPUTS.items():
        version = (root / "deploy" / "images" / name / "VERSION").read_text().strip()
        print(name, version, input_digest(root, inputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parent.parent)
