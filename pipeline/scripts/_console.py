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
        self._lines: dict[str, deque[tuple[int, ConsoleLine]]] = {}  # numbered from 1, over all scripts
        self._count = 0
        self._listeners: list[Callable[[ConsoleLine], None]] = []

    def add(self, line: ConsoleLine) -> None:
        if len(line.text) > MAX_LINE:
            line = msgspec.structs.replace(line, text=line.text[:MAX_LINE] + "…")
        with self._lock:
            kept = self._lines.setdefault(line.script, deque(maxlen=KEPT))
            if line.level == "clear":
                kept.clear()
            else:
                self._count += 1
                kept.append((self._count, line))
            listeners = list(self._listeners)
        for listener in listeners:
            listener(line)

    def lines(self, script: str = "") -> list[ConsoleLine]:
        """Return what is kept, of one script (id or title) or all, in the order of time."""
        return sorted(self.after(0, script)[0], key=_time)

    def after(self, number: int, script: str = "") -> tuple[list[ConsoleLine], int]:
        """Return what is kept of one script (id or title) or all behind line `number`, and the number of the last."""
        with self._lock:
            found = sorted((each for kept in self._lines.values() for each in kept if each[0] > number), key=_number)
            last = self._count
        return [line for _, line in found if not script or script in (line.script, line.title)], last

    def listen(self, listener: Callable[[ConsoleLine], None]) -> Callable[[], None]:
        """Give every later line to `listener`; return how to end that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end


def _number(numbered: tuple[int, ConsoleLine]) -> int:
    return numbered[0]


def _time(line: ConsoleLine) -> int:
    return line.time_ms
