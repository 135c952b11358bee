"""Sizes, durations and ages."""

import argparse

import pytest

from kubeshark.cli.options._amounts import parse_age, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("20GB", 20 * 10**9), ("1.5k", 1500), ("512 MiB", 512 << 20), ("2T", 2 * 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_ages() -> None:
    assert [parse_age(text) // 10**9 for text in ("90s", "2m", "1h", "30d", "1W")] == [90, 120, 3600, 2592000, 604800]


@pytest.mark.parametrize("text", ["", "-1", "1x", "1iB", "GB", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "5", "-5d", "5y", "1.5d"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no age"):
        parse_age(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90", "0.5", "90s", "1h30m", "2D")] == [90, 0.5, 90, 5400, 172_800]


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5y", "0", "0s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no duration"):
        parse_duration(text)
