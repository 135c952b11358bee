"""Whether this process takes more of the processors than it may: what can wait, waits then."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

_NS = 1_000_000_000
_SAVED_S = 1.0  # of its share that was not used: so much may be used at once


class Pace:
    """A share of processors, 0.5 is half of one; 0 is no limit. What was not used is saved for a second."""

    def __init__(self, share: float, cpu_clock: Callable[[], float] = time.process_time) -> None:
        self.share = share
        self._cpu_clock = cpu_clock
        self._then_ns: int | None = None
        self._used = cpu_clock()
        self._owed = 0.0  # seconds of CPU beyond the share; below 0 what is saved

    def is_over(self, now_ns: int) -> bool:
        """Say so at a moment of a clock that never jumps."""
        if not self.share:
            return False
        used = self._cpu_clock()
        passed_s = (now_ns - self._then_ns) / _NS if self._then_ns is not None else 0.0
        owed = self._owed + used - self._used - self.share * passed_s
        self._owed = max(owed, -self.share * _SAVED_S)
        self._then_ns, self._used = now_ns, used
        return self._owed > 0
