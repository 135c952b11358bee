"""Parameters that many endpoints have: a filter, a time, and how long it may take."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Query

from kubeshark.errors import UsageError
from kubeshark.pipeline import parse_time

__all__ = ["AGGREGATE_S", "Kfl", "Since", "Until", "read_time"]

MAX_NS = 2**63 - 1
AGGREGATE_S = 60.0
"""How long a count may take if nobody says: behind that it says how far it came."""

Kfl = Annotated[str, Query(max_length=16_384, description="KFL; empty: everything")]
Since = Annotated[str | None, Query(max_length=64, description="RFC 3339, or nanoseconds since 1970")]
Until = Annotated[str | None, Query(max_length=64, description="the same; taken in")]


def read_time(text: str | int | None) -> int | None:
    """Read RFC 3339, or nanoseconds since 1970; raise UsageError for anything else.

    A date that is further away than 64 bits of nanoseconds is as far away as they reach: no packet is.
    """
    if text is None or text == "":
        return None
    if isinstance(text, str) and not (text.isascii() and text.lstrip("-").isdecimal()):
        return max(-MAX_NS, min(parse_time(text, time.time_ns()), MAX_NS))
    nanoseconds = int(text) if len(str(text)) <= 20 else MAX_NS + 1
    if abs(nanoseconds) > MAX_NS:
        raise UsageError(f"{str(text)[:40]} is no time", hint="nanoseconds since 1970, or RFC 3339")
    return nanoseconds
