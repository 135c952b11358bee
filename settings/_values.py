"""Sizes and durations as people write them; commands use the same readers for their options."""

from __future__ import annotations

import re

__all__ = ["Duration", "Size", "parse_duration", "parse_size"]

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class Size(str):
    """A size as it was written: "10Gi", "500MB"."""

    __slots__ = ()

    @property
    def bytes(self) -> int:
        return parse_size(self)


class Duration(str):
    """A duration as it was written: "30s", "1h30m", "200ms", "720h"; a number alone is seconds."""

    __slots__ = ()

    @property
    def seconds(self) -> float:
        return parse_duration(self)


def parse_size(text: str) -> int:
    """Read 500, 20GB, 1.5 TB (powers of 1000), 512MiB or 10Gi (of 1024); bytes. Raise ValueError."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?", text.strip().lower(), re.ASCII)
    if found is None or (found[3] and not found[2]):
        raise ValueError(f"{text[:60]!r} is no size: write 20GB, 512MiB or a number of bytes")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** POWERS[found[2]])


def parse_duration(text: str) -> float:
    """Read 90, 90s, 1h30m, 200ms, 30d or 0; seconds. Raise ValueError."""
    given = text.strip().lower()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", given, re.ASCII):
        return float(given)
    part = r"\d{1,9}(?:\.\d{1,6})?(?:ms|[smhdw])"
    if not re.fullmatch(rf"(?:{part}){{1,6}}", given, re.ASCII):
        raise ValueError(f"{text[:60]!r} is no duration: write 30s, 5m, 1h30m, 30d or 0")
    return sum(float(number) * SECONDS[unit] for number, unit in re.findall(r"([\d.]+)(ms|[smhdw])", given))
