"""What a dead writer left: temporary files, and segments of which only one half has its name.

store.json names a segment as head of its chain only once both its files are synced. So a head that lacks its names is
complete, and gets them, unless `recover` was sealing it anew; segments listed as being deleted lose what is left of
them; every other temporary file of a dead writer was never acknowledged, and pieces of a log whose segment is there are
of no use any more, while those of any other are kept. Data without any index is kept: `_recover.py` makes an index from
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import BinaryIO, Literal

from msgspec.structs import replace

from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.catalogue._state import StoreState, save_state
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend, RangeFile
from kubeshark.core_capture.store.places._names import (
    ASIDE,
    CATALOGUE,
    DATA_SUFFIX,
    INDEX_SUFFIX,
    TEMPORARY,
    number_of,
    owner_of,
    piece_of,
)
from kubeshark.core_capture.store.upkeep._removed import with_removed
from kubeshark.errors import StoreError

__all__ = [
    "clear_leftovers",
    "copy_to",
    "delete_for_good",
    "delete_segments",
    "find_leftovers",
    "finish_heads",
    "give_up_pending",
    "keep_aside",
    "tag_of",
]

_COPIED = 1 << 20  # bytes at once
_BATCH = 1000
"""Segments deleted at once: their names, and at worst a record of each, must fit into store.json."""


def find_leftovers(files: Iterable[str]) -> list[str]:
    """Return the names of a store's files that belong to no published segment, sorted."""
    names = set(files)
    orphans = {
        name
        for name in names
        if name.endswith(DATA_SUFFIX)
        and not name.startswith(TEMPORARY)
        and name.removesuffix(DATA_SUFFIX) + INDEX_SUFFIX not in names
    }
    return sorted(orphans | {name for name in names if name.startswith(TEMPORARY)} | _done_with(names))


def _done_with(names: set[str]) -> set[str]:
    """Return pieces of the log whose segment is there."""
    pieces = ((file, piece[0]) for file in names if (piece := piece_of(file)) is not None)
    return {file for file, name in pieces if f"{name}{INDEX_SUFFIX}" in names and f"{name}{DATA_SUFFIX}" in names}


def clear_leftovers(files: Backend, state: StoreState) -> list[str]:
    """End what a dead writer began, remove its temporary files; return the names of what it left and is gone.

    Only for the store's writer.
    """
    found = find_leftovers(files.names())
    if not found and not state.deleting and not any(head.pending for head in state.heads.values()):
        return []
    finish_heads(files, state)
    delete_segments(files, state)
    for name in find_leftovers(files.names()):
        if name.startswith(TEMPORARY) or piece_of(name) is not None:
            files.delete(name)
    files.settle()
    left = set(find_leftovers(files.names()))
    return [name for name in found if name not in left]


def finish_heads(files: Backend, state: StoreState) -> None:
    """Publish heads of chains that were not."""
    if files.is_remote:
        _finish_uploads(files, state)
        return
    for head in state.heads.values():
        names = [f"{head.name}{suffix}" for suffix in (DATA_SUFFIX, INDEX_SUFFIX)]
        waiting = [name for name in names if files.exists(f"{TEMPORARY}{name}")]
        if not waiting or number_of(head.name) is None or head.name in state.rebuilding:
            continue
        if any(files.exists(name) for name in names):
            # Sealed anew by `recover`, perhaps: the catalogue may know it as it was before.
            files.delete(CATALOGUE)
        for name in waiting:
            files.publish(f"{TEMPORARY}{name}", name)
    files.settle()


def _finish_uploads(files: Backend, state: StoreState) -> None:
    """Upload heads that wait in the spool of this machine, and mark those that arrived.

    A file in the spool counts only if it ends as store.json says: another machine may have sealed that name anew.
    """
    for key, head in state.heads.items():
        if head.pending is None or number_of(head.name) is None or head.name in state.rebuilding:
            continue
        data, index = f"{head.name}{DATA_SUFFIX}", f"{head.name}{INDEX_SUFFIX}"
        names = set(files.names())
        if (
            {f"{TEMPORARY}{data}", data} & names
            and f"{TEMPORARY}{index}" in names
            and tag_of(files, f"{TEMPORARY}{index}") == head.pending.tag
        ):
            if f"{TEMPORARY}{data}" in names:
                files.publish(f"{TEMPORARY}{data}", data, replacing=True)
            files.publish(f"{TEMPORARY}{index}", index, replacing=True)
            files.delete(CATALOGUE)
        elif index not in names or tag_of(files, index) != head.pending.tag:
            continue
        state.heads[key] = replace(head, pending=None)


def tag_of(files: Backend, name: str) -> str:
    """Return the last 16 bytes of a file, hex: of an age file the tag of its last chunk, which no other has."""
    with closing(files.open(name)) as file:
        return file.pread(16, max(file.size() - 16, 0)).hex()


def keep_aside(files: Backend, name: str) -> None:
    """Copy a file that nobody here can read to where nothing looks, for good: then it may go."""
    temporary = f"{TEMPORARY}{name}{ASIDE}"
    with closing(files.open(name)) as file, files.create(temporary) as out:
        copy_to(out, file, file.size())
    files.publish(temporary, f"{name}{ASIDE}", replacing=True)
    files.settle()


def copy_to(out: BinaryIO, file: RangeFile, end: int) -> None:
    """Copy a file up to a place."""
    at = 0
    while piece := file.pread(min(_COPIED, end - at), at):
        out.write(piece)
        at += len(piece)


def give_up_pending(state: StoreState, key: str | None = None) -> list[str]:
    """Take heads back that never arrived and do not wait here, of one node or of all; return their names.

    Nothing of them was acknowledged. `finish_heads` comes before; the caller saves the state.
    """
    given_up = []
    for node, head in state.heads.copy().items():
        if head.pending is None or key not in (None, node):
            continue
        given_up.append(head.name)
        if head.pending.before is None:
            del state.heads[node]
        else:
            state.heads[node] = head.pending.before
    return given_up


def delete_for_good(
    files: Backend, state: StoreState, gone: Sequence[Entry], why: Literal["pruned", "recovered"], key: NodeKey
) -> None:
    """Delete segments; the caller holds the store's lock. Safe to die in at any point."""
    try:
        for start in range(0, len(gone), _BATCH):
            batch = gone[start : start + _BATCH]
            state.removed = with_removed(state.removed, [(entry.chain, entry.sha256) for entry in batch], why, key)
            state.deleting = [entry.info.name for entry in batch]
            save_state(files, state)
            delete_segments(files, state)
    except OSError as error:
        raise StoreError(f"cannot delete in {files.location}: {error.strerror}") from error


def delete_segments(files: Backend, state: StoreState) -> None:
    """Delete the segments of `state.deleting`: all indexes, then all data; store.json says so before and after."""
    names = [name for name in state.deleting if number_of(name) is not None]
    if not state.deleting:
        return
    for suffix in (INDEX_SUFFIX, DATA_SUFFIX):
        for name in names:
            files.delete(f"{name}{suffix}")
        files.settle()
    gone = set(names)
    for file in files.names():
        if owner_of(file) in gone:  # what retention deletes is not kept by `recover`
            files.delete(file)
    state.deleting = []
    save_state(files, state)
