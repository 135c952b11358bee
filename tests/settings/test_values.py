from __future__ import annotations

import pytest

from kubeshark.settings import Duration, Size
from kubeshark.settings._values import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("500MB", 500_000_000),
        ("10Gi", 10 << 30),
        ("32Mi", 32 << 20),
        ("1.5 TB", 1_500_000_000_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert Size(text).bytes == size and str(Size(text)) == text


@pytest.mark.parametrize("text", ["", "x", "10i", "-1", "1e3", "10 Pi", "١Gi", "Gi"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("30s", 30), ("1h30m", 5400), ("200ms", 0.2), ("720h", 2_592_000), ("2w", 1_209_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration(text).seconds == pytest.approx(seconds) and str(Duration(text)) == text


@pytest.mark.parametrize("text", ["", "h", "5x", "-5m", "1h 30m", "1:30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)
