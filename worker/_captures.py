"""Keeps a capture running beside the server, in a process of its own: what one of them suffers the other does not.

A capture that dies is begun again, later each time; what its log held is still there (ADR 20). Counters go on.
What it keeps may change while it runs (`_choosing.py`): it is told in lines on its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import msgspec

from kubeshark.worker._choosing import Choice, Choosing
from kubeshark.worker._kept import KeptProcess, Pauses
from kubeshark.worker._status import Capture, Order

__all__ = ["Captures"]

PAUSES = Pauses(first=1.0, longest=30.0, lasted=60.0, end=60.0)  # the end: what is in memory is sealed
MAX_LINE = 64 << 10
LOOK_S = 1.0
"""How soon a clock that was put to another time changes what is captured."""

_NOT_ITS_BUSINESS = ("KUBESHARK_IDENTITY", "AWS_", "AZURE_", "GOOGLE_")
"""Variables that say who we are to others: who captures talks to nobody."""


class Captures(KeptProcess):
    """One capture and its successors."""

    def __init__(self, order: Order, log: Callable[[str], None], choosing: Choosing | None = None) -> None:
        super().__init__("the capture", PAUSES, log)
        self.order = order
        self._choosing = choosing
        self._before = Capture(",".join(order.interfaces), 0, 0, 0, 0)  # of processes that ended
        self._now = self._before

    def rows(self) -> list[Capture]:
        """Return how it fares, for the status."""
        total = _sum(self._before, self._now)
        chosen = self._choosing.said(self._now.left_out) if self._choosing else None
        return [msgspec.structs.replace(total, state=self._state, restarts=self._restarts, chosen=chosen)]

    def _run(self) -> tuple[int, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_ITS_BUSINESS)}
        command = [sys.executable, "-m", "kubeshark.worker._capture_child"]
        nothing = msgspec.structs.replace(self._now, received=0, dropped=0, lost=0, stored=0, excluded=0, left_out=0)
        pipe = subprocess.PIPE
        # unbuffered: of a process that is gone nothing waits to be written
        with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, env=environment) as process:
            if self._choosing is None:
                self._begin(process, self.order)
                self._listen(process)
            else:
                choice = self._choosing.now()
                self._begin(process, msgspec.structs.replace(self.order, choice=choice), more=True)
                steering = threading.Thread(target=self._steer, args=(process, choice), daemon=True)
                steering.start()
                self._listen(process)
                process.wait()
                self._choosing.wake()
                steering.join()
        self._before, self._now = _sum(self._before, self._now), nothing
        return process.returncode, ""

    def _steer(self, process: subprocess.Popen[bytes], told: Choice) -> None:
        """Tell a process what to keep, whenever that is something else."""
        assert self._choosing is not None
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            while process.poll() is None:
                self._choosing.wait(LOOK_S)
                choice = self._choosing.now()
                if choice != told:
                    told = choice
                    process.stdin.write(msgspec.json.encode(choice) + b"\n")
                    process.stdin.flush()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        lines: IO[bytes] = process.stdout
        while line := lines.readline(MAX_LINE):
            self._now = msgspec.json.decode(line, type=Capture)
            self._state = "running"


def _sum(one: Capture, other: Capture) -> Capture:
    names = ("received", "dropped", "lost", "stored", "excluded")
    counts = {name: getattr(one, name) + getattr(other, name) for name in names}
    return msgspec.structs.replace(one, **counts)
