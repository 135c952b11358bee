"""Keeps a process to some of the processors: the part of a limit that the kernel holds."""

from __future__ import annotations

import os
from math import ceil

__all__ = ["keep_to_processors"]


def keep_to_processors(share: float) -> frozenset[int]:
    """Have this thread, and all that it starts, run on as few processors as `share` needs; return which.

    On all that it may where that is fewer, and where there is no such call. Which ones differs by process, so that
    several captures do not meet on the same.
    """
    if not hasattr(os, "sched_setaffinity"):
        return frozenset()
    allowed = sorted(os.sched_getaffinity(0))
    count = min(max(ceil(share), 1), len(allowed))
    first = os.getpid() % len(allowed)
    chosen = frozenset((allowed * 2)[first : first + count])
    os.sched_setaffinity(0, chosen)
    return chosen
