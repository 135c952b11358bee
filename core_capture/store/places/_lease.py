"""Who may change a store on object storage: an object says so, for a minute at a time.

A lease makes a second writer wait politely. It is not what keeps two writers apart: a machine that slept may believe in
a lease that ended. That is done by store.json, which every writer replaces only in the version it knows (`_state.py`).

The lease of a process that is gone from this very machine is taken over at once, every other one when it ran out.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Self

import msgspec

from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.errors import StoreError

__all__ = ["Lease"]

LEASE_SECONDS = 60.0
RENEW_SECONDS = 20.0
_MAX_SKEW_SECONDS = 300.0  # a lease that ends later than clocks may differ was written by nobody sane
_MAX_BYTES = 4096
_held = set[str]()  # tokens of this process
_Text = Annotated[str, msgspec.Meta(max_length=300)]


class _Holder(msgspec.Struct):
    token: _Text  # another one for each time it is taken; "" : free
    host: _Text
    machine: _Text  # boot and process namespace: where `pid` means something
    pid: int
    until: float  # seconds since 1970

    def is_here(self) -> bool:
        """Say whether the holder may still be at work."""
        now = time.time()
        if not self.token or not now < self.until < now + LEASE_SECONDS + _MAX_SKEW_SECONDS:
            return False
        if self.machine != _machine() or not self.machine:
            return True
        return self.token in _held if self.pid == os.getpid() else _is_alive(self.pid)


class Lease:
    """Held until `release`, the end of the block, or a minute after the end of the process."""

    def __init__(self, client: ObjectClient, name: str) -> None:
        self._client, self._name = client, name
        self._mine = _Holder(os.urandom(8).hex(), platform.node()[:300], _machine(), os.getpid(), 0.0)
        try:
            content, self._version = client.read(name, _MAX_BYTES)
        except FileNotFoundError:
            content, self._version = b"", ""
        holder = _parse(content)
        if holder is not None and holder.is_here():
            raise self._taken(holder.host)
        _held.add(self._mine.token)  # before anybody can read it: another thread would take it for one of the dead
        try:
            self._write()
            self._try_conditions()
        except Changed:
            _held.discard(self._mine.token)
            raise self._taken("") from None
        except BaseException:
            _held.discard(self._mine.token)
            raise
        self._ended = Event()
        self._thread = Thread(target=self._renew, name="kubeshark-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give it up; a second call does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        _held.discard(self._mine.token)
        self._mine.token = ""
        with suppress(StoreError):  # it runs out by itself, or somebody else has it
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _try_conditions(self) -> None:
        """Raise StoreError for a server that takes conditional writes and ignores the condition."""
        try:
            self._client.put(self._name, b"a server that keeps conditions refuses this", version="")
        except Changed:
            return
        raise StoreError(
            f"{self._client.url}: the server ignores conditional writes: nothing would keep two writers apart",
            hint="use one that honours If-None-Match and If-Match, or a store in a folder",
        )

    def _write(self) -> None:
        self._mine.until = time.time() + LEASE_SECONDS
        self._version = self._client.put(self._name, msgspec.json.encode(self._mine), version=self._version)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                self._write()
            except Changed:
                return  # somebody took over: the next change of store.json will say so
            except StoreError:
                continue  # a server that is away for a while

    def _taken(self, host: str) -> StoreError:
        who = f" on {host}" if host.isprintable() and host else ""
        hint = f"wait for it to end; if it died, for {LEASE_SECONDS:.0f} seconds"
        return StoreError(f"another process{who} writes to {self._client.url}", hint=hint)


def _parse(content: bytes) -> _Holder | None:
    try:
        return msgspec.json.decode(content, type=_Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # whoever may write there can do worse than to free a lease


def _machine() -> str:
    """Return what tells this machine, this boot and this process namespace from any other; "" where nothing does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
