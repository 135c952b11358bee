"""Queries for programs: entries as JSON lines, and what can be said about a filter without sending its entries."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from anyio import CancelScope
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Send

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub._access import Who, need, need_all
from kubeshark.hub._pool import Turn
from kubeshark.hub._state import State
from kubeshark.hub._times import read_time
from kubeshark.pipeline import Entry, Pipeline, Run, StoreQuery

__all__ = ["ClosingStream", "Kfl", "Since", "Until", "router"]

router = APIRouter(prefix="/api/v1", tags=["query"], dependencies=[Depends(need("read"))])

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 100_000
CHUNK_ROWS = 100  # lines made while a turn is held
MAX_BUCKETS = 2_000
MAX_VALUES = 1_000
AGGREGATE_S = 60.0
"""How long a count or a histogram may take: behind that it says how far it came."""

Kfl = Annotated[str, Query(max_length=16_384, description="KFL; empty: everything")]
Since = Annotated[str | None, Query(max_length=64, description="RFC 3339, or nanoseconds since 1970")]
Until = Annotated[str | None, Query(max_length=64, description="the same; taken in")]


class Check(BaseModel):
    """Whether a filter can be meant."""

    ok: bool
    error: str = ""
    line: int = 0
    column: int = 0
    notices: list[str] = Field(default=[], description="what was translated from the older language")
    text: str = Field(default="", description="the filter in KFL")


class Explanation(BaseModel):
    lines: list[str]
    notices: list[str]
    entries: int
    bytes_read: int
    seconds: float = Field(description="of this run; one that was just made finds more in memory")
    stopped: str = Field(description='"" if it ran to its end')


class Count(BaseModel):
    entries: int
    stopped: str = Field(description='"" if everything was counted')
    bytes_read: int


class Histogram(BaseModel):
    """Entries a bucket: `series[name][i]` begin in [start + i * width, start + (i + 1) * width), in nanoseconds."""

    start: int
    width: int
    series: dict[str, list[int]]
    entries: int
    stopped: str


class ValueCount(BaseModel):
    value: str | int | float | bool
    entries: int


class Values(BaseModel):
    variable: str
    values: list[ValueCount]
    distinct: int
    stopped: str


@router.get(
    "/query",
    summary="Entries that match a KFL expression, one JSON object a line",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}}},
)
def query(
    hub: State,
    principal: Who,
    kfl: Kfl = "",
    form: Annotated[Literal["row", "entry"], Query(description="list rows or whole entries")] = "row",
    limit: Annotated[int, Query(ge=0, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    order: Literal["oldest", "newest"] = "oldest",
    cursor: Annotated[str | None, Query(max_length=1_024, description="go on behind an earlier answer")] = None,
    since: Since = None,
    until: Until = None,
    with_cursor: Annotated[bool, Query(description="end with a line {cursor} if there is more")] = False,
) -> StreamingResponse:
    found = hub.view(principal).query(  # a bad filter is refused before the answer begins
        kfl,
        limit=limit,
        order="asc" if order == "oldest" else "desc",
        after=cursor,
        since_ns=read_time(since),
        until_ns=read_time(until),
    )
    hub.figures.add(queries=1)

    def lines() -> Generator[str, None, None]:
        with hub.pool.turn() as turn:
            try:
                for chunk in _chunks(found, turn):
                    hub.figures.add(query_rows=len(chunk))
                    yield "".join(_line(entry, form) for entry in chunk)
                yield "".join(json.dumps({"problem": str(problem)}) + "\n" for problem in found.problems)
                if with_cursor and found.cursor:
                    yield json.dumps({"cursor": found.cursor}) + "\n"
            except KubesharkError as error:
                yield json.dumps({"problem": str(error)}) + "\n"

    return ClosingStream(lines(), media_type="application/jsonl")


@router.get("/query/check", summary="Say whether a filter can be meant, and where it is wrong")
def check(hub: State, kfl: Kfl = "") -> Check:
    try:
        compiled = hub.pipeline.compile(kfl)
    except UsageError as error:
        return Check(ok=False, error=str(error), line=error.line, column=error.column)
    return Check(ok=True, notices=list(compiled.notices), text=compiled.kfl_text)


@router.get(
    "/query/explain", summary="What was pushed down, read and decrypted, as text", dependencies=[Depends(need_all)]
)
def explain(hub: State, principal: Who, kfl: Kfl = "", since: Since = None, until: Until = None) -> Explanation:
    found = _aggregate(hub.view(principal), kfl, since, until)
    with hub.pool.turn() as turn:
        turn.take()
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
def count(hub: State, principal: Who, kfl: Kfl = "", since: Since = None, until: Until = None) -> Count:
    found = _aggregate(hub.view(principal), kfl, since, until)
    with hub.pool.turn() as turn:
        turn.take()
        entries = sum(map(len, found.runs([])))
    return Count(entries=entries, stopped=found.stopped, bytes_read=found.bytes_read)


@router.get("/query/histogram", summary="How many entries begin when, by protocol or by class of status")
def histogram(
    hub: State,
    principal: Who,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 120,
    by: Literal["protocol", "status"] = "protocol",
) -> Histogram:
    info = hub.pipeline.store.info()
    low, high = read_time(since), read_time(until)
    low = low if low is not None else (info.first_ns or 0)
    high = high if high is not None else (info.last_ns or 0)
    width = max(1, -(-(high - low + 1) // buckets))
    series: dict[str, Any] = {}
    found = _aggregate(hub.view(principal), kfl, since, until)
    entries = 0
    with hub.pool.turn() as turn:
        turn.take()
        for run in found.runs(["protocol"] if by == "protocol" else ["status_code", "error"]):
            entries += len(run)
            # entries may begin before the store's first packet that the index tells: they belong to the first bucket
            places = np.clip((run.start_ns - low) // width, 0, buckets - 1)
            names = run.column("protocol") if by == "protocol" else _status_classes(run)
            known, number = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
            for at, name in enumerate(known.tolist()):
                counts = np.bincount(places[number == at], minlength=buckets)
                series[name] = series[name] + counts if name in series else counts
    shown = {name: counts.tolist() for name, counts in sorted(series.items())}
    return Histogram(start=low, width=width, series=shown, entries=entries, stopped=found.stopped)


@router.get("/query/values", summary="Values seen for a KFL variable, the most frequent first")
def values(
    hub: State,
    principal: Who,
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
    found = _aggregate(view, kfl, since, until, limit=look_at)
    seen: Counter[Any] = Counter()
    with hub.pool.turn() as turn:
        turn.take()
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
    view: Pipeline, kfl: str, since: str | None, until: str | None, *, limit: int | None = None
) -> StoreQuery[Entry]:
    return view.query(
        kfl,
        since_ns=read_time(since),
        until_ns=read_time(until),
        max_seconds=AGGREGATE_S,
        limit=limit,
        order="asc" if limit is None else "desc",
    )


def _chunks(found: StoreQuery[Entry], turn: Turn) -> Iterator[list[Entry]]:
    """Yield entries, a turn held only while they are made: a slow client makes nobody else wait."""
    entries: list[Entry] = []
    turn.take()
    for entry in found:
        entries.append(entry)
        if len(entries) >= CHUNK_ROWS:
            turn.give()
            yield entries
            entries = []
            turn.take()
    yield entries


class ClosingStream(StreamingResponse):
    """A stream that ends its generator when the client goes away: what the generator holds is given back at once."""

    def __init__(
        self, content: Generator[Any, None, None], media_type: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._content = content

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._content.close)


def _line(entry: Entry, form: str) -> str:
    document = entry.row() if form == "row" else entry.to_dict()
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
