"""What a store and its segments hold, as people and programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from kubeshark.pipeline.entries._time import rfc3339

if TYPE_CHECKING:
    from kubeshark.core_capture.store import SegmentInfo, Store

__all__ = ["said_schedules", "said_store"]


def said_store(store: Store) -> dict[str, Any]:
    """Return totals, time range, recipients, leftovers, problems, the cache and a row for each segment."""
    info = store.info()
    return {
        "path": store.location,
        "segments": info.segments,
        "open": info.open_segments,
        "packets": info.packets,
        "flows": info.flows,
        "captured_bytes": info.captured_bytes,
        "disk_bytes": info.disk_bytes,
        "first": None if info.first_ns is None else rfc3339(info.first_ns),
        "last": None if info.last_ns is None else rfc3339(info.last_ns),
        "sources": info.sources,
        "link_types": list(info.link_types),
        "recipients": list(info.recipients),
        "leftovers": list(info.leftovers),
        "problems": [str(problem) for problem in info.problems],
        "cache": asdict(store.cache.stats),
        "list": [
            {
                "name": s.name,
                "packets": s.packets,
                "flows": s.flows,
                "bytes": s.captured_bytes,
                "source": s.source.name,
                "scheduled": said_schedules(s),
            }
            for s in store.segments()
        ],
    }


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
