"""A progress bar on standard error: on a terminal only, at most ten times a second; none with --quiet."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from kubeshark.cli.terminal._complain import manner

__all__ = ["Progress"]

INTERVAL_S = 0.1
WIDTH = 30


class Progress:
    """Call `show(done, total)` as often as you like; `total` may be None for a stream. A note stands behind it."""

    def __init__(self, what: str, unit: str = "B") -> None:
        self._what = what
        self._unit = unit
        self._enabled = sys.stderr.isatty() and not manner.is_quiet
        self._started = time.monotonic()
        self._last = 0.0

    def show(self, done: int, total: int | None, note: str = "") -> None:
        now = time.monotonic()
        if not self._enabled or (now - self._last < INTERVAL_S and done != total):
            return
        self._last = now
        elapsed = max(now - self._started, 1e-6)
        if total:
            filled = min(WIDTH, WIDTH * done // total)
            left = elapsed * (total - done) / done if done else 0
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {100 * done // total:3d} %  {left:4.0f} s left"
        else:
            bar = f"{scaled(done)}{self._unit}"
        print(
            f"\r{self._what} {bar}  {scaled(done / elapsed)}{self._unit}/s {note}\x1b[K",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._enabled and self._last:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def scaled(number: float) -> str:
    """Return a number with a decimal prefix: 12.3 M."""
    for prefix in ("", "k", "M", "G"):
        if number < 1000:
            return f"{number:.0f} {prefix}" if not prefix else f"{number:.1f} {prefix}"
        number /= 1000
    return f"{number:.1f} T"
