"""Takes turns between us and a peer and gives the median ratio of CPU times."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["Missing", "Result", "alternate", "command_cpu", "line", "need", "show", "worker_cpu"]


class Missing(Exception):
    """A peer is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: `ratio` is the peer's cost over ours (or what `unit` says)."""

    row: int
    case: str
    peer: str
    ratio: float
    target: float | None  # None: shown, and nothing was aimed at
    better: str  # "higher" or "lower"
    note: str = ""

    @property
    def is_met(self) -> bool:
        if self.target is None:
            return True
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target


def need(program: str, package: str) -> str:
    """Return the path of a peer's program, or raise Missing."""
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{program} is not installed: apt-get install {package}")
    return found


def command_cpu(
    command: Sequence[str],
    *,
    is_read: bool = True,
    stdin: BinaryIO | None = None,
    env: Mapping[str, str] | None = None,
) -> float:
    """Run a command to its end; return its CPU seconds (user + system, children included).

    What it prints is read, but for `is_read` False: gigabytes go nowhere.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = subprocess.PIPE if is_read else subprocess.DEVNULL
    done = subprocess.run(command, stdin=stdin, stdout=output, stderr=subprocess.PIPE, env=env, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-500:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def worker_cpu(code: str, *arguments: str | Path) -> list[float]:
    """Run a snippet in a fresh interpreter; it prints numbers, the first is CPU seconds without imports."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"worker failed: {done.stderr[-1000:]}")
    return [float(number) for number in done.stdout.split()]


def alternate(ours: Callable[[], float], peer: Callable[[], float], runs: int) -> tuple[float, float]:
    """Return the median CPU seconds of (ours, peer), one after the other `runs` times; the first pair warms up."""
    pairs = [(ours(), peer()) for _ in range(runs + 1)][1:]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def show(result: Result) -> None:
    """Print a result as two lines of the table."""
    target = "" if result.target is None else f"{'≥' if result.better == 'higher' else '≤'}{result.target:>7g}"
    met = "" if result.is_met else "  MISSED"
    print(
        f"{result.row:>3}  {result.case:<44} {result.peer:<22} {result.ratio:>9.2f}"
        f"  {target}{met}\n"
        f"       {result.note}",
        flush=True,
    )


def line(result: Result) -> dict[str, Any]:
    """Return a result as it is kept."""
    return {**asdict(result), "ratio": round(result.ratio, 3)}
