"""What is said of a segment's schedules."""

from __future__ import annotations

from kubeshark.core_capture.store import Scheduled, SegmentInfo, SourceRecord
from kubeshark.pipeline.intake._said import said_schedules

HOUR_NS = 3_600_000_000_000


def info(scheduled: Scheduled | None) -> SegmentInfo:
    source = SourceRecord("", "eth0", -1, 0, 0, 0, complete=False)
    return SegmentInfo("s", "n", "", 1, 1, 1, 1, 1, HOUR_NS, HOUR_NS, source, scheduled)


def test_until_when_it_is_kept() -> None:
    assert said_schedules(info(None)) is None
    nightly = Scheduled(("nightly",), keep_s=3600, as_store=False, archived=False)
    assert said_schedules(info(nightly)) == {
        "schedules": ["nightly"],
        "kept_until": "1970-01-01T02:00:00.000000000Z",
        "or_longer": False,
        "archived": False,
    }
    said = said_schedules(info(Scheduled(("a", "b"))))
    assert said == {"schedules": ["a", "b"], "kept_until": None, "or_longer": True, "archived": True}
