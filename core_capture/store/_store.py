"""A store: segments and what belongs to them. Reading it never changes a byte; one `Writer` at a time writes.

What only some commands do is imported where it is done.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._predicate import Predicate
from kubeshark.core_capture.store._age import NotForUsError
from kubeshark.core_capture.store._away import Away
from kubeshark.core_capture.store._backend import Backend, Requests
from kubeshark.core_capture.store._cache import BlockCache
from kubeshark.core_capture.store._catalogue import Entry, Known, entry_of, load_catalogue, save_catalogue
from kubeshark.core_capture.store._identity import (
    Identity,
    Recipient,
    identity_path,
    load_identities,
    parse_recipients,
)
from kubeshark.core_capture.store._info import SegmentInfo
from kubeshark.core_capture.store._leftovers import find_leftovers
from kubeshark.core_capture.store._limits import KEPT_INDEX_BYTES, LIVE_SEGMENT_BYTES, SEGMENT_BYTES
from kubeshark.core_capture.store._locate import open_backend
from kubeshark.core_capture.store._names import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    LOCK,
    SNAPSHOTS_LOCK,
    check_node,
    index_names,
    number_of,
    piece_of,
    size_of,
)
from kubeshark.core_capture.store._reader import Expired, IndexFile, SegmentReader
from kubeshark.core_capture.store._signing import NodeKey
from kubeshark.core_capture.store._state import load_state
from kubeshark.core_capture.store._unsealed import UnsealedReader, UnsealedSegments
from kubeshark.errors import Damaged, StoreError, UsageError

if TYPE_CHECKING:
    from kubeshark.core_capture.store._live_writer import LiveWriter
    from kubeshark.core_capture.store._overview import Overview
    from kubeshark.core_capture.store._prune import CaptureKey, Pruned, Retention
    from kubeshark.core_capture.store._recover import Leftover
    from kubeshark.core_capture.store._rotate import Rotated
    from kubeshark.core_capture.store._sealer import Sealer
    from kubeshark.core_capture.store._snapshots import Snapshot
    from kubeshark.core_capture.store._state import StoreState
    from kubeshark.core_capture.store._verify import VerifyReport
    from kubeshark.core_capture.store._writer import ImportState, SourceInfo, Writer

__all__ = ["Store", "StoreInfo", "default_node"]


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store in numbers."""

    segments: int
    open_segments: int  # of those: not sealed yet
    packets: int
    flows: int  # added up: a flow counts once in each segment it runs through
    captured_bytes: int  # of packets, without record headers
    disk_bytes: int
    first_ns: int | None  # None without packets
    last_ns: int | None
    sources: int
    link_types: tuple[int, ...]
    recipients: tuple[str, ...]  # of the last writer
    nodes: tuple[str, ...]  # public keys that signed segments, hex
    leftovers: tuple[str, ...]  # files of a writer that died
    problems: tuple[StoreError, ...]  # segments that cannot be read


class Store:
    """An open store. `problems` lists segments that could not be read when they were listed."""

    is_joined = False
    """There are others beside it (`_joined.py`), so its location does not say all there is."""

    def __init__(self, files: Backend, identities: Sequence[Identity] | None, cache_bytes: int = 0) -> None:
        self.files = files
        self.cache = BlockCache(cache_bytes)
        self.problems: list[StoreError] = []
        self._given = identities
        self._known = Known()  # segments never change
        self._indexes: dict[str, IndexFile] = {}  # the latest in use last
        self._lock = Lock()
        self._unsealed = UnsealedSegments(files, load_core())

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        identities: Sequence[Identity] | None = None,
        create: bool = False,
        cache_bytes: int = 0,
    ) -> Self:
        """Open a folder or a URL (s3://BUCKET/PREFIX, …); raise StoreError or UsageError.

        `identities` default to those of $KUBESHARK_IDENTITY, read when first needed. Up to `cache_bytes` of packets are
        kept in memory when they have been read, for who will read them again.
        """
        return cls(open_backend(path, create=create), identities, cache_bytes)

    def free_memory(self) -> None:
        """Let go of the indexes and blocks that are kept in memory; they are read again when they are needed."""
        self.cache.clear()
        self._unsealed.free()
        with self._lock:
            self._indexes.clear()

    def close(self) -> None:
        """Let go of what is held beyond memory of this object; reading on opens it again."""
        self.free_memory()

    @property
    def requests(self) -> Requests | None:
        """What was asked of servers so far; None where there is none."""
        return self.files.requests

    @property
    def location(self) -> str:
        """Its folder or URL, for messages."""
        return self.files.location

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """Who reads; raise StoreError, naming the recipients the store is encrypted to, if there is nobody."""
        if self._given is not None:
            if not self._given:
                raise self._nobody(StoreError("no identity given"))
            return tuple(self._given)
        try:
            return load_identities()
        except StoreError as error:
            raise self._nobody(error) from error

    def segments(self, predicate: Predicate | None = None) -> list[SegmentInfo]:
        """Return the segments in time order, open ones too; with a predicate only those that may hold a matching flow.

        What the log of an open segment holds by now is what `open_segment` reads of it, until this is called again.
        """
        names, opened = self._look()
        without = set() if predicate is None else self._known.refused(predicate)
        infos = [self._known.info(name) for name in names if name not in without]
        return sorted([*infos, *opened], key=lambda info: (info.first_ns, info.name))

    def is_open(self, name: str) -> bool:
        """Say whether a segment was not sealed when the store was listed last."""
        return self._unsealed.get(name) is not None

    @property
    def look_s(self) -> float:
        """How long to leave it alone between two looks for what is new."""
        return self.files.look_s if self.files.is_remote else 0.0

    def stamp(self) -> int | None:
        """Return a number that changes with what is there; None where only a look tells."""
        return self.files.stamp()

    def open_segment(self, name: str, *, keep: bool = True, cache: BlockCache | None = None) -> SegmentReader:
        """Open a segment for reading; raise Damaged or StoreError. `keep`: its index will be asked for again.

        `cache` takes its blocks where the store itself keeps none.
        """
        missing = f"no segment {name[:100]!r} in {self.location}"
        if number_of(name) is None:
            raise StoreError(missing)
        for _ in range(2):
            if (unsealed := self._unsealed.get(name)) is not None:
                return UnsealedReader(self.files, unsealed, self.identities)
            try:
                return SegmentReader(self.files, self._index(name, keep=keep), self.identities, self.cache or cache)
            except FileNotFoundError as error:
                if name in self._known:
                    raise Expired(name) from error
            self._unsealed.look(self.files.names(), lambda: self.identities)  # of which nobody asked yet
        raise StoreError(missing)

    def prefetch(self, names: Iterable[str]) -> None:
        """Say that these segments will be opened: from afar their indexes then come many at once."""
        wanted = [name for name in names if name not in self._indexes and not self.is_open(name)]
        self.files.prefetch([f"{name}{INDEX_SUFFIX}" for name in wanted])

    def import_state(self, sha256: str) -> ImportState:
        """Return how much of the source with this hash is here."""
        from kubeshark.core_capture.store._writer import ImportState

        infos = [entry.info for entry in self._entries()]
        return ImportState.of([info for info in infos if info.source.sha256 == sha256])

    def verify(
        self, trusted: Collection[str] | None = None, *, on_progress: Callable[[int, int], None] | None = None
    ) -> VerifyReport:
        """Authenticate everything. `trusted` are nodes' public keys (hex), by default this machine's if it has one."""
        from kubeshark.core_capture.store._verify import verify_store

        if trusted is None:
            local = NodeKey.load()
            trusted = [local.public] if local else []
        return verify_store(self.files, self.identities, trusted, on_progress)

    def info(self) -> StoreInfo:
        """Return what is in the store, in numbers."""
        names, opened = self._look()
        entries = [self._known[name] for name in names]
        infos = [*(entry.info for entry in entries), *opened]
        state = load_state(self.files)
        sizes = self.files.sizes()
        return StoreInfo(
            segments=len(infos),
            open_segments=len(opened),
            packets=sum(info.packets for info in infos),
            flows=sum(info.flows for info in infos),
            captured_bytes=sum(info.captured_bytes for info in infos),
            disk_bytes=sum(sizes.values()),
            first_ns=min((info.first_ns for info in infos if info.packets), default=None),
            last_ns=max((info.last_ns for info in infos if info.packets), default=None),
            sources=len({(info.source.sha256, info.source.name) for info in infos}),
            link_types=tuple(sorted({info.link_type for info in infos})),
            recipients=tuple(state.recipients),
            nodes=tuple(sorted({entry.chain.public_key for entry in entries})),
            leftovers=tuple(find_leftovers(sizes)),
            problems=tuple(self.problems),
        )

    def overview(self) -> Overview:
        """Return what it holds by protocol and by capture; reads every index."""
        from kubeshark.core_capture.store._overview import make_overview

        segments = self.segments()
        self.prefetch(info.name for info in segments)

        def index(name: str) -> IndexFile:
            return self._unsealed.get(name) or self._index(name, keep=False)

        return make_overview(self.files, self.identities, segments, index, self._sizes())

    def writer(
        self,
        recipients: Iterable[str | Recipient],
        *,
        source: SourceInfo,
        node: str = "",
        key: NodeKey | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Writer:
        """Begin to write a source, encrypted to `recipients`; raise StoreError while another process writes.

        Continues a source of which the store holds a part. A writer without identity cannot know of it: it must not be
        given a source that has a hash.
        """
        from kubeshark.core_capture.store._sealer import Sealer
        from kubeshark.core_capture.store._writer import ImportState, Writer

        keys = self._encrypt_to(recipients)
        signer = key or NodeKey.load_or_create()
        return Writer(
            lambda: self._recovered(Sealer(self.files, keys, key=signer, core=load_core())),
            source,
            node=check_node(node or default_node()),
            core=load_core(),
            segment_bytes=segment_bytes,
            stored=lambda: self.import_state(source.sha256) if source.sha256 else ImportState(),
            on_close=lambda entries: self._finish(entries, keys),
        )

    def live_writer(
        self,
        recipients: Iterable[str | Recipient],
        *,
        source: SourceInfo,
        node: str = "",
        key: NodeKey | None = None,
        segment_bytes: int = LIVE_SEGMENT_BYTES,
        segment_seconds: float = 300,
        log_seconds: float = 0.5,
        retention: Retention | None = None,
        on_sealed: Callable[[SegmentInfo], None] | None = None,
    ) -> LiveWriter:
        """Begin to write a live capture, encrypted to `recipients`; raise StoreError while another process writes.

        Needs no identity; with one, logs that dead writers of this node left are sealed first, behind the capture's
        back. The capture's name gets the time at which it began: ordinals of its packets begin with 0. `on_sealed` is
        called in another thread. On object storage the log lies in the spool of this machine.
        """
        from kubeshark.core_capture.store._live_store import Housekeeper, of_its_own
        from kubeshark.core_capture.store._live_writer import LiveWriter
        from kubeshark.core_capture.store._sealer import Sealer

        if source.sha256:
            raise UsageError("a live capture has no hash: nothing of it can be resumed")
        if retention is not None and retention.max_bytes is not None and retention.max_bytes < 2 * segment_bytes:
            raise UsageError(
                f"a retention of {retention.max_bytes:,} bytes is less than two segments of {segment_bytes:,}"
            )
        keys = self._encrypt_to(recipients)
        own = type(self)(self.files, self._given)  # its threads change what it knows
        signer = key or NodeKey.load_or_create()
        keeper = Housekeeper(own, keys, signer, retention)
        return LiveWriter(
            lambda: Sealer(self.files, keys, key=signer, core=load_core()),
            of_its_own(source),
            node=check_node(node or default_node()),
            core=load_core(),
            segment_bytes=segment_bytes,
            segment_seconds=segment_seconds,
            log_seconds=log_seconds,
            recover=keeper.recover,
            prune=keeper.prune if retention is not None else None,
            on_sealed=on_sealed,
            on_entries=keeper.learn,
        )

    def learn(self, entries: list[Entry], recipients: tuple[Recipient, ...] | None) -> None:
        """Take over what a live writer sealed; with recipients rewrite the catalogue if everything is known."""
        for entry in entries:
            self._known[entry.info.name] = entry
        if recipients is not None:
            if any(name not in self._known for name in index_names(self.files.names())):
                self._readable()
            self._rewrite_catalogue(recipients)

    def rotate_keys(
        self, recipients: Iterable[str | Recipient], *, on_progress: Callable[[int, int], None] | None = None
    ) -> Rotated:
        """Re-wrap every file for other recipients; goes on where an interrupted rotation to the same ones ended."""
        from kubeshark.core_capture.store._rotate import rotate_keys

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
        from kubeshark.core_capture.store._leftovers import clear_leftovers
        from kubeshark.core_capture.store._snapshots import load_snapshots
        from kubeshark.core_capture.store._state import take_over

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
        from kubeshark.core_capture.store._prune import delete_pruned, plan_pruning

        limits = limits.at(time.time_ns())
        known = {entry.info.name: entry for entry in (self._entries() if entries is None else entries)}
        problems = list(self.problems)
        listed = self.files.sizes()
        counted = index_names(listed) if entries is None else [name for name in index_names(listed) if name in known]
        sizes = {name: size_of(listed, name) for name in counted}
        log_bytes = sum(size for name, size in listed.items() if piece_of(name) is not None)
        checked = set[str]()
        while True:  # the catalogue may lie, and its word must not delete anything
            gone, pruned = plan_pruning(list(known.values()), sizes, snapshots, limits, log_bytes)
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
            delete_pruned(self.files, state, gone, key or NodeKey.load_or_create())
            for entry in gone:
                self._known.forget(entry.info.name)
            self._rewrite_catalogue(self._to(recipients))
        return pruned

    def capture_named(self, text: str) -> CaptureKey:
        """Return the capture with this name, or whose SHA-256 begins so (8 digits); UsageError if none or several."""
        from kubeshark.core_capture.store._prune import capture_named

        return capture_named(self.segments(), text)

    def leftovers(self) -> list[Leftover]:
        """Say what a dead writer or a torn disk left, and what `recover` would make of it; nothing is changed."""
        from kubeshark.core_capture.store._log_recovery import survey_logs
        from kubeshark.core_capture.store._recover import read_state, survey

        with self.files.lock(LOCK):
            state, lost = read_state(self.files, self.identities, self._entries)
            found = survey(self.files, self.identities, state)
        return [*lost, *found, *survey_logs(self.files, self.identities)]

    def recover(
        self, *, recipients: Iterable[str | Recipient] | None = None, key: NodeKey | None = None
    ) -> tuple[list[Leftover], list[StoreError]]:
        """Make segments of what was left; return what was found and what failed."""
        from kubeshark.core_capture.store._log_recovery import seal_all_logs, survey_logs
        from kubeshark.core_capture.store._recover import perform, read_state, survey
        from kubeshark.core_capture.store._sealer import Sealer
        from kubeshark.core_capture.store._state import save_state, sign_in

        to = self._to(recipients)
        with self.files.lock(LOCK):
            state, lost = read_state(self.files, self.identities, self._entries)
            if lost or self.files.is_remote:
                save_state(self.files, sign_in(state) if self.files.is_remote else state)
            found = survey(self.files, self.identities, state)
            key = key or NodeKey.load_or_create()
            problems = perform(self.files, self.identities, to, state, key, found)
            for leftover in found:  # sealed anew under the same name
                self._known.forget(leftover.name)
                self._indexes.pop(leftover.name, None)
            if any(leftover.action in ("publish", "rebuild", "delete") for leftover in found):
                for name in index_names(self.files.names()):
                    with suppress(StoreError):
                        self._known[name] = self._entry(name)
                self._rewrite_catalogue(to)
        logs = survey_logs(self.files, self.identities)
        if logs and not problems:
            sealer = Sealer(self.files, to, key=key, core=load_core())
            try:
                entries, problems = seal_all_logs(sealer, self.identities, logs)
                with suppress(StoreError, OSError):
                    self.learn(entries, to)
                sealer.arrived()
            finally:
                sealer.release()
        return [*lost, *found, *logs], problems

    def snapshots(self) -> list[Snapshot]:
        """Return the time windows that retention keeps, by name; raise StoreError if nobody here can read them."""
        from kubeshark.core_capture.store._snapshots import load_snapshots

        return load_snapshots(self.files, self.identities)

    def add_snapshot(
        self, name: str, since_ns: int, until_ns: int, *, recipients: Iterable[str | Recipient] | None = None
    ) -> Snapshot:
        """Keep every segment with packets from `since_ns` to `until_ns` until the snapshot is deleted."""
        from kubeshark.core_capture.store._snapshots import add_snapshot

        key = NodeKey.load_or_create()
        return add_snapshot(self.files, self.identities, self._to(recipients), key, name, since_ns, until_ns)

    def delete_snapshot(self, name: str, *, recipients: Iterable[str | Recipient] | None = None) -> Snapshot:
        """Leave what a snapshot kept to retention."""
        from kubeshark.core_capture.store._snapshots import delete_snapshot

        return delete_snapshot(self.files, self.identities, self._to(recipients), NodeKey.load_or_create(), name)

    def _sizes(self) -> dict[str, int]:
        return self.files.sizes()

    def _encrypt_to(self, recipients: Iterable[str | Recipient]) -> tuple[Recipient, ...]:
        keys = parse_recipients(str(recipient) for recipient in recipients)
        if self.files.contains(identity_path()):
            raise StoreError(
                f"the identity {identity_path()} lies inside the store {self.location}",
                hint="whoever copies the store would have its key: move one of them",
            )
        return keys

    def _recovered(self, sealer: Sealer) -> Sealer:
        """Seal what dead live writers of this node left in their log, if it can be read here."""
        from kubeshark.core_capture.store._log import open_names

        try:
            logs = open_names(self.files.names())
            if logs:
                from kubeshark.core_capture.store._log_recovery import seal_own_logs

                with suppress(StoreError):  # without an identity they stay, and are queried as they are
                    entries, _problems = seal_own_logs(sealer, self.identities, logs)
                    self.learn(entries, None)
        except BaseException:
            sealer.release()
            raise
        return sealer

    def _to(self, recipients: Iterable[str | Recipient] | None) -> tuple[Recipient, ...]:
        """Return to whom a small file is encrypted: those given, else the identities' own."""
        given = parse_recipients(str(recipient) for recipient in recipients or ())
        return given or tuple(identity.recipient for identity in self.identities)

    def _entries(self) -> list[Entry]:
        """Return what is known of every segment on disk, in time order."""
        entries = [self._known[name] for name in self._readable()]
        return sorted(entries, key=lambda entry: (entry.info.first_ns, entry.info.name))

    def _look(self) -> tuple[list[str], list[SegmentInfo]]:
        """Return the names of the readable segments, and the open ones: none is in both, none in neither."""
        listed = self.files.names()
        has_log = self._unsealed.look(listed, lambda: self.identities)
        names = self._readable(self.files.names() if has_log else listed)
        self.problems += self._unsealed.problems
        self._unsealed.forget(names)
        return names, [index.index.meta.info for index in self._unsealed]

    def _readable(self, listed: Sequence[str] | None = None) -> list[str]:
        """Return the names of the segments on disk of which something is known, by name.

        The catalogue saves opening their indexes.
        """
        listed = self.files.names() if listed is None else listed
        names = index_names(listed)
        if any(name not in self._known for name in names):
            self._learn_from_catalogue(len(listed))
            self.prefetch(name for name in names if name not in self._known)
        self.problems = []
        refused: NotForUsError | None = None
        readable: list[str] = []
        for name in names:
            try:
                if name not in self._known:
                    self._known[name] = self._entry(name)
                readable.append(name)
            except Away:
                raise  # as would be all others
            except NotForUsError as error:
                refused = error
                error.forget_frames()
                self.problems.append(error)
            except Damaged as error:
                error.forget_frames()
                self.problems.append(error)
            except FileNotFoundError:
                continue  # deleted since the folder was listed
        if refused is not None and not readable:
            raise self._nobody(refused) from refused
        return readable

    def _entry(self, name: str) -> Entry:
        """Make a segment's entry from its index."""
        file = self._index(name)
        return entry_of(file.index.meta, file.index.flows, file.sha256())

    def _index(self, name: str, *, keep: bool = True) -> IndexFile:
        """Read an index, or find it among those read lately."""
        with self._lock:
            file = self._indexes.pop(name, None)
        file = file or IndexFile(self.files, name, self.identities)
        if not keep:
            return file
        with self._lock:
            self._indexes[name] = file
            kept = sum(len(other.main) for other in self._indexes.values())
            while kept > KEPT_INDEX_BYTES and len(self._indexes) > 1:
                kept -= len(self._indexes.pop(next(iter(self._indexes))).main)
        return file

    def _learn_from_catalogue(self, listed: int) -> None:
        with suppress(FileNotFoundError, NotForUsError, Damaged):  # the indexes say the same; `verify` reports damage
            self._known.learn(load_catalogue(self.files, self.identities, listed=listed))

    def _finish(self, entries: list[Entry], recipients: tuple[Recipient, ...]) -> None:
        """Take over what a writer sealed, and rewrite the catalogue if everything on disk is known."""
        for entry in entries:
            self._known[entry.info.name] = entry
        if entries:
            self._rewrite_catalogue(recipients)

    def _rewrite_catalogue(self, recipients: tuple[Recipient, ...]) -> None:
        present = self.files.names()
        names = index_names(present)
        if all(name in self._known for name in names):
            # Data whose index is gone stays listed: `recover` learns from here what the index said.
            orphans = (file.removesuffix(DATA_SUFFIX) for file in find_leftovers(present))
            listed = [*names, *(name for name in orphans if name in self._known)]
            save_catalogue(self.files, [self._known[name] for name in listed], recipients)

    def _nobody(self, error: StoreError) -> StoreError:
        """Say who could open the store, as store.json has it."""
        try:
            recipients = load_state(self.files).recipients
        except StoreError:
            recipients = []
        to = f" of {', '.join(recipients)}" if recipients else ""
        message = f"the store {self.location} needs the identity{to}, {identity_path()} does not have it"
        if self._given is None:
            message = f"the store {self.location} needs the identity{to}: {error.message}"
        return StoreError(message, hint="set KUBESHARK_IDENTITY to the file that holds it")


def default_node() -> str:
    """Return this machine's name, in letters that a file name takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", platform.node()).lstrip("._-")[:63] or "node"
