"""Images as scripts/images.sh built them: mounted roots, configurations, bills of materials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENVIRONMENT = dict(os.environ)
"""Before a test gets a home of its own: what images are made of is kept in the user's cache."""


@dataclass(frozen=True)
class Image:
    """A built image: its mounted root, its configuration, and its bill of materials."""

    name: str
    version: str
    root: Path
    config: dict[str, Any]
    bill: dict[str, Any]


def image(root: Path, line: str) -> Image:
    """Return what a line of scripts/images.sh is about: NAME VERSION SIZE SBOM."""
    name, version, _, bill = line.split()

    def ask(what: str) -> str:
        command = [root / "scripts" / "images.sh", what, name]
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.strip()

    return Image(name, version, Path(ask("root")), json.loads(ask("config")), json.loads(Path(bill).read_text()))


def missing_tools() -> list[str]:
    """Return Debian's packages that are needed and not there."""
    packages = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "skopeo": "skopeo", "ip": "iproute2"}
    return [package for program, package in packages.items() if shutil.which(program) is None]
