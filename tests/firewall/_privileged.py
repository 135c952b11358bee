"""What tests of the data plane need of the machine, or why they cannot run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kubeshark.firewall.kernel._plane import OBJECT

CAP_NET_ADMIN, CAP_BPF = 12, 39


def _lacks() -> str:
    if not OBJECT.is_file():
        return "the eBPF program is not built: apt-get install clang linux-libc-dev, then make setup"
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    held = int(status["CapEff"], 16)
    if not (held >> CAP_BPF & 1 and held >> CAP_NET_ADMIN & 1):
        return "needs CAP_BPF and CAP_NET_ADMIN: run as root"
    return ""


LACKS = _lacks()
needs_bpf = pytest.mark.skipif(bool(LACKS), reason=LACKS or "-")
needs_namespaces = pytest.mark.skipif(
    bool(LACKS) or os.geteuid() != 0 or shutil.which("ip") is None,
    reason=LACKS or "needs root and ip: apt-get install iproute2",
)
