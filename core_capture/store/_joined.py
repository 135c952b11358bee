"""A store with those of workers beside it: who reads reads all of them, who writes writes into its own.

1. Nobody is waited for longer than ANSWER_SECONDS: a worker that is late or gone is named among the problems, and what
   the others have is there. It is asked again with the next query, so it comes back by itself.
2. Who is beside it may change while it is open; a query that runs goes on with those it began with.
3. A segment is its worker's who listed it first; its name holds the node, so names do not collide unless somebody lies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Self, TypeVar

from kubeshark.core_capture._predicate import Predicate
from kubeshark.core_capture.store._away import Away
from kubeshark.core_capture.store._backend import Backend, Requests
from kubeshark.core_capture.store._cache import BlockCache
from kubeshark.core_capture.store._identity import Identity
from kubeshark.core_capture.store._info import SegmentInfo
from kubeshark.core_capture.store._locate import open_backend, worker_url
from kubeshark.core_capture.store._reader import IndexFile, SegmentReader
from kubeshark.core_capture.store._store import Store, StoreInfo
from kubeshark.core_capture.store._tls_files import TlsFiles
from kubeshark.core_capture.store._worker_files import WorkerBackend
from kubeshark.errors import StoreError

__all__ = ["ANSWER_SECONDS", "JoinedStore", "Member", "MemberState"]

ANSWER_SECONDS = 3.0
"""For what a worker has; a query then goes on without it. What it says later serves the next one."""

ASKING = 64
"""Threads that ask workers, made when they are needed."""

T = TypeVar("T")
MemberState = Literal["unknown", "up", "late", "away"]


@dataclass(slots=True, eq=False)
class Member:
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


class JoinedStore(Store):
    """An open store and the workers beside it."""

    def __init__(
        self,
        files: Backend,
        identities: Sequence[Identity] | None,
        cache_bytes: int,
        workers: Mapping[str, TlsFiles],
        tls: TlsFiles | None = None,
    ) -> None:
        super().__init__(files, identities, cache_bytes)
        self.tls = tls or TlsFiles.in_folder()  # of workers that have no files of their own
        self.members: list[Member] = []
        self._owners: dict[str, Member] = {}
        self._asking = ThreadPoolExecutor(max_workers=ASKING, thread_name_prefix="kubeshark-worker")
        self.join(workers)
        self._states = threading.Lock()

    @classmethod
    def beside(
        cls,
        path: str | Path,
        workers: Iterable[str],
        *,
        tls: TlsFiles | None = None,
        identities: Sequence[Identity] | None = None,
        create: bool = False,
        cache_bytes: int = 0,
    ) -> Self:
        """Open a store and the workers at these URLs, none of which needs to answer; as `Store.open` otherwise."""
        files = tls or TlsFiles.in_folder()
        return cls(open_backend(path, create=create), identities, cache_bytes, dict.fromkeys(workers, files), files)

    @property
    def is_joined(self) -> bool:
        return bool(self.members)

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
        self._owners = {name: owner for name, owner in list(self._owners.items()) if owner in members}

    def _store_of(self, files: WorkerBackend) -> Store:
        store = Store(files, self._given)
        store.cache = self.cache  # one bound on memory for all
        return store

    @property
    def requests(self) -> Requests | None:
        total = super().requests or Requests()
        for member in self.members:
            total += member.files.requests
        return total

    def segments(self, predicate: Predicate | None = None) -> list[SegmentInfo]:
        found = super().segments(predicate)
        problems = list(self.problems)
        own = {info.name for info in found}
        for member, infos in self._ask_all(lambda store: (store.segments(predicate), store.problems), problems):
            problems += infos[1]
            for info in infos[0]:
                if info.name in own or self._owners.setdefault(info.name, member) is not member:
                    problems.append(StoreError(f"{member.shown}: {info.name} is another store's, its copy is left out"))
                else:
                    found.append(info)
        self.problems = problems
        return sorted(found, key=lambda info: (info.first_ns, info.name))

    def is_open(self, name: str) -> bool:
        owner = self._owners.get(name)
        return super().is_open(name) if owner is None else owner.store.is_open(name)

    @property
    def look_s(self) -> float:
        return max((member.files.look_s for member in self.members), default=super().look_s)

    def stamp(self) -> int | None:
        return None if self.members else super().stamp()

    def open_segment(self, name: str, *, keep: bool = True, cache: BlockCache | None = None) -> SegmentReader:
        owner = self._owners.get(name)
        if owner is None:
            return super().open_segment(name, keep=keep, cache=cache)
        return owner.store.open_segment(name, keep=keep, cache=cache)

    def prefetch(self, names: Iterable[str]) -> None:
        listed = list(names)
        super().prefetch(name for name in listed if name not in self._owners)
        for member in self.members:
            member.store.prefetch(name for name in listed if self._owners.get(name) is member)

    def info(self) -> StoreInfo:
        total, problems = super().info(), list[StoreError]()
        for _, other in self._ask_all(lambda store: store.info(), problems):
            total = replace(
                total,
                segments=total.segments + other.segments,
                open_segments=total.open_segments + other.open_segments,
                packets=total.packets + other.packets,
                flows=total.flows + other.flows,
                captured_bytes=total.captured_bytes + other.captured_bytes,
                disk_bytes=total.disk_bytes + other.disk_bytes,
                first_ns=min((each for each in (total.first_ns, other.first_ns) if each is not None), default=None),
                last_ns=max((each for each in (total.last_ns, other.last_ns) if each is not None), default=None),
                sources=total.sources + other.sources,
                link_types=tuple(sorted({*total.link_types, *other.link_types})),
                nodes=tuple(sorted({*total.nodes, *other.nodes})),
                problems=(*total.problems, *other.problems),
            )
        return replace(total, problems=(*total.problems, *problems))

    def free_memory(self) -> None:
        super().free_memory()
        for member in self.members:
            member.store.free_memory()

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
        """Let go of the workers: they are not asked any more."""
        super().close()
        self._asking.shutdown(wait=False, cancel_futures=True)

    def _sizes(self) -> dict[str, int]:
        sizes = super()._sizes()
        for member in self.members:
            with suppress(Away):
                sizes |= member.store._sizes()
        return sizes

    def _index(self, name: str, *, keep: bool = True) -> IndexFile:
        owner = self._owners.get(name)
        if owner is None:
            return super()._index(name, keep=keep)
        return owner.store._unsealed.get(name) or owner.store._index(name, keep=keep)

    def _ask_all(self, ask: Callable[[Store], T], problems: list[StoreError]) -> list[tuple[Member, T]]:
        """Ask every worker at once; return what came in time, and note who did not answer."""
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
        wait([future for _, future in asked], timeout=ANSWER_SECONDS)
        found: list[tuple[Member, T]] = []
        for member, future in asked:
            if not future.done():
                member.turn("late", f"has not answered for {ANSWER_SECONDS:g} s")
                problems.append(self._late(member))
                continue
            try:
                found.append((member, future.result()))
            except StoreError as error:
                error.forget_frames()
                problems.append(error)
        return found

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
