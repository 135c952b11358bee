"""Who writes a store: holds its lock, gives numbers, and adds segments to the chain of this node.

1. One process at a time, by a lock that ends with it.
2. `seal` returns when the segment lasts, its names included. If it failed it may be called again with the same packets:
   they are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture.store.catalogue._catalogue import Entry, entry_of
from kubeshark.core_capture.store.catalogue._state import StoreState, new_head, save_state, take_over
from kubeshark.core_capture.store.keys._identity import Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import DATA_SUFFIX, LOCK, STATE, index_names, log_pieces, number_of
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._marks import last_marked
from kubeshark.core_capture.store.segments._segment import Draft, Sealed, publish, write_segment
from kubeshark.core_capture.store.upkeep._leftovers import (
    clear_leftovers,
    delete_for_good,
    finish_heads,
    give_up_pending,
)
from kubeshark.errors import StoreError

__all__ = ["Sealer"]

_MAX_NUMBER = 10**15  # a file whose name says more was put there to leave no numbers


class Sealer:
    """The one writer of a store, until `release`. Used by one thread at a time, but for `reserve`."""

    def __init__(self, files: Backend, recipients: Sequence[Recipient], *, key: NodeKey, core: Core) -> None:
        self.files, self.recipients, self.key = files, recipients, key
        self._core = core
        self._lock = files.lock(LOCK)
        try:
            self.state = _load_state(files)
            self.leftovers = clear_leftovers(files, self.state)  # files of a dead writer that were cleared away
            for name in give_up_pending(self.state, key.public):  # its packets come again
                files.delete(f"{name}{DATA_SUFFIX}")
            self.state.recipients = [str(recipient) for recipient in recipients]
            listed = files.names()
            numbers = (number_of(name) or 0 for name in (*index_names(listed), *log_pieces(listed)))
            taken = (number + 1 for number in numbers if number < _MAX_NUMBER)
            self._next_number = max(self.state.next_number, *taken, last_marked(files, key) + 1)
        except BaseException:
            self._lock.release()
            raise
        self._unpublished: Sealed | None = None  # head of the chain, whose files have not got their names
        self._is_unsure = False  # whether store.json is what was saved last, or what should have been

    def reserve(self) -> int:
        """Return a number that no segment has."""
        self._next_number += 1
        return self._next_number - 1

    def save(self) -> None:
        """Write store.json; raise StoreError or OSError."""
        self.state.next_number = self._next_number
        save_state(self.files, self.state)

    def seal(self, draft: Draft) -> Entry:
        """Make a segment; raise StoreError or OSError."""
        key = self.key.public
        if self._unpublished is not None:
            finish_heads(self.files, self.state)
            done, self._unpublished = self._unpublished, None
            if done.meta.info.name == draft.name:
                return _entry(done)
        head = self.state.heads.get(key)
        if self._is_unsure:  # it must not name files that are written anew now
            self.save()
            self._is_unsure = False
        chain = Chain(head.sequence + 1 if head else 0, head.sha256 if head else "", key)
        sealed = write_segment(self.files, draft, chain, core=self._core, recipients=self.recipients, key=self.key)
        made = new_head(self.files, draft.name, chain.sequence, sealed.sha256, sealed.index_tag, head)
        before = self.state.heads
        self.state.heads = {**before, key: made}
        try:
            self.save()
        except BaseException:
            self.state.heads, self._is_unsure = before, True
            raise
        self._unpublished = sealed
        publish(self.files, draft.name)
        self.state.heads[key] = replace(made, pending=None)
        self._unpublished = None
        return _entry(sealed)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Delete segments for good, whose packets lie in others."""
        delete_for_good(self.files, self.state, entries, "recovered", self.key)

    def arrived(self) -> None:
        """On object storage, say that the last head arrived; if that fails, the next writer sees it itself."""
        with suppress(OSError, StoreError):
            if self.files.is_remote:
                save_state(self.files, self.state)

    def release(self) -> None:
        """Let others write."""
        self._lock.release()


def _entry(sealed: Sealed) -> Entry:
    return entry_of(sealed.meta, sealed.flows.table, sealed.sha256)


def _load_state(files: Backend) -> StoreState:
    """Read store.json; raise StoreError where it was lost: a second chain would look like a forgery."""
    state = take_over(files)
    names = files.names()
    if STATE not in names and index_names(names):
        raise StoreError(f"{files.location} has segments but no {STATE}", hint='run "kubeshark store recover --yes"')
    return state
