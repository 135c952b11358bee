"""Filters that people save: each has their own, on the hub, so that they are there in every browser.

    <hub folder>/filters/<digest of who>.json     name → KFL; mode 0600

What somebody looks for may be as secret as what is found: nobody else is shown it, and the audit log does not have it.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, HTTPException
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from kubeshark.errors import StoreError, UsageError
from kubeshark.hub.access._rights import Principal, Who, need
from kubeshark.hub.state._hub import State
from kubeshark.packages._documents import write_document

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/filters", tags=["query"], dependencies=[Depends(need("read"))])

MAX_FILTERS = 200
MAX_FILE_BYTES = MAX_FILTERS * 4 * 16_384 + (1 << 20)
_LOCK = threading.Lock()
"""One writer at a time: a hub is one process."""

Name = Annotated[str, PathParameter(min_length=1, max_length=100)]


class SavedFilter(BaseModel):
    name: str
    kfl: str


class FilterText(BaseModel):
    kfl: str = Field(min_length=1, max_length=16_384)


@router.get("", summary="The filters that one has saved, by name")
def filters(hub: State, principal: Who) -> list[SavedFilter]:
    return [SavedFilter(name=name, kfl=kfl) for name, kfl in sorted(_read(_path(hub.folder, principal)).items())]


@router.put("/{name}", summary="Save a filter, or give it another text")
def save(hub: State, principal: Who, name: Name, wanted: FilterText) -> SavedFilter:
    if not name.isprintable() or not name.strip():
        raise UsageError("the name of a filter is printable")
    hub.view(principal).compile(wanted.kfl)  # UsageError says where it is wrong
    path = _path(hub.folder, principal)
    with _LOCK:
        kept = _read(path)
        if name not in kept and len(kept) >= MAX_FILTERS:
            raise HTTPException(409, f"there are {MAX_FILTERS} saved filters: delete some")
        _write(path, {**kept, name: wanted.kfl})
    return SavedFilter(name=name, kfl=wanted.kfl)


@router.delete("/{name}", summary="Forget a saved filter", status_code=204)
def delete(hub: State, principal: Who, name: Name) -> None:
    path = _path(hub.folder, principal)
    with _LOCK:
        kept = _read(path)
        if kept.pop(name, None) is None:
            raise HTTPException(404, f"there is no saved filter {name!r}")
        _write(path, kept)


def _path(folder: Path, who: Principal) -> Path:
    """Return where somebody's filters lie; who comes with another token of the same name is somebody else."""
    digest = hashlib.sha256(f"{who.source}\n{who.name}".encode("utf-8", "surrogatepass")).hexdigest()
    return folder / "filters" / f"{digest[:32]}.json"


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", hint="repair or delete it") from error


def _write(path: Path, kept: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_document(path, kept)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
