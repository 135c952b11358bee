"""A store with those of workers and archives beside it: who reads reads all of them, who writes writes into its own.

1. No worker is waited for longer than ANSWER_SECONDS: one that is late or gone is named among the problems, and what
   the others have is there. It is asked again with the next query, so it comes back by itself.
2. Who is beside it may change while it is open; a query that runs goes on with those it began with.
3. A segment is its worker's who listed it first; its name holds the node, so names do not collide unless somebody lies.
4. What a worker has uploaded is there twice and shown once: the worker's while it has it, then the archive's, if both
   indexes are the same to the byte. An archive is as many stores as it has nodes.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture._predicate import Predicate
from kubeshark.core_capture.store._store import Store, StoreInfo
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._backend import Backend, Requests
from kubeshark.core_capture.store.places._locate import worker_url
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.places._worker_files import WorkerBackend
from kubeshark.core_capture.store.segments._cache import BlockCache
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.segments._reader import Expired, IndexFile, SegmentReader
from kubeshark.errors import StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.archives._archive import Archive

__all__ = ["ANSWER_SECONDS", "Archived", "JoinedStore", "Member", "MemberState"]

ANSWER_SECONDS = 3.0
"""For what a worker has; a query then goes on without it. What it says later serves the next one."""

ASKING = 64
"""Threads that ask workers, made when they are needed."""

ARCHIVES_AT_ONCE = 16

T = TypeVar("T")
MemberState = Literal["unknown", "up", "late", "away"]


class Member(Struct, eq=False):
    """One worker's store, and how it fares."""

    store: Store
    files: WorkerBackend
    state: MemberState = "unknown"
    why: str = ""
    since: float = field(default_factory=time.time)  # seconds since 1970: of the state
    pending: int = 0  # questions without an answer

    @property
    def url(self) -> str:
        return self.files.client.url

    @property
    def shown(self) -> str:
        return self.files.client.shown

    def turn(self, state: MemberState, why: str = "") -> None:
        """Note how it fares."""
        if state != self.state:
            self.state, self.since = state, time.time()
        self.why = why


class Archived(Struct, eq=False):
    """A node's store in an archive: nobody answers for it but the bucket, whose requests are bounded in time."""

    store: Store
    url: str

    @property
    def shown(self) -> str:
        return self.url


class JoinedStore(Store):
    """An open store, and the workers and archives beside it."""

    def __init__(
        self,
        files: Backend,
        identities: Sequence[Identity] | None,
        cache_bytes: int,
        workers: Mapping[str, TlsFiles] | None = None,
        tls: TlsFiles | None = None,
        archives: Iterable[Archive] = (),
    ) -> None:
        super().__init__(files, identities, cache_bytes)
        self.tls = tls or TlsFiles.in_folder()  # of workers that have no files of their own
        self.members: list[Member] = []
        self._archives = tuple(archives)
        self._archived: dict[str, Archived] = {}  # by URL
        self._owners: dict[str, Member | Archived] = {}
        self._asking = ThreadPoolExecutor(max_workers=ASKING, thread_name_prefix="kubeshark-worker")
        self._fetching = ThreadPoolExecutor(max_workers=ARCHIVES_AT_ONCE, thread_name_prefix="kubeshark-archive")
        self.join(workers or {})
        self._states = threading.Lock()

    @property
    def is_joined(self) -> bool:
        return bool(self.members or self._archives)

    def share_names(self, node: str) -> None:
        """Copy its names into every archive, under a node's name, for who opens one elsewhere; raise StoreError."""
        from kubeshark.core_capture.store.catalogue._name_history import share_names

        for archive in self._archives:
            share_names(self.files, archive.backend(f"{archive.files.location}/{node}"))

    @property
    def can_travel(self) -> bool:
        return not self.is_joined

    def join(self, workers: Mapping[str, TlsFiles]) -> None:
        """Have these workers beside it, and no others; who stays keeps its state and its connections.

        Raises UsageError for what is no URL of a worker, StoreError for files of TLS that cannot be used.
        """
        now = {(member.url, member.files.tls): member for member in self.members}
        wanted = {worker_url(url): files for url, files in workers.items()}
        members = []
        for url, files in wanted.items():
            member = now.get((url, files))
            if member is None:
                backend = WorkerBackend(url, files)
                member = Member(self._store_of(backend), backend)
            members.append(member)
        self.members = members  # a list that others read stays as it was
        gone = {id(each) for each in now.values()} - {id(each) for each in members}
        self._owners = {name: owner for name, owner in list(self._owners.items()) if id(owner) not in gone}

    def _store_of(self, files: Backend) -> Store:
        store = Store(files, self._given)
        store.cache = self.cache  # one bound on memory for all
        return store

    @property
    def archived(self) -> list[Archived]:
        """The nodes' stores in the archives, those that came lately included; raise StoreError."""
        for archive in self._archives:
            for url in archive.nodes():
                if url not in self._archived:
                    self._archived[url] = Archived(self._store_of(archive.backend(url)), url)
        return [*self._archived.values()]

    @property
    def _stores(self) -> list[Store]:
        return [*(each.store for each in self.members), *(each.store for each in self._archived.values())]

    @property
    def requests(self) -> Requests | None:
        total = super().requests or Requests()
        for store in self._stores:
            total += store.requests or Requests()
        for archive in self._archives:
            if archive.files is not self.files:
                total += archive.files.requests
        return total

    def segments(self, predicate: Predicate | None = None) -> list[SegmentInfo]:
        found = super().segments(predicate)
        problems = list(self.problems)
        holders: dict[str, Store] = {info.name: self for info in found}
        for member, (infos, troubles) in self._ask_all(
            lambda each: (each.segments(predicate), each.problems), problems
        ):
            problems += troubles
            for info in infos:
                first = self._owners.setdefault(info.name, member)
                before = holders.get(info.name)
                is_copy = isinstance(member, Archived) or isinstance(first, Archived)
                is_copy = is_copy and _are_same(info.name, before or first.store, member.store)
                if before is None and (first is member or is_copy):
                    holders[info.name] = member.store
                    self._owners[info.name] = member
                    found.append(info)
                elif not is_copy:
                    problems.append(StoreError(f"{member.shown}: {info.name} is another store's, its copy is left out"))
        self.problems = problems
        return sorted(found, key=lambda info: (info.first_ns, info.name))

    def is_open(self, name: str) -> bool:
        owner = self._owners.get(name)
        return super().is_open(name) if owner is None else owner.store.is_open(name)

    @property
    def look_s(self) -> float:
        return max((store.files.look_s for store in self._stores), default=super().look_s)

    def stamp(self) -> int | None:
        return None if self.is_joined else super().stamp()

    def open_segment(self, name: str, *, keep: bool = True, cache: BlockCache | None = None) -> SegmentReader:
        owner = self._owners.get(name)
        if owner is None:
            return super().open_segment(name, keep=keep, cache=cache)
        try:
            return owner.store.open_segment(name, keep=keep, cache=cache)
        except (Away, Expired):
            for other in self._archived.values():  # the worker went, or let it go meanwhile
                if other is not owner and name in other.store._known and _are_same(name, owner.store, other.store):
                    return other.store.open_segment(name, keep=keep, cache=cache)
            raise

    def prefetch(self, names: Iterable[str]) -> None:
        listed = defaultdict[int, list[str]](list)
        for name in names:
            owner = self._owners.get(name)
            listed[id(owner.store if owner else self)].append(name)
        super().prefetch(listed[id(self)])
        for store in self._stores:
            store.prefetch(listed[id(store)])

    def info(self) -> StoreInfo:
        found, problems = self.segments(), list(self.problems)
        asked = [super().info(), *(other for _, other in self._ask_all(lambda store: store.info(), problems))]
        return replace(
            asked[0],
            segments=len(found),
            open_segments=sum(self.is_open(info.name) for info in found),
            packets=sum(info.packets for info in found),
            flows=sum(info.flows for info in found),
            captured_bytes=sum(info.captured_bytes for info in found),
            disk_bytes=sum(other.disk_bytes for other in asked),
            first_ns=min((info.first_ns for info in found if info.packets), default=None),
            last_ns=max((info.last_ns for info in found if info.packets), default=None),
            sources=len({(info.source.sha256, info.source.name, info.node) for info in found}),
            link_types=tuple(sorted({info.link_type for info in found})),
            recipients=tuple(dict.fromkeys(each for other in asked for each in other.recipients)),
            nodes=tuple(sorted({node for other in asked for node in other.nodes})),
            leftovers=tuple(left for other in asked for left in other.leftovers),
            problems=tuple(problems),
        )

    def free_memory(self) -> None:
        super().free_memory()
        for store in self._stores:
            store.free_memory()

    def check(self, member: Member, kind: type[T]) -> T:
        """Ask a worker how it fares, also while it is taken to be away; raise Away."""
        try:
            said = member.files.client.status(kind, ask_anyway=True)
        except Away as error:
            member.turn("away", error.message)
            raise
        if not member.pending:
            member.turn("up")
        return said

    def close(self) -> None:
        """Let go of the others: they are not asked any more."""
        super().close()
        for pool in (self._asking, self._fetching):
            pool.shutdown(wait=False, cancel_futures=True)

    def _sizes(self) -> dict[str, int]:
        sizes = super()._sizes()
        for store in self._stores:
            with suppress(Away):
                sizes |= store._sizes()
        return sizes

    def _index(self, name: str, *, keep: bool = True) -> IndexFile:
        owner = self._owners.get(name)
        if owner is None:
            return super()._index(name, keep=keep)
        return owner.store._unsealed.get(name) or owner.store._index(name, keep=keep)

    def _ask_all(self, ask: Callable[[Store], T], problems: list[StoreError]) -> list[tuple[Member | Archived, T]]:
        """Ask everyone at once; return what workers said in time, and archives, and note who did not answer."""
        asked: list[tuple[Member, Future[T]]] = []
        for member in self.members:
            if member.pending and member.state == "late":
                problems.append(self._late(member))
                continue
            member.store._given = self.identities  # read once: a passphrase is typed once
            with self._states:
                member.pending += 1
            future = self._asking.submit(ask, member.store)
            future.add_done_callback(partial(self._answered, member))
            asked.append((member, future))
        fetched = self._fetch_all(ask, problems)
        wait([future for _, future in asked], timeout=ANSWER_SECONDS)
        found: list[tuple[Member | Archived, T]] = []
        for member, future in asked:
            if not future.done():
                member.turn("late", f"has not answered for {ANSWER_SECONDS:g} s")
                problems.append(self._late(member))
                continue
            _collect(member, future, found, problems)
        for archived, future in fetched:
            _collect(archived, future, found, problems)
        return found

    def _fetch_all(self, ask: Callable[[Store], T], problems: list[StoreError]) -> list[tuple[Archived, Future[T]]]:
        try:
            archived = self.archived
        except StoreError as error:
            error.forget_frames()
            problems.append(error)
            archived = [*self._archived.values()]
        for each in archived:
            each.store._given = self.identities
        return [(each, self._fetching.submit(ask, each.store)) for each in archived]

    def _answered(self, member: Member, done: Future[T]) -> None:
        with self._states:
            member.pending -= 1
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Away):
            member.turn("away", error.message)
        elif error is None:
            trouble = member.files.client.trouble  # of an earlier question: this one was answered from memory
            member.turn("away" if trouble else "up", trouble)

    def _late(self, member: Member) -> Away:
        return Away(member.shown, f"has not answered for {ANSWER_SECONDS:g} s", hint="its packets are missing here")


def _collect(
    member: Member | Archived,
    future: Future[T],
    found: list[tuple[Member | Archived, T]],
    problems: list[StoreError],
) -> None:
    try:
        found.append((member, future.result()))
    except StoreError as error:
        error.forget_frames()
        problems.append(error)


def _are_same(name: str, one: Store, other: Store) -> bool:
    """Say whether two stores have the same index under a name; what is open in one has none yet."""
    if name not in one._known or name not in other._known:
        return True
    return one._known[name].sha256 == other._known[name].sha256
