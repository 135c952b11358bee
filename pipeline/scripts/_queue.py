"""What scripts ask for while one of their functions runs, done behind it: in order, by one thread at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from kubeshark.hosts.js.scripts._process import Command
from kubeshark.pipeline.scripts._isolate import Role

__all__ = ["CommandQueue"]

TURN = 100_000
"""Commands until another thread may go on with them."""

MAX_CHAIN, MAX_CHAINED = 8, 1000
"""`hub.action` within `onHubAction`: so deep, and so often until all that is queued is done."""


class CommandQueue:
    """`do` does one command, and may call functions of scripts, which ask for more; `say` tells a script's author."""

    def __init__(
        self,
        do: Callable[[Role, str, str, list[Any]], None],
        say: Callable[[str, Role, str, str], None],
    ) -> None:
        self._do, self._say = do, say
        self._waiting: deque[tuple[Role, Command, int]] = deque()  # and how many onHubAction led to it
        self._working = threading.Lock()
        self._doing = threading.local()

    def extend(self, role: Role, commands: Iterable[Command]) -> None:
        """Take commands of scripts of a role, from any thread."""
        depth = getattr(self._doing, "depth", 0)
        self._waiting.extend((role, command, depth) for command in commands)

    def settle(self) -> None:
        """Do what waits; returns at once where another thread is at it."""
        chained = 0
        while self._waiting and self._working.acquire(blocking=False):
            try:
                left = TURN
                while self._waiting and left:
                    role, (script, name, values), depth = self._waiting.popleft()
                    left -= 1
                    is_action = name == "hub.action"
                    chained += is_action and depth > 0
                    if is_action and depth and (depth > MAX_CHAIN or chained > MAX_CHAINED):
                        self._say(script, role, "error", "hub.action: onHubAction calls it again and again: left out")
                        continue
                    self._doing.depth = depth + is_action
                    self._do(role, script, name, values)
            finally:
                self._doing.depth = 0
                self._working.release()
