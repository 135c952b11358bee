"""The faulty plugin's native code, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.extension_api._manifest import Manifest
from kubeshark.hosts.go._compiled import compiled_file


@pytest.fixture(scope="session")
def native(faulty_go: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled_file(*faulty_go, tmp_path_factory.getbasetemp() / "cache" / "kubeshark" / "wasm")
