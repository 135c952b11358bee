"""Who did what when: entries as bars in lanes, added up here, so that a million of them are no more than fit a screen.

A lane is a pair of peers, a service or a connection; a bar is what began in it within one bucket of the time. Work is
O(entries), memory O(bars): both are bounded, and what has no room is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from kubeshark.errors import UsageError
from kubeshark.hub.access._rights import Who, need
from kubeshark.hub.answers._client import Asker
from kubeshark.hub.answers._parameters import AGGREGATE_S, Kfl, Since, Until, read_time
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.hub.answers._sums import LINES, Added, Counted, Progress, Seconds, add_up
from kubeshark.hub.overviews._edges import end_of, ends_fields
from kubeshark.hub.state._hub import State
from kubeshark.pipeline import Run
from kubeshark.pipeline.renderers._kfl_text import literal

__all__ = ["LaneGroup", "Lanes", "Timeline", "router"]

router = APIRouter(prefix="/api/v1", tags=["timeline"], dependencies=[Depends(need("read"))])

LaneGroup = Literal["peers", "service", "stream"]
MAX_LANES = 500
MAX_BUCKETS = 1_000
MAX_KEPT = 100_000
"""Lanes that are added up."""
MAX_BARS = 200_000
"""Bars that are added up, of all lanes; a hundred megabytes."""


class Bar(BaseModel):
    first: int = Field(description="when the first of its entries begins, in ns after the timeline's start")
    last: int = Field(description="when the last of them ends")
    entries: int
    errors: int
    protocol: str = Field(description="of most of its entries")
    id: str = Field(description="of its first entry")


class Lane(BaseModel):
    name: str
    kfl: str = Field(description="the filter that selects the lane's entries")
    entries: int
    errors: int
    first: int
    last: int
    bars: list[Bar]


class Timeline(Counted):
    start: str = Field(description="nanoseconds since 1970, as text: numbers of JSON are not that long")
    span: int = Field(description="of the whole timeline, in ns")
    lanes: list[Lane]
    hidden_lanes: int
    hidden_entries: int = Field(description="of lanes that are not shown")
    entries: int


@dataclass(slots=True)
class _Bar:
    first: int
    id: str
    last: int = 0
    entries: int = 0
    errors: int = 0
    protocols: Counter[str] = field(default_factory=Counter)

    def joined(self, other: _Bar) -> _Bar:
        """Return this bar and another of its bucket as one."""
        begins = min(self, other, key=lambda bar: bar.first)
        return _Bar(
            begins.first,
            begins.id,
            max(self.last, other.last),
            self.entries + other.entries,
            self.errors + other.errors,
            self.protocols + other.protocols,
        )


@dataclass(slots=True)
class _Lane:
    name: str
    kfl: str
    entries: int = 0
    errors: int = 0
    first: int = 1 << 62
    last: int = 0
    bars: dict[int, _Bar] = field(default_factory=dict)  # by bucket


class Lanes:
    """Adds up runs of entries between two times, both taken in, in ns; the runs come in order of time."""

    def __init__(self, group: LaneGroup, low: int, high: int, buckets: int) -> None:
        self.group = group
        self.low, self.high = low, max(low, high)
        self.buckets = buckets
        self.width = max(1, -(-(self.high - low + 1) // buckets))
        self.entries = 0
        self.lanes: dict[tuple[str, ...], _Lane] = {}
        self._bars = 0
        self._fields = {
            "peers": (*ends_fields("src"), *ends_fields("dst")),
            "service": ends_fields("dst"),
            "stream": ("stream", "src.ip", "src.port", "dst.ip", "dst.port"),
        }[group]
        self.fields = tuple(dict.fromkeys((*self._fields, "protocol", "elapsed_time", "error", "status_code")))

    def add(self, run: Run) -> None:
        self.entries += len(run)
        columns = {name: run.column(name) for name in self.fields}
        places: dict[tuple[str, ...], int] = {}
        keys = zip(*(columns[name] for name in self._fields), strict=True)
        lane_of = np.fromiter((places.setdefault(key, len(places)) for key in keys), dtype=np.int64, count=len(run))
        lanes = [self._lane(key) for key in places]
        firsts = run.start_ns - self.low
        lasts = firsts + np.array(columns["elapsed_time"], dtype=np.int64) * 1_000
        marks = zip(columns["error"], columns["status_code"], strict=True)
        failed = np.fromiter((bool(error) or code >= 400 for error, code in marks), dtype=np.int64, count=len(run))
        buckets = np.clip(
            firsts // self.width, 0, self.buckets - 1
        )  # an entry may begin before its store's first packet
        cells, begins, cell_of = np.unique(lane_of * self.buckets + buckets, return_index=True, return_inverse=True)
        counts = np.bincount(cell_of, minlength=len(cells))
        errors = np.bincount(cell_of, weights=failed, minlength=len(cells)).astype(np.int64)
        ends = np.zeros(len(cells), dtype=np.int64)
        np.maximum.at(ends, cell_of, lasts)
        protocols: list[Counter[str]] = [Counter() for _ in cells]
        for at, name in zip(cell_of.tolist(), columns["protocol"], strict=True):
            protocols[at][name] += 1
        ids = run.only(begins.tolist()).column("id")
        facts = (
            cells.tolist(),
            firsts[begins].tolist(),
            ends.tolist(),
            counts.tolist(),
            errors.tolist(),
            protocols,
            ids,
        )
        for cell, first, last, count, bad, names, name in zip(*facts, strict=True):
            lane = lanes[cell // self.buckets]
            if lane is not None:
                self._count(lane, cell % self.buckets, _Bar(first, name, last, count, bad, names))

    def _lane(self, key: tuple[str, ...]) -> _Lane | None:
        """Return the lane of entries that have these values; None: there are too many lanes."""
        lane = self.lanes.get(key)
        if lane is None and len(self.lanes) < MAX_KEPT:
            lane = self.lanes[key] = _Lane(*self._called(key))
        return lane

    def _called(self, key: Sequence[str]) -> tuple[str, str]:
        if self.group == "stream":
            stream, *ends = key
            source, target = (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in (ends[:2], ends[2:]))
            return f"{source} → {target}", f"stream == {literal(stream)}"
        if self.group == "service":
            end = end_of("service", key)
            return end.id, end.kfl("dst")
        half = len(key) // 2
        client, server = end_of("host", key[:half]), end_of("host", key[half:])
        return f"{client.name or client.id} → {server.name or server.id}", f"{client.kfl('src')} && {server.kfl('dst')}"

    def _count(self, lane: _Lane, bucket: int, found: _Bar) -> None:
        lane.entries += found.entries
        lane.errors += found.errors
        lane.first = min(lane.first, found.first)
        lane.last = max(lane.last, found.last)
        bar = lane.bars.get(bucket)
        if bar is None:
            if self._bars < MAX_BARS:
                self._bars += 1
                lane.bars[bucket] = found
            return
        lane.bars[bucket] = bar.joined(found)

    def answer(self, limit: int, counted: Counted) -> Timeline:
        """Return the busiest lanes, of what was added so far: connections by time, the others by what happens."""
        alike: defaultdict[tuple[str, str], list[_Lane]] = defaultdict(list)
        for lane in self.lanes.values():  # names change in time: the same peers may have had several
            alike[lane.name, lane.kfl].append(lane)
        ranked = sorted(map(_joined, alike.values()), key=lambda lane: (-lane.entries, lane.first, lane.name))
        shown = ranked[:limit]
        if self.group == "stream":
            shown.sort(key=lambda lane: (lane.first, lane.name))
        return Timeline(
            start=str(self.low),
            span=self.high - self.low + 1,
            lanes=[_told(lane) for lane in shown],
            hidden_lanes=len(ranked) - len(shown),
            hidden_entries=self.entries - sum(lane.entries for lane in shown),
            entries=self.entries,
            **counted.model_dump(),
        )


def _joined(lanes: Sequence[_Lane]) -> _Lane:
    """Return these lanes as one; they themselves stay as they are, to be added to."""
    if len(lanes) == 1:
        return lanes[0]
    whole = _Lane(
        lanes[0].name,
        lanes[0].kfl,
        sum(lane.entries for lane in lanes),
        sum(lane.errors for lane in lanes),
        min(lane.first for lane in lanes),
        max(lane.last for lane in lanes),
    )
    for lane in lanes:
        for bucket, bar in lane.bars.items():
            mine = whole.bars.get(bucket)
            whole.bars[bucket] = replace(bar) if mine is None else mine.joined(bar)
    return whole


def _told(lane: _Lane) -> Lane:
    bars = [
        Bar(
            first=bar.first,
            last=bar.last,
            entries=bar.entries,
            errors=bar.errors,
            protocol=bar.protocols.most_common(1)[0][0],
            id=bar.id,
        )
        for _, bar in sorted(lane.bars.items())
    ]
    return Lane(
        name=lane.name,
        kfl=lane.kfl,
        entries=lane.entries,
        errors=lane.errors,
        first=lane.first,
        last=lane.last,
        bars=bars,
    )


@router.get(
    "/timeline",
    summary="What happens when: lanes of peers, services or connections, entries as bars in them",
    response_model=Timeline,
    responses=LINES,
)
def timeline(
    hub: State,
    principal: Who,
    client: Asker,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    group: LaneGroup = "peers",
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS, description="bars of a lane, at most")] = 200,
    limit: Annotated[int, Query(ge=1, le=MAX_LANES, description="lanes, those with the most entries")] = 60,
    seconds: Seconds = AGGREGATE_S,
    progress: Progress = False,
) -> Timeline | ClosingStream:
    info = hub.pipeline.store.info()
    since_ns, until_ns = read_time(since), read_time(until)
    low = max(0, since_ns) if since_ns is not None else (info.first_ns or 0)  # nothing was captured before 1970
    high = until_ns if until_ns is not None else (info.last_ns or 0)
    if since is not None and until is not None and high < low:
        raise UsageError("the time ends before it begins", hint="since lies before until")
    view = hub.view(principal)
    view.compile(kfl)  # a bad filter is refused before the answer begins
    lanes = Lanes(group, low, high, buckets)
    part = Added(lambda given: view.query(kfl, since_ns=since_ns, until_ns=until_ns, **given), lanes)
    return add_up(client, [part], lambda counted: lanes.answer(limit, counted), seconds=seconds, progress=progress)
