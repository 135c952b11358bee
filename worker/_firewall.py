"""The firewall of a worker's node: a process that enforces is kept alive, and asked on behalf of a hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubeshark.errors import KubesharkError
from kubeshark.firewall.enforcement._agent import ask
from kubeshark.worker._kept import KeptProcess, Pauses
from kubeshark.worker._status import FirewallOrder

__all__ = ["NOT_HERE", "Firewall"]

NOT_HERE = "this worker enforces no policies: start it with --firewall DIR"
ASK_S = 20.0
PAUSES = Pauses(first=0.1, longest=10.0, lasted=10.0, end=5.0)
MAX_SAID = 2_000


class Firewall(KeptProcess):
    """One enforcing process and its successors; what one enforces goes with it, unless the fail mode is closed."""

    def __init__(self, order: FirewallOrder, log: Callable[[str], None]) -> None:
        super().__init__("the firewall's process", PAUSES, log)
        self.order = order

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

    def _run(self) -> tuple[int, str]:
        folder = Path(self.order.folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = folder / "log"
        command = [sys.executable, "-m", "kubeshark.worker._firewall_child"]
        with (
            log.open("wb") as said,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said) as process,
        ):
            self._begin(process, self.order)
            self._state = "running"
            process.wait()
        with log.open("rb") as read:
            read.seek(max(0, os.fstat(read.fileno()).st_size - MAX_SAID))
            lines = read.read().decode(errors="replace").strip().splitlines()
        return process.returncode, "".join(each for each in (lines or [""])[-1] if each.isprintable())
