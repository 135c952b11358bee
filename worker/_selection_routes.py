"""What a worker is told of pods, by any hub that it answers to.

GET /v1/selection      whose node this is, and what is captured now
PUT /v1/selection      the addresses of selected pods here, in place of those before; a hub sends them every second
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kubeshark.worker._choosing import Choosing, Selection, SelectionError

__all__ = ["SELECTION_PATH", "selection_routes"]

SELECTION_PATH = "/v1/selection"


def selection_routes(find: Callable[[], Choosing | None]) -> list[Route]:
    """Return the routes; `find` gives what chooses, None where nobody is asked."""

    def chosen() -> Choosing:
        choosing = find()
        if choosing is None or not choosing.selects:
            raise HTTPException(
                404, "this worker captures what it was started for: --hub-selects has a hub choose pods"
            )
        return choosing

    async def status(_: Request) -> Response:
        return _json(_about(chosen()))

    async def put(request: Request) -> Response:
        choosing = chosen()
        try:
            choosing.select(msgspec.json.decode(await request.body(), type=Selection))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise HTTPException(400, "no selection of pods") from None
        except SelectionError as error:
            raise HTTPException(409, str(error)) from None
        return _json(_about(choosing))

    return [Route(SELECTION_PATH, status), Route(SELECTION_PATH, put, methods=["PUT"])]


def _about(choosing: Choosing) -> dict[str, Any]:
    return {"node": choosing.node, "chosen": msgspec.to_builtins(choosing.said(None))}


def _json(document: Any) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
