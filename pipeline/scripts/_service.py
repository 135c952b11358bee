"""Lets other commands see the scripts of a running process: a Unix socket that only this user can reach.

    <plugins.dir>/.run/<pid>.sock       one line of JSON in, lines of JSON out: {"do": "status"} or {"do": "console"}

Nothing that scripts said is written to a disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from kubeshark.pipeline.plugins._state import plugins_folder
from kubeshark.pipeline.scripts._console import ConsoleLine
from kubeshark.pipeline.scripts._runtime import Scripts

__all__ = ["Service", "console_lines", "describe", "running", "status_of"]

FOLDER = ".run"
MAX_REQUEST = 4096
WAITING = 10_000  # lines that a slow reader may be behind
CLIENTS = 16


class Service:
    """A context manager: reachable inside."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._stopped = threading.Event()
        self._clients: set[socket.socket] = set()

    def __enter__(self) -> Self:
        folder = plugins_folder() / FOLDER
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{os.getpid()}.sock"
        self._path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _near(self._path) as near:
            self._server.bind(near)
        self._path.chmod(0o600)
        self._server.listen(CLIENTS)
        self._thread = threading.Thread(target=self._accept, name="kubeshark-console", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._path.unlink(missing_ok=True)
        for each in (self._server, *self._clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(1)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if len(self._clients) >= CLIENTS:
                client.close()
                continue
            self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), name="kubeshark-console", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            client.settimeout(10)
            request = json.loads(client.makefile("rb").readline(MAX_REQUEST))
            if request.get("do") == "status":
                client.sendall(json.dumps(describe(self._scripts)).encode() + b"\n")
            elif request.get("do") == "console":
                self._tell(client, str(request.get("script", "")), follow=bool(request.get("follow")))
        except (OSError, ValueError, AttributeError):
            pass  # who asks went away, or asked nonsense
        finally:
            self._clients.discard(client)
            client.close()

    def _tell(self, client: socket.socket, script: str, *, follow: bool) -> None:
        waiting: queue.Queue[ConsoleLine] = queue.Queue(WAITING)

        def heard(line: ConsoleLine) -> None:
            if not script or script in (line.script, line.title):
                with contextlib.suppress(queue.Full):
                    waiting.put_nowait(line)

        end = self._scripts.console.listen(heard)
        try:
            known = self._scripts.console.lines(script)
            for line in known:
                client.sendall(msgspec.json.encode(line) + b"\n")
            told = set(map(id, known))
            while follow and not self._stopped.is_set():
                try:
                    line = waiting.get(timeout=0.5)
                except queue.Empty:
                    continue
                if id(line) not in told:
                    client.sendall(msgspec.json.encode(line) + b"\n")
        finally:
            end()


def describe(scripts: Scripts) -> list[dict[str, Any]]:
    """Return what lists show, a row for each script and role."""
    rows = []
    for state in scripts.states():
        jobs = [job for job in scripts.clock.jobs(state.script.id) if job.role == state.role]
        rows.append(
            {
                "id": state.script.id,
                "title": state.script.title,
                "role": state.role,
                "hooks": list(state.hooks),
                "state": state.problem or "loaded",
                "note": state.note,
                "errors": state.errors,
                "replaced": state.replaced,
                "grants": {kind: list(values) for kind, values in state.script.grants.items()},
                "jobs": [
                    {
                        "tag": job.tag,
                        "cron": job.cron,
                        "limit": job.limit,
                        "next": job.next_s,
                        "last": job.last_s,
                        "ms": job.last_ms,
                        "runs": job.runs,
                        "failures": job.failures,
                        "skipped": job.skipped,
                        "error": job.last_error,
                    }
                    for job in jobs
                ],
            }
        )
    return rows


def running() -> list[Path]:
    """Return the sockets of processes that run scripts; those of processes that are gone are removed."""
    found = []
    for path in sorted((plugins_folder() / FOLDER).glob("*.sock")):
        try:
            with _connected(path):
                found.append(path)
        except OSError:
            path.unlink(missing_ok=True)
    return found


def status_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(next(_asked(path, {"do": "status"}), b"[]"))
    return rows


def console_lines(path: Path, script: str = "", *, follow: bool = False) -> Iterator[ConsoleLine]:
    """Yield what scripts of a process said, and with `follow` what they say from now on, until it ends."""
    for line in _asked(path, {"do": "console", "script": script, "follow": follow}):
        yield msgspec.json.decode(line, type=ConsoleLine)


def _asked(path: Path, request: dict[str, Any]) -> Iterator[bytes]:
    with _connected(path) as client:
        client.sendall(json.dumps(request).encode() + b"\n")
        client.settimeout(None)
        yield from client.makefile("rb")


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(5)
        with _near(path) as near:
            client.connect(near)
    except BaseException:
        client.close()
        raise
    return client


@contextlib.contextmanager
def _near(path: Path) -> Iterator[str]:
    """Give a name for a socket that is short enough: the kernel takes 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
