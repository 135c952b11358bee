"""The process that enforces for a worker: `python -m kubeshark.worker._firewall_child`, started by `_firewall.py`.

It reads one JSON document (`FirewallOrder`) from standard input. It takes sets of policies that a hub signed and no
others, and ends when the worker is gone: with fail mode open the policies go with it, with closed they stay.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import msgspec

from kubeshark.errors import KubesharkError
from kubeshark.firewall._errors import FirewallError
from kubeshark.firewall.enforcement._agent import Agent
from kubeshark.firewall.sets._signed import unseal
from kubeshark.worker._status import FirewallOrder

__all__ = ["main"]

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Enforce; return the exit code."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=FirewallOrder)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        Agent(
            Path(order.folder),
            fail_mode=order.fail_mode,
            unseal=lambda envelope: _addressed(unseal(envelope, Path(order.authority), order.allowed), order.node),
            own_port=order.port,
            is_over=lambda: os.getppid() != order.parent,
        ).run()
    except KubesharkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _addressed(document: dict[str, object], node: str) -> dict[str, object]:
    """Refuse what was signed for another node."""
    if document.get("node") != node:
        raise FirewallError(f"firewall: this set of policies is for {document.get('node')!r:.80}, not for {node}")
    return document


if __name__ == "__main__":
    sys.exit(main())
