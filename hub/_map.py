"""The service map: added up here, never from rows in a browser."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from kubeshark.errors import UsageError
from kubeshark.hub._access import Who, need
from kubeshark.hub._edges import MAX_EDGES, Edges, Group, ServiceMap
from kubeshark.hub._queries import AGGREGATE_S, Kfl, Since, Until
from kubeshark.hub._state import State
from kubeshark.hub._times import read_time

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["map"], dependencies=[Depends(need("read"))])


@router.get("/map", summary="Who talks to whom: nodes, and edges with calls, errors, bytes and latencies")
def service_map(
    hub: State,
    principal: Who,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    against_since: Annotated[str | None, Query(description="begin of a time it is compared with")] = None,
    against_until: Annotated[str | None, Query(description="end of that time")] = None,
    group: Group = "host",
    layer: Annotated[Literal["4", "7"], Query(description="4: connections, 7: entries")] = "7",
    limit: Annotated[int, Query(ge=1, le=MAX_EDGES, description="edges, those with the most calls")] = 5_000,
) -> ServiceMap:
    view = hub.view(principal)
    text = kfl
    if layer == "4":
        written = view.compile(kfl).kfl_text
        text = f"(\n{written}\n) && conn" if written.strip() else "conn"
    wanted = [(read_time(since), read_time(until))]
    if against_since is not None or against_until is not None:
        wanted.append((read_time(against_since), read_time(against_until)))
    sums, stopped = [], ""
    with hub.pool.turn() as turn:
        turn.take()
        for begin, end in wanted:
            found = view.query(text, since_ns=begin, until_ns=end, max_seconds=AGGREGATE_S)
            edges = Edges(group, int(layer))
            for run in found.runs(edges.fields):
                edges.add(run)
            sums.append(edges)
            stopped = stopped or found.stopped
    if len(sums) == 1:
        return sums[0].answer(limit, stopped)
    spans = [_span(begin, end) for begin, end in wanted]
    faster = spans[0] / spans[1] if all(spans) else 1.0
    return sums[0].answer(limit, stopped, sums[1], faster)


def _span(begin: int | None, end: int | None) -> int:
    """Return how long a time is, in ns; 0 where it is open. Raise UsageError for one that ends before it begins."""
    if begin is None or end is None:
        return 0
    if end <= begin:
        raise UsageError("a time of the comparison ends before it begins", hint="since lies before until")
    return end - begin
