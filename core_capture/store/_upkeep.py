"""What keeps a store in order: retention, recovery, other keys, snapshots, the catalogue.

What only some commands do is imported where it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store._reading import StoreReading
from kubeshark.core_capture.store.catalogue._catalogue import Entry, save_catalogue
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.keys._identity import Recipient, parse_recipients
from kubeshark.core_capture.store.keys._known_nodes import signing_key
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._lock import ReadOnly
from kubeshark.core_capture.store.places._names import (
    CATALOGUE,
    DATA_SUFFIX,
    INDEX_SUFFIX,
    LOCK,
    SNAPSHOTS_LOCK,
    index_names,
    piece_of,
    size_of,
)
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.upkeep._leftovers import find_leftovers
from kubeshark.errors import Damaged, StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.catalogue._name_history import NameRecord
    from kubeshark.core_capture.store.catalogue._state import StoreState
    from kubeshark.core_capture.store.upkeep._prune import Pruned, Retention
    from kubeshark.core_capture.store.upkeep._rotate import Rotated
    from kubeshark.core_capture.store.upkeep._snapshots import Snapshot
    from kubeshark.core_capture.store.upkeep._survey import Leftover

__all__ = ["StoreUpkeep"]


class StoreUpkeep(StoreReading):
    """An open store, and what changes it without a packet coming in."""

    def learn(self, entries: list[Entry], recipients: tuple[Recipient, ...] | None) -> None:
        """Take over what a live writer sealed; with recipients rewrite the catalogue if everything is known."""
        for entry in entries:
            self._known[entry.info.name] = entry
        if recipients is not None:
            if any(name not in self._known for name in index_names(self.files.names())):
                self._readable()
            self._rewrite_catalogue(recipients)

    def write_catalogue(self, *, recipients: Iterable[str | Recipient] | None = None) -> int:
        """Read every index that the catalogue lacks, and write it anew; return the segments in it.

        Needs no lock: it is a copy, and whichever is written last is true.
        """
        names = self._readable()
        self._rewrite_catalogue(self._to(recipients))
        return len(names)

    def rotate_keys(
        self, recipients: Iterable[str | Recipient], *, on_progress: Callable[[int, int], None] | None = None
    ) -> Rotated:
        """Re-wrap every file for other recipients; goes on where an interrupted rotation to the same ones ended."""
        from kubeshark.core_capture.store.upkeep._rotate import rotate_keys

        keys = parse_recipients(str(recipient) for recipient in recipients)
        done = rotate_keys(self.files, self.identities, keys, on_progress)
        if done.problems and not done.files + done.done_before:
            raise self._nobody(done.problems[0]) from done.problems[0]
        return done

    def prune(
        self,
        limits: Retention,
        *,
        recipients: Iterable[str | Recipient] | None = None,
        dry_run: bool = False,
        key: NodeKey | None = None,
    ) -> Pruned:
        """Delete the segments that exceed `limits`, or of the capture that they name; the catalogue is rewritten, by
        default to the identities.

        A dry run only says what would go, and needs no lock. Raises StoreError if the snapshots cannot be read.
        """
        from kubeshark.core_capture.store.catalogue._state import take_over
        from kubeshark.core_capture.store.upkeep._leftovers import clear_leftovers
        from kubeshark.core_capture.store.upkeep._snapshots import load_snapshots

        with ExitStack() as locks:
            if not dry_run:
                locks.enter_context(self.files.lock(LOCK))
                locks.enter_context(self.files.lock(SNAPSHOTS_LOCK))
            state = load_state(self.files) if dry_run else take_over(self.files)
            if not dry_run:
                clear_leftovers(self.files, state)
            snapshots = load_snapshots(self.files, self.identities)
            return self.prune_held(state, limits, snapshots, recipients=recipients, dry_run=dry_run, key=key)

    def prune_held(
        self,
        state: StoreState,
        limits: Retention,
        snapshots: Sequence[Snapshot],
        *,
        recipients: Iterable[str | Recipient] | None,
        dry_run: bool = False,
        key: NodeKey | None = None,
        entries: Sequence[Entry] | None = None,
    ) -> Pruned:
        """Do so for who holds the locks and has the snapshots; `entries` count and may go, by default all there are."""
        from kubeshark.core_capture.store.catalogue._upload_journal import load_journal
        from kubeshark.core_capture.store.upkeep._leftovers import delete_for_good
        from kubeshark.core_capture.store.upkeep._prune import plan_pruning

        journal = None if self.files.is_remote else load_journal(self.files)
        archived = journal.done if journal else ()
        limits = limits.at(time.time_ns())
        known = {entry.info.name: entry for entry in (self._entries() if entries is None else entries)}
        problems = list(self.problems)
        listed = self.files.sizes()
        for name, file in self._no_files(known, listed):
            problems.append(Damaged("is no file", file=file))
            del known[name]
        counted = index_names(listed) if entries is None else [name for name in index_names(listed) if name in known]
        sizes = {name: size_of(listed, name) for name in counted}
        log_bytes = sum(size for name, size in listed.items() if piece_of(name) is not None)
        checked = set[str]()
        while True:  # the catalogue may lie, and its word must not delete anything
            gone, pruned = plan_pruning(list(known.values()), sizes, snapshots, limits, log_bytes, archived)
            fresh = [entry.info.name for entry in gone if entry.info.name not in checked]
            if not fresh:
                break
            for name in fresh:
                checked.add(name)
                try:
                    if entries is None:
                        if not self._known.is_own(name):
                            self._known[name] = self._entry(name)
                        known[name] = self._known[name]
                except StoreError as error:
                    error.forget_frames()
                    problems.append(error)
                    del known[name]
        pruned = replace(pruned, problems=tuple(problems))
        if gone and not dry_run:
            delete_for_good(self.files, state, gone, "pruned", key or signing_key(self.location, self.signers))
            for entry in gone:
                self._known.forget(entry.info.name)
            self._rewrite_catalogue(self._to(recipients))
        return pruned

    def _no_files(self, names: Iterable[str], sizes: Mapping[str, int]) -> list[tuple[str, str]]:
        """Return segments of which a file is a folder, or a link that leads nowhere, with that file's name."""
        if self.files.is_remote:
            return []
        odd = set(self.files.names()) - sizes.keys()
        files = {name: (f"{name}{INDEX_SUFFIX}", f"{name}{DATA_SUFFIX}") for name in names}
        return [(name, file) for name, both in files.items() if (file := next((f for f in both if f in odd), ""))]

    def leftovers(self) -> list[Leftover]:
        """Say what a dead writer or a torn disk left, and what `recover` would make of it; nothing is changed."""
        from kubeshark.core_capture.store.upkeep._survey import read_state, survey
        from kubeshark.core_capture.store.writing._log_recovery import survey_logs

        with ExitStack() as locks:
            with suppress(ReadOnly):
                locks.enter_context(self.files.lock(LOCK))
            state, lost = read_state(self.files, self.identities, self._entries)
            found = survey(self.files, self.identities, state)
        return [*lost, *found, *survey_logs(self.files, self.identities, self._infos)]

    def recover(
        self, *, recipients: Iterable[str | Recipient] | None = None, key: NodeKey | None = None
    ) -> tuple[list[Leftover], list[StoreError]]:
        """Make segments of what was left; return what was found and what failed."""
        from kubeshark.core_capture.store.catalogue._state import save_state, sign_in
        from kubeshark.core_capture.store.upkeep._recover import perform
        from kubeshark.core_capture.store.upkeep._survey import read_state, survey
        from kubeshark.core_capture.store.writing._log_recovery import seal_all_logs, survey_logs
        from kubeshark.core_capture.store.writing._sealer import Sealer

        to = self._to(recipients)
        with self.files.lock(LOCK):
            state, lost = read_state(self.files, self.identities, self._entries)
            if lost or self.files.is_remote:
                save_state(self.files, sign_in(state) if self.files.is_remote else state)
            found = survey(self.files, self.identities, state)
            key = key or signing_key(self.location, self.signers)
            problems = perform(self.files, self.identities, to, state, key, found)
            for leftover in found:  # sealed anew under the same name
                self._known.forget(leftover.name)
                self._indexes.pop(leftover.name, None)
            if any(leftover.name == CATALOGUE for leftover in found):
                self.files.delete(CATALOGUE)  # nobody can read it, and a new one takes all indexes
            if any(leftover.action in ("publish", "rebuild", "delete", "restore") for leftover in found):
                for name in index_names(self.files.names()):
                    with suppress(StoreError, FileNotFoundError):
                        self._known[name] = self._entry(name)
                self._rewrite_catalogue(to)
        logs = survey_logs(self.files, self.identities, self._infos)
        if logs and not problems:
            sealer = Sealer(self.files, to, key=key, core=load_core())
            try:
                entries, problems = seal_all_logs(sealer, self.identities, logs, self._infos)
                with suppress(StoreError, OSError):
                    self.learn(entries, to)
                sealer.arrived()
            finally:
                sealer.release()
        return [*lost, *found, *logs], problems

    def _infos(self) -> list[SegmentInfo]:
        """Return what is known of the segments on disk, none where nobody here can read them."""
        with suppress(StoreError):
            return [entry.info for entry in self._entries()]
        return []

    def add_snapshot(
        self, name: str, since_ns: int, until_ns: int, *, recipients: Iterable[str | Recipient] | None = None
    ) -> Snapshot:
        """Keep every segment with packets from `since_ns` to `until_ns` until the snapshot is deleted."""
        from kubeshark.core_capture.store.upkeep._snapshots import add_snapshot

        key = signing_key(self.location, self.signers)
        return add_snapshot(self.files, self.identities, self._to(recipients), key, name, since_ns, until_ns)

    def delete_snapshot(self, name: str, *, recipients: Iterable[str | Recipient] | None = None) -> Snapshot:
        """Leave what a snapshot kept to retention."""
        from kubeshark.core_capture.store.upkeep._snapshots import delete_snapshot

        return delete_snapshot(
            self.files, self.identities, self._to(recipients), signing_key(self.location, self.signers), name
        )

    def change_names(
        self,
        change: Callable[[list[NameRecord]], Iterable[NameRecord]],
        *,
        recipients: Iterable[str | Recipient] | None = None,
    ) -> list[NameRecord]:
        """Replace who had an address when by what `change` makes of it; what ended before the oldest packet goes."""
        from kubeshark.core_capture.store.catalogue._name_history import change_names

        oldest = min((info.first_ns for info in self.segments() if info.packets), default=None)
        key, to = signing_key(self.location, self.signers), self._to(recipients)
        records = change_names(self.files, self.identities, to, key, change, oldest_ns=oldest)
        self._has_names = None
        return records

    def _to(self, recipients: Iterable[str | Recipient] | None) -> tuple[Recipient, ...]:
        """Return to whom a small file is encrypted: those given, else the identities' own."""
        given = parse_recipients(str(recipient) for recipient in recipients or ())
        return given or tuple(identity.recipient for identity in self.identities)

    def _rewrite_catalogue(self, recipients: tuple[Recipient, ...]) -> None:
        present = self.files.names()
        names = index_names(present)
        if all(name in self._known for name in names):
            # Data whose index is gone stays listed: `recover` learns from here what the index said.
            orphans = (file.removesuffix(DATA_SUFFIX) for file in find_leftovers(present))
            listed = [*names, *(name for name in orphans if name in self._known)]
            save_catalogue(self.files, [self._known[name] for name in listed], recipients)
