"""Timestamps and durations as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl._clock import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    TIMESTAMP_PARTS,
    duration_text,
    parse_duration,
    parse_timestamp,
    shift,
    timestamp_text,
    zone,
)
from kubeshark.pipeline.kfl._values import EvaluationError


@given(st.integers(MIN_TIMESTAMP, MAX_TIMESTAMP))
def test_timestamps_survive_text(value: int) -> None:
    assert parse_timestamp(timestamp_text(value)) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_durations_survive_text(value: int) -> None:
    assert parse_duration(duration_text(value)) == value


NO_TIMES = [
    "",
    "now",
    "2026-03-14",
    "2026-03-14T22:00:00",
    "2026-02-30T00:00:00Z",
    "2026-03-14T24:00:00Z",
    "٢026-03-14T22:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "2026-03-14T22:00:00+24:00",
    "2026-03-14T22:00:00Z" + "0" * 300,
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_no_time(text: str) -> None:
    with pytest.raises(EvaluationError):
        parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "1", "1d", "h", "1h 1m", "1µs", "--1s", "9" * 200 + "h", ".s", "1.2.3s", "inf"])
def test_no_duration(text: str) -> None:
    with pytest.raises(EvaluationError):
        parse_duration(text)


def test_zones() -> None:
    assert TIMESTAMP_PARTS["getHours"](0, "+02:30") == 2
    assert TIMESTAMP_PARTS["getMinutes"](0, "-02:30") == 30
    for name in ("Nope/City", "../../etc/passwd", "\0", "+99:00", "x" * 5000):
        with pytest.raises(EvaluationError):
            zone(name)


def test_arithmetic_stays_in_range() -> None:
    with pytest.raises(EvaluationError):
        shift(MAX_TIMESTAMP, 1)
