"""How much one client may ask for: buckets that fill again with time."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["JSON_BYTES", "PACKAGE_BYTES", "Buckets"]

JSON_BYTES = 1 << 20
"""Of a request's body, where it is neither a capture nor a package."""

PACKAGE_BYTES = 64 << 20
MAX_CLIENTS = 4_096


@dataclass(slots=True)
class Buckets:
    """One bucket a client: `burst` at once, `per_second` in the long run; the longest unheard of are forgotten."""

    burst: float
    per_second: float
    clock: Callable[[], float] = time.monotonic
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, client: str, amount: float = 1.0) -> int:
        """Take from a bucket; return after how many seconds to come again, 0 if there was enough."""
        with self._lock:
            now = self.clock()
            level, then = self._levels.pop(client, (self.burst, now))
            level = min(self.burst, level + (now - then) * self.per_second)
            missing = amount - level
            self._levels[client] = (level if missing > 0 else level - amount, now)
            while len(self._levels) > MAX_CLIENTS:
                self._levels.popitem(last=False)
        return max(1, math.ceil(missing / self.per_second)) if missing > 0 else 0

    def is_empty(self, client: str) -> int:
        """Say after how many seconds there is something again, without taking it; 0: there is now."""
        with self._lock:
            level, then = self._levels.get(client, (self.burst, 0.0))
            level = min(self.burst, level + (self.clock() - then) * self.per_second)
        return 0 if level >= 1 else max(1, math.ceil((1 - level) / self.per_second))
