"""Runs a worker until it is told to end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from kubeshark.core_capture.store._tls_files import TlsFiles
from kubeshark.errors import StoreError
from kubeshark.worker._app import Service, create_app
from kubeshark.worker._files import Files
from kubeshark.worker._gate import GateServer
from kubeshark.worker._governor import Governor

__all__ = ["CONNECTIONS", "WorkerOptions", "run_worker"]

CONNECTIONS = 64
"""At once: each costs a TLS buffer of 256 KiB and a piece of 512 KiB at most."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker runs. Limits of 0 are none; `allowed`: names, one of which a hub's certificate has."""

    store: Path
    node: str
    host: str
    port: int
    tls: TlsFiles
    allowed: Collection[str]
    memory_bytes: int = 0
    cpu: float = 0.0
    connections: int = CONNECTIONS


def run_worker(options: WorkerOptions, *, announce: Callable[[str], None], log: Callable[[str], None]) -> None:
    """Serve a store until SIGINT or SIGTERM; `announce` gets the URL once the port is open.

    Raises StoreError if there is no store, no certificate, or the port is taken.
    """
    files = Files(options.store)
    listener = _listen(options.host, options.port)
    governor = Governor(options.memory_bytes, options.cpu)
    service = Service(options.node, files, governor, options.connections)
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
        announce(f"https://{shown}:{listener.getsockname()[1]}")
        server.run()
    finally:
        listener.close()
        files.close()


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
