"""What a dead writer left: temporary files, and segments of which only one half got its name.

store.json names a segment as head of its chain only once both its files are synced. So a head that lacks its names is
complete, and gets them; every other temporary file is of no value. Data without any index is what an interrupted
deletion left.
"""

from __future__ import annotations

from pathlib import Path

from kubeshark.core_capture.store._durable import sync_folder
from kubeshark.core_capture.store._names import DATA_SUFFIX, INDEX_SUFFIX, TEMPORARY
from kubeshark.core_capture.store._state import StoreState

__all__ = ["clear_leftovers", "find_leftovers"]


def find_leftovers(folder: Path) -> list[str]:
    """Return the names of files that belong to no published segment, sorted."""
    names = {path.name for path in folder.iterdir()}
    orphans = {
        name
        for name in names
        if name.endswith(DATA_SUFFIX) and name.removesuffix(DATA_SUFFIX) + INDEX_SUFFIX not in names
    }
    return sorted(orphans | {name for name in names if name.startswith(TEMPORARY)})


def clear_leftovers(folder: Path, state: StoreState) -> list[str]:
    """Publish heads of chains that were not, remove the rest; return the names found. Only for the store's writer."""
    found = find_leftovers(folder)
    if not found:
        return found
    for head in state.heads.values():
        for suffix in (DATA_SUFFIX, INDEX_SUFFIX):
            temporary = folder / f"{TEMPORARY}{head.name}{suffix}"
            if temporary.exists():
                temporary.rename(folder / f"{head.name}{suffix}")
    for name in find_leftovers(folder):
        (folder / name).unlink()
    sync_folder(folder)
    return found
