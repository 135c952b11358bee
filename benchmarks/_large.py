"""Row 9: a selective query on a large store against the same on a tenth of it, cold, through the catalogue.

Both stores are imported from replays (`_workload.py`); the query asks for a flow and for a host of a replica that both
have. Times are CPU of the export in a fresh process, as in row 1. The notes say what import and query take of memory.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from benchmarks._measure import Result, alternate, worker_cpu
from benchmarks._store import EXPORT, classes
from benchmarks._workload import make_capture

__all__ = ["run"]

TARGET = 2.0
CASES = ("short flow", "host")


def run(recording: Path, scratch: Path, size: int, runs: int) -> list[Result]:
    """Compare a store of `size` bytes of packets with one of a tenth; delete the captures as soon as they are in."""
    warm, small, large = scratch / "warm", scratch / "small", scratch / "large"
    _import(recording, warm)
    _replay(recording, small, scratch, size // 10)
    import_mb = _replay(recording, large, scratch, size)
    segments = sum(1 for _ in large.glob("*.idx.age"))
    out = scratch / "out.pcap"
    results = []
    for selection in classes(small):
        if selection.case not in CASES:
            continue
        arguments = (selection.kfl, out, warm)
        found = [worker_cpu(EXPORT, store, *arguments)[1] for store in (small, large)]
        if found[0] != found[1] or not found[0]:
            raise AssertionError(f"{selection.case}: {found} packets of the small and the large store")
        in_large, in_small = alternate(partial(_cpu, large, *arguments), partial(_cpu, small, *arguments), runs)
        query_mb = _peak_mb("export", selection.kfl, "-o", str(out), "--store", str(large))
        note = (
            f"{size / 1e9:.3g} GB in {segments} segments; {found[0]:.0f} packets;"
            f" {1000 * in_large:.1f} against {1000 * in_small:.1f} ms CPU;"
            f" peak memory of the import {import_mb:.0f} MB, of the export {query_mb:.0f} MB"
        )
        case = f"{selection.case}, of ten times the packets"
        results.append(Result(9, case, "a tenth of it", in_large / in_small, TARGET, "lower", note))
    return results


def _cpu(store: Path, kfl: str, out: Path, warm: Path) -> float:
    return worker_cpu(EXPORT, store, kfl, out, warm)[0]


def _replay(recording: Path, store: Path, scratch: Path, size: int) -> float:
    capture = scratch / "replay.pcap"
    make_capture(recording, capture, size)
    try:
        return _import(capture, store)
    finally:
        capture.unlink()


def _import(capture: Path, store: Path) -> float:
    return _peak_mb("import", str(capture), "--store", str(store))


def _peak_mb(*arguments: str) -> float:
    """Run a command of ours; return its peak resident memory in MB."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "kubeshark", *arguments], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"kubeshark {arguments[0]} failed: {status}")
    return usage.ru_maxrss / 1000  # KiB on Linux
