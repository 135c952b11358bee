"""The workers that are queried with the hub's own store: looked at, and said which."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.nodes._worker_setting import WorkerSetting
from kubeshark.hub.nodes._workers import MAX_WORKERS, WorkerRow
from kubeshark.hub.state._hub import State

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["workers"], dependencies=[Depends(need("read")), Depends(need_all)])
Manager = Annotated[Principal, Depends(need("manage"))]


class WorkerWish(BaseModel):
    url: str = Field(max_length=500, description="https://HOST:PORT")
    tls: str = Field(
        default="", max_length=1_000, description="folder with tls.crt, tls.key and ca.crt on the hub's machine"
    )


@router.get("/workers", summary="The workers that are queried, and how they fare")
def workers(hub: State) -> list[WorkerRow]:
    return hub.workers.rows()


@router.put("/workers", summary="Say which workers are queried beside those of the options")
def set_workers(
    hub: State, principal: Manager, wanted: Annotated[list[WorkerWish], Field(max_length=MAX_WORKERS)]
) -> list[WorkerRow]:
    if hub.workers.store is None:
        raise UsageError("this hub cannot have workers", hint="kubeshark serve can")
    kept = {each.url: each for each in hub.settings.read().workers}
    chosen = []
    for wish in wanted:
        setting = WorkerSetting(wish.url, wish.tls)
        try:
            if kept.get(wish.url) != setting:  # what stays needs no files now: they may come back
                setting = WorkerSetting(hub.workers.check_setting(setting), wish.tls)
        except KubesharkError as error:
            raise UsageError(f"{wish.url}: {error.message}", hint=error.hint) from error
        chosen.append(setting)
    hub.audit.note(principal, "set workers", workers=len(chosen))
    hub.settings.write(msgspec.structs.replace(hub.settings.read(), workers=chosen))
    hub.workers.take(chosen)
    return hub.workers.rows()
