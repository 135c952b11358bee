"""The user's cache, where hosts keep what is fetched or compiled once: native code, which is run from there."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_ours", "users_cache"]


def users_cache(name: str) -> Path:
    """Return the folder of this name in $XDG_CACHE_HOME/kubeshark (~/.cache/kubeshark); it need not be there."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kubeshark" / name


def is_ours(file: Path) -> bool:
    """Say whether a file is there and nobody else could have written it: others' code is not run."""
    try:
        status = file.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
