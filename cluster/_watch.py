"""Objects of a cluster as they change: listed once, then watched, a thread for each kind.

1. A list says where it stands (resourceVersion); the watch goes on from there. Bookmarks move that on where nothing
   happens, so that a watch that is cut off, or ended by the server, misses nothing and lists nothing again.
2. A version the server no longer knows (410) makes a new list; what went meanwhile is told as gone.
3. Who cannot be reached is asked again after a while that doubles, and differs between clients.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kubeshark.cluster._client import KINDS, PAGE, Cluster, Stream
from kubeshark.errors import ClusterError

__all__ = ["Change", "Watch"]

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
SERVER_S = 300
"""After so long, up to twice, the server ends a watch: connections go to other servers in time."""

QUIET_S = 90.0
"""Bookmarks come every minute: a connection that says nothing for longer is dead."""

GAP_S = 1.0
"""What comes this soon after nothing was heard for longer happened some time in between."""

STOP_S = 0.4
GONE = 410


@dataclass(frozen=True, slots=True)
class Change:
    """An object as it is now, or None where it is gone. `seen_ns` is when we heard, since 1970."""

    uid: str
    object: dict[str, Any] | None
    seen_ns: int
    is_late: bool  # heard of by a list or after a gap: when it became so is not known


class Watch:
    """Watches kinds from `__enter__` to `__exit__`.

    `changed` gets the changes of one kind, a whole list at once, also an empty one; `told` a kind and what is wrong
    with it, "" when all is well again. Both are called by threads of the watch, and by none after `__exit__`.
    """

    def __init__(
        self,
        cluster: Cluster,
        kinds: Sequence[str],
        changed: Callable[[str, list[Change]], None],
        told: Callable[[str, str], None] = lambda _kind, _problem: None,
    ) -> None:
        self._ends = threading.Event()
        self._kinds = [_KindWatch(cluster, kind, changed, told, self._ends) for kind in kinds]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for kind in self._kinds:
            thread = threading.Thread(target=kind.run, name=f"kubeshark-watch-{kind.kind}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for kind in self._kinds:
            kind.end()
        until = time.monotonic() + STOP_S
        for thread in self._threads:  # one that waits for a connection ends later, and calls nobody
            thread.join(max(0.0, until - time.monotonic()))


class _KindWatch:
    """One kind: its version, who was there, and the stream that is read now."""

    def __init__(
        self,
        cluster: Cluster,
        kind: str,
        changed: Callable[[str, list[Change]], None],
        told: Callable[[str, str], None],
        ends: threading.Event,
    ) -> None:
        self.kind = kind
        self._cluster, self._path = cluster, KINDS[kind].path()
        self._changed, self._told, self._ends = changed, told, ends
        self._version = ""
        self._present: set[str] = set()
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._problem = ""
        self._opened = 0.0  # when the watch that runs was, by the monotonic clock; 0: none
        self._heard = 0.0  # when the one before ended
        self._late_until = 0.0

    def run(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._ends.is_set():
            self._opened = 0.0
            self._once()
            if self._opened:
                self._heard = time.monotonic()
                if self._heard - self._opened > FIRST_WAIT_S:  # it did work: what ends at once is asked ever less often
                    wait_s = FIRST_WAIT_S
                    continue
            self._ends.wait(wait_s * random.uniform(0.5, 1))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    def _once(self) -> None:
        try:
            if not self._version:
                self._list()
            self._watch()
        except ClusterError as error:
            if error.status == GONE:
                self._version = ""
            else:
                self._say(error.message)

    def end(self) -> None:
        with self._lock:
            if self._stream is not None:
                self._stream.end()

    def _say(self, problem: str) -> None:
        if problem != self._problem and not self._ends.is_set():
            self._problem = problem
            self._told(self.kind, problem)

    def _list(self) -> None:
        query, found, version = {"limit": str(PAGE)}, list[Any](), ""
        while True:
            page = self._cluster.json("GET", self._path, query=query)
            meta = page.get("metadata") or {}
            found += page.get("items") or ()
            version = str(meta.get("resourceVersion") or "")
            if self._ends.is_set():
                return
            if not (more := meta.get("continue")):
                break
            query["continue"] = more
        now_ns = time.time_ns()
        objects = {str(each["metadata"]["uid"]): _slim(each) for each in found if _has_uid(each)}
        gone = [Change(uid, None, now_ns, True) for uid in self._present - objects.keys()]
        new = [Change(uid, each, now_ns, True) for uid, each in objects.items()]
        self._changed(self.kind, [*gone, *new])
        self._present = set(objects)
        self._version, self._heard = version, time.monotonic()
        self._say("")

    def _watch(self) -> None:
        query = {
            "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(SERVER_S, 2 * SERVER_S)),
        }  # fmt: skip
        with self._cluster.stream(self._path, query=query, quiet_s=QUIET_S) as stream:
            with self._lock:
                if self._ends.is_set():
                    return
                self._stream = stream
            self._opened = time.monotonic()
            if self._heard and self._opened - self._heard > GAP_S:
                self._late_until = self._opened + GAP_S
            try:
                self._say("")
                for line in stream.lines():
                    if self._ends.is_set():
                        return
                    if line:
                        self._take(line)
            finally:
                with self._lock:
                    self._stream = None

    def _take(self, line: bytes) -> None:
        """Take one event; raise ClusterError for one that says the watch is over."""
        try:
            event = json.loads(line)
            kind, found = event["type"], event["object"]
            if kind == "ERROR":
                message = " ".join(str(found.get("message") or "the watch failed").split())[:1_000]
                raise ClusterError(message, status=int(found.get("code") or 0))
            version, uid = str(found["metadata"]["resourceVersion"]), str(found["metadata"].get("uid", ""))
            is_gone, thing = kind == "DELETED", _slim(found)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._version = ""  # what it was about is not known: only a list can tell
            raise ClusterError(f"{self._cluster.host} says of {self._path} what is no event") from error
        if kind != "BOOKMARK":
            (self._present.discard if is_gone else self._present.add)(uid)
            is_late = time.monotonic() < self._late_until
            self._changed(self.kind, [Change(uid, None if is_gone else thing, time.time_ns(), is_late)])
        self._version = version


def _has_uid(thing: Any) -> bool:
    return isinstance(thing, dict) and isinstance(meta := thing.get("metadata"), dict) and "uid" in meta


def _slim(thing: dict[str, Any]) -> dict[str, Any]:
    thing["metadata"].pop("managedFields", None)
    return thing
