"""What a worker answers about its node's firewall, to hubs whose certificate has a name that may.

GET  /v1/firewall                what is enforced: generation, counters, hooks, and why not
PUT  /v1/firewall                a signed set of policies, in place of the one before
POST /v1/firewall/confirm        ?issue=N: keep that one
GET  /v1/firewall/events         ?after=N&limit=M
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kubeshark.errors import KubesharkError
from kubeshark.worker._firewall import NOT_HERE, Firewall

__all__ = ["MAX_SET_BYTES", "PATH", "firewall_routes"]

PATH = "/v1/firewall"
MAX_SET_BYTES = 32 << 20
MAX_EVENTS = 1_000


def firewall_routes(find: Callable[[], tuple[Firewall | None, frozenset[str]]]) -> list[Route]:
    """Return the routes; `find` gives the firewall of this node, and the names of hubs that may ask for it."""

    def allowed(request: Request) -> Firewall:
        firewall, names = find()
        if firewall is None:
            raise HTTPException(404, NOT_HERE)
        if not names & request.scope["state"].get("names", frozenset()):
            raise HTTPException(403, "this hub's certificate may not say what is enforced")
        return firewall

    async def status(request: Request) -> Response:
        return _json(await run_in_threadpool(allowed(request).status))

    async def put(request: Request) -> Response:
        firewall = allowed(request)
        try:
            envelope = msgspec.json.decode(await request.body(), type=dict[str, str])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise HTTPException(400, "not a signed set of policies") from None
        return await _asked(firewall, {"do": "put", "envelope": envelope})

    async def confirm(request: Request) -> Response:
        return await _asked(allowed(request), {"do": "confirm", "issue": _number(request, "issue", 0)})

    async def events(request: Request) -> Response:
        limit = min(_number(request, "limit", MAX_EVENTS), MAX_EVENTS)
        return await _asked(allowed(request), {"do": "events", "after": _number(request, "after", 0), "limit": limit})

    return [
        Route(PATH, status),
        Route(PATH, put, methods=["PUT"]),
        Route(f"{PATH}/confirm", confirm, methods=["POST"]),
        Route(f"{PATH}/events", events),
    ]


async def _asked(firewall: Firewall, request: dict[str, Any]) -> Response:
    try:
        return _json(await run_in_threadpool(firewall.ask, request))
    except KubesharkError as error:
        return _json({"error": str(error)}, 409)


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise HTTPException(400, f"{name} is a number")
    return int(text)


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
