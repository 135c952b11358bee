from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import UsageError
from kubeshark.pipeline import parse_time, rfc3339

NOW_NS = 1_773_525_900_000_000_000


@given(st.integers(0, 253_402_300_799 * 10**9))
def test_printed_times_read_back(time_ns: int) -> None:
    assert parse_time(rfc3339(time_ns), NOW_NS) == time_ns


@given(st.integers(-(2**70), 2**70))
def test_any_integer_prints(time_ns: int) -> None:
    assert rfc3339(time_ns).endswith("Z")


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("now", NOW_NS),
        ("-15m", NOW_NS - 900 * 10**9),
        ("-2h", NOW_NS - 7200 * 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_times_people_write(text: str, expected_ns: int) -> None:
    assert parse_time(text, NOW_NS) == expected_ns


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize("text", ["yesterday", "0001-01-01", "9999-12-31 23:59", "10000-01-01"])
def test_a_bad_time_says_what_to_write(text: str) -> None:
    """The calendar's first and last days are none everywhere."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text, NOW_NS)
