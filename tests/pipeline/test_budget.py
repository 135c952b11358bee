"""What ends a query early, and when."""

from __future__ import annotations

from kubeshark.pipeline._budget import Budget, Watch


def test_without_a_budget_only_cancel_stops() -> None:
    watch = Watch(Budget(), bytes_read=lambda: 1 << 60)
    watch.start()
    watch.has_moved = True
    assert not watch.must_stop()
    watch.cancel()
    assert watch.must_stop()
    assert watch.reason() == "cancelled"


def test_a_budget_of_time() -> None:
    now = [0.0]
    watch = Watch(Budget(seconds=1.5), bytes_read=lambda: 0, clock=lambda: now[0])
    watch.start()
    watch.has_moved = True
    now[0] = 1.4
    assert not watch.must_stop()
    now[0] = 1.5
    assert watch.must_stop()
    assert watch.reason() == "stopped after 1.5 s"


def test_a_budget_of_bytes() -> None:
    read = [0]
    watch = Watch(Budget(bytes=1_000), bytes_read=lambda: read[0])
    watch.start()
    watch.has_moved = True
    assert not watch.must_stop()
    read[0] = 1_000
    assert watch.reason() == "stopped after 1,000 bytes decrypted"


def test_who_has_not_come_further_goes_on() -> None:
    watch = Watch(Budget(seconds=0, bytes=0), bytes_read=lambda: 9)
    watch.start()
    assert not watch.must_stop()
    watch.has_moved = True
    assert watch.must_stop()
