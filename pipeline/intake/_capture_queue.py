"""Between the thread that reads packets and the one that stores them: bounded, and never a reason to wait for an
interface."""

from __future__ import annotations

import threading
from collections import deque

from kubeshark.core_capture import RecordBatch

__all__ = ["BatchQueue"]

OVERHEAD_BYTES = 512  # of a batch, beside its packets: many small ones must be bounded, too


class BatchQueue:
    """Batches, first in, first out, up to `limit_bytes` together; one larger than that passes alone."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._batches: deque[RecordBatch] = deque()
        self._bytes = 0
        self._has_ended = self._is_abandoned = False
        self._changed = threading.Condition()

    def put(self, batch: RecordBatch, *, waits: bool) -> bool:
        """Take a batch; where there is no room wait for it, or return False: the batch is lost."""
        size = len(batch.data) + OVERHEAD_BYTES
        with self._changed:
            while self._batches and self._bytes + size > self._limit and not self._is_abandoned:
                if not waits:
                    return False
                self._changed.wait()
            if self._is_abandoned:
                return False
            self._batches.append(batch)
            self._bytes += size
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float) -> RecordBatch | None:
        """Return the next batch; None if none came in time, or none will: see `is_over`."""
        with self._changed:
            if not self._batches and not self._has_ended:
                self._changed.wait(timeout_s)
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._bytes -= len(batch.data) + OVERHEAD_BYTES
            self._changed.notify_all()
            return batch

    def end(self) -> None:
        """Say that no batch will follow."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nobody takes batches any more; whoever waits to put one goes on."""
        with self._changed:
            self._is_abandoned = True
            self._batches.clear()
            self._bytes = 0
            self._changed.notify_all()

    @property
    def has_ended(self) -> bool:
        """No batch will follow; some may wait."""
        return self._has_ended

    @property
    def is_over(self) -> bool:
        with self._changed:
            return self._has_ended and not self._batches

    @property
    def bytes(self) -> int:
        return self._bytes
