"""Finds workers by a name that has an address for each: a headless Service of Kubernetes, or any name of that kind.

DNS needs no account and no right, and is the same on a laptop. A name that cannot be looked up now changes nothing:
workers do not leave because a name server does.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import Self

from kubeshark.errors import UsageError
from kubeshark.hub.nodes._workers import MAX_WORKERS, Workers

__all__ = ["LOOK_SECONDS", "Discovery", "addresses"]

LOOK_SECONDS = 10.0


class Discovery:
    """Looks a name up every few seconds from `__enter__` to `__exit__`; "" is none, and does nothing."""

    def __init__(self, workers: Workers, name: str, log: Callable[[str], None]) -> None:
        self._workers, self._log = workers, log
        self._name, self._port = parse(name) if name else ("", 0)
        self._ends = threading.Event()
        self._said = ""

    def __enter__(self) -> Self:
        if self._name:
            threading.Thread(target=self._look, name="kubeshark-discovery", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()

    def _look(self) -> None:
        while not self._ends.is_set():
            self.look()
            self._ends.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Look once."""
        try:
            found = addresses(self._name, self._port)
            said = "" if len(found) <= MAX_WORKERS else f"has {len(found):,} addresses: {MAX_WORKERS:,} are asked"
            self._workers.discover(found[:MAX_WORKERS])
        except OSError as error:
            said = f"cannot be looked up: {error.strerror or error}"
        if said and said != self._said:
            self._log(f"workers of {self._name}: {said}")
        self._said = said


def parse(text: str) -> tuple[str, int]:
    """Return name and port of NAME:PORT; raise UsageError."""
    found = re.fullmatch(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):(\d{1,5})", text)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        raise UsageError(f"{text[:100]!r} names no workers", hint="write NAME:PORT")
    return found[1], int(found[2])


def addresses(name: str, port: int) -> list[str]:
    """Return a URL for each address of a name, sorted; raise OSError."""
    found = {each[4][0] for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)}
    return sorted(f"https://[{each}]:{port}" if ":" in str(each) else f"https://{each}:{port}" for each in found)
