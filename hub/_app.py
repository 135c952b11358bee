"""The application: entries of a store as JSON, streamed as they are found; nothing is kept between requests.

One query runs at a time: plugin processes and the decoder's caches belong to the one pipeline. A client that goes away
ends its query at the next entry.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

from anyio import CancelScope
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import Send

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub._auth import Gate
from kubeshark.pipeline import Entry, Pipeline

__all__ = ["create_app"]

PAGE = Path(__file__).parent / "page"
DEFAULT_LIMIT = 1_000
MAX_LIMIT = 100_000


def create_app(pipeline: Pipeline, *, token: str, hosts: frozenset[str] | None) -> Gate:
    """Return the ASGI application; `hosts` are the Host headers it answers to, e.g. {"127.0.0.1:8899"}; None: any."""
    app = FastAPI(title="kubeshark", version="1", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    busy = threading.Lock()

    @app.exception_handler(KubesharkError)
    def refuse(_: Request, error: KubesharkError) -> JSONResponse:
        document: dict[str, Any] = {"error": str(error)}
        if isinstance(error, UsageError):
            document |= {"line": error.line, "column": error.column}
        return JSONResponse(document, 400 if isinstance(error, UsageError) else 500)

    @app.get("/api/v1/info", summary="What the store holds")
    def info() -> dict[str, Any]:
        with busy:
            return pipeline.info()

    @app.get("/api/v1/query", summary="Entries that match a KFL expression, one JSON object a line, in time order")
    def query(
        kfl: Annotated[str, Query(max_length=16_384, description="empty: everything")] = "",
        form: Annotated[str, Query(pattern="^(row|entry)$", description="list rows or whole entries")] = "row",
        limit: Annotated[int, Query(ge=0, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    ) -> StreamingResponse:
        found = pipeline.query(kfl, limit=limit)  # a bad filter is refused before the answer begins

        def lines() -> Generator[str, None, None]:
            with busy:
                try:
                    for entry in found:
                        yield _line(entry, form)
                    for problem in found.problems:
                        yield json.dumps({"problem": str(problem)}) + "\n"
                except KubesharkError as error:
                    yield json.dumps({"problem": str(error)}) + "\n"

        return ClosingStream(lines(), media_type="application/jsonl")

    @app.get("/api/v1/entries/{entry_id}", summary="One entry with its representation")
    def entry(entry_id: str) -> dict[str, Any]:
        with busy:
            found = pipeline.entry(entry_id)
            if found is None:
                raise HTTPException(404, f"no entry {entry_id}")
            return found.wrapper()

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE))
    return Gate(app, token=token, hosts=hosts)


class ClosingStream(StreamingResponse):
    """A stream that ends its generator when the client goes away: what the generator holds is given back at once."""

    def __init__(self, lines: Generator[str, None, None], media_type: str) -> None:
        super().__init__(lines, media_type=media_type)
        self._lines = lines

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            with CancelScope(shield=True):
                await run_in_threadpool(self._lines.close)


def _line(entry: Entry, form: str) -> str:
    document = entry.row() if form == "row" else entry.to_dict()
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
