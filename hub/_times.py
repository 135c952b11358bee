"""Times as clients send them."""

from __future__ import annotations

import time

from kubeshark.errors import UsageError
from kubeshark.pipeline import parse_time

__all__ = ["read_time"]

MAX_NS = 2**63 - 1


def read_time(text: str | int | None) -> int | None:
    """Read RFC 3339, or nanoseconds since 1970; raise UsageError for anything else."""
    if text is None or text == "":
        return None
    if isinstance(text, str) and not (text.isascii() and text.lstrip("-").isdecimal()):
        return parse_time(text, time.time_ns())
    nanoseconds = int(text) if len(str(text)) <= 20 else MAX_NS + 1
    if abs(nanoseconds) > MAX_NS:
        raise UsageError(f"{str(text)[:40]} is no time", hint="nanoseconds since 1970, or RFC 3339")
    return nanoseconds
