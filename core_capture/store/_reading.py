"""A store as its readers have it. Nothing here changes a byte of it.

What only some commands do is imported where it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture._predicate import Predicate
from kubeshark.core_capture.store._limits import KEPT_INDEX_BYTES
from kubeshark.core_capture.store.catalogue._catalogue import Entry, Known, entry_of, load_catalogue
from kubeshark.core_capture.store.catalogue._lost_index import find_lost_indexes
from kubeshark.core_capture.store.catalogue._state import load_state
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._identity import Identity, identity_path, load_identities
from kubeshark.core_capture.store.keys._known_nodes import trusted_nodes
from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._backend import Backend, Requests
from kubeshark.core_capture.store.places._locate import open_backend
from kubeshark.core_capture.store.places._names import INDEX_SUFFIX, NAMES, index_names, number_of
from kubeshark.core_capture.store.segments._cache import BlockCache
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.segments._reader import Expired, IndexFile, SegmentReader
from kubeshark.core_capture.store.upkeep._leftovers import find_leftovers
from kubeshark.core_capture.store.writing._unsealed import UnsealedReader, UnsealedSegments
from kubeshark.errors import Damaged, StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store._overview import Overview
    from kubeshark.core_capture.store._verify import VerifyReport
    from kubeshark.core_capture.store.catalogue._name_history import NameRecord
    from kubeshark.core_capture.store.upkeep._prune import CaptureKey
    from kubeshark.core_capture.store.upkeep._snapshots import Snapshot
    from kubeshark.core_capture.store.writing._writer import ImportState

__all__ = ["StoreInfo", "StoreReading"]


class StoreInfo(Struct, frozen=True):
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


class StoreReading:
    """An open store. `problems` lists segments that could not be read when they were listed."""

    @property
    def is_joined(self) -> bool:
        """Whether there are others beside it (`_joined.py`)."""
        return False

    @property
    def can_travel(self) -> bool:
        """Whether who opens its location elsewhere, by `open_store`, has all of it."""
        return True

    def __init__(self, files: Backend, identities: Sequence[Identity] | None, cache_bytes: int = 0) -> None:
        self.files = files
        self.cache = BlockCache(cache_bytes)
        self.problems: list[StoreError] = []
        self._given = identities
        self._known = Known()  # segments never change
        self._indexes: dict[str, IndexFile] = {}  # the latest in use last
        self._lock = Lock()
        self._has_names: bool | None = None  # when it was listed last; None: not yet
        self._names: tuple[int | None, list[NameRecord]] = (None, [])  # of this stamp
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
        from kubeshark.core_capture.store.writing._writer import ImportState

        infos = [entry.info for entry in self._entries()]
        saved = list[Entry]()
        for info in infos:
            if info.source.part_of == sha256:
                with suppress(StoreError):  # the catalogue may lie, and its word must not delete anything
                    entry = self._entry(info.name)
                    saved += [entry] if entry.info.source.part_of == sha256 else []
        return ImportState.of([info for info in infos if info.source.sha256 == sha256], saved)

    def verify(
        self, trusted: Collection[str] | None = None, *, on_progress: Callable[[int, int], None] | None = None
    ) -> VerifyReport:
        """Authenticate everything. `trusted` are nodes' public keys (hex), by default those of `trusted_nodes`."""
        from kubeshark.core_capture.store._verify import verify_store

        if trusted is None:
            trusted = trusted_nodes(self.location)
        return verify_store(self.files, self.identities, trusted, on_progress)

    def signers(self) -> list[str]:
        """Return the public keys (hex) of the nodes that wrote here, as store.json has them."""
        return sorted(load_state(self.files).heads)

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

    def capture_named(self, text: str) -> CaptureKey:
        """Return the capture with this name, or whose SHA-256 begins so (8 digits); UsageError if none or several."""
        from kubeshark.core_capture.store.upkeep._prune import capture_named

        return capture_named(self.segments(), text)

    def snapshots(self) -> list[Snapshot]:
        """Return the time windows that retention keeps, by name; raise StoreError if nobody here can read them."""
        from kubeshark.core_capture.store.upkeep._snapshots import load_snapshots

        return load_snapshots(self.files, self.identities)

    def names(self) -> list[NameRecord]:
        """Return who had an address when, as of the latest look at what is there; StoreError if it cannot be read."""
        if self._has_names is None:
            self._has_names = self.files.exists(NAMES)
        if not self._has_names:
            return []
        from kubeshark.core_capture.store.catalogue._name_history import load_names

        stamp, (known, records) = self.stamp(), self._names
        if stamp is None or stamp != known:
            records = load_names(self.files, self.identities)
            self._names = stamp, records
        return records

    def _sizes(self) -> dict[str, int]:
        return self.files.sizes()

    def _entries(self) -> list[Entry]:
        """Return what is known of every segment on disk, in time order."""
        entries = [self._known[name] for name in self._readable()]
        return sorted(entries, key=lambda entry: (entry.info.first_ns, entry.info.name))

    def _look(self) -> tuple[list[str], list[SegmentInfo]]:
        """Return the names of the readable segments, and the open ones: none is in both, none in neither."""
        listed = self.files.names()
        self._has_names = NAMES in listed
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
        self.problems += find_lost_indexes(self.files, listed, self._is_catalogued).values()
        return readable

    def _is_catalogued(self, name: str) -> bool:
        """Say whether the catalogue has a segment, which it need not have been asked for yet."""
        if name not in self._known:
            self._learn_from_catalogue(len(self.files.names()))
        return name in self._known

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
