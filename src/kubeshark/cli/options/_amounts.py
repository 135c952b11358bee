"""Sizes, durations and ages as users write them: as kubeshark.yaml does, and refused as options are."""

from __future__ import annotations

import argparse
import re

from kubeshark.settings import _values as settings

__all__ = ["parse_age", "parse_duration", "parse_size"]


def parse_size(text: str) -> int:
    """Read 500, 20GB, 1.5 TB (powers of 1000) or 512MiB (of 1024); bytes."""
    try:
        return settings.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_duration(text: str) -> float:
    """Read 90, 0.5, 90s, 1h30m or 2d; seconds, more than none."""
    try:
        seconds = settings.parse_duration(text)
    except ValueError:
        seconds = 0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90, 90s, 15m, 1h30m or 2d")
    return seconds


def parse_age(text: str) -> int:
    """Read 90s, 15m, 12h, 30d or 8w; nanoseconds. What is older is deleted, so it has a unit, and one alone."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip().lower(), re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: write 90s, 15m, 12h, 30d or 8w")
    return int(found[1]) * int(settings.SECONDS[found[2]]) * 1_000_000_000
