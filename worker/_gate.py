"""Who may talk to a worker, and how long they may take over it.

1. TLS 1.3 with a certificate of our authority, good for clients, or there is no connection.
2. That certificate names a hub; another worker's is told so (403), and nothing else.
3. A connection that does not get on is closed: its handshake, the head of each request, and silence between requests
   have their time. There are so many of them at once, and so many from one address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import StoreError
from kubeshark.worker._status import Counters

__all__ = ["HANDSHAKE_SECONDS", "HEAD_SECONDS", "GateServer", "names_of"]

HANDSHAKE_SECONDS = 5.0
HEAD_SECONDS = 5.0
IDLE_SECONDS = 30.0
FROM_ONE_ADDRESS = 24
"""A hub keeps eight connections to a worker; two hubs may stand behind one address."""

RELOAD_SECONDS = 10.0


class _Protocol(H11Protocol):
    """One connection behind its handshake."""

    _head_timer: asyncio.TimerHandle | None = None

    def begin(self, allowed: Collection[str], counters: Counters, ended: asyncio.Event) -> None:
        """Say whom to let in; `ended` is set at the end of the connection."""
        self._allowed, self._counters, self._ended = frozenset(allowed), counters, ended

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        shown: ssl.SSLObject = transport.get_extra_info("ssl_object")
        names = names_of(shown.getpeercert())
        self.app_state = {**self.app_state, "names": names}  # what of it may change the firewall is asked later
        if not names & self._allowed:
            self._counters.refused += 1
            self.app = _forbidden
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


async def _forbidden(scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse({"error": "this certificate is none of a hub's"}, 403, {"connection": "close"})
    await answer(scope, receive, send)


class _Contexts:
    """The TLS context of our files; another one when they are replaced, as cert-manager does before they expire."""

    def __init__(self, tls: TlsFiles, log: Callable[[str], None]) -> None:
        self._tls, self._log = tls, log
        self._stamp = self._look()
        self._context = tls.context(ssl.Purpose.CLIENT_AUTH)
        self._looked = time.monotonic()

    def current(self) -> ssl.SSLContext:
        if time.monotonic() - self._looked >= RELOAD_SECONDS:
            self._looked = time.monotonic()
            if (stamp := self._look()) != self._stamp:
                try:
                    self._context, self._stamp = self._tls.context(ssl.Purpose.CLIENT_AUTH), stamp
                except StoreError as error:  # half of them are replaced: the next look finds the other half
                    self._log(str(error))
        return self._context

    def _look(self) -> list[tuple[int, int] | None]:
        stamps: list[tuple[int, int] | None] = []
        for path in (self._tls.certificate, self._tls.key, self._tls.authority):
            try:
                found = path.stat()
                stamps.append((found.st_ino, found.st_mtime_ns))
            except OSError:
                stamps.append(None)
        return stamps


class GateServer(uvicorn.Server):
    """uvicorn behind an accept of our own: there connections are counted before they cost a handshake."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        tls: TlsFiles,
        *,
        allowed: Collection[str],
        connections: int,
        counters: Counters,
        log: Callable[[str], None],
    ) -> None:
        self._contexts = _Contexts(tls, log)
        self._listener = listener
        self._most = connections
        self._allowed, self._counters = frozenset(allowed), counters
        self._open: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_level="critical",  # what strangers send is no news; the counters tell
            access_log=False,
            server_header=False,
            timeout_keep_alive=int(IDLE_SECONDS),
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16 << 10,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - we have ours
        self.servers = []
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()
        await super().shutdown(sockets)
        for task in self._tasks:
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:  # no descriptor is left: some connection will end
                await asyncio.sleep(0.2)
                continue
            peer = address[0]
            if self._open.total() >= self._most or self._open[peer] >= FROM_ONE_ADDRESS:
                self._counters.refused += 1
                connection.close()
                continue
            self._open[peer] += 1
            task = asyncio.create_task(self._serve_one(connection, peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve_one(self, connection: socket.socket, peer: str) -> None:
        """Make a connection of a socket and wait for its end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def make() -> _Protocol:
            protocol = _Protocol(self.config, self.server_state, {}, loop)
            protocol.begin(self._allowed, self._counters, ended)
            return protocol

        try:
            await loop.connect_accepted_socket(
                make,
                connection,
                ssl=self._contexts.current(),
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=1.0,
            )
            await ended.wait()
        except (OSError, ssl.SSLError, StoreError):
            self._counters.refused += 1
            connection.close()
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]


def names_of(certificate: Any) -> set[str]:
    """Return the DNS names and URIs of a certificate as `SSLObject.getpeercert` gives it."""
    return {value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind in ("DNS", "URI")}
