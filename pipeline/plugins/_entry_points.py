"""Plugins of Python packages: those that name an entry point of ours.

`importlib.metadata` takes 15 ms to load and to look, a sixth of a small command; most have no such package. So the
files it would read are looked through by hand, and it is asked only where one of them names our group.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "python_plugins"]

ENTRY_POINTS = "kubeshark.plugins"
"""The group under which Python packages name their plugins."""

_METADATA = (".dist-info", "egg-info")  # folders of installed packages


def python_plugins() -> Sequence[EntryPoint]:
    """Return the entry points of our group, none of them loaded."""
    if not _may_be_there():
        return ()
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))


def _may_be_there() -> bool:
    """Say whether an installed package names our group somewhere in its entry points, or whether nobody can tell."""
    for folder in sys.path:
        try:
            with os.scandir(folder or ".") as entries:
                found = [entry.path for entry in entries if entry.name.lower().endswith(_METADATA)]
        except NotADirectoryError:  # an archive
            return True
        except OSError:
            continue
        for metadata in found:
            try:
                with open(f"{metadata}/entry_points.txt", "rb", buffering=0) as file:  # noqa: PTH123 - a Path takes as long as the file
                    text = file.read()
            except OSError:  # most have none
                continue
            if ENTRY_POINTS.encode() in text:
                return True
    return False
