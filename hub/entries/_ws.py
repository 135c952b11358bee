"""The WebSocket: queries whose results come as binary column batches, acknowledged by the client (docs/hub-api.md).

One connection runs several queries. Each has a thread that reads, dissects and encodes while it has a turn of the pool;
it gives the turn back while it waits for the client. Everything sent goes through one queue of the connection, which
holds no more than the unacknowledged batches of its queries, and of progress only the latest.

Each query ends with exactly one `done` or `error`; a cancelled one at once, whatever its thread is in the middle of.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from msgspec.structs import asdict
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub.access._rights import Principal, who
from kubeshark.hub.answers._parameters import read_time
from kubeshark.hub.entries._batches import BatchEncoder
from kubeshark.hub.entries._columns import LIST_COLUMNS, ListColumns
from kubeshark.hub.entries._live import Live
from kubeshark.hub.state._hub import Hub, complain, hub_of
from kubeshark.hub.state._pool import TooManyError, Turn
from kubeshark.pipeline import Entry, Follow, Pipeline, QueryProgress, StoreQuery, cursor_behind

__all__ = ["SUBPROTOCOL", "router"]

SUBPROTOCOL = "kubeshark.v1"
MAX_MESSAGE = 64 << 10
MAX_QUERIES = 8  # of one connection at a time
MAX_LIMIT = 2_000_000
UNACKNOWLEDGED = 4
FIRST_ROWS, ROWS = 100, 2_000
PROGRESS_S = 0.1
PROTOCOL_ERROR = 1002

router = APIRouter()

Text = Annotated[str, msgspec.Meta(max_length=16_384)]
Number = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class _Query(msgspec.Struct, tag_field="op", tag="query"):
    id: Number
    kfl: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = 10_000
    order: Literal["oldest", "newest"] = "oldest"
    cursor: Text | None = None
    since: str | int | None = None
    until: str | int | None = None
    live: bool = False
    columns: list[str] = msgspec.field(default_factory=lambda: list(LIST_COLUMNS))


class _Ack(msgspec.Struct, tag_field="op", tag="ack"):
    id: Number
    batch: Number


class _Cancel(msgspec.Struct, tag_field="op", tag="cancel"):
    id: Number


_decode = msgspec.json.Decoder(_Query | _Ack | _Cancel).decode


@router.websocket("/api/v1/ws")
async def connect(socket: WebSocket) -> None:
    if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
        await socket.close(PROTOCOL_ERROR, f"the subprotocol is {SUBPROTOCOL}")
        return
    await socket.accept(subprotocol=SUBPROTOCOL)
    await _Connection(socket, hub_of(socket), who(socket)).serve()


class _Connection:
    """One client. Its methods run in the event loop, but for `put`, which threads call."""

    def __init__(self, socket: WebSocket, hub: Hub, principal: Principal) -> None:
        self.socket = socket
        self.hub = hub
        self.principal = principal
        self._loop = asyncio.get_running_loop()
        self._queries: dict[int, _Running] = {}
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

    def put(self, query: int, message: bytes | dict[str, Any]) -> None:
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
            if message["op"] in ("progress", "queued"):
                stale = [each for each in self._outgoing if isinstance(each, dict) and each["id"] == query]
                for each in stale:
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
            said = _decode(text)
        except (msgspec.MsgspecError, UnicodeError) as error:
            self._object(None, f"not a message: {error}")
            return
        running = self._queries.get(said.id)
        match said:
            case _Query() if running is not None:  # that one goes on
                self._object(None, f"a query with the id {said.id} is running")
            case _Query() if len(self._queries) >= MAX_QUERIES:
                self._object(said.id, f"{MAX_QUERIES} queries are running: cancel one")
            case _Query():
                self._begin(said)
            case _Ack() if running is not None:
                running.acknowledge(said.batch)
            case _Cancel() if running is not None:
                running.cancel()

    def _object(self, query: int | None, text: str) -> None:
        self._outgoing.append({"op": "error", "id": query, "message": text})
        self._wakes.set()

    def _begin(self, said: _Query) -> None:
        running = self._queries[said.id] = _Running(self, said)
        threading.Thread(target=running.run, name=f"kubeshark-query-{said.id}", daemon=True).start()


class _Running:
    """One query, in a thread of its own."""

    def __init__(self, connection: _Connection, said: _Query) -> None:
        self._connection = connection
        self._said = said
        self._hub = connection.hub
        self._query: StoreQuery[Entry] | None = None
        self._follow: Follow | None = None
        self._changed = threading.Condition()
        self._acknowledged = 0
        self._sent = 0
        self._rows = 0
        self._cursor: str | None = None
        self._is_over = False  # the client has been told, or is gone
        self._began = time.monotonic()
        self._progress = QueryProgress(0, 0, 0, 0, 0)
        self._told = 0.0

    # from the event loop

    def acknowledge(self, batch: int) -> None:
        with self._changed:
            self._acknowledged = max(self._acknowledged, min(batch, self._sent))
            self._changed.notify_all()

    def cancel(self) -> None:
        self._hub.figures.add(queries_cancelled=1)
        self._end({**self._figures(), "op": "done", "cursor": self._cursor, "stopped": "cancelled", "problems": []})

    def abandon(self) -> None:
        """The client is gone."""
        self._hub.figures.add(queries_cancelled=1)
        self._end(None)

    def _end(self, message: dict[str, Any] | None) -> None:
        with self._changed:
            if self._is_over:
                return
            self._is_over = True
            if message is not None:
                self._connection.put(self._said.id, message)
            self._changed.notify_all()
        if self._query is not None:
            self._query.cancel()
        if self._follow is not None:
            self._follow.stop()

    # in the thread

    def run(self) -> None:
        figures, identifier = self._hub.figures, self._said.id
        figures.add(queries=1)
        self._say("progress")
        try:
            with self._hub.pool.turn(gave_up=self._is_cancelled, on_wait=self._wait) as turn:
                if turn.take():
                    self._work(turn)
        except TooManyError:
            self._end({"op": "error", "id": identifier, "message": "too many queries are waiting: come again later"})
        except KubesharkError as error:
            figures.add(queries_failed=1)
            place = {"line": error.line, "column": error.column} if isinstance(error, UsageError) else {}
            self._end({"op": "error", "id": identifier, "message": str(error), **place})
        except Exception as error:  # noqa: BLE001 (the client must hear of it; the log says more)
            figures.add(queries_failed=1)
            complain(f"a query failed: {type(error).__name__}: {error}")
            self._end({"op": "error", "id": identifier, "message": "the query failed: the hub's log says why"})

    def _work(self, turn: Turn) -> None:
        said, began = self._said, time.monotonic()
        view = self._hub.view(self._connection.principal)
        columns = ListColumns(said.columns, view.variables)
        live = _live(view, said, columns) if said.live else None
        self._follow = live.follow if live else None
        query = view.query(
            said.kfl,
            since_ns=read_time(said.since),
            until_ns=read_time(said.until),
            limit=said.limit,
            order="asc" if said.order == "oldest" else "desc",
            after=said.cursor,
            on_progress=self._on_progress,
        )
        self._query = query
        if self._is_cancelled():
            return
        encoder, size = BatchEncoder(said.id), FIRST_ROWS
        runs = query.runs(columns.fields)
        try:
            for run in runs:
                at = 0
                while at < len(run) and not self._is_cancelled():
                    part = run.part(at, at + size)
                    at, size = at + size, ROWS
                    if live:
                        live.note(part)
                    cursor = cursor_behind(part)
                    self._send(encoder.encode(columns.of(part), cursor), encoder.batch, len(part), cursor)
                    if not self._may_go_on(turn):
                        break
        finally:
            runs.close()
            self._hub.figures.add(query_seconds=time.monotonic() - began, query_bytes_read=self._progress.done)
        is_cut = not query.stopped and query.cursor is not None
        if live and not is_cut and not query.stopped and not self._is_cancelled():
            self._go_on(live, turn, columns, encoder, query)
            return
        self._end(
            {
                **self._figures(),
                "op": "done",
                "cursor": query.cursor,
                "stopped": query.stopped or ("limit" if is_cut else ""),
                "problems": list(map(str, query.problems)),
                "notices": query.notices,
            }
        )

    def _go_on(
        self, live: Live, turn: Turn, columns: ListColumns, encoder: BatchEncoder, query: StoreQuery[Entry]
    ) -> None:
        """Send what comes, until the client cancels; a turn is held only while there is work."""
        told = ""
        problems = list(map(str, query.problems))
        try:
            while not self._is_cancelled() and turn.take():
                for run in live.look():
                    for at in range(0, len(run), ROWS):
                        part = run.part(at, at + ROWS)
                        cursor = live.cursor_behind(part)
                        self._send(encoder.encode(columns.of(part), cursor), encoder.batch, len(part), cursor)
                        if not self._may_go_on(turn):
                            return
                about = {
                    "problems": [*problems, *map(str, live.follow.problems)],
                    "dropped": asdict(live.follow.dropped),
                }
                if (said := json.dumps(about)) != told:
                    told = said
                    self._tell(
                        {**self._figures(), "op": "live", "cursor": self._cursor, "notices": query.notices, **about}
                    )
                turn.give()
                live.follow.pause()
        finally:
            live.follow.close()

    def _tell(self, message: dict[str, Any]) -> None:
        with self._changed:
            if not self._is_over:
                self._connection.put(self._said.id, message)

    def _may_go_on(self, turn: Turn) -> bool:
        """Wait until the client has acknowledged enough, without a turn; False if it does not want more."""
        if self._has_room():
            return True
        turn.give()
        with self._changed:
            self._changed.wait_for(self._has_room)
        return turn.take()

    def _is_cancelled(self) -> bool:
        return self._is_over

    def _has_room(self) -> bool:
        return self._is_over or self._sent - self._acknowledged < UNACKNOWLEDGED

    def _send(self, batch: bytes, number: int, rows: int, cursor: str) -> None:
        with self._changed:
            if self._is_over:
                return
            self._sent, self._rows, self._cursor = number, self._rows + rows, cursor
            self._connection.put(self._said.id, batch)
        self._hub.figures.add(query_rows=rows)

    def _on_progress(self, progress: QueryProgress) -> None:
        self._progress = progress
        if time.monotonic() - self._told >= PROGRESS_S:
            self._say("progress")

    def _wait(self, ahead: int) -> None:
        self._say("queued", ahead=ahead)

    def _say(self, op: str, **more: int) -> None:
        with self._changed:
            self._told = time.monotonic()
            if self._is_over:
                return
            about = more or {
                "bytes_read": self._progress.done,
                "bytes_total": self._progress.total,
                "rows": self._rows,
            }
            self._connection.put(self._said.id, {"op": op, "id": self._said.id, **about})

    def _figures(self) -> dict[str, Any]:
        return {
            "id": self._said.id,
            "rows": self._rows,
            "seconds": round(time.monotonic() - self._began, 3),
            "bytes_read": self._progress.done,
        }


def _live(view: Pipeline, said: _Query, columns: ListColumns) -> Live:
    if said.order != "oldest" or said.until is not None:
        raise UsageError("a live query is in the order oldest, without until")
    return Live.begin(view, said.kfl, columns.fields)
