"""Copies a folder's sealed segments to object storage as they come: the archive of one node (docs/adr/0031-archive.md).

1. Per segment: data, read back; index, read back; a note in the journal. Who lists the archive sees whole segments.
2. Nothing is written over: an object that is there is either ours, by its size and its last bytes, or a problem that is
   said. Whatever was under way when server or process died is taken up there. Only who had an address when (names.age)
   is replaced as a whole, as it is here.
3. A segment that schedules without `upload` marked is left out, and the archive's chain says so. A damaged file of
   marks stops uploads, and is said: nobody knows then.
4. Nothing here decrypts, and nothing waits for it: captures go on while the archive is away, and so does retention.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from msgspec import Struct, structs
from msgspec.structs import replace

from kubeshark.core_capture.store.catalogue._ledger import load_ledger
from kubeshark.core_capture.store.catalogue._name_history import share_names
from kubeshark.core_capture.store.catalogue._state import (
    ChainHead,
    Removed,
    StoreState,
    load_state,
    save_state,
    take_over,
)
from kubeshark.core_capture.store.catalogue._upload_journal import UploadJournal, load_journal, save_journal
from kubeshark.core_capture.store.keys._signing import NodeKey
from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._names import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    LOCK,
    NAMES,
    index_names,
    number_of,
    size_of,
)
from kubeshark.core_capture.store.places._objects import ObjectBackend
from kubeshark.core_capture.store.segments._info import Chain
from kubeshark.core_capture.store.segments._marks import load_marks
from kubeshark.core_capture.store.upkeep._leftovers import tag_of
from kubeshark.core_capture.store.upkeep._removed import with_removed
from kubeshark.errors import StoreError

__all__ = ["UploadStatus", "Uploader"]

LOOK_SECONDS = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
READ_BACK_BYTES = 64 << 10
"""Of the end of each object: age's last chunk with its tag, which no other file has."""

COMMIT_SEGMENTS = 64
"""After so many the archive's store.json is written, and at the end of a pass: six requests."""


class UploadStatus(Struct, frozen=True):
    """How it fares. Segments, where nothing else is said."""

    url: str
    state: str = "starting"  # waiting, uploading, away, stopped
    uploaded: int = 0
    uploaded_bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    lost: int = 0
    left_out: int = 0  # of schedules without upload; of those that still lie here
    problem: str = ""  # one line; "" while all is well


class _ConflictError(StoreError):
    """Something else has the name of a segment's object."""


class Uploader:
    """Uploads from `start` to `stop`, in a thread; or once, with `run_once`. `url` is the node's (`archive_url`).

    `log` hears in one line when something goes wrong, and when it is well again.
    """

    def __init__(
        self,
        folder: str | Path,
        url: str,
        *,
        key: NodeKey | None = None,
        log: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[UploadStatus], None] = lambda _: None,
    ) -> None:
        self._key, self._on_progress = key, on_progress
        self._files = LocalBackend(Path(folder))
        self._url, self._log = url, log
        self._archive: ObjectBackend | None = None
        self._journal = UploadJournal(url)
        self._refused: dict[str, str] = {}  # by segment: why it is not uploaded
        self._lost: list[str] = []  # that the archive's chain does not tell of yet
        self._told = set[str]()  # of those left out: it does
        self._links: dict[str, tuple[Chain, str]] = {}  # of what is here: its place in the chain, and its index's hash
        self._must_commit = True
        self._names_sent = ""  # the tag of those that the archive has
        self._status = UploadStatus(url)
        self._stamp: int | None = None
        self._guard = threading.Lock()
        self._wake, self._ends = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> UploadStatus:
        with self._guard:
            return self._status

    def start(self) -> None:
        """Begin, if that has not been done."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._keep, name="kubeshark-upload", daemon=True)
        self._thread.start()

    def stop(self, drain_s: float = 0.0) -> None:
        """End; before that, try for so long to upload what waits. What is left is uploaded the next time."""
        if self._thread is not None and drain_s > 0:
            ends = time.monotonic() + drain_s
            while time.monotonic() < ends and not self._is_drained():
                self._wake.set()
                self._thread.join(0.2)
        self._ends.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1.0)  # a request under way may take longer: it ends with the process
        self._tell(state="stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run_once(self) -> UploadStatus:
        """Upload what is there now; raise StoreError if the archive cannot be reached."""
        self._begin()
        self._pass()
        return self.status

    def _keep(self) -> None:
        pause, was_told = 0.0, ""
        while not self._ends.is_set():
            try:
                if self._archive is None:
                    self._begin()
                if self._has_changed() or pause:
                    self._pass()
                pause = 0.0
                problem = next(iter(self._refused.values()), "")
                self._tell(state="waiting", problem=problem)
            except (StoreError, OSError) as error:
                self._stamp = None
                problem = str(error) if isinstance(error, StoreError) else f"cannot upload: {error.strerror}"
                self._tell(state="away", problem=problem)
                pause = min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            if problem != was_told:
                self._log(f"archive: {problem}" if problem else f"archive: {self._url} takes segments again")
                was_told = problem
            self._wake.wait(pause * random.uniform(0.75, 1.25) if pause else LOOK_SECONDS)
            self._wake.clear()

    def _is_drained(self) -> bool:
        listed = self._files.sizes()
        return not self._waiting(listed) and not self._must_commit and not self._has_new_names(listed)

    def _begin(self) -> None:
        self._archive = ObjectBackend(self._url)
        found = load_journal(self._files)
        self._journal = found if found is not None and found.url == self._url else UploadJournal(self._url)

    def _has_changed(self) -> bool:
        stamp = self._files.stamp()
        if stamp is not None and stamp == self._stamp and not self._must_commit:
            return False
        self._stamp = stamp
        return True

    def _waiting(self, listed: dict[str, int]) -> list[str]:
        journal = self._journal
        return [
            name
            for name in index_names(listed)
            if name not in journal.done
            and name not in journal.left_out
            and f"{name}{DATA_SUFFIX}" in listed
            and name not in self._refused
        ]

    def _left_out(self, present: set[str]) -> set[str]:
        """Return those that are not to be uploaded; raise Damaged where nobody knows."""
        if not present - self._journal.done - self._journal.left_out:
            return self._journal.left_out & present
        trusted = {*load_state(self._files).heads}
        if (key := self._own_key()) is not None:
            trusted.add(key.public)
        marks = load_marks(self._files, trusted)
        found = {name for name in present if (mark := marks.get(number_of(name) or 0)) and not mark.archived}
        return found - self._journal.done

    def _own_key(self) -> NodeKey | None:
        return self._key or NodeKey.load()

    def _pass(self) -> None:
        """Upload what is not there yet, the oldest first: it is the next that retention lets go."""
        listed = self._files.sizes()
        self._look_for_losses(listed)
        waiting = self._waiting(listed)
        if self._must_commit:
            self._commit()
        if self._has_new_names(listed):
            self._upload_names()
        for number, name in enumerate(waiting, 1):
            if self._ends.is_set():
                return
            rest = waiting[number - 1 :]
            sizes = [size_of(listed, each) for each in rest]
            self._tell(state="uploading", waiting=len(rest), waiting_bytes=sum(sizes))
            try:
                self._upload(name, sizes[0])
            except FileNotFoundError:
                continue  # retention was faster: the next pass counts it
            except _ConflictError as error:
                self._refused[name] = str(error)
            if number % COMMIT_SEGMENTS == 0:
                self._commit()
        if waiting or self._must_commit:
            self._commit()
        self._tell(waiting=len(self._refused), waiting_bytes=sum(size_of(listed, each) for each in self._refused))

    def _look_for_losses(self, listed: dict[str, int]) -> None:
        """Count what waited and is gone, and note what waits now, and what is left out."""
        journal = self._journal
        present = set(index_names(listed))
        left_out = self._left_out(present)
        lost = sorted(journal.waiting - present - journal.done)
        waiting = present - journal.done - left_out
        done = journal.done & present
        for name in lost:
            self._log(f"archive: {name} was deleted before it was uploaded: its packets are lost")
            self._refused.pop(name, None)
        if lost or (waiting, done, left_out) != (journal.waiting, journal.done, journal.left_out):
            journal.waiting, journal.done, journal.left_out = waiting, done, left_out
            journal.lost += len(lost)
            journal.last_lost = lost[-1] if lost else journal.last_lost
            save_journal(self._files, journal)
        self._lost += lost
        self._learn_links(waiting | left_out)
        self._must_commit |= bool(lost) or bool((left_out & self._links.keys()) - self._told)

    def _upload(self, name: str, size: int) -> None:
        for suffix in (DATA_SUFFIX, INDEX_SUFFIX):
            self._upload_file(f"{name}{suffix}")
        journal = self._journal
        journal.done.add(name)
        journal.waiting.discard(name)
        journal.uploaded += 1
        journal.uploaded_bytes += size
        save_journal(self._files, journal)
        self._must_commit = True

    def _has_new_names(self, listed: dict[str, int]) -> bool:
        return NAMES in listed and tag_of(self._files, NAMES) != self._names_sent

    def _upload_names(self) -> None:
        assert self._archive is not None
        tag = tag_of(self._files, NAMES)  # first: what is written meanwhile is sent in the next pass
        share_names(self._files, self._archive)
        self._names_sent = tag

    def _upload_file(self, file: str) -> None:
        """Send one file unless it is there, and read back that it is."""
        assert self._archive is not None
        with suppress(Changed):  # it is there: an answer that was lost, or a process that died before it noted it
            self._archive.client.upload(self._files.folder / file, file, replacing=False)
        local = self._files.open(file)
        try:
            size = local.size()
            start = max(size - READ_BACK_BYTES, 0)
            end = local.pread(size - start, start)
        finally:
            local.close()
        try:
            found = self._archive.client.get(file, start, size)
        except FileNotFoundError:
            raise StoreError(f"{self._url}: {file} was sent, and is not there") from None
        if found.size != size or found.data != end:
            raise _ConflictError(
                f"{self._url} holds another {file}", hint="give each node a name, and a prefix, of its own"
            )

    def _commit(self) -> None:
        """Have the archive's store.json say what this node's says of what is there."""
        archive = self._archive
        assert archive is not None
        local = load_state(self._files)
        with archive.lock(LOCK):
            state = take_over(archive)
            state.recipients = local.recipients
            state.next_number = max(state.next_number, local.next_number)
            for key, head in self._heads(local).items():
                before = state.heads.get(key)
                if before is None or before.sequence < head.sequence:
                    state.heads[key] = head
            missing = {
                name: self._links[name] for name in (*self._lost, *self._journal.left_out) if name in self._links
            }
            gone = [link for link in missing.values() if not _is_told(link[0], state.removed)]
            if gone and (node := self._own_key()) is not None:
                state.removed = with_removed(state.removed, gone, "pruned", node)
            save_state(archive, state)
        self._lost = []
        self._told = missing.keys() & self._journal.left_out
        self._must_commit = False

    def _heads(self, local: StoreState) -> dict[str, ChainHead]:
        """Return by key the newest segment that is in the archive, as far as that is known."""
        done = self._journal.done
        heads = {key: structs.replace(head, pending=None) for key, head in local.heads.items() if head.name in done}
        for name, (chain, sha256) in self._links.items():  # behind it may be what is left out
            known = heads.get(chain.public_key)
            if name in done and (known is None or known.sequence < chain.sequence):
                heads[chain.public_key] = ChainHead(name, chain.sequence, sha256)
        return heads

    def _learn_links(self, wanted: set[str]) -> None:
        """Remember places in the chain while the ledger has them: the gap that one leaves has to be told."""
        node = self._own_key()
        if node is None or wanted <= self._links.keys():
            return
        with suppress(StoreError):
            lost = {name: self._links[name] for name in self._lost if name in self._links}
            self._links = lost | {e.info.name: (e.chain, e.sha256) for e in load_ledger(self._files, node)}

    def _tell(self, **news: Any) -> None:
        journal = self._journal
        with self._guard:
            now = replace(self._status, **news)
            counted = replace(
                now,
                uploaded=journal.uploaded,
                uploaded_bytes=journal.uploaded_bytes,
                lost=journal.lost,
                left_out=len(journal.left_out),
            )
            self._status = counted
        self._on_progress(counted)


def _is_told(chain: Chain, records: Iterable[Removed]) -> bool:
    return any(each.key == chain.public_key and each.first <= chain.sequence <= each.last for each in records)
