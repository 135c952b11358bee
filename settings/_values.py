"""Sizes, durations and paths as people write them; commands use the same readers for their options."""

from __future__ import annotations

import re

from kubeshark.errors import UsageError

__all__ = ["BASE_PATH", "Duration", "Size", "base_path_of", "parse_duration", "parse_size"]

BASE_PATH = "^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$"
"""What a base path is; the chart asks the same."""

OWN_PATHS = ("api", "auth", "static", "mcp")
"""What is the hub's own at its root, where commands ask it past a proxy."""

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


def base_path_of(text: str) -> str:
    """Return the path below which a hub and its page are, "/kubeshark", or "" for the root; raise UsageError."""
    if not re.fullmatch(BASE_PATH, text, re.ASCII) or text[1:].split("/")[0] in OWN_PATHS:
        raise UsageError(
            f"{text[:100]!r} is no path for the page: tap.routing.front.basePath",
            hint=f"write /kubeshark; not {', '.join(f'/{each}' for each in OWN_PATHS)}, which are the hub's own",
        )
    return text.rstrip("/")
