"""Uploads of captures: read into the store as they arrive, never on disk in the clear.

The body is the capture itself. It goes through a short queue to the thread that imports it, so that a client sends no
faster than the store takes. Whoever goes away, or is told to stop, leaves what came until then in the store, and the
report says so.
"""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO, cast

from anyio import CancelScope, create_task_group
from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from kubeshark.errors import KubesharkError
from kubeshark.hub.access._rights import Principal, need
from kubeshark.hub.state._hub import Hub, State, complain
from kubeshark.hub.state._uploads import CancelledError, ImportReport, ImportState, Upload, UploadStream
from kubeshark.pipeline import ImportResult

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/imports", tags=["captures"], dependencies=[Depends(need("import"))])

BODY = {
    "requestBody": {
        "required": True,
        "description": "pcap or pcapng, plain, gzip or zstd",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Importer = Annotated[Principal, Depends(need("import"))]


@router.post("", summary="Import a capture: the body is the file", openapi_extra=BODY)
async def upload(
    hub: State,
    principal: Importer,
    request: Request,
    name: Annotated[str, Query(min_length=1, max_length=200, description="what the store calls it")],
) -> ImportReport:
    length = request.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    limit = hub.settings.read().max_upload_bytes
    if total is not None and total > limit:
        raise HTTPException(413, f"at most {limit:,} bytes are taken in one import")
    job = hub.imports.new(PurePosixPath(name.replace("\\", "/")).name or "capture", principal.name, total)
    await run_in_threadpool(hub.audit.note, principal, "import", name=job.name, bytes=total)
    hub.figures.add(imports=1)

    async def work() -> None:
        await run_in_threadpool(_import, hub, job)

    async with create_task_group() as tasks:
        tasks.start_soon(work)
        try:
            async for piece in request.stream():
                if job.received + len(piece) > limit:
                    job.error = f"larger than the {limit:,} bytes that are taken in one import"
                    job.stop()
                if piece and not await run_in_threadpool(job.put, piece):
                    break
            else:
                await run_in_threadpool(job.put, b"")
        except ClientDisconnect:
            job.stop()
        except BaseException:
            with CancelScope(shield=True):
                job.stop()
            raise
    if job.state == "failed":
        raise HTTPException(422, job.error)
    return job.report()


@router.get("", summary="Imports that run, and the latest finished ones, the newest first")
def imports(hub: State) -> list[ImportReport]:
    return [job.report() for job in hub.imports.all()]


@router.get("/{import_id}", summary="How far an import is")
def one(hub: State, import_id: str) -> ImportReport:
    return hub.imports.find(import_id).report()


@router.delete("/{import_id}", summary="Stop an import; what came until then stays in the store")
def cancel(hub: State, principal: Importer, import_id: str) -> ImportReport:
    job = hub.imports.find(import_id)
    hub.audit.note(principal, "cancel import", name=job.name)
    job.stop()
    return job.report()


def _import(hub: Hub, job: Upload) -> None:
    before = hub.pipeline.store.info().packets
    try:
        with hub.imports.writes:
            job.result = hub.pipeline.import_file(cast(BinaryIO, UploadStream(job)), name=job.name)
        hub.figures.add(import_packets=job.result.packets)
        state: ImportState = "done"
    except CancelledError:
        kept = hub.pipeline.store.info().packets - before
        job.result = ImportResult(kept, 0, 0, 0, 0, ("it was stopped: what came until then is in the store",))
        state = "failed" if job.error else "cancelled"
    except KubesharkError as error:
        job.error, state = str(error), "failed"
    except Exception as error:  # noqa: BLE001 (the client must hear of it)
        complain(f"an import failed: {type(error).__name__}: {error}")
        job.error, state = "the import failed: the hub's log says why", "failed"
    if state != "done":
        hub.figures.add(imports_failed=1)
    hub.figures.add(import_bytes=job.received)
    job.ended = time.monotonic()
    job.state = state
