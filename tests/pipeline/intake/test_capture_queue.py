"""The queue between reading and storing: bounded; who may not wait is refused."""

from __future__ import annotations

import threading

from kubeshark.core_capture import RecordBatch
from kubeshark.pipeline.intake._capture_queue import OVERHEAD_BYTES, BatchQueue


def batch(size: int) -> RecordBatch:
    return RecordBatch(1, bytes(size), range(1))


def test_first_in_first_out_and_refused_where_there_is_no_room() -> None:
    queue = BatchQueue(2 * OVERHEAD_BYTES + 100)
    first, second = batch(50), batch(50)
    assert queue.put(first, waits=False)
    assert queue.put(second, waits=False)
    assert not queue.put(batch(1), waits=False)
    assert queue.get(0) is first
    assert queue.put(batch(1), waits=False)
    assert queue.get(0) is second
    queue.end()
    assert not queue.is_over
    assert queue.get(0) is not None
    assert queue.is_over
    assert queue.get(60) is None


def test_a_batch_larger_than_the_queue_passes_alone() -> None:
    queue = BatchQueue(10)
    assert queue.put(batch(1000), waits=False)
    assert not queue.put(batch(1), waits=False)


def test_who_waits_goes_on_when_there_is_room_or_nobody_takes() -> None:
    queue = BatchQueue(10)
    queue.put(batch(1000), waits=True)
    done: list[bool] = []
    waiting = threading.Thread(target=lambda: done.append(queue.put(batch(7), waits=True)))
    waiting.start()
    queue.get(1)
    waiting.join(10)
    assert done == [True]
    waiting = threading.Thread(target=lambda: done.append(queue.put(batch(8), waits=True)))
    waiting.start()
    queue.abandon()
    waiting.join(10)
    assert done == [True, False]
    assert queue.get(0) is None
