from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sample(root: Path) -> Path:
    return root / "examples" / "captures" / "sample.pcapng"
