"""Who may work now: a few queries at a time, the others wait in the order in which they came.

A query holds its turn only while it reads and dissects, not while its client is slow: whoever waits for a client gives
the turn back. Dissection is bound by the interpreter, so that more turns than processors make everything later.

So many may wait, and of one user half of them: who comes then is refused. What waits in a thread of the server's is
counted before it takes that thread (`admitted`), so that some are left for whoever asks for no work at all. Nobody who
has begun is refused when they take their turn again.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

__all__ = ["MAX_WAITING", "QueryPool", "TooManyError", "Turn"]

MAX_WAITING = 64
SHARE = 32
"""Of one user: others are served while somebody asks for too much."""

LOOK_S = 0.05  # how often somebody who waits looks whether it still wants to


class TooManyError(Exception):
    """So many wait that one more would never be answered."""


@dataclass(slots=True, eq=False)
class _Waiting:
    whose: str


@dataclass(slots=True)
class QueryPool:
    """`turns` are given at a time; in any thread. `whose` is a name of the user that a turn is for."""

    turns: int = field(default_factory=lambda: max(2, min(4, len(os.sched_getaffinity(0)))))
    max_waiting: int = MAX_WAITING
    share: int = SHARE
    running: int = 0
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _admitted: Counter[str] = field(default_factory=Counter)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @contextmanager
    def admitted(self, whose: str) -> Iterator[None]:
        """Count somebody who will ask for turns, until they need none any more; TooManyError if there are too many."""
        with self._changed:
            if self._admitted.total() >= self.max_waiting or self._admitted[whose] >= self.share:
                raise TooManyError
            self._admitted[whose] += 1
        try:
            yield
        finally:
            with self._changed:
                self._admitted[whose] -= 1
                self._admitted += Counter()  # forgets whoever has none

    def take(
        self,
        *,
        gave_up: Callable[[], bool] = lambda: False,
        on_wait: Callable[[int], None] = lambda _: None,
        whose: str = "",
        is_admitted: bool = False,
    ) -> bool:
        """Wait for a turn; False if the caller gave up. `on_wait` hears how many are ahead, when that changes."""
        me = _Waiting(whose)
        with self._changed:
            if self.running < self.turns and not self._waiting:
                self.running += 1
                return True
            if not is_admitted and self._is_full(whose):
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

    def _is_full(self, whose: str) -> bool:
        waiting = self._waiting
        return len(waiting) >= self.max_waiting or sum(each.whose == whose for each in waiting) >= self.share

    def give(self) -> None:
        """Give a turn back."""
        with self._changed:
            self.running -= 1
            self._changed.notify_all()

    def turn(
        self,
        *,
        gave_up: Callable[[], bool] = lambda: False,
        on_wait: Callable[[int], None] = lambda _: None,
        whose: str = "",
        is_admitted: bool = False,
    ) -> Turn:
        """Return a turn, not taken yet."""
        return Turn(self, gave_up, on_wait, whose, is_admitted)


@dataclass(slots=True)
class Turn:
    """Somebody's turn, taken and given back as often as they like. A context manager: it is given back at the end."""

    pool: QueryPool
    gave_up: Callable[[], bool]
    on_wait: Callable[[int], None]
    whose: str
    is_admitted: bool
    is_held: bool = False

    def take(self) -> bool:
        """Wait for it; False if its owner gave up. TooManyError if too many wait, and it was never held before."""
        if not self.is_held:
            self.is_held = self.pool.take(
                gave_up=self.gave_up, on_wait=self.on_wait, whose=self.whose, is_admitted=self.is_admitted
            )
            self.is_admitted |= self.is_held
        return self.is_held

    def give(self) -> None:
        if self.is_held:
            self.is_held = False
            self.pool.give()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give()
