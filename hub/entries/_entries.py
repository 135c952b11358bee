"""One entry: how it is shown and by whom, what lies beside it in its stream, and the bytes it was made of."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from kubeshark.extension_api import MessageKind
from kubeshark.hub.access._rights import Principal, Who, need
from kubeshark.hub.answers._client import Asker, Client
from kubeshark.hub.answers._downloads import MEDIA, download
from kubeshark.hub.state._hub import State
from kubeshark.pipeline import Entry, Pipeline
from kubeshark.pipeline.entries._display import representation_document
from kubeshark.pipeline.entries._packets import followed, packet_bytes, packet_rows

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/entries/{entry_id}", tags=["entries"], dependencies=[Depends(need("read"))])

EntryKey = Annotated[str, PathParameter(max_length=200, description="as lists and queries give it")]
Raw = Annotated[Principal, Depends(need("raw"))]
Half = Literal["request", "response", "event"]
MAX_FOLLOWED = 16 << 20
MAX_NEIGHBOURS = 5_000
BYTES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}


class Renderer(BaseModel):
    """A plugin that can show the entry."""

    name: str
    priority: int
    milliseconds: float
    error: str = ""
    chosen: bool = False


class Neighbours(BaseModel):
    """Entries of the same connection, in time order."""

    stream: str
    previous: str | None
    next: str | None
    position: int = Field(description="of the entry, from 0")
    ids: list[str]
    complete: bool = Field(description=f"false if the connection has more than {MAX_NEIGHBOURS} entries")


class Packet(BaseModel):
    number: int
    time: int = Field(description="nanoseconds since 1970")
    captured: int
    original: int
    from_server: bool
    payload_start: int
    payload_end: int
    tcp_flags: int
    of_entry: bool


class Piece(BaseModel):
    from_server: bool
    time: int
    data: str = Field(description="base64")


class Followed(BaseModel):
    pieces: list[Piece]
    complete: bool
    decrypted: bool


@router.get("", summary="One entry with its representation")
def entry(
    hub: State,
    principal: Who,
    client: Asker,
    entry_id: EntryKey,
    renderer: Annotated[str | None, Query(max_length=200, description="show it by this one")] = None,
) -> dict[str, Any]:
    with client.turn():
        found = _find(hub.view(principal), entry_id)
        wrapper = found.wrapper()
        if renderer is not None:
            offered = hub.pipeline.plugins.rendered(found).get(renderer)
            if offered is None or isinstance(offered[0], str):
                raise HTTPException(404, f"no renderer {renderer[:80]} shows this entry")
            wrapper["representation"] = representation_document(offered[0])
        return wrapper


@router.get("/renderers", summary="Who can show the entry")
def renderers(hub: State, principal: Who, client: Asker, entry_id: EntryKey) -> list[Renderer]:
    with client.turn():
        found = _find(hub.view(principal), entry_id)
        answers = [
            Renderer(name=name, priority=-1, milliseconds=taken * 1000, error=offered)
            if isinstance(offered, str)
            else Renderer(name=name, priority=offered.priority, milliseconds=taken * 1000)
            for name, (offered, taken) in hub.pipeline.plugins.rendered(found).items()
        ]
    answers.sort(key=lambda each: -each.priority)
    if answers and answers[0].priority >= 0:
        answers[0].chosen = True
    return answers


@router.get("/neighbours", summary="The entries before and behind it in its connection")
def neighbours(hub: State, principal: Who, client: Asker, entry_id: EntryKey) -> Neighbours:
    with client.turn():
        view = hub.view(principal)
        found = _find(view, entry_id)
        ids = [each.id for each in view.connection(found, limit=MAX_NEIGHBOURS + 1)]
    position = ids.index(found.id) if found.id in ids else 0
    return Neighbours(
        stream=found.facts.stream,
        previous=ids[position - 1] if position > 0 else None,
        next=ids[position + 1] if position + 1 < len(ids) else None,
        position=position,
        ids=ids[:MAX_NEIGHBOURS],
        complete=len(ids) <= MAX_NEIGHBOURS,
    )


@router.get("/raw", summary="The bytes of one half, as they were on the wire", response_class=Response, responses=BYTES)
def raw(principal: Raw, client: Asker, entry_id: EntryKey, half: Half = "request") -> Response:
    found = _seen(client, principal, entry_id, "raw bytes")
    return _bytes(found.raw(MessageKind[half.upper()]), f"{found.id}-{half}.bin")


@router.get("/packets", summary="The packets of its connection")
def packets(
    principal: Raw,
    client: Asker,
    entry_id: EntryKey,
    first: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> list[Packet]:
    found = _seen(client, principal, entry_id, "packets")
    return [
        Packet(
            number=row.number,
            time=row.time_ns,
            captured=row.captured,
            original=row.original,
            from_server=row.from_server,
            payload_start=row.payload[0],
            payload_end=row.payload[1],
            tcp_flags=row.flags,
            of_entry=row.is_of_entry,
        )
        for row in packet_rows(found, first=first, most=limit)
    ]


@router.get("/packets/{number}", summary="One packet, as it was captured", response_class=Response, responses=BYTES)
def packet(
    principal: Raw, client: Asker, entry_id: EntryKey, number: Annotated[int, PathParameter(ge=0, lt=2**31)]
) -> Response:
    data = packet_bytes(_seen(client, principal, entry_id, "packet"), number)
    if data is None:
        raise HTTPException(404, f"its connection has no packet {number}")
    return _bytes(data, f"packet-{number}.bin")


@router.get("/stream", summary="What both sides sent, in turn")
def stream(
    principal: Raw, client: Asker, entry_id: EntryKey, limit: Annotated[int, Query(ge=1, le=MAX_FOLLOWED)] = 1 << 20
) -> Followed:
    found = _seen(client, principal, entry_id, "followed stream")
    pieces, is_all = followed(found, most=limit)
    return Followed(
        pieces=[
            Piece(from_server=each.from_server, time=each.time_ns, data=b64encode(each.data).decode())
            for each in pieces
        ],
        complete=is_all,
        decrypted=found.facts.is_decrypted,
    )


@router.get(
    "/pcap",
    summary="Its connection as pcapng",
    responses={200: {"content": {MEDIA["pcapng"]: {}}}},
    response_class=StreamingResponse,
)
def pcap(hub: State, principal: Raw, client: Asker, entry_id: EntryKey) -> StreamingResponse:
    found = _seen(client, principal, entry_id, "connection as pcapng")
    return download(
        client,
        lambda out: hub.view_with().export_entries([found], out, format="pcapng"),
        f"{found.facts.stream}.pcapng",
        MEDIA["pcapng"],
    )


def _find(view: Pipeline, entry_id: str) -> Entry:
    found = view.entry(entry_id)
    if found is None:
        raise HTTPException(404, f"no entry {entry_id}")
    return found.whole()


def _seen(client: Client, principal: Principal, entry_id: str, what: str) -> Entry:
    """Find an entry whose bytes somebody looks at, and note that."""
    hub = client.hub
    hub.audit.note(principal, "look at", what=what, entry=entry_id)
    with client.turn():
        return _find(hub.view_with(), entry_id)


def _bytes(data: bytes, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)
