"""TCP reassembly: the segments of one direction in order (definitions 22 to 25)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from msgspec import Struct, field

from kubeshark.core_capture._columns import Direction, Gap
from kubeshark.core_capture.reference._limits import (
    GAP_FILL_BASE,
    GAP_FILL_PER_BYTE,
    MAX_GAP_FILL,
    MAX_STREAM_BYTES,
)
from kubeshark.core_capture.reference._spans import Spans

__all__ = ["Segment", "assemble_direction"]

FIN, SYN, RST, PSH = 1, 2, 4, 8


class Segment(Struct, frozen=True):
    """One TCP packet of a direction."""

    packet: int  # index into Decoded.packets
    sequence: int
    flags: int
    payload: bytes  # as captured


class _Side(Struct):
    """One direction while its segments are placed."""

    base: int  # sequence number of position 0
    lowest: int | None  # position below which bytes are dropped; None without a SYN
    last: int = 0  # end of the segment before
    high: int = 0  # highest end so far
    fin: int | None = None  # position where the first FIN says the side ends
    spans: Spans = field(default_factory=Spans)
    placed: int = 0  # bytes
    retransmissions: int = 0
    out_of_order: int = 0
    overlaps: int = 0

    def position(self, sequence: int) -> int:
        """Unwrap a sequence number around the segment before: one forged number misleads nobody but itself."""
        distance = (sequence - self.base - self.last) & 0xFFFF_FFFF
        return self.last + distance - ((distance & 0x8000_0000) << 1)

    def place(self, segment: Segment) -> None:
        start = self.position(segment.sequence + (1 if segment.flags & SYN else 0))
        payload = segment.payload
        if payload:
            self.last = start + len(payload)
        if segment.flags & FIN and self.fin is None:
            self.fin = start + len(payload)
        if self.lowest is not None and start < self.lowest:
            payload = payload[self.lowest - start :]
            start = self.lowest
        if not payload or self._is_keep_alive(start, payload):
            return
        added = self.spans.add(start, payload, segment.packet)
        end = start + len(payload)
        self.placed += added.new
        self.overlaps += added.differing
        self.retransmissions += added.new == 0
        self.out_of_order += added.new > max(end - max(start, self.high), 0)  # something new below high
        self.high = max(self.high, end)

    def _is_keep_alive(self, start: int, payload: bytes) -> bool:
        """RFC 9293 §3.8.4: a probe may carry one byte of garbage that was acknowledged before."""
        return len(payload) == 1 and start == self.high - 1 and self.spans.byte(start) not in (None, payload[0])


def assemble_direction(segments: Iterable[Segment], isn: int | None) -> Direction:
    """Put one direction's segments, given in time order, in stream order; `isn` is None where no SYN was seen."""
    kept = [segment for segment in segments if _counts(segment, isn)]
    if isn is None:
        first = next((segment for segment in kept if not _may_be_probe(segment)), None)
        kept = [] if first is None else kept[kept.index(first) :]
        side = _Side(base=0 if first is None else first.sequence, lowest=None)
    else:
        side = _Side(base=isn + 1, lowest=0)
    for segment in kept:
        side.place(segment)
    return _lay_out(side)


def _counts(segment: Segment, isn: int | None) -> bool:
    """Does a segment tell anything about the stream? A reset's payload is its cause, not data (RFC 9293 §3.5.2)."""
    if segment.flags & RST or (segment.flags & SYN and segment.sequence != isn):
        return False
    return bool(segment.payload or segment.flags & FIN)


def _may_be_probe(segment: Segment) -> bool:
    """Without a SYN, a first byte that nobody pushed may be a keep-alive's garbage; a lone FIN is no start either."""
    return len(segment.payload) <= 1 and not (segment.payload and segment.flags & (PSH | FIN))


def _lay_out(side: _Side) -> Direction:
    """Join what was placed; zeros, within limits, stand for what is missing."""
    spans = side.spans
    out = bytearray()
    gaps: list[Gap] = []
    chunk_starts: list[int] = []
    chunk_packets: list[int] = []
    fill_left = GAP_FILL_BASE + GAP_FILL_PER_BYTE * side.placed
    position = side.lowest if side.lowest is not None else next(iter(spans.starts), 0)

    def add_gap(missing: int) -> int:
        fill = min(missing, MAX_GAP_FILL, fill_left, MAX_STREAM_BYTES - len(out))
        gaps.append(Gap(len(out), len(out) + fill, missing))
        out.extend(bytes(fill))
        return fill

    for start, piece, packet in zip(spans.starts, spans.pieces, spans.owners, strict=True):
        if start > position:
            fill_left -= add_gap(start - position)
        room = MAX_STREAM_BYTES - len(out)
        if not room:
            break
        chunk_starts.append(len(out) if chunk_starts else 0)
        chunk_packets.append(packet)
        out += piece[:room]
        position = start + len(piece)
    else:
        if chunk_starts and side.fin is not None and side.fin > position:
            add_gap(side.fin - position)
    return Direction(
        data=memoryview(bytes(out)),
        gaps=tuple(gaps),
        chunk_starts=np.array(chunk_starts, dtype=np.uint64),
        chunk_packets=np.array(chunk_packets, dtype=np.uint32),
        retransmissions=side.retransmissions,
        out_of_order=side.out_of_order,
        overlaps=side.overlaps,
        starts_midway=side.lowest is None,
    )
