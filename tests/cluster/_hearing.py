"""What a watch tells, gathered; and a relay before an API server, whose connections can be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kubeshark.cluster import Change, Cluster, Watch


class Hearing:
    def __init__(self, cluster: Cluster, *kinds: str) -> None:
        self.changes: list[tuple[str, Change]] = []
        self.lists = 0
        self.told: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.watch = Watch(cluster, kinds, self._changed, self._told)

    def _changed(self, kind: str, changes: list[Change]) -> None:
        with self._lock:
            self.lists += len(changes) != 1
            self.changes += [(kind, change) for change in changes]

    def _told(self, kind: str, problem: str) -> None:
        with self._lock:
            self.told.append((kind, problem))

    def until(self, holds: Callable[[], Any]) -> None:
        try:
            wait_until(holds)
        except AssertionError:
            raise AssertionError(self.names(), self.told) from None

    def names(self) -> list[str]:
        """Return the names as they came, "-" for each that went."""
        return [c.object["metadata"]["name"] if c.object else "-" for _, c in self.changes]

    def at(self, name: str) -> Change:
        return next(c for _, c in self.changes if c.object and c.object["metadata"]["name"] == name)


class Relay:
    """Passes bytes on to a port; `cut` closes what is open and refuses what comes, until `mend`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: list[socket.socket] = []
        self.accepted = 0
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self.accepted += 1
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()

    def drop(self) -> None:
        """Close what is open."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def cut(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def mend(self) -> None:
        self._listener = self._listen(self.port)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def wait_until(holds: Callable[[], Any], timeout: float = 90) -> None:
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
