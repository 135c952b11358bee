"""What the store holds, and looking after it: captures, segments, snapshots, retention, verification."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path
from msgspec.structs import asdict
from pydantic import BaseModel, Field

from kubeshark.core_capture.store import CaptureKey, Retention
from kubeshark.errors import UsageError
from kubeshark.hub.access._rights import Principal, need, need_all
from kubeshark.hub.answers._client import Asker
from kubeshark.hub.answers._parameters import read_time
from kubeshark.hub.state._hub import State
from kubeshark.pipeline import rfc3339
from kubeshark.pipeline.intake._said import said_schedules

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["store"], dependencies=[Depends(need("read")), Depends(need_all)])

Manager = Annotated[Principal, Depends(need("manage"))]
Importer = Annotated[Principal, Depends(need("import"))]
SnapshotName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class CaptureCounters(BaseModel):
    """What became of the packets since a capture of ours began."""

    received: int = Field(description="by the system for it; those it dropped are among them")
    dropped: int = Field(description="by the system, which had no room")
    filtered: int = Field(description="by a rule")
    lost: int = Field(description="by us: a plugin failed, the disk was full or too slow")
    stored: int


class Capture(BaseModel):
    """One import or live session."""

    name: str
    sha256: str = Field(description='of the file, "" where it was a stream')
    segments: int
    packets: int
    first: str | None
    last: str | None
    complete: bool = Field(description="it was read to its end")
    lost_packets: int | None = Field(description="by who captured them; null where that is not known")
    counters: CaptureCounters | None = Field(description="of a capture by kubeshark; null for a file of others")


class SegmentRow(BaseModel):
    name: str
    node: str
    created: str
    capture: str
    packets: int
    flows: int
    captured_bytes: int
    stored_bytes: int
    first: str | None
    last: str | None
    scheduled: dict[str, Any] | None = Field(
        description="{schedules, kept_until, or_longer, archived} where schedules captured it"
    )


class ProtocolShare(BaseModel):
    transport: int
    port: int
    flows: int
    packets: int
    bytes: int


class OverviewAnswer(BaseModel):
    captures: list[Capture]
    protocols: list[ProtocolShare] = Field(description="by server port, from the index alone; most bytes first")
    compression: float | None


class SnapshotAnswer(BaseModel):
    name: str
    since: str
    until: str
    created: str


class NewSnapshot(BaseModel):
    name: SnapshotName
    since: str
    until: str


class CaptureName(BaseModel):
    """One capture, as `/captures` lists it."""

    name: str = Field(max_length=4_096)
    sha256: str = Field(default="", max_length=64)


class Limits(BaseModel):
    """What may stay: at least one of the two limits, or `expired`; or one capture that goes as a whole."""

    max_bytes: int | None = Field(default=None, ge=0)
    max_age_seconds: int | None = Field(default=None, ge=0, le=100 * 365 * 86_400)
    expired: bool = Field(default=False, description="what schedules let go does; the limits see to that, too")
    capture: CaptureName | None = None
    dry_run: bool = True


class Pruned(BaseModel):
    dry_run: bool
    segments: list[str]
    packets: int
    freed_bytes: int
    kept_bytes: int
    kept_by: dict[str, list[str]] = Field(description="snapshot → segments over a limit that it keeps")
    problems: list[str]


class Verified(BaseModel):
    sound: bool
    segments: int
    bytes: int
    findings: list[dict[str, Any]]


@router.get("/info", summary="What the store holds")
def info(hub: State) -> dict[str, Any]:
    return hub.pipeline.info()


@router.get("/overview", summary="Captures and protocols, added up from the indexes")
def overview(hub: State) -> OverviewAnswer:
    found = hub.pipeline.store.overview()
    return OverviewAnswer(
        captures=[
            Capture(
                name=row.name,
                sha256=row.sha256,
                segments=row.segments,
                packets=row.packets,
                first=_time(row.first_ns, row.packets),
                last=_time(row.last_ns, row.packets),
                complete=row.complete,
                lost_packets=row.lost_packets,
                counters=CaptureCounters(**asdict(row.counters)) if row.counters else None,
            )
            for row in found.captures
        ],
        protocols=[ProtocolShare(**asdict(row)) for row in found.protocols[:1_000]],
        compression=found.compression,
    )


@router.get("/captures", summary="What was imported, in time order")
def captures(hub: State) -> list[Capture]:
    return overview(hub).captures


@router.get("/segments", summary="The segments of the store, in time order")
def segments(hub: State) -> list[SegmentRow]:
    return [
        SegmentRow(
            name=each.name,
            node=each.node,
            created=each.created,
            capture=each.source.name,
            packets=each.packets,
            flows=each.flows,
            captured_bytes=each.captured_bytes,
            stored_bytes=each.stored_bytes,
            first=_time(each.first_ns, each.packets),
            last=_time(each.last_ns, each.packets),
            scheduled=said_schedules(each),
        )
        for each in hub.pipeline.store.segments()
    ]


@router.post("/store/prune", summary="Delete the oldest segments, or one capture; a dry run unless told otherwise")
def prune(hub: State, principal: Manager, limits: Limits) -> Pruned:
    age = limits.max_age_seconds
    before_ns = None if age is None else time.time_ns() - age * 1_000_000_000
    wanted = limits.capture
    capture = None if wanted is None else CaptureKey(wanted.name, wanted.sha256)
    # UsageError if nothing is given
    retention = Retention(limits.max_bytes, before_ns, capture=capture, expired=limits.expired)
    if capture is not None and all(capture != CaptureKey(row.name, row.sha256) for row in captures(hub)):
        raise HTTPException(404, f"there is no capture {capture.name[:200]!r} with this hash")
    if not limits.dry_run:
        if capture is not None:
            hub.audit.note(principal, "delete capture", name=capture.name, sha256=capture.sha256)
        else:
            hub.audit.note(principal, "prune", max_bytes=limits.max_bytes, max_age_seconds=age)
    done = hub.pipeline.store.prune(retention, dry_run=limits.dry_run)
    return Pruned(
        dry_run=limits.dry_run,
        segments=[segment.name for segment in done.segments],
        packets=sum(segment.packets for segment in done.segments),
        freed_bytes=done.freed_bytes,
        kept_bytes=done.kept_bytes,
        kept_by={name: list(kept) for name, kept in done.kept_by.items()},
        problems=list(map(str, done.problems)),
    )


@router.post("/store/verify", summary="Authenticate every byte of the store", dependencies=[Depends(need("import"))])
def verify(hub: State, client: Asker) -> Verified:
    with client.turn():
        report = hub.pipeline.store.verify(on_progress=lambda _read, _total: client.go_on())
    findings = [{name: str(value) for name, value in asdict(finding).items()} for finding in report.findings]
    return Verified(sound=report.is_sound, segments=report.segments, bytes=report.bytes, findings=findings)


@router.get("/snapshots", summary="Time windows that retention keeps")
def snapshots(hub: State) -> list[SnapshotAnswer]:
    return [_snapshot(each) for each in hub.pipeline.store.snapshots()]


@router.post("/snapshots", summary="Keep everything of a time window until the snapshot is deleted", status_code=201)
def add_snapshot(hub: State, principal: Importer, wanted: NewSnapshot) -> SnapshotAnswer:
    since, until = read_time(wanted.since), read_time(wanted.until)
    if since is None or until is None:
        raise UsageError("a snapshot has a beginning and an end")
    hub.audit.note(principal, "add snapshot", name=wanted.name)
    return _snapshot(hub.pipeline.store.add_snapshot(wanted.name, since, until))


@router.delete("/snapshots/{name}", summary="Leave what a snapshot kept to retention")
def delete_snapshot(hub: State, principal: Manager, name: Annotated[str, Path(max_length=63)]) -> SnapshotAnswer:
    if name not in {each.name for each in hub.pipeline.store.snapshots()}:
        raise HTTPException(404, f"there is no snapshot {name}")
    hub.audit.note(principal, "delete snapshot", name=name)
    return _snapshot(hub.pipeline.store.delete_snapshot(name))


def _snapshot(each: Any) -> SnapshotAnswer:
    return SnapshotAnswer(
        name=each.name, since=rfc3339(each.since_ns), until=rfc3339(each.until_ns), created=each.created
    )


def _time(time_ns: int, packets: int) -> str | None:
    return rfc3339(time_ns) if packets else None
