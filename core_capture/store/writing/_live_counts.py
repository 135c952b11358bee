"""What becomes of a capture's packets, by interface: what the capture side saw, and what the store made of it."""

from __future__ import annotations

from collections import Counter, defaultdict

from msgspec import Struct

from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store.segments._info import Counters

__all__ = ["LiveCounters", "Tally"]


class LiveCounters(Struct, frozen=True):
    """A live writer in numbers, since it began."""

    stored: int = 0  # packets that were taken; `acknowledged` says how many of them are safe
    bytes: int = 0  # of their records
    log_bytes: int = 0  # written to the log, before encryption
    log_pieces: int = 0
    segments: int = 0  # sealed
    segment_bytes: int = 0  # on disk
    lost_by_disk: int = 0  # packets refused because the disk was full or too slow
    pruned: int = 0  # segments that retention deleted


class Tally:
    """Counts packets by interface. Used under the writer's lock."""

    def __init__(self) -> None:
        self._noted: dict[int, Counters] = {}
        self._stored = defaultdict[int, int](int)
        self._lost = defaultdict[int, int](int)

    def note(self, interface: int, received: int, dropped: int, filtered: int, lost: int) -> None:
        """Take what the capture side counted on an interface since it began."""
        self._noted[interface] = Counters(received, dropped, filtered, lost)

    def add(self, batch: RecordBatch, *, stored: bool) -> None:
        """Count the packets of a batch as stored or lost."""
        on = Counter(extra.interface for extra in batch.extras.values())
        on[0] += batch.count - len(batch.extras)
        into = self._stored if stored else self._lost
        for interface, count in on.items():
            into[interface] += count

    def lose(self, extras: dict[int, int]) -> None:
        """Take back packets that were stored and are lost after all, by interface."""
        for interface, count in extras.items():
            self._stored[interface] -= count
            self._lost[interface] += count

    def counters(self, interfaces: int) -> tuple[Counters, ...]:
        """Return the counters of so many interfaces. Where nobody said what came, it is what was stored or lost."""
        return tuple(self._of(interface) for interface in range(max(interfaces, 1)))

    def _of(self, interface: int) -> Counters:
        stored, lost = self._stored[interface], self._lost[interface]
        seen = self._noted.get(interface) or Counters(received=stored + lost)
        return Counters(seen.received, seen.dropped, seen.filtered, seen.lost + lost, stored)
