"""Tells a segment whose index was lost from one that is only just being published or deleted.

A writer gives its data file the name first and then the index, and deletes them the other way round; in between a
reader finds data alone, too. In a folder the index still lies there under its temporary name, or store.json names the
segment among those that go. Of object storage or a worker a reader sees no temporary files: there only the catalogue,
which is written last, tells that a segment had its index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubeshark.core_capture.store.catalogue._state import StoreState, load_state
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, INDEX_SUFFIX, TEMPORARY, log_pieces, orphans
from kubeshark.errors import Damaged

__all__ = ["find_lost_indexes"]

_HINT = '"kubeshark store recover" says what can be made of it'


def find_lost_indexes(
    files: Backend, listed: Iterable[str], is_catalogued: Callable[[str], bool]
) -> dict[str, Damaged]:
    """Return the segments whose packets no reader finds, because their index is gone, and what to say of each.

    `listed` was asked before: what goes on between that and now is no loss. The packets of an open log are found there.
    """
    listed = set(listed)
    suspects = set(orphans(listed)) - log_pieces(listed).keys()
    if not suspects:
        return {}
    try:
        state = load_state(files)
    except Damaged:
        state = StoreState()  # who needs it says so
    found = {}
    for name in sorted(suspects.difference(state.deleting)):
        data, index = f"{name}{DATA_SUFFIX}", f"{name}{INDEX_SUFFIX}"
        was_sealed = is_catalogued(name) if files.is_remote else not files.exists(f"{TEMPORARY}{index}")
        if was_sealed and files.exists(data) and not files.exists(index):  # asked last: it may have got its name by now
            found[name] = Damaged("it has no index: its packets are not read", file=data, hint=_HINT)
    return found
