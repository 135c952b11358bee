"""Who one is, and leaving."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from starlette.requests import Request

from kubeshark.hub.access._rights import Right, Role, Who

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


@router.delete("/session", summary="Leave: the browser forgets its session", status_code=204)
def leave() -> Response:
    answer = Response(status_code=204)
    answer.delete_cookie("kubeshark_session", path="/", httponly=True, samesite="strict")
    return answer
