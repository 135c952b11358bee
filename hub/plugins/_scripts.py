"""Kubeshark scripts of the hub: how they fare, what they say, and putting others there.

What scripts say may hold whatever they saw, which is everything in the clear: so much must whoever listens be allowed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from kubeshark._durable import replace_synced
from kubeshark.errors import UsageError
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.state._hub import State
from kubeshark.pipeline.scripts import ServedScripts, read_script
from kubeshark.pipeline.scripts._service import describe

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/scripts", tags=["scripts"], dependencies=[Depends(need_all)])

MAX_TEXT = 512 << 10
MAX_PUSHED = 100

Manager = Annotated[Principal, Depends(need("manage"))]
FileName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}\.js$")]


class Listing(BaseModel):
    scripts: list[dict[str, Any]] = Field(description="a row for each script and role")
    problems: list[str]
    pushed: list[str] = Field(description="files that were put here")


class Lines(BaseModel):
    lines: list[dict[str, Any]] = Field(description="time_ms, script, title, role, level, text")
    next: int = Field(description="to ask for what comes after them")


class Pushed(BaseModel):
    text: str = Field(max_length=MAX_TEXT, description="the script")


def _served(hub: State) -> ServedScripts:
    if hub.scripts is None:
        raise UsageError("this hub runs no scripts", hint="kubeshark serve and the hub of a cluster do")
    return hub.scripts


Served = Annotated[ServedScripts, Depends(_served)]


@router.get("", summary="Scripts, and how they fare", dependencies=[Depends(need("read"))])
def listing(served: Served) -> Listing:
    scripts = served.current
    rows = [] if scripts is None else describe(scripts)
    return Listing(scripts=rows, problems=served.problems, pushed=[each.name for each in _files(served)])


@router.get("/console", summary="What scripts say", dependencies=[Depends(need("clear"))])
def console(
    served: Served,
    script: Annotated[str, Query(max_length=200, description="id or title; empty: all")] = "",
    after: Annotated[int, Query(ge=0, description="`next` of an earlier answer")] = 0,
) -> Lines:
    lines, following = served.console.after(after, script)
    return Lines(lines=msgspec.to_builtins(lines), next=following)


@router.put("/{name}", summary="Put a script here: it runs at once, and whenever the hub does")
def push(hub: State, served: Served, principal: Manager, name: FileName, wanted: Pushed) -> Listing:
    folder = _folder(served)
    path = folder / name
    if not path.exists() and len(_files(served)) >= MAX_PUSHED:
        raise HTTPException(409, f"a hub takes {MAX_PUSHED} scripts: delete one first")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hub.audit.note(principal, "push script", file=name)
    with replace_synced(path, folder / f".{name}.new") as file:
        file.write(wanted.text.encode())
    read_script(path)
    served.begin_again()
    return listing(served)


@router.delete("/{name}", summary="Take a script away that was put here")
def delete(hub: State, served: Served, principal: Manager, name: FileName) -> Listing:
    path = _folder(served) / name
    if not path.exists():
        raise HTTPException(404, "there is no such script here")
    hub.audit.note(principal, "delete script", file=name)
    path.unlink()
    served.begin_again()
    return listing(served)


def _folder(served: ServedScripts) -> Path:
    if served.pushed is None:
        raise UsageError("this hub takes no scripts")
    return served.pushed


def _files(served: ServedScripts) -> list[Path]:
    return sorted(served.pushed.glob("[!.]*.js")) if served.pushed else []
