"""What is known of a segment without opening it: a row of the catalogue and the head of its index.

These dataclasses are their own JSON schema: msgspec checks every type and bound while it decodes.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from kubeshark.core_capture.store.segments._scheduled import Scheduled

__all__ = ["Chain", "Count", "Counters", "SegmentInfo", "SourceRecord"]

Count = Annotated[int, Meta(ge=0, lt=1 << 62)]


class Counters(Struct, frozen=True):
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


class SourceRecord(Struct, frozen=True):
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


class SegmentInfo(Struct, frozen=True):
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


class Chain(Struct, frozen=True):
    """A segment's place among those its node wrote."""

    sequence: Count
    previous: str  # SHA-256 of the main part of the index before, hex; "" for the first
    public_key: str  # Ed25519, hex
