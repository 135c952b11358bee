"""Downloads, streamed while they are made: packets of a filter, a selection or a time range, and HTTP exchanges."""

from __future__ import annotations

from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from kubeshark.hub.access._audit import filter_form
from kubeshark.hub.access._rights import Principal, Who, need
from kubeshark.hub.answers._client import Asker
from kubeshark.hub.answers._downloads import MEDIA, PROBLEMS, download
from kubeshark.hub.answers._parameters import Kfl, Since, Until, read_time
from kubeshark.hub.state._hub import Hub, State
from kubeshark.pipeline import Entry, Pipeline

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["captures"], dependencies=[Depends(need("read"))])

Format = Literal["pcap", "pcapng", "har"]
MAX_SELECTION = 1_000

BINARY: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {media: {} for media in MEDIA.values()},
        "headers": {PROBLEMS: {"description": "why packets may be missing: a JSON list", "schema": {"type": "string"}}},
    }
}


class Selection(BaseModel):
    ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MAX_SELECTION)]
    format: Format = "pcapng"


@router.get(
    "/export",
    summary="Packets of the matching entries' connections, or their HTTP exchanges",
    responses=BINARY,
    response_class=StreamingResponse,
)
def export(
    hub: State,
    principal: Who,
    client: Asker,
    kfl: Kfl = "",
    since: Since = None,
    until: Until = None,
    format: Annotated[Format, Query()] = "pcapng",
    redact: Annotated[bool, Query(description="of a HAR: hide secrets, also from who may see them")] = True,
) -> StreamingResponse:
    low, high = read_time(since), read_time(until)
    pipeline = _allowed(hub, principal, format)
    pipeline.compile(kfl)  # a bad filter is refused before the answer begins
    hub.audit.note(principal, "export", format=format, filter=filter_form(kfl))

    def write(out: BinaryIO) -> None:
        if format == "har":
            pipeline.export_har(
                kfl,
                out,
                since_ns=low,
                until_ns=high,
                with_secrets=not redact and not principal.is_redacted,
                gave_up=client.has_left,
            )
        else:
            pipeline.export(kfl, out, format=format, since_ns=low, until_ns=high, gave_up=client.has_left)

    return download(client, write, f"kubeshark.{format}", MEDIA[format])


@router.post(
    "/export",
    summary="Connections of some entries, or their HTTP exchanges",
    responses=BINARY,
    response_class=StreamingResponse,
)
def export_selection(hub: State, principal: Who, client: Asker, selection: Selection) -> StreamingResponse:
    pipeline = _allowed(hub, principal, selection.format)
    found: list[Entry] = []
    for identifier in dict.fromkeys(selection.ids):
        entry = pipeline.entry(identifier)
        if entry is None:
            raise HTTPException(404, f"no entry {identifier}")
        found.append(entry)
    hub.audit.note(principal, "export", format=selection.format, entries=len(found))

    def write(out: BinaryIO) -> None:
        pipeline.export_entries(found, out, format=selection.format)

    return download(client, write, f"selection.{selection.format}", MEDIA[selection.format])


def _allowed(hub: Hub, principal: Principal, form: Format) -> Pipeline:
    if form == "har":
        return hub.view(principal)
    if "raw" not in principal.rights:
        raise HTTPException(403, f"{principal.name} may not export packets: they cannot be redacted; export as HAR")
    return hub.view_with()
