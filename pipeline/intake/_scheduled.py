"""What schedules say of a segment, as people and programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeshark.pipeline.entries._time import rfc3339

if TYPE_CHECKING:
    from kubeshark.core_capture.store import SegmentInfo

__all__ = ["said_schedules"]


def said_schedules(info: SegmentInfo) -> dict[str, Any] | None:
    """Return {schedules, kept_until, or_longer, archived} of a segment as JSON, None if it is of no schedule.

    `kept_until` is RFC 3339, None where the store's own limits alone say it; with `or_longer` they may keep it longer.
    """
    if (scheduled := info.scheduled) is None:
        return None
    until_ns = scheduled.kept_until_ns(info.last_ns)
    return {
        "schedules": list(scheduled.schedules),
        "kept_until": None if until_ns is None else rfc3339(until_ns),
        "or_longer": scheduled.as_store,
        "archived": scheduled.archived,
    }
