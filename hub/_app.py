"""The application: the gate around routers, one a subject. Nothing dissected is kept between requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from kubeshark.errors import KubesharkError, StoreError, UsageError
from kubeshark.firewall import DocumentError
from kubeshark.hub.access._sessions import Sessions, session_key
from kubeshark.hub.access._tokens import hub_folder
from kubeshark.hub.answers._client import ClientGone
from kubeshark.hub.answers._json import JsonAnswer
from kubeshark.hub.captures import _exports, _imports, _store
from kubeshark.hub.entries import _entries, _filters, _language, _queries, _ws
from kubeshark.hub.firewall import _events, _firewall, _policies
from kubeshark.hub.gate import _session
from kubeshark.hub.gate._gate import Gate
from kubeshark.hub.mcp._http import PATH, McpEndpoint
from kubeshark.hub.operations import _metrics, _settings, _workers
from kubeshark.hub.overviews import _counts, _map, _timeline
from kubeshark.hub.plugins import _plugins, _scripts, _upload
from kubeshark.hub.state._hub import Hub
from kubeshark.hub.state._pool import MAX_WAITING, TooManyError
from kubeshark.pipeline import Pipeline
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule

if TYPE_CHECKING:
    from kubeshark.hub.access._oidc_settings import OidcSettings

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
    _counts,
    _filters,
    _entries,
    _map,
    _timeline,
    _language,
    _plugins,
    _upload,
    _scripts,
    _settings,
    _workers,
    _firewall,
    _policies,
    _events,
    _ws,
    _metrics,
)


class Problem(BaseModel):
    """Every answer that is not what was asked for."""

    error: str
    line: int | None = Field(default=None, description="of a filter, from 1")
    column: int | None = None
    path: str | None = Field(default=None, description="of the field of a policy: spec.ingress[0].action")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "It cannot be meant: a filter, a cursor, a time",
        401: "Nobody known asks",
        403: "The role or right is missing",
        404: "There is no such thing",
        409: "It cannot be done as things are",
        413: "The body is too large",
        422: "A parameter or the body is not of the described form, or not what it should hold",
        429: "Too many requests: Retry-After says when to come again",
        503: "The store cannot be read or written now, or too many queries wait",
    }.items()
}


def create_app(
    pipeline: Pipeline,
    *,
    token: str,
    hosts: frozenset[str] | None,
    rules: Sequence[RedactionRule] = DEFAULT_RULES,
    folder: Path | None = None,
    oidc: OidcSettings | None = None,
    tls: bool = False,
    base: str = "",
    global_filter: str = "",
    is_read_only: bool = False,
) -> Gate:
    """Return the ASGI application; `hosts` are the Host headers it answers to, e.g. {"127.0.0.1:8899"}; None: any.

    `rules` hide from whoever lacks the right `clear`, unless the hub's settings say others.
    `folder` is where the hub keeps tokens, settings and its audit log, by default $KUBESHARK_HUB or ~/.kubeshark/hub.
    `oidc` names an identity provider that people sign in with; `tls`: a proxy in front of us speaks HTTPS.
    `base`: below this path browsers find us, see `Gate`. `global_filter`: KFL that whatever anybody sees matches.
    `is_read_only`: nobody may change anything.
    """
    folder = folder or hub_folder()
    app = FastAPI(
        title="kubeshark",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        default_response_class=JsonAnswer,
        lifespan=_with_threads,
    )
    hub = app.state.hub = Hub(pipeline, folder, Sessions(session_key(folder)), rules=rules, global_filter=global_filter)
    app.add_exception_handler(KubesharkError, _refuse)
    app.add_exception_handler(StarletteHTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(TooManyError, _busy)
    app.add_exception_handler(ClientGone, _unheard)
    for module in ROUTERS:
        app.include_router(module.router, responses=PROBLEMS)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(BUILT if BUILT.exists() else PAGE / "index.html")

    app.router.routes.append(Route(PATH, McpEndpoint(hub)))
    app.mount("/static", StaticFiles(directory=PAGE))
    if oidc is not None:
        from kubeshark.hub.gate import _oidc

        app.state.provider = _oidc.Provider(oidc, session_key(folder))
        app.include_router(_oidc.router)
    return Gate(
        app,
        hub,
        token=token,
        hosts=hosts,
        has_login=oidc is not None,
        tls=tls,
        base=base,
        is_read_only=is_read_only,
    )


@asynccontextmanager
async def _with_threads(_: FastAPI) -> AsyncIterator[None]:
    """Have a thread for all who may wait for a turn, and others for whoever asks for no work: page, session, health."""
    current_default_thread_limiter().total_tokens += MAX_WAITING
    yield


def _refuse(_: Request, error: Exception) -> JSONResponse:
    document: dict[str, Any] = {"error": str(error)}
    status = 500
    match error:
        case StarletteHTTPException():
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        case DocumentError():
            status = 422
            document |= {"line": error.line, "column": error.column, "path": error.path}
        case UsageError():
            status = 400
            if error.line:
                document |= {"line": error.line, "column": error.column}
        case StoreError():
            status = 503
    return JSONResponse(document, status)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    return JSONResponse({"error": said}, 422)


def _busy(_: Request, __: Exception) -> JSONResponse:
    return JSONResponse({"error": "too many queries wait: come again later"}, 503, {"retry-after": "5"})


def _unheard(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # as nginx has it: nobody reads it
