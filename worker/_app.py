"""What a worker answers: a listing, ranges of its files, and how it fares (docs/adr/0022-workers.md).

GET /v1/files           names, sizes and versions; ETag, If-None-Match
GET /v1/files/NAME      one range of a file: Range is needed, If-Match taken
GET /v1/status
GET, PUT /v1/selection  with --hub-selects: whose packets are captured (`_selection_routes.py`)

With --firewall, and for hubs that may say what is enforced (`_firewall_routes.py`):
GET /v1/firewall, PUT /v1/firewall, POST /v1/firewall/confirm, GET /v1/firewall/events

Errors are {"error": text}. Who asks has shown a hub's certificate before anything of this runs (`_gate.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kubeshark import __version__
from kubeshark.core_capture.store.places._names import index_names
from kubeshark.errors import KubesharkError, StoreError
from kubeshark.worker._choosing import MAX_SELECTION_BYTES, Choosing
from kubeshark.worker._files import Files, Held
from kubeshark.worker._firewall import Firewall
from kubeshark.worker._firewall_routes import MAX_SET_BYTES, PATH, firewall_routes
from kubeshark.worker._governor import Governor, Rates, resident_bytes
from kubeshark.worker._selection_routes import SELECTION_PATH, selection_routes
from kubeshark.worker._status import PROTOCOL, Archive, Capture, Counters, Limits, Status

__all__ = ["MAX_RANGE_BYTES", "Service", "create_app"]

MAX_RANGE_BYTES = 16 << 20
"""Of one request: what the hub reads of an index at once."""

CHUNK_BYTES = 512 << 10
ANSWER_SECONDS = 60.0
"""An answer that takes longer is cut off: 16 MiB then need 2.3 Mbit/s."""

BODIES = {PATH: MAX_SET_BYTES, SELECTION_PATH: MAX_SELECTION_BYTES}
"""What may be put, and how many bytes of it; these are answered however busy the node is."""

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})", re.ASCII)


@dataclass(slots=True)
class Service:
    """What the answers are made of."""

    node: str
    files: Files
    governor: Governor
    connections: int
    captures: Callable[[], list[Capture]] = list
    archive: Callable[[], Archive | None] = lambda: None
    rates: Rates = field(default_factory=lambda: Rates(burst=1000, per_second=500))
    counters: Counters = field(default_factory=Counters)
    started: float = field(default_factory=time.time)
    firewall: Firewall | None = None
    enforcers: frozenset[str] = frozenset()  # names of hubs that may ask for the firewall
    choosing: Choosing | None = None

    def status(self) -> Status:
        listed = self.files.list()
        disk_bytes, free_bytes = self.files.space()
        return Status(
            node=self.node,
            version=__version__,
            protocol=PROTOCOL,
            started=self.started,
            now=time.time(),
            segments=len(index_names(each.name for each in listed)),
            store_bytes=sum(each.size for each in listed),
            disk_bytes=disk_bytes,
            disk_free_bytes=free_bytes,
            resident_bytes=resident_bytes(),
            cpu_seconds=round(time.process_time(), 3),
            refuses=self.governor.refuses(),
            limits=Limits(self.governor.memory_bytes, self.governor.cpu, self.connections, MAX_RANGE_BYTES),
            counters=self.counters,
            captures=self.captures(),
            archive=self.archive(),
        )


def create_app(service: Service) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application."""

    async def status(_: Request) -> Response:
        return _json(await run_in_threadpool(service.status))

    async def files(request: Request) -> Response:
        listed = await run_in_threadpool(service.files.list)
        body = msgspec.json.encode({"files": [each._asdict() for each in listed]})
        etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"etag": etag})
        service.counters.sent_bytes += len(body)
        return Response(body, media_type="application/json", headers={"etag": etag})

    async def file(request: Request) -> Response:
        start, end = _range(request)
        try:
            held = await run_in_threadpool(service.files.open, request.path_params["name"])
        except FileNotFoundError:
            raise HTTPException(404, "there is no such file") from None
        with ExitStack() as stack:
            stack.enter_context(held)
            headers = {"etag": held.etag, "accept-ranges": "bytes"}
            if request.headers.get("if-match", held.etag) != held.etag:
                raise HTTPException(412, "the file is another one by now", headers)
            if start >= held.size:
                return _json({"error": "behind the end"}, 416, headers | {"content-range": f"bytes */{held.size}"})
            end = min(end, held.size)
            headers |= {"content-range": f"bytes {start}-{end - 1}/{held.size}", "content-length": str(end - start)}
            stack.pop_all()  # the answer closes it
        return StreamingResponse(
            _pieces(service, held, start, end), 206, headers, media_type="application/octet-stream"
        )

    app = Starlette(
        routes=[
            Route("/v1/status", status),
            Route("/v1/files", files),
            Route("/v1/files/{name}", file),
            *firewall_routes(lambda: (service.firewall, service.enforcers)),
            *selection_routes(lambda: service.choosing),
        ],
        exception_handlers={HTTPException: _refuse, KubesharkError: _fail},
    )
    app.router.redirect_slashes = False
    return _Guard(app, service)


class _Guard:
    """Counts, and refuses what is too much, before anything is done."""

    def __init__(self, app: Starlette, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service, counters = self._service, self._service.counters
        counters.requests += 1
        refusal = None
        if why := _body_refusal(scope):
            refusal = _json({"error": why}, 400, {"connection": "close"})
        elif not service.rates.take((scope.get("client") or ("",))[0]):
            refusal = _json({"error": "too many requests"}, 429, {"retry-after": "1"})
        elif not scope["path"].startswith(("/v1/status", *BODIES)) and (why := service.governor.refuses()):
            refusal = _json({"error": why}, 503, {"retry-after": "1"})
        if refusal is not None:
            counters.refused += 1
            await refusal(scope, receive, send)
            return
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._app(scope, receive, send)


def _body_refusal(scope: Scope) -> str:
    """Return why a request's body is not read, "" if it has none or may have this one."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers or b"expect" in headers:
        return "a body has its length"
    length = headers.get(b"content-length", b"0")
    most = BODIES.get(scope["path"]) if scope["method"] == "PUT" else None
    if most is None:
        return "" if length == b"0" else "requests have no body"
    return "" if length.isdigit() and int(length) <= most else f"at most {most:,} bytes"


async def _pieces(service: Service, held: Held, start: int, end: int) -> AsyncIterator[bytes]:
    with held:
        while start < end:
            piece = await run_in_threadpool(held.read, min(CHUNK_BYTES, end - start), start)
            if not piece:
                raise StoreError("a file became shorter while it was read")
            start += len(piece)
            service.counters.sent_bytes += len(piece)
            yield piece


def _range(request: Request) -> tuple[int, int]:
    """Return the range [start, end) that is asked for; raise HTTPException."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None:
        raise HTTPException(400, "ask for one range: bytes=FIRST-LAST")
    start, end = int(found[1]), int(found[2]) + 1
    if not start < end <= start + MAX_RANGE_BYTES:
        raise HTTPException(400, f"a range has 1 to {MAX_RANGE_BYTES:,} bytes")
    return start, end


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _fail(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 500)


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(document), status, headers, media_type="application/json")
