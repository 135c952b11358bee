"""The application: the gate around routers, one a subject. Nothing dissected is kept between requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from kubeshark.errors import KubesharkError, StoreError, UsageError
from kubeshark.hub import (
    _entries,
    _exports,
    _imports,
    _language,
    _map,
    _metrics,
    _plugins,
    _queries,
    _session,
    _settings,
    _store,
    _ws,
)
from kubeshark.hub._auth import Gate
from kubeshark.hub._pool import TooManyError
from kubeshark.hub._sessions import Sessions, session_key
from kubeshark.hub._state import Hub
from kubeshark.hub._tokens import hub_folder
from kubeshark.pipeline import Pipeline

__all__ = ["create_app"]

PAGE = Path(__file__).parent / "page"
BUILT = PAGE / "app" / "index.html"
"""The web UI, built from `ui/`; without it the plain page is served."""

ROUTERS = (
    _session,
    _store,
    _imports,
    _exports,
    _queries,
    _entries,
    _map,
    _language,
    _plugins,
    _settings,
    _ws,
    _metrics,
)


def create_app(pipeline: Pipeline, *, token: str, hosts: frozenset[str] | None, folder: Path | None = None) -> Gate:
    """Return the ASGI application; `hosts` are the Host headers it answers to, e.g. {"127.0.0.1:8899"}; None: any.

    `folder` is where the hub keeps tokens, settings and its audit log, by default $KUBESHARK_HUB or ~/.kubeshark/hub.
    """
    folder = folder or hub_folder()
    app = FastAPI(title="kubeshark", version="1", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    hub = app.state.hub = Hub(pipeline, folder, Sessions(session_key(folder)))
    app.add_exception_handler(KubesharkError, _refuse)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(TooManyError, _busy)
    for module in ROUTERS:
        app.include_router(module.router)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(BUILT if BUILT.exists() else PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE))
    return Gate(app, hub, token=token, hosts=hosts)


def _refuse(_: Request, error: Exception) -> JSONResponse:
    document: dict[str, Any] = {"error": str(error)}
    status = 500
    match error:
        case HTTPException():
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        case UsageError():
            status = 400
            if error.line:
                document |= {"line": error.line, "column": error.column}
        case StoreError():
            status = 503
    return JSONResponse(document, status)


def _busy(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": "too many queries are waiting: come again later"}, 503, {"retry-after": "5"})
