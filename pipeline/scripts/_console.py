"""What scripts say: the last lines of each, in memory only, and whoever listens."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import msgspec

__all__ = ["Console", "ConsoleLine"]

KEPT = 2000  # lines of each script
MAX_LINE = 64 << 10


class ConsoleLine(msgspec.Struct, frozen=True):
    time_ms: int
    script: str
    title: str
    role: str  # worker, hub
    level: str  # log, error; clear empties what was there
    text: str


class Console:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, deque[ConsoleLine]] = {}
        self._listeners: list[Callable[[ConsoleLine], None]] = []

    def add(self, line: ConsoleLine) -> None:
        if len(line.text) > MAX_LINE:
            line = msgspec.structs.replace(line, text=line.text[:MAX_LINE] + "…")
        with self._lock:
            kept = self._lines.setdefault(line.script, deque(maxlen=KEPT))
            if line.level == "clear":
                kept.clear()
            else:
                kept.append(line)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(line)

    def lines(self, script: str = "") -> list[ConsoleLine]:
        """Return what is kept, of one script (id or title) or all, in the order of time."""
        with self._lock:
            found = [line for kept in self._lines.values() for line in kept]
        return sorted((line for line in found if not script or script in (line.script, line.title)), key=_time)

    def listen(self, listener: Callable[[ConsoleLine], None]) -> Callable[[], None]:
        """Give every later line to `listener`; return how to end that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end


def _time(line: ConsoleLine) -> int:
    return line.time_ms
