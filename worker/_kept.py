"""A process of the worker that is kept running: what it suffers the server does not, and when it dies it begins again.

Each time later, until one has lasted.
"""

from __future__ import annotations

import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

__all__ = ["KeptProcess", "Pauses"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds. One that ran `lasted` was well: the next pause is `first` again. `end` is for it to end in order."""

    first: float
    longest: float
    lasted: float
    end: float


class KeptProcess(ABC):
    """One process and its successors, from `start` to `stop`; a subclass says how to run one to its end."""

    def __init__(self, what: str, pauses: Pauses, log: Callable[[str], None]) -> None:
        """`what` is kept: "the capture"."""
        self._what, self._pauses, self._log = what, pauses, log
        self._state = "starting"
        self._restarts = 0
        self._ends = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name=f"kubeshark {self._what}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have the process end in order, and wait for that; what does not is killed."""
        self._ends.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(self._pauses.end)
        if process is not None and process.poll() is None:
            process.kill()

    @abstractmethod
    def _run(self) -> tuple[int, str]:
        """Run one; return its exit code, negative for a signal, and what it said at its end."""

    def _begin(self, process: subprocess.Popen[bytes], order: msgspec.Struct, *, more: bool = False) -> None:
        """Give the process its order, a line. It may be gone already: its exit code says more. `more` may follow."""
        self._process = process
        if self._ends.is_set():  # told to stop while it was made
            process.terminate()
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush() if more else process.stdin.close()
        except BrokenPipeError:
            pass

    def _keep(self) -> None:
        pauses = self._pauses
        pause = pauses.first
        while not self._ends.is_set():
            began = time.monotonic()
            code, said = self._run()
            if self._ends.is_set():
                break
            pause = pauses.first if time.monotonic() - began > pauses.lasted else min(2 * pause, pauses.longest)
            self._state = f"ended ({code}) {said}".strip()
            self._restarts += 1
            self._log(f"{self._what} ended ({code}): it begins again in {pause:g} s. {said}".strip().removesuffix("."))
            self._ends.wait(pause)
        self._state = "stopped"
