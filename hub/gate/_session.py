"""Who one is, and leaving."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.requests import Request

from kubeshark.hub.access._rights import Right, Role, Who
from kubeshark.hub.gate._gate import COOKIE
from kubeshark.hub.state._hub import State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["session"])


class Session(BaseModel):
    name: str
    role: Role
    namespaces: list[str] | None = Field(description="null: all")
    rights: list[Right]
    redacted: bool = Field(description="redaction rules apply to what is shown, and to what filters see")
    csrf: str = Field(description="for the header X-CSRF-Token of requests that change something; programs need none")


@router.get("/session", summary="Who one is, and what that allows")
def session(principal: Who, request: Request) -> Session:
    return Session(**principal.document(), csrf=request.scope["csrf"])


@router.delete("/session", summary="Leave: the session ends, and the browser forgets it", status_code=204)
def leave(hub: State, request: Request) -> Response:
    hub.sessions.end(request.cookies.get(COOKIE, ""))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path=f"{request.scope['gate'].base}/", httponly=True, samesite="strict")
    return answer
