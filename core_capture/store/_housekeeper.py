"""What a live writer asks of its store: dead writers' logs, retention while it captures, the catalogue."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import structs
from msgspec.structs import replace

from kubeshark.core_capture.store._upkeep import StoreUpkeep
from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.catalogue._ledger import load_ledger, save_ledger
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import (
    RESERVE,
    SNAPSHOTS,
    SNAPSHOTS_LOCK,
    TEMPORARY,
    index_names,
    open_names,
    piece_of,
    size_of,
)
from kubeshark.core_capture.store.segments._marks import Marks
from kubeshark.core_capture.store.upkeep._prune import Retention
from kubeshark.core_capture.store.upkeep._snapshots import load_snapshots
from kubeshark.core_capture.store.writing._builder import SourceInfo
from kubeshark.core_capture.store.writing._log_recovery import seal_own_logs
from kubeshark.core_capture.store.writing._sealer import Sealer
from kubeshark.errors import StoreError

__all__ = ["Housekeeper", "of_its_own"]

_RESERVE_BYTES = 1 << 20
"""As large as store.json may be."""

_JUMP_NS = 3600 * 1_000_000_000
"""A wall clock that ran this much ahead of the monotonic one has jumped: its word deletes nothing for as long."""


class Housekeeper:
    """Works for one live writer, in its sealing thread, with a `Store` of its own."""

    def __init__(
        self, store: StoreUpkeep, recipients: tuple[Recipient, ...], key: NodeKey, retention: Retention | None
    ) -> None:
        self._store, self._recipients, self._key, self._retention = store, recipients, key, retention
        self._ledger: dict[str, Entry] = {}
        with suppress(OSError, StoreError):  # a damaged one counts for nothing, and is written anew
            self._ledger = {entry.info.name: entry for entry in load_ledger(store.files, key)}
        self.marks = Marks(store.files, key)
        self._logs = open_names(store.files.names())  # of dead writers: nobody else writes here
        self._identities: tuple[Identity, ...] = ()
        if self._logs or retention is not None:
            with suppress(StoreError):  # now: a passphrase is asked for before the capture begins, or never
                self._identities = store.identities
        self._fresh: list[Entry] = []  # not in the catalogue yet
        self._listed = 0
        self._clock = _Clock()
        self._reserved = False

    def recover(self, sealer: Sealer) -> list[Entry]:
        """Seal the logs that dead writers of this node left, if an identity is here; without one they stay."""
        if not self._logs or not self._identities:
            return []
        entries, _problems = seal_own_logs(sealer, self._identities, self._logs)  # `store info` tells what stays
        return entries

    def prune(self, sealer: Sealer, coming: int, is_full: bool) -> int:
        """Apply the retention, with room for `coming` bytes of records; on a full disk delete twice as much."""
        retention = self._retention
        if retention is None and self.marks.any_expires:
            retention = Retention(expired=True)
        if retention is None:
            return 0
        if is_full:
            self._store.files.delete(RESERVE)  # to delete is to write first what goes
            self._reserved = False
        elif not self._reserved:
            self._reserve()
        gone = self._delete(sealer, retention, coming, is_full=is_full)
        if gone and is_full:
            self._reserve()
        return gone

    def _reserve(self) -> None:
        """Take some room as long as there is some."""
        files = self._store.files
        if files.is_remote or files.exists(RESERVE):
            return
        with suppress(OSError):
            with files.create(f"{TEMPORARY}reserve") as out:
                out.write(os.urandom(_RESERVE_BYTES))  # a file system may compress zeros away
            files.publish(f"{TEMPORARY}reserve", RESERVE)
            self._reserved = True

    def _delete(self, sealer: Sealer, retention: Retention, coming: int, *, is_full: bool) -> int:
        files = self._store.files
        with files.lock(SNAPSHOTS_LOCK):
            entries: list[Entry] | None = None
            snapshots = load_snapshots(files, self._identities) if files.exists(SNAPSHOTS) else []
            if not self._identities:  # what others wrote, nobody here can judge
                present = index_names(files.names())
                entries = [self._marked(self._ledger[name]) for name in present if name in self._ledger]
            limits = retention.at(self._clock.now_ns())
            if limits.max_bytes is not None:
                limits = replace(limits, max_bytes=max(limits.max_bytes - coming // 2, 0))
            if is_full and self._retention is not None:
                counted = None if entries is None else {entry.info.name for entry in entries}
                left = max(_stored(files, counted) - 2 * coming, 0)
                limits = replace(limits, max_bytes=min(left, left if limits.max_bytes is None else limits.max_bytes))
            pruned = self._store.prune_held(
                sealer.state, limits, snapshots, recipients=self._recipients, key=sealer.key, entries=entries
            )
        return len(pruned.segments)

    def _marked(self, entry: Entry) -> Entry:
        """Return what the ledger has of a segment with what schedules say of it, which is beside the ledger."""
        return structs.replace(entry, info=structs.replace(entry.info, scheduled=self.marks.of(entry.info.name)))

    def learn(self, entries: list[Entry], is_last: bool) -> None:
        """Take over what was sealed; rewrite the catalogue when it grew by an eighth: else that would cost most."""
        if is_last:
            with suppress(OSError):
                self._store.files.delete(RESERVE)
        self._fresh += entries
        if entries:
            self._ledger |= {entry.info.name: entry for entry in entries}
            present = set(index_names(self._store.files.names()))
            self._ledger = {name: entry for name, entry in self._ledger.items() if name in present}
            save_ledger(self._store.files, self._ledger.values(), present, self._key)
        if self._fresh and (is_last or len(self._fresh) * 8 > self._listed):
            self._store.learn(self._fresh, self._recipients)
            self._listed += len(self._fresh)
            self._fresh = []
        else:
            self._store.learn(entries, None)


class _Clock:
    """The wall clock, unless it jumped ahead a short while ago."""

    def __init__(self) -> None:
        self._wall, self._steady = time.time_ns(), time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time; raise nothing and believe no jump forwards before it has lasted an hour."""
        wall, steady = time.time_ns(), time.monotonic_ns()
        expected = self._wall + steady - self._steady
        if wall > expected + _JUMP_NS and steady - self._steady < _JUMP_NS:
            return expected
        if steady - self._steady >= _JUMP_NS or wall < expected:
            self._wall, self._steady = wall, steady
        return wall


def of_its_own(source: SourceInfo) -> SourceInfo:
    """Return the source under a name that no other capture has: ordinals begin anew with each."""
    return replace(source, name=f"{source.name} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z")


def _stored(files: Backend, counted: Collection[str] | None) -> int:
    """Return the bytes of these segments, by default all, and of the log."""
    sizes = files.sizes()
    segments = sum(size_of(sizes, name) for name in index_names(sizes) if counted is None or name in counted)
    return segments + sum(size for name, size in sizes.items() if piece_of(name) is not None)
