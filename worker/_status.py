"""What a worker says of itself: JSON of these shapes, read by the hub (`hub/nodes/_workers.py`)."""

from __future__ import annotations

from typing import Literal

import msgspec

from kubeshark.worker._choosing import Choice, Chosen

__all__ = ["PROTOCOL", "Archive", "Capture", "Counters", "FirewallOrder", "Limits", "Order", "Status"]

PROTOCOL = 1
"""Of the paths under /v1; a hub says which one it expected."""


class Limits(msgspec.Struct, frozen=True):
    memory_bytes: int  # 0: none
    cpu: float  # processors; 0: none
    connections: int
    range_bytes: int


class Counters(msgspec.Struct):
    """Since the worker began."""

    requests: int = 0
    refused: int = 0  # for certificate, rate or load
    errors: int = 0
    sent_bytes: int = 0


class Capture(msgspec.Struct, frozen=True):
    """Of one capture, since the worker began: packets."""

    interface: str  # several with commas between
    received: int
    dropped: int  # no room in the kernel's ring
    lost: int  # storing did not keep up
    stored: int  # acknowledged: synced to disk
    state: str = "running"
    restarts: int = 0
    excluded: int = 0  # left out in the kernel by filter, choice or schedule, about; not among those received
    left_out: int = 0  # addresses of the choice that the kernel has no room for
    chosen: Chosen | None = None  # what is captured now, where that changes


class Archive(msgspec.Struct, frozen=True):
    """What became of segments that are uploaded; see `UploadStatus`."""

    url: str
    state: str
    uploaded: int
    uploaded_bytes: int
    waiting: int
    waiting_bytes: int
    lost: int
    problem: str
    left_out: int = 0


class Order(msgspec.Struct, frozen=True):
    """What the capturing process is told (`_capture_child.py`)."""

    parent: int  # whose end is its own
    store: str
    node: str
    interfaces: list[str]
    bpf: str
    recipients: list[str]
    segment_seconds: float
    max_bytes: int | None = None  # of the store: the oldest segments go
    max_age_ns: int | None = None
    memory_bytes: int = 0  # for the capturing process, its rings in the kernel included; 0: no limit
    cpu: float = 0.0  # processors that the capturing process may use: beyond it sealing waits; 0: no limit
    probes: list[str] = []  # whose TLS is read in the clear, too: see TlsSource
    choice: Choice | None = (
        None  # what is kept to begin with; others follow, a line each; None: what `bpf` says, always
    )


class Status(msgspec.Struct, frozen=True):
    node: str
    version: str
    protocol: int
    started: float  # seconds since 1970
    now: float  # the node's clock: the hub says if it goes wrong
    segments: int
    store_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    resident_bytes: int
    cpu_seconds: float
    refuses: str  # why nothing else is served now
    limits: Limits
    counters: Counters
    captures: list[Capture] = []
    archive: Archive | None = None


class FirewallOrder(msgspec.Struct, frozen=True):
    """What the process that enforces is told."""

    parent: int
    folder: str  # of its socket, and of what it keeps
    node: str
    fail_mode: Literal["open", "closed"]
    authority: str  # certificates that vouch for hubs
    allowed: list[str]  # names of hubs that may say what is enforced
    port: int  # of the worker: never cut
