"""The WebSocket: queries whose results come as binary column batches, acknowledged by the client (docs/hub-api.md).

One connection runs several queries (`_running`). Everything sent goes through one queue of the connection, which holds
no more than the unacknowledged batches of its queries, and of progress only the latest.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kubeshark.hub.access._rights import Principal, who
from kubeshark.hub.entries._running import RunningQuery
from kubeshark.hub.entries._said import Ack, Cancel, Query, decode
from kubeshark.hub.state._hub import Hub, hub_of

__all__ = ["SUBPROTOCOL", "router"]

SUBPROTOCOL = "kubeshark.v1"
MAX_MESSAGE = 64 << 10
MAX_QUERIES = 8  # of one connection at a time
PROTOCOL_ERROR = 1002
PASSING = ("progress", "queued")  # of which the latest counts

router = APIRouter()


@router.websocket("/api/v1/ws")
async def connect(socket: WebSocket) -> None:
    if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
        await socket.close(PROTOCOL_ERROR, f"the subprotocol is {SUBPROTOCOL}")
        return
    await socket.accept(subprotocol=SUBPROTOCOL)
    await _Connection(socket, hub_of(socket), who(socket)).serve()


class _Connection:
    """One client. Its methods run in the event loop, but for `_put`, which threads call."""

    def __init__(self, socket: WebSocket, hub: Hub, principal: Principal) -> None:
        self.socket = socket
        self.hub = hub
        self.principal = principal
        self._loop = asyncio.get_running_loop()
        self._queries: dict[int, RunningQuery] = {}
        self._outgoing: deque[bytes | dict[str, Any]] = deque()
        self._wakes = asyncio.Event()

    async def serve(self) -> None:
        sender = asyncio.create_task(self._send())
        workers = self.hub.workers
        if workers.store is not None and self.principal.namespaces is None:
            if documents := workers.documents():
                self._tell_workers(documents)
            workers.listeners.add(self._on_workers)
        try:
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                self._take(message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace"))
        except WebSocketDisconnect:
            pass
        finally:
            workers.listeners.discard(self._on_workers)
            for running in list(self._queries.values()):
                running.abandon()
            sender.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sender

    def _put(self, query: int, message: bytes | dict[str, Any]) -> None:
        """Queue what a query says; from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it whoever would read this
            self._loop.call_soon_threadsafe(self._queue, query, message)

    def _on_workers(self, documents: list[dict[str, Any]]) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell_workers, documents)

    def _tell_workers(self, documents: list[dict[str, Any]]) -> None:
        """Say how the workers fare; an older such message that still waits is of no use."""
        self._outgoing = deque(each for each in self._outgoing if isinstance(each, bytes) or each["op"] != "workers")
        self._outgoing.append({"op": "workers", "id": None, "workers": documents})
        self._wakes.set()

    def _queue(self, query: int, message: bytes | dict[str, Any]) -> None:
        if isinstance(message, dict):
            if message["op"] in PASSING:
                for each in [each for each in self._outgoing if isinstance(each, dict) and each["id"] == query]:
                    if each["op"] in PASSING:
                        self._outgoing.remove(each)
            elif message["op"] in ("done", "error"):
                self._queries.pop(query, None)
        self._outgoing.append(message)
        self._wakes.set()

    async def _send(self) -> None:
        while True:
            await self._wakes.wait()
            self._wakes.clear()
            while self._outgoing:
                message = self._outgoing.popleft()
                if self.socket.client_state is not WebSocketState.CONNECTED:
                    return
                try:
                    if isinstance(message, bytes):
                        await self.socket.send_bytes(message)
                    else:
                        await self.socket.send_text(json.dumps(message, ensure_ascii=False))
                except (WebSocketDisconnect, RuntimeError):  # the client is gone: `serve` hears of it, too
                    return

    def _take(self, text: str) -> None:
        """Do what a message says."""
        if len(text) > MAX_MESSAGE:
            self._object(None, f"a message has at most {MAX_MESSAGE:,} bytes")
            return
        try:
            said = decode(text)
        except (msgspec.MsgspecError, UnicodeError) as error:
            self._object(None, f"not a message: {error}")
            return
        running = self._queries.get(said.id)
        match said:
            case Query() if running is not None:  # that one goes on
                self._object(None, f"a query with the id {said.id} is running")
            case Query() if len(self._queries) >= MAX_QUERIES:
                self._object(said.id, f"{MAX_QUERIES} queries are running: cancel one")
            case Query():
                self._begin(said)
            case Ack() if running is not None:
                running.acknowledge(said.batch)
            case Cancel() if running is not None:
                running.cancel()

    def _object(self, query: int | None, text: str) -> None:
        self._outgoing.append({"op": "error", "id": query, "message": text})
        self._wakes.set()

    def _begin(self, said: Query) -> None:
        running = self._queries[said.id] = RunningQuery(self.hub, self.principal, said, partial(self._put, said.id))
        threading.Thread(target=running.run, name=f"kubeshark-query-{said.id}", daemon=True).start()
