"""What is known of uploads: the queue between a request and the thread that imports it, and how far each is."""

from __future__ import annotations

import io
import queue
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Literal

from fastapi import HTTPException
from pydantic import BaseModel, Field

from kubeshark.pipeline import ImportResult

__all__ = ["CancelledError", "ImportReport", "ImportState", "Imports", "Upload", "UploadStream"]

KEPT = 100  # finished ones that are still listed
PIECES = 16  # of the body that wait to be read, up to 64 KiB each

ImportState = Literal["running", "done", "failed", "cancelled"]


class ImportReport(BaseModel):
    """One upload, running or finished."""

    id: str
    name: str
    by: str
    state: ImportState
    bytes_received: int
    bytes_total: int | None
    seconds: float
    packets: int = Field(default=0, description="stored by this import")
    flows: int = 0
    segments: int = 0
    dropped: int = Field(default=0, description="packets that plugins kept out")
    problems: list[str] = Field(default=[], description="what could not be read")
    error: str = Field(default="", description="why nothing could be read")


class CancelledError(Exception):
    """Somebody stopped the import, or its client went away."""


@dataclass(slots=True, eq=False)
class Upload:
    """One import: the queue between the request and the thread that reads, and how far it is."""

    id: str
    name: str
    by: str
    total: int | None
    began: float = field(default_factory=time.monotonic)
    state: ImportState = "running"
    received: int = 0
    ended: float = 0.0
    result: ImportResult | None = None
    error: str = ""
    _pieces: queue.Queue[bytes] = field(default_factory=lambda: queue.Queue(PIECES))
    _stopped: Event = field(default_factory=Event)
    _rest: bytes = b""
    _is_at_end: bool = False

    def stop(self) -> None:
        self._stopped.set()

    @property
    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def put(self, piece: bytes) -> bool:
        """Hand over a piece, b"" at the end; False if nobody reads any more."""
        while not self._stopped.is_set() and self.state == "running":
            try:
                self._pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            self.received += len(piece)
            return True
        return False

    def read(self, size: int = -1) -> bytes:
        """Read like a raw stream: what is there, b"" at the end; CancelledError if it was stopped."""
        while not self._rest and not self._is_at_end:
            if self._stopped.is_set():
                raise CancelledError
            try:
                self._rest = self._pieces.get(timeout=0.1)
            except queue.Empty:
                continue
            self._is_at_end = not self._rest
        size = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def report(self) -> ImportReport:
        found = self.result
        return ImportReport(
            id=self.id,
            name=self.name,
            by=self.by,
            state=self.state,
            bytes_received=self.received,
            bytes_total=self.total,
            seconds=round((self.ended or time.monotonic()) - self.began, 3),
            packets=found.packets if found else 0,
            flows=found.flows if found else 0,
            segments=found.segments if found else 0,
            dropped=found.dropped if found else 0,
            problems=list(found.problems) if found else [],
            error=self.error,
        )


class Imports:
    """The uploads of a hub; the latest finished ones stay listed."""

    def __init__(self) -> None:
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._lock = Lock()
        self.writes = Lock()  # a store has one writer at a time: the others wait here

    def new(self, name: str, by: str, total: int | None) -> Upload:
        upload = Upload(secrets.token_hex(8), name, by, total)
        with self._lock:
            self._uploads[upload.id] = upload
            finished = [each.id for each in self._uploads.values() if each.state != "running"]
            for old in finished[:-KEPT]:
                del self._uploads[old]
        return upload

    def all(self) -> list[Upload]:
        with self._lock:
            return list(self._uploads.values())[::-1]

    def find(self, identifier: str) -> Upload:
        with self._lock:
            found = self._uploads.get(identifier)
        if found is None:
            raise HTTPException(404, f"there is no import {identifier[:40]}")
        return found


class UploadStream(io.RawIOBase):
    """The upload as a binary stream that cannot be sought."""

    def __init__(self, job: Upload) -> None:
        self._job = job
        self.name = job.name

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._job.read(-1 if size is None else size)

    def readinto(self, buffer: Any) -> int:
        data = self._job.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
