from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.cli.options._configured import configuration


@pytest.fixture(scope="session")
def sample(root: Path) -> Path:
    return root / "examples" / "captures" / "sample.pcapng"


@pytest.fixture(autouse=True)
def _no_configuration_is_left() -> Iterator[None]:
    """What a test had configured is nobody's afterwards: it is kept for a process, which is one command's."""
    yield
    configuration.begin(None, [])
