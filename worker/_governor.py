"""How much of its node a worker may take, and what it gives up first: answers to the hub, the capture last.

Above a limit requests are refused (503, come again) until use has fallen. Capturing asks nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kubeshark.core_capture.store import HELD_SEGMENTS, LEAST_HELD_SEGMENTS, LIVE_SEGMENT_BYTES

__all__ = ["CaptureMemory", "Governor", "Rates", "memory_of_capture", "resident_bytes"]

SAMPLE_SECONDS = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return the memory of this process (proc_pid_statm(5), field 2)."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE


MIB = 1 << 20
BASE_BYTES = 96 * MIB  # of a process that captures and has seen no packet
SEGMENTS = LEAST_HELD_SEGMENTS + 2  # decoding and clustering one takes as much again, and as much for its index


@dataclass(frozen=True, slots=True)
class CaptureMemory:
    """What a capture may take. Beyond that packets are lost, and counted."""

    segment_bytes: int
    held_segments: int
    ring_bytes: int  # in the kernel, of each interface


def memory_of_capture(limit_bytes: int, interfaces: int) -> CaptureMemory:
    """Share a limit (0: none) out among segments and rings: a third is rings, at most what is usual.

    What is below the least that works gets the least: 1 MiB of either costs less than what cannot be given up.
    """
    if not limit_bytes:
        return CaptureMemory(LIVE_SEGMENT_BYTES, HELD_SEGMENTS, 64 * MIB)
    left = max(limit_bytes - BASE_BYTES, 0)
    ring = min(max(left // 3 // max(interfaces, 1), 4 * MIB), 64 * MIB)
    segment = min(max((left - ring * interfaces) // SEGMENTS, MIB), LIVE_SEGMENT_BYTES)
    spare = max(left - ring * interfaces - SEGMENTS * segment, 0) // segment
    return CaptureMemory(segment, min(LEAST_HELD_SEGMENTS + spare, HELD_SEGMENTS), ring // MIB * MIB)


@dataclass(slots=True)
class Governor:
    """Says whether there is room to serve. Limits of 0 are none; `cpu` counts processors."""

    memory_bytes: int = 0
    cpu: float = 0.0
    clock: Callable[[], float] = time.monotonic
    cpu_clock: Callable[[], float] = time.process_time
    memory: Callable[[], int] = resident_bytes
    _sampled: float = field(init=False)
    _cpu_then: float = field(init=False)
    _why: str = ""

    def __post_init__(self) -> None:
        self._sampled, self._cpu_then = self.clock(), self.cpu_clock()

    def refuses(self) -> str:
        """Return why nothing is served now, "" if it is."""
        now = self.clock()
        passed = now - self._sampled
        if passed >= SAMPLE_SECONDS:
            used = self.cpu_clock()
            share = (used - self._cpu_then) / passed
            self._sampled, self._cpu_then = now, used
            self._why = self._judge(share)
        return self._why

    def _judge(self, share: float) -> str:
        if self.memory_bytes and self.memory() > self.memory_bytes:
            return "its memory is used up"
        if self.cpu and share > self.cpu:
            return "its share of the processor is used up"
        return ""


@dataclass(slots=True)
class Rates:
    """One bucket a client: `burst` at once, `per_second` in the long run."""

    burst: float
    per_second: float
    most_clients: int = 1024
    clock: Callable[[], float] = time.monotonic
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, client: str) -> bool:
        """Say whether this client may go on."""
        with self._lock:
            now = self.clock()
            level, then = self._levels.pop(client, (self.burst, now))
            level = min(self.burst, level + (now - then) * self.per_second)
            self._levels[client] = (level - 1 if level >= 1 else level, now)
            while len(self._levels) > self.most_clients:
                self._levels.popitem(last=False)
        return level >= 1
