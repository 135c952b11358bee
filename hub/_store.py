"""What the store holds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from kubeshark.hub._access import need
from kubeshark.hub._state import State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["store"], dependencies=[Depends(need("read"))])


@router.get("/info", summary="What the store holds")
def info(hub: State) -> dict[str, Any]:
    return hub.pipeline.info()
