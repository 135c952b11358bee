"""Deletes whole segments, the oldest or those of one capture, and says so in store.json before the first byte goes.

1. What a snapshot keeps, or what cannot be read, is never deleted; without the snapshots nothing is.
2. store.json names what goes and takes its place in the chains; then all indexes go, then all data. Whoever writes next
   ends an interrupted deletion.
3. Old is what its packets say: a segment is as old as the last of them. For room, what an archive has goes first.
4. Of a segment that schedules marked, their expiry says when it is too old (`_scheduled.py`). Room is another matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.upkeep._snapshots import Snapshot
from kubeshark.errors import StoreError, UsageError

__all__ = ["CaptureKey", "Pruned", "Retention", "capture_named", "plan_pruning"]

_SHORTEST_SHA = 8  # digits of a hash that say which capture is meant


class CaptureKey(Struct, frozen=True):
    """What tells one import or live session from another: a row of the overview."""

    name: str
    sha256: str  # "" where it has none


class Retention(Struct, frozen=True):
    """How much may stay: at least one limit; or one capture that goes as a whole, whatever its age."""

    max_bytes: int | None = None  # of segment and log files, in all
    before_ns: int | None = None  # segments whose last packet is older go
    max_age_ns: int | None = None  # the same, counted back from when it is asked
    capture: CaptureKey | None = None
    expired: bool = False  # what schedules let go does, whatever else there is; needed where there is no limit
    now_ns: int | None = None  # when that is judged; None: nothing is judged by it

    def __post_init__(self) -> None:
        has_limit = any(limit is not None for limit in (self.max_bytes, self.before_ns, self.max_age_ns))
        if not has_limit and self.capture is None and not self.expired:
            hint = "give --max-bytes, --max-age or both, or --expired, or --source"
            raise UsageError("nothing says what may go", hint=hint)
        if (has_limit or self.expired) and self.capture is not None:
            hint = "leave --max-bytes, --max-age and --expired out"
            raise UsageError("a capture goes as a whole, without limits", hint=hint)

    def at(self, now_ns: int) -> Retention:
        """Return the limits of a moment, for good."""
        if self.now_ns is not None:
            return self
        if self.max_age_ns is None:
            return replace(self, now_ns=now_ns)
        before_ns = max(now_ns - self.max_age_ns, self.before_ns or 0)
        return replace(self, before_ns=before_ns, max_age_ns=None, now_ns=now_ns)

    def is_too_old(self, info: SegmentInfo) -> bool:
        """Say whether a segment goes for its age."""
        if info.scheduled is None or self.now_ns is None or self.capture is not None:
            return self.before_ns is not None and info.last_ns < self.before_ns
        return info.scheduled.is_too_old(info.last_ns, self.now_ns, self.before_ns)


class Pruned(Struct, frozen=True):
    """What was deleted, or with `dry_run` would be."""

    segments: tuple[SegmentInfo, ...]  # oldest first
    freed_bytes: int
    kept_bytes: int  # of segment and log files that stay
    kept_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # snapshot → segments over a limit it keeps
    problems: tuple[StoreError, ...] = ()  # segments that cannot be read: they stay
    is_over: bool = False  # a limit is still exceeded, or something of the capture stays


def plan_pruning(
    entries: Sequence[Entry],
    sizes: Mapping[str, int],
    snapshots: Sequence[Snapshot],
    limits: Retention,
    log_bytes: int = 0,
    archived: Collection[str] = (),
) -> tuple[list[Entry], Pruned]:
    """Choose what goes. `sizes` are the bytes of every segment, those that cannot be read included.

    The log counts, and is never chosen. For room those `archived` go before any other.
    """
    left = sum(sizes.values()) + log_bytes
    gone: list[Entry] = []
    kept_by: dict[str, list[str]] = {}
    is_over = False

    def turn(entry: Entry) -> tuple[bool, int, str]:
        return entry.info.name not in archived, entry.info.last_ns, entry.info.name

    for entry in sorted(entries, key=turn):
        info = entry.info
        too_old = limits.is_too_old(info)
        too_much = limits.max_bytes is not None and left > limits.max_bytes
        is_named = _key(entry) == limits.capture
        if info.packets == 0 or not (too_old or too_much or is_named):
            continue
        keepers = [snapshot.name for snapshot in snapshots if snapshot.keeps(info)]
        for keeper in keepers:
            kept_by.setdefault(keeper, []).append(info.name)
        if keepers:
            is_over |= too_old or is_named
            continue
        left -= sizes[info.name]
        gone.append(entry)
    for entry in _emptied(entries, gone, limits.capture):
        left -= sizes[entry.info.name]
        gone.append(entry)
    return gone, Pruned(
        segments=tuple(entry.info for entry in gone),
        freed_bytes=sum(sizes[entry.info.name] for entry in gone),
        kept_bytes=left,
        kept_by={name: tuple(names) for name, names in kept_by.items()},
        is_over=is_over or (limits.max_bytes is not None and left > limits.max_bytes),
    )


def capture_named(infos: Iterable[SegmentInfo], text: str) -> CaptureKey:
    """Return the one capture with this name, or whose SHA-256 begins so; UsageError if none or several have it."""
    known = {CaptureKey(info.source.name, info.source.sha256): None for info in infos}
    begins = len(text) >= _SHORTEST_SHA
    found = [key for key in known if key.name == text or (begins and key.sha256.startswith(text.lower()))]
    if not found:
        raise UsageError(f"there is no capture {text!r}", hint='"kubeshark store info" lists them')
    if len(found) > 1:
        hashes = ", ".join(key.sha256[:12] or "one without a hash" for key in found[:8])
        raise UsageError(f"{len(found)} captures are called {text!r}", hint=f"say which by its SHA-256: {hashes}")
    return found[0]


def _emptied(entries: Sequence[Entry], gone: Sequence[Entry], named: CaptureKey | None) -> list[Entry]:
    """Return segments without packets, which only say that their source is complete, if all else of it goes."""
    names = {entry.info.name for entry in gone}
    touched = {_key(entry) for entry in gone} | {named}
    kept = {_key(entry) for entry in entries if entry.info.packets and entry.info.name not in names}
    return [entry for entry in entries if not entry.info.packets and _key(entry) in touched - kept]


def _key(entry: Entry) -> CaptureKey:
    return CaptureKey(entry.info.source.name, entry.info.source.sha256)
