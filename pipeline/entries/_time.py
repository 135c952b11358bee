"""Times as people write them: RFC 3339 with nanoseconds out; RFC 3339, local time, "now" and "-15m" in."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime

from kubeshark.errors import UsageError

__all__ = ["parse_time", "rfc3339"]

NS = 1_000_000_000
UNITS_NS = {"s": NS, "m": 60 * NS, "h": 3600 * NS, "d": 86_400 * NS}


def rfc3339(time_ns: int) -> str:
    """Return "2026-03-14T22:03:00.120482911Z". Years outside 1..9999 are clamped."""
    seconds, fraction = divmod(time_ns, NS)
    return f"{_to_the_second(seconds)}.{fraction:09d}Z"


@functools.lru_cache(maxsize=4096)  # many a packet a second
def _to_the_second(seconds: int) -> str:
    seconds = min(max(seconds, -62_135_596_800), 253_402_300_799)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def parse_time(text: str, now_ns: int) -> int:
    """Return nanoseconds since 1970 of an RFC 3339 time, `2026-03-14 22:00` (local), `now` or `-15m`."""
    text = text.strip()
    if text == "now":
        return now_ns
    if relative := re.fullmatch(r"-(\d{1,9})([smhd])", text):
        return now_ns - int(relative[1]) * UNITS_NS[relative[2]]
    fraction = 0
    if nanoseconds := re.search(r"\.(\d{1,9})(?=Z|z|[+-]\d|$)", text):
        fraction = int(nanoseconds[1].ljust(9, "0"))
        text = text[: nanoseconds.start()] + text[nanoseconds.end() :]
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.astimezone()
        return round(moment.timestamp()) * NS + fraction
    except (ValueError, OverflowError):  # the latter: local times of the first and last day there are
        raise UsageError(
            f"{text!r} is not a time", hint='write 2026-03-14T22:00:00Z, "2026-03-14 22:00" (local), now or -15m'
        ) from None
