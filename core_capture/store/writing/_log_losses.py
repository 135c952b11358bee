"""Counts the packets that a log lost, as far as what is left of it tells.

Behind a piece that is missing or cannot be read comes one that says the ordinals of its own packets and how many the
capture had stored by then. What lay behind the last piece that can be read nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.core_capture.store.segments._info import Counters, SegmentInfo, SourceRecord
from kubeshark.core_capture.store.segments._segment import Draft
from kubeshark.core_capture.store.writing._log import OpenSegment
from kubeshark.core_capture.store.writing._piece import Piece

__all__ = ["Before", "count_missing", "summary_of", "with_losses"]


class Before(Struct, frozen=True):
    """How far a capture was when a segment began."""

    next_ordinal: int = 0
    stored: int = 0  # packets of the segment's link type

    @classmethod
    def of(cls, segment: OpenSegment, infos: Iterable[SegmentInfo]) -> Before:
        """Tell it by the segments that the same capture filled before; `infos` are in the order of their numbers."""
        first = segment.pieces[0]
        begins = int(first.ordinals[0]) if len(first.ordinals) else 0
        next_ordinal = stored = 0
        for info in infos:
            source = info.source
            is_same = (info.node, source.name, source.sha256) == (first.node, first.origin.name, first.origin.sha256)
            if not is_same or info.created > first.created or not 0 <= source.last_ordinal < begins:
                continue
            if source.first_ordinal == 0:  # another session of the same name began
                next_ordinal = stored = 0
            next_ordinal = max(next_ordinal, source.last_ordinal + 1)
            stored += info.packets if info.link_type == first.link_type else 0
        return cls(next_ordinal, stored)


def summary_of(segment: OpenSegment) -> SegmentInfo:
    """Return as much of an open segment as `Before` asks of those that came before another."""
    first, origin = segment.pieces[0], segment.pieces[0].origin
    filled = [piece for piece in segment.pieces if len(piece.ordinals)]
    begin, end = (int(filled[0].ordinals[0]), int(filled[-1].ordinals[-1])) if filled else (0, -1)
    return SegmentInfo(
        name=segment.name,
        node=first.node,
        created=first.created,
        link_type=first.link_type,
        packets=segment.packets,
        flows=0,
        captured_bytes=0,
        stored_bytes=0,
        first_ns=0,
        last_ns=0,
        source=SourceRecord(origin.sha256, origin.name, origin.size, begin, end, 0, complete=False),
    )


def count_missing(segment: OpenSegment, before: Before) -> int:
    """Return the packets that are known to be missing, between its pieces and at the ends of those that are cut."""
    missing, number, at = 0, 0, before
    for piece in segment.pieces:
        if piece.number > number + 1 and len(piece.ordinals):
            stored = _stored(piece) - len(piece.ordinals) - piece.lost - at.stored
            # What was refused leaves a gap, too, and is no packet that was stored; nor are those of other link types.
            missing += max(min(int(piece.ordinals[0]) - at.next_ordinal, stored), 0)
        missing += piece.lost
        number = piece.number
        ends = int(piece.ordinals[-1]) + 1 if len(piece.ordinals) else at.next_ordinal
        at = Before(ends + piece.lost, _stored(piece))
    return missing


def with_losses(draft: Draft, missing: int) -> Draft:
    """Return a draft whose counters say that so many packets are lost that were stored once."""
    interfaces = draft.metadata.interfaces
    counters = list(draft.counters)
    for at, count in enumerate(counters):
        if at < len(interfaces) and interfaces[at].link_type != draft.link_type:
            continue
        moved = min(missing, count.stored)
        counters[at] = replace(count, stored=count.stored - moved, lost=count.lost + moved)
        missing -= moved
    total = sum(counters, Counters()) if counters else draft.source.counters
    return replace(draft, counters=tuple(counters), source=replace(draft.source, counters=total))


def _stored(piece: Piece) -> int:
    """Return how many packets of its link type the capture had stored when a piece was written."""
    interfaces = piece.metadata.interfaces
    return sum(
        count.stored
        for at, count in enumerate(piece.counters)
        if at >= len(interfaces) or interfaces[at].link_type == piece.link_type
    )
