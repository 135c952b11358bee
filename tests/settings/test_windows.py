"""Windows of schedules, at simulated times."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.segments._scheduled import MAX_KEEP_S, MAX_SCHEDULES
from kubeshark.errors import UsageError
from kubeshark.settings import Duration, Schedule, Windows, _windows

HOUR = 3600.0


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def schedule(name: str, cron: str, duration: str, bpf: str = "") -> Schedule:
    return Schedule(name=name, cron=cron, duration=Duration(duration), filter=bpf)


def test_what_may_be_configured_a_segment_can_say() -> None:
    assert (_windows.MAX_EXPIRE_S, _windows.MAX_SCHEDULES) == (MAX_KEEP_S, MAX_SCHEDULES)


def test_a_window_opens_and_closes_by_its_zone() -> None:
    windows = Windows([schedule("nightly", "0 0 2 * * *", "30m", "port 80")], "Europe/Berlin")
    opens, closes = at("2026-07-01 00:00:00"), at("2026-07-01 00:30:00")  # 02:00 CEST
    before = windows.at(opens - 0.5)
    assert (before.names, before.filters, before.until) == ((), (), opens)
    for when in (opens, opens + 1, closes - 0.001):
        assert windows.at(when).names == ("nightly",)
        assert windows.at(when).until == closes
    assert windows.at(opens).filters == ("port 80",)
    assert windows.at(closes).names == ()
    assert windows.at(closes).until == opens + 24 * HOUR
    assert windows.said(opens) == "2026-07-01 02:00:00 CEST"


def test_what_a_window_keeps_is_not_said_by_kfl() -> None:
    chosen = Schedule(name="nightly", cron="0 0 2 * * *", duration=Duration("30m"), kfl="dns")
    with pytest.raises(UsageError, match=r"nightly: kfl: .* is not known when it is captured.*narrow its filter"):
        Windows([chosen])


def test_several_are_open_together_and_one_may_begin_before_its_last_run_ended() -> None:
    windows = Windows(
        [schedule("a", "0 0 * * * *", "90m", "port 80"), schedule("b", "0 30 1 * * *", "10m", "port 53")], ""
    )
    found = windows.at(at("2026-07-01 01:35:00"))
    assert (found.names, found.filters) == (("a", "b"), ("port 80", "port 53"))
    assert found.until == at("2026-07-01 01:40:00")
    assert windows.at(found.until).until == at("2026-07-01 02:30:00")
    assert windows.at(at("2026-07-01 02:30:00")).names == ("a",)  # never closed: the next run began meanwhile


def test_clocks_that_are_put_forward_and_back() -> None:
    zone = "Europe/Berlin"
    windows = Windows([schedule("night", "0 30 1 * * *", "2h")], zone)
    opens = at("2026-03-29 01:30:00", zone)  # 02:00 is 03:00 that night
    assert windows.at(opens).until == at("2026-03-29 04:30:00", zone) == opens + 2 * HOUR
    opens = at("2026-10-25 01:30:00", zone)  # 03:00 is 02:00 that night
    assert windows.at(opens).until == at("2026-10-25 02:30:00", zone, fold=1) == opens + 2 * HOUR


@given(st.integers(int(at("2026-01-01")), int(at("2027-01-01"))), st.sampled_from((0.0, 0.25)))
def test_what_is_said_of_until_is_so(seconds: int, fraction: float) -> None:
    now = seconds + fraction
    windows = Windows(
        [schedule("a", "0 */20 * * * *", "7m"), schedule("b", "30 10 3 * * 1-5", "45m")], "America/New_York"
    )
    found = windows.at(now)
    assert found.until > now
    middle = now + (found.until - now) / 2
    assert windows.at(middle).names == found.names
    assert windows.at(found.until).names != found.names


@pytest.mark.parametrize(
    ("cron", "duration", "zone", "said"),
    [
        ("0 0 2 * *  * * *", "1m", "", "is no schedule"),
        ("0 0 2 * * *", "0", "", "its duration is 0"),
        ("0 0 2 * * *", "1m", "Europe/Nowhere", "is no time zone"),
        ("0 0 0 30 2 *", "1m", "", "never comes"),
    ],
)
def test_what_is_none(cron: str, duration: str, zone: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Windows([schedule("a", cron, duration)], zone)
