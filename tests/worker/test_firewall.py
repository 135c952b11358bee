"""The process that enforces is kept alive, and ends with its worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from kubeshark._certificates import issue
from kubeshark.worker._firewall import Firewall
from kubeshark.worker._status import FirewallOrder

WITHIN_S = 60


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_it_comes_again(tmp_path: Path) -> None:
    issue(tmp_path / "pki", ["node-1"])
    authority = str(tmp_path / "pki/node-1/ca.crt")
    order = FirewallOrder(os.getpid(), str(tmp_path / "run"), "node-1", "open", authority, ["kubeshark-hub"], 8898)
    said: list[str] = []
    firewall = Firewall(order, said.append)
    firewall.start()
    try:
        until(lambda: "pid" in firewall.status())
        first = firewall.status()["pid"]
        os.kill(first, signal.SIGKILL)
        until(lambda: firewall.status().get("pid", first) != first)
        assert firewall.status()["restarts"] == 1 and "-9" in said[0]
    finally:
        firewall.stop()
    assert "nothing is enforced here" in firewall.status()["unable"]
