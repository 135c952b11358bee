"""The process that enforces: it holds the links, watches the clock and the devices, and answers on a socket.

Requests and answers are one JSON document a line, over a UNIX socket in a folder of mode 0700; only the user that
runs it is served. What is enforced is kept in state.json beside it, so that a new process goes on with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import time
from collections import deque
from pathlib import Path
from typing import Any

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.firewall._attach import Mechanism
from kubeshark.firewall._enforcer import BPFFS, Enforcer, FailMode
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall._netlink import LinkWatch
from kubeshark.firewall._wire import target_from, target_to

__all__ = ["Agent", "ask", "runtime_folder"]

MAX_REQUEST = 64 << 20
MAX_EVENTS = 10_000
"""Kept for those who ask; older ones are gone, and counted."""
TICK_S = 0.25
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def runtime_folder() -> Path:
    """Return where the socket and the state lie: $KUBESHARK_FIREWALL_RUN, else /run/kubeshark-firewall."""
    return Path(os.environ.get("KUBESHARK_FIREWALL_RUN") or "/run/kubeshark-firewall")


def ask(request: dict[str, Any], *, folder: Path | None = None, timeout_s: float = 60) -> dict[str, Any]:
    """Ask the process that enforces; FirewallError if there is none, or with what it says."""
    path = (folder or runtime_folder()) / "socket"
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        try:
            link.connect(str(path))
        except OSError as error:
            raise FirewallError(
                "firewall: nothing is enforced here", hint='see "kubeshark firewall apply --enforce"'
            ) from error
        link.sendall(json.dumps(request).encode() + b"\n")
        link.shutdown(socket.SHUT_WR)
        answer = json.loads(_read_all(link))
    if "error" in answer:
        raise FirewallError(str(answer["error"]), hint=str(answer.get("hint", "")))
    return dict(answer)


def _read_all(link: socket.socket) -> bytes:
    pieces, size = [], 0
    while piece := link.recv(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_REQUEST:
            raise UsageError(f"firewall: a message of more than {MAX_REQUEST:,} bytes")
    return b"".join(pieces)


class Agent:
    """Serves until it is told to stop, or gets SIGTERM."""

    def __init__(
        self,
        folder: Path,
        *,
        fail_mode: FailMode = "open",
        force: Mechanism | None = None,
        pins: Path = BPFFS / "kubeshark-firewall",
    ) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o077:
            raise UsageError(f"{folder} is open to others", hint=f"chown to this user and chmod 700 {folder}")
        self.enforcer = Enforcer(fail_mode=fail_mode, force=force, pins=pins)
        self._events: deque[dict[str, Any]] = deque(maxlen=MAX_EVENTS)
        self._sequence = 0
        self._stopping = False

    def run(self) -> None:
        path = self._folder / "socket"
        with contextlib.suppress(FirewallError):
            if ask({"do": "ping"}, folder=self._folder, timeout_s=2):
                raise UsageError("the firewall is run by another process already", hint="kubeshark firewall status")
        path.unlink(missing_ok=True)
        self._restore()
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        watch = LinkWatch()
        with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as selector:
            server.bind(str(path))
            path.chmod(0o600)
            server.listen(8)
            server.setblocking(False)
            selector.register(server, selectors.EVENT_READ)
            selector.register(watch, selectors.EVENT_READ)
            due = 0.0
            while not self._stopping:
                ready = {key.fileobj for key, _ in selector.select(TICK_S)}
                if watch in ready:
                    watch.drain()
                if watch in ready or time.monotonic() >= due:
                    due = time.monotonic() + TICK_S
                    self._tick()
                self._collect()
                if server in ready:
                    with contextlib.suppress(OSError):
                        link, _ = server.accept()
                        self._serve(link)
        watch.close()
        path.unlink(missing_ok=True)
        self.enforcer.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _tick(self) -> None:
        try:
            undone = self.enforcer.tick()
        except KubesharkError as error:
            undone = str(error)
        if undone:
            self._note({"verdict": "reverted", "message": undone, "time": time.time()})
            self._save()

    def _collect(self) -> None:
        for _, document in self.enforcer.events():
            self._note(document)

    def _note(self, document: dict[str, Any]) -> None:
        self._sequence += 1
        self._events.append({"sequence": self._sequence, **document})

    def _serve(self, link: socket.socket) -> None:
        with link:
            link.settimeout(10)
            try:
                credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if struct.unpack("3i", credentials)[1] not in (0, os.geteuid()):
                    return
                answer = self._do(json.loads(_read_all(link)))
            except KubesharkError as error:
                answer = {"error": error.message, "hint": error.hint}
            except (OSError, ValueError, TypeError, KeyError) as error:
                answer = {"error": f"firewall: {error!r:.300}"}
            with contextlib.suppress(OSError):
                link.sendall(json.dumps(answer).encode())

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        enforcer = self.enforcer
        match request.get("do"):
            case "ping":
                return {"pid": os.getpid()}
            case "apply":
                targets = [target_from(each) for each in request["targets"]]
                began = time.perf_counter()
                generation = enforcer.apply(
                    targets,
                    confirm_within_s=float(request.get("confirmWithin", 0)),
                    ttl_s=float(request.get("ttl", 0)),
                )
                self._save()
                return {
                    "generation": generation,
                    "ms": (time.perf_counter() - began) * 1e3,
                    "status": enforcer.status(),
                }
            case "confirm":
                enforcer.confirm()
            case "rollback":
                enforcer.roll_back()
            case "remove":
                enforcer.remove()
            case "stop":
                self._stopping = True
            case "status":
                return {"pid": os.getpid(), **enforcer.status()}
            case "targets":
                return {"targets": [target_to(target) for target in enforcer.targets]}
            case "events":
                after = int(request.get("after", 0))
                return {"events": [each for each in self._events if each["sequence"] > after], "last": self._sequence}
            case other:
                raise UsageError(f"firewall: {other!r} is nothing that can be asked for")
        self._save()
        return {"generation": enforcer.generation}

    # ---- what outlives the process ----

    def _save(self) -> None:
        """Keep what is in force; what waits to be confirmed is not: a new process starts from what was before."""
        enforcer = self.enforcer
        confirmed = enforcer.targets if enforcer.seconds_left is None else enforcer.previous or ()
        left = enforcer.ttl_left
        document = {
            "targets": [target_to(target) for target in confirmed],
            "previous": [target_to(target) for target in enforcer.previous or ()],
            "expiresAt": None if left is None else time.time() + left,
        }
        unfinished = self._folder / f".state.{os.getpid()}"
        with os.fdopen(
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._folder / "state.json")

    def _restore(self) -> None:
        try:
            document = json.loads((self._folder / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError as error:
            raise UsageError(f"{self._folder / 'state.json'} is damaged: {error}", hint="delete it") from error
        targets = [target_from(each) for each in document["targets"]]
        expires = document.get("expiresAt")
        if expires is not None and expires <= time.time():
            targets = [target_from(each) for each in document["previous"]]
            expires = None
        if self.enforcer.fail_mode == "closed":
            self.enforcer.take_over(targets)
        if targets:
            self.enforcer.apply(targets, ttl_s=0 if expires is None else max(0.1, expires - time.time()))
