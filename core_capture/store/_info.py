"""What is known of a segment without opening it: a row of the catalogue and the head of its index.

These dataclasses are their own JSON schema: msgspec checks every type and bound while it decodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

__all__ = ["MAX_KEEP_S", "Chain", "Count", "Counters", "Scheduled", "SegmentInfo", "SourceRecord"]

Count = Annotated[int, Meta(ge=0, lt=1 << 62)]

MAX_SCHEDULES = 100
MAX_KEEP_S = 3_000_000_000
"""Some 95 years: a time so much later still fits into 64 bits of nanoseconds."""

_NS = 1_000_000_000
_ScheduleName = Annotated[str, Meta(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the packets that came to an interface, or to all of a capture, since it began."""

    received: Count = 0  # by the system for this capture; those it dropped are among them
    dropped: Count = 0  # by the system, which had no room
    filtered: Count = 0  # by a rule
    lost: Count = 0  # by us: a plugin failed, the disk was full or too slow
    stored: Count = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.received + other.received,
            self.dropped + other.dropped,
            self.filtered + other.filtered,
            self.lost + other.lost,
            self.stored + other.stored,
        )


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Which part of which source a segment holds."""

    sha256: str  # of the source as given, hex; "" where there is none (live capture)
    name: str
    size: int  # bytes, -1 unknown
    first_ordinal: Count  # of its packets in the source; 0 if it has none
    last_ordinal: Annotated[int, Meta(ge=-1, lt=1 << 62)]  # inclusive; -1 if it has none
    blocks: Count  # pcapng blocks without packets that this segment and those sealed before it hold
    complete: bool  # the source ends with this segment
    counters: Counters | None = None  # of a capture, as of this segment; its interfaces' own are in the extras
    part_of: str = ""  # SHA-256 of the source of which `recover` saved packets: they go when it is imported again


@dataclass(frozen=True, slots=True)
class Scheduled:
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


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """Times include those a pcap record cannot hold; so they may be negative or beyond 2106."""

    name: str
    node: str
    created: str  # RFC 3339
    link_type: Annotated[int, Meta(ge=0, lt=1 << 32)]
    packets: Annotated[int, Meta(ge=0, lt=1 << 32)]
    flows: Annotated[int, Meta(ge=0, lt=1 << 32)]
    captured_bytes: Count  # without record headers
    stored_bytes: Count  # compressed, before encryption
    first_ns: int
    last_ns: int
    source: SourceRecord
    scheduled: Scheduled | None = None  # in whose windows it was captured


@dataclass(frozen=True, slots=True)
class Chain:
    """A segment's place among those its node wrote."""

    sequence: Count
    previous: str  # SHA-256 of the main part of the index before, hex; "" for the first
    public_key: str  # Ed25519, hex
