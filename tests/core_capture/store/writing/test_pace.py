"""A share of processors over time."""

from __future__ import annotations

from kubeshark.core_capture.store.writing._pace import Pace

NS = 1_000_000_000


def test_what_is_used_beyond_the_share_is_waited_for() -> None:
    used = [0.0]
    pace = Pace(0.5, lambda: used[0])
    assert not pace.is_over(0)
    used[0] = 1.0
    assert pace.is_over(1 * NS), "half a second too much"
    assert pace.is_over(int(1.75 * NS))
    assert not pace.is_over(2 * NS)


def test_what_is_not_used_is_saved_for_a_second() -> None:
    used = [7.0]
    pace = Pace(2.0, lambda: used[0])
    assert not pace.is_over(0)
    assert not pace.is_over(1000 * NS)
    used[0] += 2.0
    assert not pace.is_over(1000 * NS)
    used[0] += 0.01
    assert pace.is_over(1000 * NS)


def test_no_limit() -> None:
    used = [0.0]
    pace = Pace(0.0, lambda: used[0])
    used[0] = 1e9
    assert not pace.is_over(NS)
