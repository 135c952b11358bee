"""Who may work now: a few queries at a time, the others wait in the order in which they came.

A query holds its turn only while it reads and dissects, not while its client is slow: whoever waits for a client gives
the turn back. Dissection is bound by the interpreter, so that more turns than processors make everything later.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

__all__ = ["QueryPool", "TooManyError", "Turn"]

MAX_WAITING = 64
LOOK_S = 0.05  # how often somebody who waits looks whether it still wants to


class TooManyError(Exception):
    """So many wait that one more would never be answered."""


@dataclass(slots=True)
class QueryPool:
    """`turns` are given at a time; in any thread."""

    turns: int = field(default_factory=lambda: max(2, min(4, len(os.sched_getaffinity(0)))))
    max_waiting: int = MAX_WAITING
    running: int = 0
    _waiting: deque[object] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(
        self, *, gave_up: Callable[[], bool] = lambda: False, on_wait: Callable[[int], None] = lambda _: None
    ) -> bool:
        """Wait for a turn; False if the caller gave up. `on_wait` hears how many are ahead, when that changes."""
        me = object()
        with self._changed:
            if self.running < self.turns and not self._waiting:
                self.running += 1
                return True
            if len(self._waiting) >= self.max_waiting:
                raise TooManyError
            self._waiting.append(me)
            told = -1
            try:
                while self.running >= self.turns or self._waiting[0] is not me:
                    if gave_up():
                        return False
                    ahead = self._waiting.index(me) + self.running
                    if ahead != told:
                        told = ahead
                        on_wait(ahead)
                    self._changed.wait(LOOK_S)
                self.running += 1
                return True
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()

    def give(self) -> None:
        """Give a turn back."""
        with self._changed:
            self.running -= 1
            self._changed.notify_all()

    def turn(
        self, *, gave_up: Callable[[], bool] = lambda: False, on_wait: Callable[[int], None] = lambda _: None
    ) -> Turn:
        """Return a turn, not taken yet."""
        return Turn(self, gave_up, on_wait)


@dataclass(slots=True)
class Turn:
    """Somebody's turn, taken and given back as often as they like. A context manager: it is given back at the end."""

    pool: QueryPool
    gave_up: Callable[[], bool]
    on_wait: Callable[[int], None]
    is_held: bool = False

    def take(self) -> bool:
        """Wait for it; False if its owner gave up. TooManyError if too many wait."""
        self.is_held = self.is_held or self.pool.take(gave_up=self.gave_up, on_wait=self.on_wait)
        return self.is_held

    def give(self) -> None:
        if self.is_held:
            self.is_held = False
            self.pool.give()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give()
