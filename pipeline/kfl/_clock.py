"""Timestamps and durations: int nanoseconds, RFC 3339 and Go-style text, calendar parts.

Python's datetime stops at microseconds; captures do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from kubeshark.pipeline.kfl._values import EvaluationError

__all__ = [
    "DURATION_PARTS",
    "TIMESTAMP_PARTS",
    "duration_text",
    "from_seconds",
    "parse_duration",
    "parse_timestamp",
    "seconds",
    "shift",
    "timestamp_text",
    "zone",
]

SECOND = 10**9
MIN_TIMESTAMP = -62_135_596_800 * SECOND  # 0001-01-01T00:00:00Z
MAX_TIMESTAMP = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999999Z
MAX_DURATION = 87_660_000 * 3600 * SECOND + SECOND - 1  # what CEL's engine accepts

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DURATION = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:h|ms|m|s|us|ns))+|0)", re.ASCII)
_DURATION_PART = re.compile(r"(\d*)\.?(\d*)(h|ms|m|s|us|ns)", re.ASCII)
_UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 10**6, "us": 10**3, "ns": 1}
_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d\d)", re.ASCII)
_MAX_TEXT = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> int:
    """Read RFC 3339; digits beyond nanoseconds are cut. Raise EvaluationError."""
    found = _TIMESTAMP.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise EvaluationError(f"not an RFC 3339 time: {text[:40]}")
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    offset = 0
    if found[8]:
        offset = (int(found[9]) * 60 + int(found[10])) * (60 if found[8] == "+" else -60)
    try:
        whole = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - _EPOCH
    except ValueError:
        raise EvaluationError(f"no such time: {text[:40]}") from None
    if second > 60 or offset.__abs__() >= 86_400:
        raise EvaluationError(f"no such time: {text[:40]}")
    total = whole.days * 86_400 + whole.seconds + (second == 60) - offset
    return _in_range(total * SECOND + int((found[7] or "")[:9].ljust(9, "0")))


def parse_duration(text: str) -> int:
    """Read `1h30m`, `-1.5s`, `0`; units h m s ms us ns. Raise EvaluationError."""
    found = _DURATION.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise EvaluationError(f"not a duration: {text[:40]}")
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(found[2]):
        size = _UNITS[unit]
        total += int(whole or 0) * size + (int(fraction) * size // 10 ** len(fraction) if fraction else 0)
    if total > MAX_DURATION:
        raise EvaluationError(f"duration out of range: {text[:40]}")
    return -total if found[1] == "-" else total


def from_seconds(value: int) -> int:
    return _in_range(value * SECOND)


def seconds(value: int) -> int:
    return value // SECOND


def shift(time: int, by: int) -> int:
    """Add a timestamp and a duration, in either order."""
    return _in_range(time + by)


def _in_range(value: int) -> int:
    if MIN_TIMESTAMP <= value <= MAX_TIMESTAMP:
        return value
    raise EvaluationError("timestamp out of range")


def timestamp_text(value: int) -> str:
    """Return RFC 3339 UTC with 0, 3, 6 or 9 digits, as protobuf's JSON mapping does."""
    whole, nanos = divmod(value, SECOND)
    moment = _EPOCH + timedelta(seconds=whole)
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{_fraction(nanos)}Z"


def duration_text(value: int) -> str:
    whole, nanos = divmod(abs(value), SECOND)
    return f"{'-' if value < 0 else ''}{whole}{_fraction(nanos)}s"


def _fraction(nanos: int) -> str:
    if not nanos:
        return ""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """Return a time zone: IANA name, `UTC`, or an offset such as `+02:00`. Raise EvaluationError."""
    if name in ("", "UTC", "Z"):
        return UTC
    if offset := _OFFSET.fullmatch(name):
        minutes = (int(offset[2]) * 60 + int(offset[3])) * (-1 if offset[1] == "-" else 1)
        if abs(minutes) < 24 * 60:
            return timezone(timedelta(minutes=minutes))
        raise EvaluationError(f"unknown time zone: {name[:40]}")
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # needs the system's tables: only for named zones

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError(f"unknown time zone: {name[:40]}") from None


def _part(pick: Callable[[datetime], int]) -> Callable[..., int]:
    def part(value: int, zone_name: str = "") -> int:
        try:
            return pick((_EPOCH + timedelta(seconds=value // SECOND)).astimezone(zone(zone_name)))
        except OverflowError:  # the first or last hours of datetime's range, in another zone
            raise EvaluationError("timestamp out of range") from None

    return part


def _milliseconds(value: int, zone_name: str = "") -> int:
    zone(zone_name)
    return value % SECOND // 10**6


def _truncated(unit: int, modulus: int = 0) -> Callable[[int], int]:
    def part(value: int) -> int:
        whole = abs(value) // unit
        whole = whole % modulus if modulus else whole
        return whole if value >= 0 else -whole

    return part


TIMESTAMP_PARTS: Mapping[str, Callable[..., int]] = {
    "getFullYear": _part(lambda moment: moment.year),
    "getMonth": _part(lambda moment: moment.month - 1),
    "getDate": _part(lambda moment: moment.day),
    "getDayOfMonth": _part(lambda moment: moment.day - 1),
    "getDayOfWeek": _part(lambda moment: moment.isoweekday() % 7),  # Sunday is 0
    "getDayOfYear": _part(lambda moment: moment.timetuple().tm_yday - 1),
    "getHours": _part(lambda moment: moment.hour),
    "getMinutes": _part(lambda moment: moment.minute),
    "getSeconds": _part(lambda moment: moment.second),
    "getMilliseconds": _milliseconds,
}
"""All from 0 except getDate; an optional second argument names the zone."""

DURATION_PARTS: Mapping[str, Callable[[int], int]] = {
    "getHours": _truncated(3600 * SECOND),
    "getMinutes": _truncated(60 * SECOND),
    "getSeconds": _truncated(SECOND),
    "getMilliseconds": _truncated(10**6, 1000),
}
"""The whole duration in that unit, except milliseconds, which are the rest of its second."""
