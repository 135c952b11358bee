"""A short run of fuzz_store.py in every test run: mutations of every kind of file, the same each time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_damaged_copies_of_every_file_of_a_store(root: Path) -> None:
    files, store = (load(root / "tests" / "fuzz" / f"{name}.py") for name in ("fuzz_files", "fuzz_store"))
    seeds = list(store.inputs())
    assert {seed[0] for seed in seeds} == set(range(len(store.TARGETS)))
    for seed in seeds:
        for changed in files.mutations(seed[1:], seed=1, count=store.MUTATIONS):
            store.TestOneInput(seed[:1] + changed)
