"""Queries for programs: entries as JSON lines, and whether a filter can be meant."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from kubeshark._json import json_text
from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub.access._rights import Who, need
from kubeshark.hub.answers._client import Asker, ClientGone
from kubeshark.hub.answers._parameters import Kfl, Since, Until, read_time
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.hub.state._hub import State
from kubeshark.hub.state._pool import Turn
from kubeshark.pipeline import Entry, StoreQuery

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["query"], dependencies=[Depends(need("read"))])

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 100_000
CHUNK_ROWS = 100  # lines made while a turn is held


class Check(BaseModel):
    """Whether a filter can be meant."""

    ok: bool
    error: str = ""
    line: int = 0
    column: int = 0
    notices: list[str] = Field(default=[], description="what was translated from the older language")
    text: str = Field(default="", description="the filter in KFL")


@router.get(
    "/query",
    summary="Entries that match a KFL expression, one JSON object a line",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/jsonl": {}}}},
)
def query(
    hub: State,
    principal: Who,
    client: Asker,
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
        gave_up=client.has_left,
    )
    hub.figures.add(queries=1)

    def lines() -> Generator[str, None, None]:
        try:
            with client.turn() as turn:
                for chunk in _chunks(found, turn):
                    hub.figures.add(query_rows=len(chunk))
                    yield "".join(_line(entry, form) for entry in chunk)
                yield "".join(json.dumps({"problem": str(problem)}) + "\n" for problem in found.problems)
                if with_cursor and found.cursor:
                    yield json.dumps({"cursor": found.cursor}) + "\n"
        except ClientGone:
            return
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


def _chunks(found: StoreQuery[Entry], turn: Turn) -> Iterator[list[Entry]]:
    """Yield entries, a turn held only while they are made: a slow client makes nobody else wait."""
    entries: list[Entry] = []
    for entry in found:
        entries.append(entry)
        if len(entries) >= CHUNK_ROWS:
            turn.give()
            yield entries
            entries = []
            if not turn.take():
                return
    yield entries


def _line(entry: Entry, form: str) -> str:
    document = entry.row() if form == "row" else entry.to_dict()
    return json_text(document) + "\n"
