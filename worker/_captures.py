"""Keeps a capture running beside the server, in a process of its own: what one of them suffers the other does not.

A capture that dies is begun again, later each time; what its log held is still there (ADR 20). Counters go on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

import msgspec

from kubeshark.worker._status import Capture, Order

__all__ = ["Captures"]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
LASTED_S = 60.0
"""A capture that ran that long was well: the next pause is short again."""

END_S = 60.0
"""For what is in memory to be sealed."""

MAX_LINE = 64 << 10

_NOT_ITS_BUSINESS = ("KUBESHARK_IDENTITY", "AWS_", "AZURE_", "GOOGLE_")
"""Variables that say who we are to others: who captures talks to nobody."""


@dataclass(slots=True)
class Captures:
    """One capture and its successors, from `start` to `stop`."""

    order: Order
    log: Callable[[str], None]
    _before: Capture = field(init=False)  # of processes that ended
    _now: Capture = field(init=False)
    _state: str = "starting"
    _restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._before = self._now = self._nothing()

    def _nothing(self) -> Capture:
        return Capture(",".join(self.order.interfaces), 0, 0, 0, 0)

    def rows(self) -> list[Capture]:
        """Return how it fares, for the status."""
        total = _sum(self._before, self._now)
        return [msgspec.structs.replace(total, state=self._state, restarts=self._restarts)]

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name="kubeshark-captures", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the capture and wait until what it held is sealed."""
        self._ends.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(END_S)
        if process is not None and process.poll() is None:
            process.kill()

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._ends.is_set():
            began = time.monotonic()
            code = self._run()
            self._before, self._now = _sum(self._before, self._now), self._nothing()
            if self._ends.is_set():
                break
            pause = FIRST_PAUSE_S if time.monotonic() - began > LASTED_S else min(2 * pause, LONGEST_PAUSE_S)
            self._state = f"ended ({code})"
            self._restarts += 1
            self.log(f"the capture ended ({code}): it begins again in {pause:g} s")
            self._ends.wait(pause)
        self._state = "stopped"

    def _run(self) -> int:
        """Capture once; return the exit code, negative for a signal."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_ITS_BUSINESS)}
        command = [sys.executable, "-m", "kubeshark.worker._capture_child"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            self._process = process
            if self._ends.is_set():  # told to stop while it was made
                process.terminate()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(msgspec.json.encode(self.order))
                process.stdin.close()
            except BrokenPipeError:
                pass  # its exit code says more
            self._listen(process.stdout)
        return process.returncode

    def _listen(self, lines: IO[bytes]) -> None:
        while line := lines.readline(MAX_LINE):
            self._now = msgspec.json.decode(line, type=Capture)
            self._state = "running"


def _sum(one: Capture, other: Capture) -> Capture:
    counts = {name: getattr(one, name) + getattr(other, name) for name in ("received", "dropped", "lost", "stored")}
    return msgspec.structs.replace(one, **counts)
