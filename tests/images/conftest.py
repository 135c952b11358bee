"""The images, built once for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.images._built import ENVIRONMENT, Image, image, missing_tools


@pytest.fixture(scope="session")
def images(root: Path) -> dict[str, Image]:
    if missing := missing_tools():
        pytest.skip(f"images cannot be built: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("images are built and run by root: run tests/images as root")
    said = subprocess.run([root / "scripts/images.sh"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return {found.name: found for found in (image(root, line) for line in said.stdout.splitlines())}
