"""Which schedules a live packet belongs to: those whose windows were open at its time.

A turn is where other schedules are open than before. What is read after it may be of before it: the kernel's ring,
other interfaces and queues keep packets for a while. So their times say, and the place where they are read does not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kubeshark.core_capture._columns import Core
from kubeshark.core_capture._records import RecordBatch
from kubeshark.core_capture.store.segments._scheduled import Scheduled

__all__ = ["SETTLED_NS", "Turns"]

SETTLED_NS = 2_000_000_000
"""So long after a turn the times of all packets are looked at, and segments of before stay open; later a batch is of
one time, and nothing of before comes any more. Interfaces and processors stamp packets in an order that differs by
microseconds."""

MAX_TURNS = 64
"""The newest. What is older than all of them belongs to the oldest."""

_NS = 1_000_000_000


class Turns:
    """The turns of a capture; without any, no packet belongs to a schedule."""

    def __init__(self) -> None:
        self.open: Scheduled | None = None  # now; None: no window is
        self._since_ns = list[int]()
        self._scheduled = list[Scheduled]()

    @property
    def last(self) -> Scheduled | None:
        """What is open, else what was last: nothing is captured in between, and what comes yet is of before."""
        return self._scheduled[-1] if self._scheduled else None

    def turn(self, scheduled: Scheduled | None, since_ns: int) -> bool:
        """Say what is open from a time on, nanoseconds since 1970; return whether that is news."""
        if scheduled == self.open:
            return False
        self.open = scheduled
        if scheduled is not None:
            self._since_ns = [*self._since_ns[-MAX_TURNS + 1 :], since_ns]
            self._scheduled = [*self._scheduled[-MAX_TURNS + 1 :], scheduled]
        return True

    def parts(self, batch: RecordBatch, core: Core) -> Iterator[tuple[RecordBatch, Scheduled | None]]:
        """Yield the packets of a batch in order, each part with what it belongs to; cut batches are copies."""
        if len(self._scheduled) < 2 or not batch.count or _first_ns(batch.data) >= self._since_ns[-1] + SETTLED_NS:
            yield batch, self.last
            return
        offsets, end = core.offsets(batch.data)
        turns = self._turns_of(_times(batch.data, offsets))
        cuts = np.flatnonzero(turns[1:] != turns[:-1]) + 1
        if not len(cuts):
            yield batch, self._scheduled[int(turns[0])]
            return
        data = memoryview(bytes(batch.data))  # it may lie where the first part goes
        bounds = np.append(offsets, np.uint64(end))
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), batch.count], strict=True):
            part = RecordBatch(
                batch.link_type,
                data[int(bounds[start]) : int(bounds[stop])],
                batch.ordinals[start:stop],
                {at - start: extra for at, extra in batch.extras.items() if start <= at < stop},
            )
            yield part, self._scheduled[int(turns[start])]

    def _turns_of(self, times: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return for each time the newest turn that it is not before: a clock may have been put back between two."""
        found = np.zeros(len(times), dtype=np.intp)
        for number, since_ns in enumerate(self._since_ns):
            found[times >= since_ns] = number
        return found


def _first_ns(data: bytes | bytearray | memoryview) -> int:
    head = bytes(data[:8])
    return int.from_bytes(head[:4], "little") * _NS + int.from_bytes(head[4:], "little")


def _times(data: bytes | bytearray | memoryview, offsets: NDArray[np.uint64]) -> NDArray[np.int64]:
    words = np.ndarray((len(data) - 3,), "<u4", data, strides=(1,))  # a number at every byte: records are not aligned
    at = offsets.astype(np.intp)
    times: NDArray[np.int64] = words[at].astype(np.int64) * _NS + words[at + 4]
    return times
