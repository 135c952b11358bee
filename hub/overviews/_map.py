"""The service map: added up here, never from rows in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from kubeshark.errors import UsageError
from kubeshark.hub.access._rights import Who, need
from kubeshark.hub.answers._client import Asker
from kubeshark.hub.answers._parameters import AGGREGATE_S, Kfl, Since, Until, read_time
from kubeshark.hub.answers._streams import ClosingStream
from kubeshark.hub.answers._sums import LINES, Added, Counted, Progress, Seconds, add_up
from kubeshark.hub.overviews._edges import MAX_EDGES, Edges, Group, ServiceMap
from kubeshark.hub.state._hub import State
from kubeshark.pipeline import Entry, Pipeline, StoreQuery

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["map"], dependencies=[Depends(need("read"))])


@router.get(
    "/map",
    summary="Who talks to whom: nodes, and edges with calls, errors, bytes and latencies",
    response_model=ServiceMap,
    responses=LINES,
)
def service_map(
    hub: State,
    principal: Who,
    client: Asker,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    against_since: Annotated[str | None, Query(description="begin of a time it is compared with")] = None,
    against_until: Annotated[str | None, Query(description="end of that time")] = None,
    group: Group = "host",
    layer: Annotated[Literal["4", "7"], Query(description="4: connections, 7: entries")] = "7",
    limit: Annotated[int, Query(ge=1, le=MAX_EDGES, description="edges, those with the most calls")] = 5_000,
    seconds: Seconds = AGGREGATE_S,
    progress: Progress = False,
) -> ServiceMap | ClosingStream:
    view = hub.view(principal)
    written = view.compile(kfl).kfl_text  # a bad filter is refused before the answer begins
    text = kfl
    if layer == "4":
        text = f"(\n{written}\n) && conn" if written.strip() else "conn"
    wanted = [(read_time(since), read_time(until))]
    if against_since is not None or against_until is not None:
        wanted.append((read_time(against_since), read_time(against_until)))
    sums = [Edges(group, int(layer)) for _ in wanted]
    parts = [Added(_query(view, text, span), edges) for span, edges in zip(wanted, sums, strict=True)]
    before: Edges | None = None
    faster = 1.0
    if len(wanted) == 2:
        spans = [_span(begin, end) for begin, end in wanted]
        faster = spans[0] / spans[1] if all(spans) else 1.0
        before = sums[1]

    def answer(counted: Counted) -> ServiceMap:
        return sums[0].answer(limit, counted, before, faster)

    # of two times the older comes first: until it is whole, everything would be new
    return add_up(client, parts[::-1], answer, seconds=seconds, progress=progress)


def _query(
    view: Pipeline, kfl: str, span: tuple[int | None, int | None]
) -> Callable[[dict[str, Any]], StoreQuery[Entry]]:
    return lambda given: view.query(kfl, since_ns=span[0], until_ns=span[1], **given)


def _span(begin: int | None, end: int | None) -> int:
    """Return how long a time is, in ns; 0 where it is open. Raise UsageError for one that ends before it begins."""
    if begin is None or end is None:
        return 0
    if end <= begin:
        raise UsageError("a time of the comparison ends before it begins", hint="since lies before until")
    return end - begin
