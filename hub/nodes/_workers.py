"""The workers whose stores are queried with the hub's own: who is there, who is late, who is gone, and since when.

Each is asked every few seconds, by a thread of its own: one that hangs keeps no other from being seen. Queries find out
for themselves (`core_capture/store/archives/_joined.py`); this is what people look at.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from pydantic import BaseModel, Field

from kubeshark.core_capture.store import Away, JoinedStore, Member, Store, TlsFiles, worker_url
from kubeshark.errors import KubesharkError
from kubeshark.hub.nodes._worker_setting import WorkerSetting

__all__ = ["MAX_WORKERS", "PROBE_SECONDS", "WorkerRow", "Workers"]

PROBE_SECONDS = 5.0
CLOCKS_SECONDS = 2.0
"""A node whose clock differs by more is told of: the same packet of two nodes is looked for that far apart."""

MAX_WORKERS = 1_000

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class _Counters(msgspec.Struct, frozen=True):
    requests: int = 0
    refused: int = 0
    sent_bytes: int = 0


class _Chosen(msgspec.Struct, frozen=True):
    why: _Text
    schedules: Annotated[list[_Text], msgspec.Meta(max_length=100)] = []
    until: float | None = None
    pods: int | None = None
    addresses: int = 0
    left_out: int = 0
    waiting: int = 0
    sharing: int = 0
    keep_s: int = 0
    as_store: bool = True
    archived: bool = True


class _Capture(msgspec.Struct, frozen=True):
    interface: _Text
    received: int
    dropped: int
    lost: int
    stored: int
    state: _Text
    restarts: int
    excluded: int = 0  # a worker of before says none
    chosen: _Chosen | None = None


class _Archive(msgspec.Struct, frozen=True):
    url: Annotated[str, msgspec.Meta(max_length=2000)]
    state: _Text
    uploaded: int
    uploaded_bytes: int
    waiting: int
    waiting_bytes: int
    lost: int
    problem: Annotated[str, msgspec.Meta(max_length=1000)]
    left_out: int = 0


class _Status(msgspec.Struct, frozen=True):
    """What of `worker/_status.py` is shown."""

    node: _Name
    version: _Text
    protocol: int
    now: float
    segments: int
    store_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    resident_bytes: int
    refuses: _Text
    counters: _Counters
    captures: Annotated[list[_Capture], msgspec.Meta(max_length=100)] = []
    archive: _Archive | None = None


class WorkerRow(BaseModel):
    """One worker. What it said of itself is null until it answered once, and the last it said afterwards."""

    url: str
    node: str | None
    state: str = Field(description="up, late (has not answered a query in time), away, or unknown")
    why: str = Field(description='of late and away; "" otherwise')
    since: float = Field(description="seconds since 1970: of the state")
    version: str | None = None
    segments: int | None = None
    store_bytes: int | None = None
    disk_bytes: int | None = None
    disk_free_bytes: int | None = None
    resident_bytes: int | None = None
    refuses: str | None = Field(default=None, description='why it serves nothing now, "" if it does')
    clock_off_seconds: float | None = Field(default=None, description="by how much its clock is ahead of the hub's")
    fetched_bytes: int = Field(default=0, description="by this hub since it began")
    is_set: bool = Field(default=False, description="by the settings, not by an option: it can be taken away")
    tls: str = Field(default="", description="folder of its certificate, key and authority, where it has its own")
    captures: list[dict[str, Any]] = []
    archive: dict[str, Any] | None = Field(default=None, description="how its uploads fare, if it uploads")


class Workers:
    """Watches the workers of a store from `__enter__` to `__exit__`; `listeners` hear of every change of a state."""

    def __init__(self, store: Store, on_join: Callable[[Mapping[str, TlsFiles]], None] = lambda _: None) -> None:
        """`on_join` hears who is there, by URL, with which certificate, whenever that is said anew."""
        self._on_join = on_join
        self.store = store if isinstance(store, JoinedStore) else None
        self.listeners: set[Callable[[list[dict[str, Any]]], None]] = set()
        self._said: dict[str, tuple[_Status, float]] = {}  # by URL: its status, and how far its clock is ahead
        self._told: dict[str, str] = {}
        self._began = time.time()
        self._ends = threading.Event()
        self._watches = False
        self._watched: set[Member] = set()
        self._options = {member.url: member.files.tls for member in self.store.members} if self.store else {}
        self._fixed = dict(self._options)
        self._asked: list[WorkerSetting] = []
        self._wanted: dict[str, WorkerSetting] = {}
        self._unusable: dict[str, str] = {}  # of those: why they cannot be asked at all

    def take(self, wanted: list[WorkerSetting]) -> None:
        """Have these workers beside those of the options. One whose certificates cannot be used is listed, and away."""
        if self.store is None:
            return
        self._asked = wanted
        usable = dict(self._options)
        self._wanted, self._unusable = {}, {}
        for each in wanted:
            if each.url in self._options:
                continue
            try:
                usable[self.check_setting(each)] = self._files(each)
            except KubesharkError as error:
                self._unusable[each.url] = str(error)
            self._wanted[each.url] = each
        self.store.join(usable)
        self._on_join(self.addresses())
        if self._watches:
            self._watch_new()
            self._tell()

    def discover(self, urls: list[str]) -> None:
        """Have the workers at these URLs, as if options named them; those of another answer go."""
        if self.store is None:
            return
        options = dict.fromkeys(map(worker_url, urls), self.store.tls) | self._fixed
        if options.keys() != self._options.keys():
            self._options = options
            self.take(self._asked)

    def check_setting(self, wanted: WorkerSetting) -> str:
        """Return its URL as it is kept; raise UsageError for what is none, StoreError for files that cannot be used."""
        url = worker_url(wanted.url)
        self._files(wanted).context(ssl.Purpose.SERVER_AUTH)
        return url

    def _files(self, wanted: WorkerSetting) -> TlsFiles:
        if wanted.tls:
            return TlsFiles.in_folder(Path(wanted.tls))
        return self.store.tls if self.store else TlsFiles.in_folder()

    def rows(self) -> list[WorkerRow]:
        if self.store is None:
            return []
        lost: dict[str, Any] = {"node": None, "state": "away", "since": self._began, "is_set": True}
        return [
            *(self._row(member) for member in self.store.members),
            *(WorkerRow(url=url, why=why, tls=self._wanted[url].tls, **lost) for url, why in self._unusable.items()),
        ]

    def documents(self) -> list[dict[str, Any]]:
        """Return what a client shows of them: url, node, state, why, since."""
        return [row.model_dump(include={"url", "node", "state", "why", "since"}) for row in self.rows()]

    def addresses(self) -> dict[str, TlsFiles]:
        """Return the URLs of the workers, and with which certificate each is asked."""
        return {member.url: member.files.tls for member in self.store.members} if self.store else {}

    def problems(self) -> list[str]:
        """Return what is wrong with them, a line each."""
        found = []
        for row in self.rows():
            name = f"worker {row.node or row.url}"
            if row.state in ("late", "away"):
                found.append(f"{name} is {row.state}: {row.why}")
            if row.refuses:
                found.append(f"{name} serves nothing: {row.refuses}")
            found += [
                f"{name} does not capture on {each['interface']}: {each['state']}"
                for each in row.captures
                if each["state"] not in ("running", "starting")
            ]
            if row.archive is not None and row.archive["problem"]:
                found.append(f"{name} does not upload: {row.archive['problem']}")
            if row.archive is not None and row.archive["lost"]:
                found.append(f"{name} deleted {row.archive['lost']:,} segments before they were uploaded")
            if row.clock_off_seconds is not None and abs(row.clock_off_seconds) > CLOCKS_SECONDS:
                found.append(f"{name} has a clock that is {row.clock_off_seconds:+.1f} s off")
        return found

    def __enter__(self) -> Self:
        self._watches = True
        self._watch_new()
        return self

    def _watch_new(self) -> None:
        for member in self.store.members if self.store else ():
            if member not in self._watched:
                self._watched.add(member)
                threading.Thread(target=self._watch, args=(member,), name="kubeshark-watch", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._ends.set()

    def _watch(self, member: Member) -> None:
        while not self._ends.is_set() and self.store is not None and member in self.store.members:
            self.look(member)
            self._ends.wait(PROBE_SECONDS)
        self._watched.discard(member)

    def look(self, member: Member) -> None:
        """Ask one worker how it fares, and tell who listens if that changed."""
        assert self.store is not None
        with suppress(Away):
            began = time.time()
            said = self.store.check(member, _Status)
            ended = time.time()
            member.files.client.shown = f"{said.node} ({member.url})"
            self._said[member.url] = said, said.now - (began + ended) / 2
        if self._told.get(member.url) != member.state:
            self._told[member.url] = member.state
            self._tell()

    def _tell(self) -> None:
        documents = self.documents()
        for listener in list(self.listeners):
            listener(documents)

    def _row(self, member: Member) -> WorkerRow:
        said, ahead = self._said.get(member.url, (None, None))
        about: dict[str, Any] = {}
        if said is not None and ahead is not None:
            shown = ("version", "segments", "store_bytes", "disk_bytes", "disk_free_bytes", "resident_bytes", "refuses")
            about = {name: getattr(said, name) for name in shown}
            about |= {"clock_off_seconds": round(ahead, 3), "captures": msgspec.to_builtins(said.captures)}
            about |= {"archive": msgspec.to_builtins(said.archive)}
        return WorkerRow(
            url=member.url,
            node=said.node if said else None,
            state=member.state,
            why=member.why,
            since=member.since,
            fetched_bytes=member.files.requests.bytes_read,
            is_set=member.url not in self._options,
            tls=next((each.tls for each in self._wanted.values() if each.url == member.url), ""),
            **about,
        )
