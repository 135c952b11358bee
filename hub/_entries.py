"""One entry: how it is shown, by whom, and what lies beside it in its stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path

from kubeshark.hub._access import Who, need
from kubeshark.hub._state import State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/entries", tags=["entries"], dependencies=[Depends(need("read"))])

EntryKey = Annotated[str, Path(max_length=200, description="as lists and queries give it")]


@router.get("/{entry_id}", summary="One entry with its representation")
def entry(hub: State, principal: Who, entry_id: EntryKey) -> dict[str, Any]:
    with hub.pool.turn() as turn:
        turn.take()
        found = hub.view(principal).entry(entry_id)
        if found is None:
            raise HTTPException(404, f"no entry {entry_id}")
        return found.wrapper()
