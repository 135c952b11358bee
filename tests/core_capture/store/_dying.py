"""Runs a change of a store again and again, dying at its first, second, … call that touches the disk's order of things.

A death is an exception that nothing catches and after which every such call fails, so that no cleaning up reaches the
disk. What was not synced by then is cut in half, as after a power loss.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DiedError", "deaths"]

POINTS = ("fsync", "rename", "replace", "unlink")


class DiedError(BaseException):
    """Stands for the end of the process."""


def deaths(template: Path, folder: Path, act: Callable[[Path], object]) -> Iterator[tuple[Path, bool]]:
    """Yield (store, whether it died) for a copy of `template` at each point; the last did not die."""
    for point in range(1, 1000):
        store = folder / str(point)
        shutil.copytree(template, store)
        if not _dies(store, act, point):
            yield store, False
            return
        yield store, True


def _dies(store: Path, act: Callable[[Path], object], die_at: int) -> bool:
    calls = 0
    synced = {path.stat().st_ino for path in store.iterdir()}

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls >= die_at:
                raise DiedError
            if name == "fsync":
                synced.add(os.fstat(arguments[0]).st_ino)
                return None
            return original(*arguments, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in POINTS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        try:
            act(store)
        except DiedError:
            died = True
        else:
            return False
    for path in store.iterdir():
        if path.stat().st_ino not in synced:
            os.truncate(path, path.stat().st_size // 2)
    return died
