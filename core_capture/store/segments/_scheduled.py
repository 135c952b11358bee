"""What schedules say of the packets that came while their windows were open (docs/adr/0045-marked-segments.md)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["MAX_KEEP_S", "Scheduled"]

MAX_SCHEDULES = 100
MAX_KEEP_S = 3_000_000_000
"""Some 95 years: a time so much later still fits into 64 bits of nanoseconds."""

_NS = 1_000_000_000
_ScheduleName = Annotated[str, Meta(min_length=1, max_length=100)]


class Scheduled(Struct, frozen=True):
    """What the open schedules of a moment say of the packets that came in it."""

    schedules: Annotated[tuple[_ScheduleName, ...], Meta(max_length=MAX_SCHEDULES)]
    keep_s: Annotated[int, Meta(ge=0, le=MAX_KEEP_S)] = 0  # the longest expiry of those that have one, seconds
    as_store: bool = True  # one of them has none: not before the store's own age limit says so, too
    archived: bool = True  # it goes to an archive, where there is one

    def is_too_old(self, last_ns: int, now_ns: int, before_ns: int | None) -> bool:
        """Say whether a segment with its last packet then may go; `before_ns`: the store's own limit, None for none."""
        if self.keep_s and last_ns >= now_ns - self.keep_s * _NS:
            return False
        if self.keep_s and not self.as_store:
            return True
        return before_ns is not None and last_ns < before_ns

    def kept_until_ns(self, last_ns: int) -> int | None:
        """Return when it expires, None where the store alone says so; with `as_store` it may stay longer."""
        return last_ns + self.keep_s * _NS if self.keep_s else None
