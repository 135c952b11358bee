"""When a query ends before its work is done: a budget of time or bytes, or somebody who does not want it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

__all__ = ["Budget", "Stop", "Watch", "go_on", "never"]


class Budget(Struct, frozen=True):
    """What a query may use; None: as much as it takes.

    It ends behind the first entry at which the budget is used up. So that whoever goes on from there gets on, it does
    not end before it has come further than it began.
    """

    seconds: float | None = None
    bytes: int | None = None  # decrypted, of indexes and packets


UNLIMITED = Budget()


def go_on() -> None:
    """Let work go on that nobody can stop."""


def never() -> bool:
    """Say whether whoever asks gave up, where nobody can."""
    return False


@dataclass(slots=True)
class Watch:
    """A budget in use. `cancel` may come from any thread; `gave_up` is asked in that of the query, often."""

    budget: Budget
    bytes_read: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    gave_up: Callable[[], bool] = never
    has_moved: bool = False  # the query is further than where it began
    _is_limited: bool = field(init=False)  # asked between any two entries
    _started: float = 0.0
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._is_limited = self.budget != UNLIMITED

    def start(self) -> None:
        self._started = self.clock()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set() or self.gave_up()

    def go_on(self) -> None:
        """Raise Stop if nobody wants the query any more: for work that is in the middle of a chunk."""
        if self.is_cancelled:
            raise Stop

    def must_stop(self) -> bool:
        if self.is_cancelled:
            return True
        return self._is_limited and self.has_moved and bool(self.reason())

    def reason(self) -> str:
        """Say what is used up; "" while nothing is."""
        if self.is_cancelled:
            return "cancelled"
        seconds, limit = self.budget.seconds, self.budget.bytes
        if seconds is not None and self.clock() - self._started >= seconds:
            return f"stopped after {seconds:g} s"
        if limit is not None and self.bytes_read() >= limit:
            return f"stopped after {limit:,} bytes decrypted"
        return ""


class Stop(Exception):
    """The watch says that the query ends now."""
