"""What a dead writer left: temporary files, and segments of which only one half has its name.

store.json names a segment as head of its chain only once both its files are synced. So a head that lacks its names is
complete, and gets them, unless `recover` was sealing it anew; segments listed as being deleted lose what is left of
them; every other temporary file of a dead writer was never acknowledged. Data without any index is kept: `_recover.py`
makes an index from it.
"""

from __future__ import annotations

from pathlib import Path

from kubeshark.core_capture.store._durable import sync_folder
from kubeshark.core_capture.store._names import CATALOGUE, DATA_SUFFIX, INDEX_SUFFIX, TEMPORARY, number_of
from kubeshark.core_capture.store._state import StoreState, save_state

__all__ = ["clear_leftovers", "delete_segments", "find_leftovers", "finish_heads"]


def find_leftovers(folder: Path) -> list[str]:
    """Return the names of files that belong to no published segment, sorted."""
    names = {path.name for path in folder.iterdir()}
    orphans = {
        name
        for name in names
        if name.endswith(DATA_SUFFIX)
        and not name.startswith(TEMPORARY)
        and name.removesuffix(DATA_SUFFIX) + INDEX_SUFFIX not in names
    }
    return sorted(orphans | {name for name in names if name.startswith(TEMPORARY)})


def clear_leftovers(folder: Path, state: StoreState) -> list[str]:
    """End what a dead writer began, remove its temporary files; return the names of what it left and is gone.

    Only for the store's writer.
    """
    found = find_leftovers(folder)
    if found or state.deleting:
        finish_heads(folder, state)
        delete_segments(folder, state)
        for name in find_leftovers(folder):
            if name.startswith(TEMPORARY):
                (folder / name).unlink()
        sync_folder(folder)
    left = set(find_leftovers(folder))
    return [name for name in found if name not in left]


def finish_heads(folder: Path, state: StoreState) -> None:
    """Publish heads of chains that were not."""
    for head in state.heads.values():
        names = [f"{head.name}{suffix}" for suffix in (DATA_SUFFIX, INDEX_SUFFIX)]
        waiting = [name for name in names if (folder / f"{TEMPORARY}{name}").exists()]
        if not waiting or number_of(head.name) is None or head.name in state.rebuilding:
            continue
        if any((folder / name).exists() for name in names):
            # Sealed anew by `recover`, perhaps: the catalogue may know it as it was before.
            (folder / CATALOGUE).unlink(missing_ok=True)
        for name in waiting:
            (folder / f"{TEMPORARY}{name}").rename(folder / name)
    sync_folder(folder)


def delete_segments(folder: Path, state: StoreState) -> None:
    """Delete the segments of `state.deleting`: all indexes, then all data; store.json says so before and after."""
    names = [name for name in state.deleting if number_of(name) is not None]
    if not state.deleting:
        return
    for suffix in (INDEX_SUFFIX, DATA_SUFFIX):
        for name in names:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
        sync_folder(folder)
    state.deleting = []
    save_state(folder, state)
