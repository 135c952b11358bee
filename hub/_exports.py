"""Downloads, streamed while they are made: packets of a filter, a selection or a time range, and HTTP exchanges."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Annotated, Any, BinaryIO, Literal, cast

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from kubeshark.errors import KubesharkError
from kubeshark.hub._access import Principal, Who, need
from kubeshark.hub._audit import filter_form
from kubeshark.hub._client import Asker, Client
from kubeshark.hub._queries import Kfl, Since, Until
from kubeshark.hub._state import Hub, State, complain
from kubeshark.hub._streams import ClosingStream
from kubeshark.hub._times import read_time
from kubeshark.pipeline import Entry, Pipeline

__all__ = ["download", "router"]

router = APIRouter(prefix="/api/v1", tags=["captures"], dependencies=[Depends(need("read"))])

Format = Literal["pcap", "pcapng", "har"]
MEDIA = {
    "pcap": "application/vnd.tcpdump.pcap",
    "pcapng": "application/x-pcapng",
    "har": "application/json",
}
PIECES = 16
PIECE_BYTES = 64 << 10
MAX_SELECTION = 1_000
MAX_PROBLEMS = 20
PROBLEM_CHARACTERS = 300
PROBLEMS = "kubeshark-problems"
"""Header of a download: a JSON list of why something may be missing, such as workers that are away."""

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
    return hub.pipeline


def download(client: Client, write: Callable[[BinaryIO], None], name: str, media: str) -> StreamingResponse:
    """Answer with what `write` writes, as it is written. What fails before the first byte is raised here."""
    sink, hub = _Sink(client.has_left), client.hub

    def run() -> None:
        try:
            with hub.pool.turn(gave_up=lambda: sink.is_closed) as turn:
                if turn.take():
                    write(cast(BinaryIO, sink))
            sink.finish(None)
        except BrokenPipeError:
            sink.finish(None)  # somebody may wait for the first piece
        except Exception as error:  # noqa: BLE001 (raised where somebody hears it)
            if not isinstance(error, KubesharkError):
                complain(f"an export failed: {type(error).__name__}: {error}")
            sink.finish(error)

    threading.Thread(target=run, name="kubeshark-export", daemon=True).start()
    first = sink.next()
    client.go_on()
    hub.figures.add(exports=1)

    def content() -> Generator[bytes, None, None]:
        piece = first
        try:
            while piece:
                hub.figures.add(export_bytes=len(piece))
                yield piece
                piece = sink.next()  # an error now ends the connection: the client sees that it is not whole
        finally:
            sink.close()

    headers = {"content-disposition": f'attachment; filename="{name}"'}
    if problems := hub.pipeline.store.problems:  # of the listing that this began with
        told = [str(problem)[:PROBLEM_CHARACTERS] for problem in problems[:MAX_PROBLEMS]]
        headers[PROBLEMS] = json.dumps(told)
    return ClosingStream(content(), media, headers)


class _Sink(io.RawIOBase):
    """A stream whose writer waits for whoever takes the pieces."""

    def __init__(self, has_left: Callable[[], bool]) -> None:
        self._has_left = has_left
        self._is_closed = False
        self._pieces: queue.Queue[bytes] = queue.Queue(PIECES)
        self._held = bytearray()
        self._error: Exception | None = None

    @property
    def is_closed(self) -> bool:
        return self._is_closed or self._has_left()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer
        if self.is_closed:
            raise BrokenPipeError
        self._held += data
        if len(self._held) >= PIECE_BYTES:
            self._put(bytes(self._held))
            self._held.clear()
        return len(data)

    def finish(self, error: Exception | None) -> None:
        self._error = error
        try:
            if self._held and error is None:
                self._put(bytes(self._held))
            self._put(b"")
        except BrokenPipeError:
            with suppress(queue.Full):  # then nobody waits
                self._pieces.put_nowait(b"")

    def next(self) -> bytes:
        """Return the next piece, b"" at the end; raise what went wrong."""
        piece = self._pieces.get()
        if not piece and self._error is not None:
            raise self._error
        return piece

    def close(self) -> None:
        self._is_closed = True
        super().close()

    def _put(self, piece: bytes) -> None:
        while not self.is_closed:
            try:
                self._pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return
        raise BrokenPipeError
