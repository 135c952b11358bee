"""Keys that end, by a clock of the test's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kubeshark.core_capture.store.places.aws._keys import PAUSE, AwsKeys, Lasting, keys_of
from kubeshark.errors import StoreError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self, life: timedelta | None) -> None:
        self.now, self.life = NOON, life
        self.asked = 0
        self.is_down = False

    def ask(self) -> AwsKeys:
        self.asked += 1
        if self.is_down:
            raise StoreError("down")
        return AwsKeys(f"key-{self.asked}", "secret", "", None if self.life is None else self.now + self.life)

    def after(self, lasting: Lasting, **passed: float) -> str:
        self.now += timedelta(**passed)
        return lasting().access


def lasting(life: timedelta | None) -> tuple[Clock, Lasting]:
    clock = Clock(life)
    return clock, Lasting(clock.ask, lambda: clock.now)


def test_keys_are_renewed_before_they_end() -> None:
    clock, keys = lasting(timedelta(hours=1))
    assert [clock.after(keys, minutes=each) for each in (0, 30, 19, 1, 0, 49, 1)] == [
        *["key-1"] * 3,  # 49 minutes
        *["key-2"] * 3,  # 50: ten before their end
        "key-3",
    ]


def test_short_lives_are_not_asked_for_at_each_request() -> None:
    clock, keys = lasting(timedelta(minutes=15))
    assert [clock.after(keys, minutes=each) for each in (0, 9, 1)] == ["key-1", "key-1", "key-2"]
    clock, keys = lasting(timedelta(seconds=30))
    assert [clock.after(keys, seconds=each) for each in (0, 19, 1)] == ["key-1", "key-1", "key-2"]


def test_keys_without_an_end_are_asked_for_once() -> None:
    clock, keys = lasting(None)
    assert clock.after(keys) == clock.after(keys, days=4000) == "key-1"


def test_a_renewal_that_fails_costs_nothing_while_they_last() -> None:
    clock, keys = lasting(timedelta(hours=1))
    keys()
    clock.is_down = True
    assert clock.after(keys, minutes=50) == "key-1"
    assert clock.after(keys, seconds=PAUSE.total_seconds() - 1) == "key-1"
    assert clock.asked == 2  # not at each request
    assert clock.after(keys, seconds=1) == "key-1"
    assert clock.asked == 3
    with pytest.raises(StoreError, match="down"):
        clock.after(keys, minutes=10)
    clock.is_down = False
    assert clock.after(keys) == "key-5"
    clock.is_down = True
    assert clock.after(keys, minutes=59, seconds=50) == "key-5"
    with pytest.raises(StoreError, match="down"):
        clock.after(keys, seconds=10)  # no pause outlives them


def test_keys_that_have_ended_are_not_taken() -> None:
    clock, keys = lasting(timedelta(seconds=-1))
    for _ in range(2):
        with pytest.raises(StoreError, match="had ended when they came"):
            keys()
    assert clock.asked == 2


def test_keys_show_no_secret() -> None:
    keys = keys_of("AKIA", "hidden-1", "hidden-2", "2026-01-01T00:00:00Z")
    assert "hidden" not in repr(keys)
    assert keys.until == datetime(2026, 1, 1, tzinfo=UTC)
    assert keys_of("a", "b", None, "2026-01-01T00:00:00").until == keys.until


@pytest.mark.parametrize(
    "given",
    [
        ("", "b", None, None),
        ("a", 1, None, None),
        ("a\n", "b", None, None),
        ("ä", "b", None, None),
        ("a", "b", 3, None),
        ("a", "b", "\r\nHost: x", None),
        ("a", "b", None, 3),
        ("a", "b", None, "tomorrow"),
    ],
)
def test_what_are_no_keys(given: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"^$|isoformat"):
        keys_of(*given)  # type: ignore[call-arg]
