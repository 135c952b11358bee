"""Keeps a capture running beside the server, in a process of its own: what one of them suffers the other does not.

A capture that dies is begun again, later each time; what its log held is still there (ADR 20). Counters go on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import IO

import msgspec

from kubeshark.worker._kept import KeptProcess, Pauses
from kubeshark.worker._status import Capture, Order

__all__ = ["Captures"]

PAUSES = Pauses(first=1.0, longest=30.0, lasted=60.0, end=60.0)  # the end: what is in memory is sealed
MAX_LINE = 64 << 10

_NOT_ITS_BUSINESS = ("KUBESHARK_IDENTITY", "AWS_", "AZURE_", "GOOGLE_")
"""Variables that say who we are to others: who captures talks to nobody."""


class Captures(KeptProcess):
    """One capture and its successors."""

    def __init__(self, order: Order, log: Callable[[str], None]) -> None:
        super().__init__("the capture", PAUSES, log)
        self.order = order
        self._before = Capture(",".join(order.interfaces), 0, 0, 0, 0)  # of processes that ended
        self._now = self._before

    def rows(self) -> list[Capture]:
        """Return how it fares, for the status."""
        total = _sum(self._before, self._now)
        return [msgspec.structs.replace(total, state=self._state, restarts=self._restarts)]

    def _run(self) -> tuple[int, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_ITS_BUSINESS)}
        command = [sys.executable, "-m", "kubeshark.worker._capture_child"]
        nothing = msgspec.structs.replace(self._now, received=0, dropped=0, lost=0, stored=0)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            self._begin(process, self.order)
            assert process.stdout is not None
            self._listen(process.stdout)
        self._before, self._now = _sum(self._before, self._now), nothing
        return process.returncode, ""

    def _listen(self, lines: IO[bytes]) -> None:
        while line := lines.readline(MAX_LINE):
            self._now = msgspec.json.decode(line, type=Capture)
            self._state = "running"


def _sum(one: Capture, other: Capture) -> Capture:
    counts = {name: getattr(one, name) + getattr(other, name) for name in ("received", "dropped", "lost", "stored")}
    return msgspec.structs.replace(one, **counts)
