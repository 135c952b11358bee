"""The firewall of a worker's node: a process that enforces is kept alive, and asked on behalf of a hub."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from kubeshark.errors import KubesharkError
from kubeshark.firewall._agent import ask
from kubeshark.worker._status import FirewallOrder

__all__ = ["NOT_HERE", "Firewall"]

NOT_HERE = "this worker enforces no policies: start it with --firewall DIR"
ASK_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, LASTED_S = 0.1, 10.0, 10.0
END_S = 5.0
MAX_SAID = 2_000


class Firewall:
    """One enforcing process and its successors, from `start` to `stop`."""

    def __init__(self, order: FirewallOrder, log: Callable[[str], None]) -> None:
        self.order, self._log = order, log
        self._ends = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._state = "starting"
        self._restarts = 0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, name="kubeshark-firewall", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process; what it enforced goes with it, unless the fail mode is closed."""
        self._ends.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join(END_S)
        if process is not None and process.poll() is None:
            process.kill()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the process; raise FirewallError with what it says, or because it is not there."""
        return ask(request, folder=Path(self.order.folder), timeout_s=ASK_S)

    def status(self) -> dict[str, Any]:
        """Return what is enforced, or why nothing is."""
        about = {"node": self.order.node, "restarts": self._restarts}
        try:
            return {**about, **self.ask({"do": "status"})}
        except KubesharkError as error:
            return {**about, "unable": f"{error} (its process: {self._state})"}

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._ends.is_set():
            began = time.monotonic()
            code, said = self._run()
            if self._ends.is_set():
                break
            pause = FIRST_PAUSE_S if time.monotonic() - began > LASTED_S else min(2 * pause, LONGEST_PAUSE_S)
            self._state = f"ended ({code}) {said}".strip()
            self._restarts += 1
            self._log(f"the firewall's process ended ({code}): it begins again in {pause:g} s. {said}".strip())
            self._ends.wait(pause)

    def _run(self) -> tuple[int, str]:
        """Enforce once; return the exit code, negative for a signal, and what was said at the end."""
        folder = Path(self.order.folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = folder / "log"
        command = [sys.executable, "-m", "kubeshark.worker._firewall_child"]
        with (
            log.open("wb") as said,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said) as process,
        ):
            self._process = process
            if self._ends.is_set():  # told to stop while it was made
                process.terminate()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # its exit code says more
                process.stdin.write(msgspec.json.encode(self.order))
                process.stdin.close()
            self._state = "running"
            process.wait()
        with log.open("rb") as read:
            read.seek(max(0, os.fstat(read.fileno()).st_size - MAX_SAID))
            lines = read.read().decode(errors="replace").strip().splitlines()
        return process.returncode, "".join(each for each in (lines or [""])[-1] if each.isprintable())
