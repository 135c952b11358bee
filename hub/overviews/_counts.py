"""What can be said of a filter without sending entries: what it costs, how many there are, when, with which values."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field

from kubeshark.hub.access._rights import Who, need, need_all
from kubeshark.hub.answers._client import Asker, Client
from kubeshark.hub.answers._parameters import AGGREGATE_S, Kfl, Since, Until, read_time
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.hub.answers._sums import LINES, Added, Counted, Progress, Seconds, add_up
from kubeshark.hub.state._hub import State
from kubeshark.pipeline import Entry, Pipeline, Run, StoreQuery

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["query"], dependencies=[Depends(need("read"))])

MAX_BUCKETS = 2_000
MAX_VALUES = 1_000


class Explanation(BaseModel):
    lines: list[str]
    notices: list[str]
    entries: int
    bytes_read: int
    seconds: float = Field(description="of this run; one that was just made finds more in memory")
    stopped: str = Field(description='"" if it ran to its end')


class Count(Counted):
    entries: int
    bytes_read: int


class Histogram(Counted):
    """Entries a bucket: `series[name][i]` begin in [start + i * width, start + (i + 1) * width), in nanoseconds."""

    start: int
    width: int
    series: dict[str, list[int]]
    entries: int


class ValueCount(BaseModel):
    value: str | int | float | bool
    entries: int


class Values(BaseModel):
    variable: str
    values: list[ValueCount]
    distinct: int
    stopped: str


@router.get(
    "/query/explain", summary="What was pushed down, read and decrypted, as text", dependencies=[Depends(need_all)]
)
def explain(
    hub: State, principal: Who, client: Asker, kfl: Kfl = "", since: Since = None, until: Until = None
) -> Explanation:
    found = _aggregate(hub.view(principal), client, kfl, since, until)
    with client.turn():
        began = time.monotonic()
        entries = sum(map(len, found.runs([])))
        seconds = time.monotonic() - began
    return Explanation(
        lines=found.explain(),
        notices=found.notices,
        entries=entries,
        bytes_read=found.bytes_read,
        seconds=round(seconds, 6),
        stopped=found.stopped,
    )


@router.get("/query/count", summary="How many entries match")
def count(
    hub: State,
    principal: Who,
    client: Asker,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    seconds: Seconds = AGGREGATE_S,
) -> Count:
    found = _aggregate(hub.view(principal), client, kfl, since, until, seconds=seconds)
    with client.turn():
        entries = sum(map(len, found.runs([])))
    return Count(entries=entries, bytes_read=found.bytes_read, **Counted.of(found).model_dump())


@router.get(
    "/query/histogram",
    summary="How many entries begin when, by protocol or by class of status",
    response_model=Histogram,
    responses=LINES,
)
def histogram(
    hub: State,
    principal: Who,
    client: Asker,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 120,
    by: Literal["protocol", "status"] = "protocol",
    seconds: Seconds = AGGREGATE_S,
    progress: Progress = False,
) -> Histogram | ClosingStream:
    info = hub.pipeline.store.info()
    view = hub.view(principal)
    view.compile(kfl)  # a bad filter is refused before the answer begins
    since_ns, until_ns = read_time(since), read_time(until)
    low = max(0, since_ns) if since_ns is not None else (info.first_ns or 0)  # nothing was captured before 1970
    high = until_ns if until_ns is not None else (info.last_ns or 0)
    bars = _Bars(by, low, high, buckets)
    part = Added(lambda given: view.query(kfl, since_ns=since_ns, until_ns=until_ns, **given), bars)
    return add_up(client, [part], bars.answer, seconds=seconds, progress=progress)


class _Bars:
    """Counts entries by bucket and name."""

    def __init__(self, by: Literal["protocol", "status"], low: int, high: int, buckets: int) -> None:
        self.fields = ["protocol"] if by == "protocol" else ["status_code", "error"]
        self._low, self._buckets = low, buckets
        self._width = max(1, -(-(high - low + 1) // buckets))
        self._series: dict[str, Any] = {}
        self._entries = 0

    def add(self, run: Run) -> None:
        self._entries += len(run)
        # entries may begin before the store's first packet that the index tells: they belong to the first bucket
        places = np.clip((run.start_ns - self._low) // self._width, 0, self._buckets - 1)
        names = run.column("protocol") if self.fields == ["protocol"] else _status_classes(run)
        known, number = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
        for at, name in enumerate(known.tolist()):
            counts = np.bincount(places[number == at], minlength=self._buckets)
            self._series[name] = self._series[name] + counts if name in self._series else counts

    def answer(self, counted: Counted) -> Histogram:
        shown = {name: counts.tolist() for name, counts in sorted(self._series.items())}
        return Histogram(
            start=self._low, width=self._width, series=shown, entries=self._entries, **counted.model_dump()
        )


@router.get("/query/values", summary="Values seen for a KFL variable, the most frequent first")
def values(
    hub: State,
    principal: Who,
    client: Asker,
    variable: Annotated[str, Query(max_length=200)],
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, Query(ge=1, le=MAX_VALUES)] = 50,
    look_at: Annotated[int, Query(ge=1, le=1_000_000, description="of at most so many entries, the newest")] = 20_000,
) -> Values:
    view = hub.view(principal)
    if variable not in view.variables:
        raise HTTPException(404, f"there is no variable {variable[:80]!r}")
    found = _aggregate(view, client, kfl, since, until, limit=look_at)
    seen: Counter[Any] = Counter()
    with client.turn():
        for run in found.runs([variable]):
            for value in run.column(variable):
                for each in _scalars(value):
                    seen[type(each), each[:200] if isinstance(each, str) else each] += 1
    most = [ValueCount(value=value, entries=number) for (_, value), number in seen.most_common(limit)]
    return Values(variable=variable, values=most, distinct=len(seen), stopped=found.stopped)


def _scalars(value: Any) -> Sequence[Any]:
    """Return what a value offers to complete with; "" is no value."""
    if isinstance(value, list):
        return [each for each in value if isinstance(each, str | int | float) and each != ""]
    if isinstance(value, dict):
        return [each for each in value if isinstance(each, str)]
    return [value] if isinstance(value, str | int | float) and value != "" else []


def _status_classes(run: Run) -> list[str]:
    """ "2xx" and so on for HTTP, "error" for what failed, "other" for the rest."""
    codes, errors = run.column("status_code"), run.column("error")
    return [
        "error" if failed else f"{code // 100}xx" if 100 <= code < 600 else "other"
        for code, failed in zip(codes, errors, strict=True)
    ]


def _aggregate(
    view: Pipeline,
    client: Client,
    kfl: str,
    since: str | None,
    until: str | None,
    *,
    seconds: float = AGGREGATE_S,
    limit: int | None = None,
) -> StoreQuery[Entry]:
    return view.query(
        kfl,
        since_ns=read_time(since),
        until_ns=read_time(until),
        max_seconds=seconds,
        limit=limit,
        order="asc" if limit is None else "desc",
        gave_up=client.has_left,
    )
