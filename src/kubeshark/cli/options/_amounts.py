"""Sizes and ages as users write them."""

from __future__ import annotations

import argparse
import re

from kubeshark.settings._values import parse_size as read_size

__all__ = ["parse_age", "parse_size"]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_size(text: str) -> int:
    """Read 500, 20GB, 1.5 TB (powers of 1000) or 512MiB (of 1024); bytes."""
    try:
        return read_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_age(text: str) -> int:
    """Read 90s, 15m, 12h, 30d or 8w; nanoseconds."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: write 90s, 15m, 12h, 30d or 8w")
    return int(found[1]) * SECONDS[found[2]] * 1_000_000_000
