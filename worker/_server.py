"""Runs a worker until it is told to end."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import asdict

from kubeshark.core_capture.store import Retention, Store
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import StoreError
from kubeshark.worker._app import Service, create_app
from kubeshark.worker._captures import Captures
from kubeshark.worker._choosing import Choosing, Schedules
from kubeshark.worker._files import Files
from kubeshark.worker._firewall import Firewall
from kubeshark.worker._gate import GateServer
from kubeshark.worker._governor import Governor
from kubeshark.worker._status import Archive, FirewallOrder, Order

if TYPE_CHECKING:
    from kubeshark.core_capture.store import Uploader

__all__ = ["CONNECTIONS", "WorkerOptions", "run_worker"]

CONNECTIONS = 64
"""At once: each costs a TLS buffer of 256 KiB and a piece of 512 KiB at most."""


DRAIN_SECONDS = 10.0
"""For what was sealed at the end to be uploaded; what is not is uploaded when the worker is started again."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker runs. Limits of 0 are none; `allowed`: names, one of which a hub's certificate has."""

    store: Path
    node: str
    host: str
    port: int
    tls: TlsFiles
    allowed: Collection[str]
    memory_bytes: int = 0  # of each of its two processes
    cpu: float = 0.0
    connections: int = CONNECTIONS
    interfaces: Sequence[str] = ()  # to capture from; none: somebody else writes the store, or nobody
    bpf: str = ""
    probes: Sequence[str] = ()  # whose TLS is read in the clear, too
    recipients: Sequence[str] = ()
    segment_seconds: float = 300
    retention: Retention | None = None  # of what is captured
    firewall: Path | None = None  # what is enforced is kept there; None: nothing is
    fail_mode: Literal["open", "closed"] = "open"
    enforcers: Collection[str] = ()  # names of hubs that may say what is enforced; none: `allowed`
    selects: bool = False  # packets of the pods that a hub names, and no others
    schedules: Schedules | None = None  # in their windows alone
    upload: str = ""  # URL of an archive: sealed segments are copied to a prefix of this node's name


def run_worker(options: WorkerOptions, *, announce: Callable[[str], None], log: Callable[[str], None]) -> None:
    """Serve a store until SIGINT or SIGTERM; `announce` gets the URL once the port is open.

    Raises StoreError if there is no store, no certificate, or the port is taken.
    """
    if options.interfaces:
        Store.open(options.store, identities=(), create=True)
    files = Files(options.store)
    listener = _listen(options.host, options.port)
    governor = Governor(options.memory_bytes, options.cpu)
    service = Service(options.node, files, governor, options.connections)
    choosing = None
    if options.selects or options.schedules is not None:
        choosing = Choosing(options.node, selects=options.selects, schedules=options.schedules)
    captures = Captures(_order(options), log, choosing) if options.interfaces else None
    uploader = _uploader(options, service, log)
    if captures is not None:
        service.captures, service.choosing = captures.rows, choosing
    firewall = None
    if options.firewall is not None:
        firewall = Firewall(_firewall_order(options, options.firewall, listener.getsockname()[1]), log)
        service.firewall, service.enforcers = firewall, frozenset(options.enforcers or options.allowed)
    try:
        server = GateServer(
            create_app(service),
            listener,
            options.tls,
            allowed=options.allowed,
            connections=options.connections,
            counters=service.counters,
            log=log,
        )
        shown = f"[{options.host}]" if ":" in options.host else options.host
        with _told_to_end(server):
            if captures is not None:
                captures.start()
            if firewall is not None:
                firewall.start()
            if uploader is not None:
                uploader.start()
            announce(f"https://{shown}:{listener.getsockname()[1]}")
            server.run()
    finally:
        if captures is not None:
            captures.stop()
        if firewall is not None:
            firewall.stop()
        if uploader is not None:
            uploader.stop(DRAIN_SECONDS)
        listener.close()
        files.close()


def _uploader(options: WorkerOptions, service: Service, log: Callable[[str], None]) -> Uploader | None:
    """Return who uploads, and have the status tell of it."""
    if not options.upload:
        return None
    from kubeshark.core_capture.store import Uploader, archive_url  # what speaks to buckets is 15 MB

    made = Uploader(options.store, archive_url(options.upload, options.node), log=log)
    service.archive = lambda: Archive(**asdict(made.status))
    return made


@contextmanager
def _told_to_end(server: GateServer) -> Iterator[None]:
    """Let SIGTERM end the block and no more: uvicorn raises it once again when it is done, and there is work left.

    It may come before uvicorn listens for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        server.should_exit = True

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _order(options: WorkerOptions) -> Order:
    return Order(
        parent=os.getpid(),
        store=str(options.store.resolve()),
        node=options.node,
        interfaces=list(options.interfaces),
        bpf=options.bpf,
        recipients=list(options.recipients),
        segment_seconds=options.segment_seconds,
        max_bytes=options.retention.max_bytes if options.retention else None,
        max_age_ns=options.retention.max_age_ns if options.retention else None,
        memory_bytes=options.memory_bytes,
        cpu=options.cpu,
        probes=list(options.probes),
    )


def _firewall_order(options: WorkerOptions, folder: Path, port: int) -> FirewallOrder:
    return FirewallOrder(
        parent=os.getpid(),
        folder=str(folder.resolve()),
        node=options.node,
        fail_mode=options.fail_mode,
        authority=str(options.tls.authority.resolve()),
        allowed=list(options.enforcers or options.allowed),
        port=port,
    )


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot listen on {host} port {port}: {error.strerror}", hint="see --listen") from error
    return listener
