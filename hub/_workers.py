"""The workers whose stores are queried with the hub's own: who is there, who is late, who is gone, and since when.

Each is asked every few seconds, by a thread of its own: one that hangs keeps no other from being seen. Queries find out
for themselves (`core_capture/store/_joined.py`); this is what people look at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Self

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kubeshark.core_capture.store import Away, JoinedStore, Member, Store
from kubeshark.core_capture.store._tls_files import TlsFiles
from kubeshark.hub._access import need, need_all
from kubeshark.hub._state import State

__all__ = ["PROBE_SECONDS", "Workers", "router"]

PROBE_SECONDS = 5.0
CLOCKS_SECONDS = 2.0
"""A node whose clock differs by more is told of: the same packet of two nodes is looked for that far apart."""

router = APIRouter(prefix="/api/v1", tags=["workers"], dependencies=[Depends(need("read")), Depends(need_all)])

_Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_Text = Annotated[str, msgspec.Meta(max_length=200)]


class _Counters(msgspec.Struct, frozen=True):
    requests: int = 0
    refused: int = 0
    sent_bytes: int = 0


class _Capture(msgspec.Struct, frozen=True):
    interface: _Text
    received: int
    dropped: int
    lost: int
    stored: int
    state: _Text
    restarts: int


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
    fetched_bytes: int = Field(description="by this hub since it began")
    captures: list[dict[str, Any]] = []


class Workers:
    """Watches the workers of a store from `__enter__` to `__exit__`; `listeners` hear of every change of a state."""

    def __init__(self, store: Store) -> None:
        self.store = store if isinstance(store, JoinedStore) else None
        self.listeners: set[Callable[[list[dict[str, Any]]], None]] = set()
        self._said: dict[str, tuple[_Status, float]] = {}  # by URL: its status, and how far its clock is ahead
        self._told: dict[str, str] = {}
        self._ends = threading.Event()
        self._threads: list[threading.Thread] = []

    def rows(self) -> list[WorkerRow]:
        return [] if self.store is None else [self._row(member) for member in self.store.members]

    def documents(self) -> list[dict[str, Any]]:
        """Return what a client shows of them: url, node, state, why, since."""
        return [row.model_dump(include={"url", "node", "state", "why", "since"}) for row in self.rows()]

    def addresses(self) -> tuple[list[str], TlsFiles | None]:
        """Return the URLs of the workers, and with which certificate they are asked; None without workers."""
        members = self.store.members if self.store else []
        return [member.url for member in members], members[0].files.client.tls if members else None

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
            if row.clock_off_seconds is not None and abs(row.clock_off_seconds) > CLOCKS_SECONDS:
                found.append(f"{name} has a clock that is {row.clock_off_seconds:+.1f} s off")
        return found

    def __enter__(self) -> Self:
        for member in self.store.members if self.store else ():
            thread = threading.Thread(target=self._watch, args=(member,), name="kubeshark-watch", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()

    def _watch(self, member: Member) -> None:
        while not self._ends.is_set():
            self.look(member)
            self._ends.wait(PROBE_SECONDS)

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
        return WorkerRow(
            url=member.url,
            node=said.node if said else None,
            state=member.state,
            why=member.why,
            since=member.since,
            fetched_bytes=member.files.requests.bytes_read,
            **about,
        )


@router.get("/workers", summary="The workers that are queried, and how they fare")
def workers(hub: State) -> list[WorkerRow]:
    return hub.workers.rows()
