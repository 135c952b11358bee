"""What the firewalls of all nodes refuse and record, as it happens: a WebSocket of JSON.

GET /api/v1/firewall/events?kfl=FILTER&recent=true

    {"op": "events", "events": [{time, node, subject, policy, rule, action, verdict, direction, src, …}], "lost": 3}

`lost` counts, since the connection began, what a client did not read in time and what a node no longer had; what a
node's kernel could not write is counted in its status. A filter that cannot be read ends it: {"op": "error", …}.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from kubeshark.core_capture.store.places._away import Away
from kubeshark.errors import KubesharkError, UsageError
from kubeshark.hub.access._rights import need, need_all, who
from kubeshark.hub.nodes._fleet import Node
from kubeshark.hub.state._hub import hub_of
from kubeshark.pipeline.kfl import CompiledFilter, Variable, Variables, compile_filter

__all__ = ["EVENT_VARIABLES", "event_filter", "router"]

router = APIRouter()

MOST_WAITING = 2_000  # events for a client that is slow
AT_ONCE = 200
POLL_S, AWAY_S = 0.25, 2.0
MAX_FILTER = 16_384
REFUSED, MISMATCH = 1008, 1003
MAX_CLIENTS = 32

_TEXTS = ("node", "subject", "policy", "rule", "action", "verdict", "direction", "message")
_NUMBERS = {"protocol": "protocol", "length": "length", "generation": "generation"}
_ENDS = {"src.ip": "src", "dst.ip": "dst", "src.port": "srcPort", "dst.port": "dstPort"}
EVENT_VARIABLES = Variables(
    (
        *(Variable(name, "string", "firewall") for name in (*_TEXTS, "src.ip", "dst.ip")),
        *(Variable(name, "int", "firewall") for name in (*_NUMBERS, "src.port", "dst.port")),
    )
)


def event_filter(kfl: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return what says whether an event matches; raise KflError, UsageError."""
    if len(kfl) > MAX_FILTER:
        raise UsageError(f"a filter has at most {MAX_FILTER:,} characters")
    if not kfl.strip():
        return lambda _: True
    compiled: CompiledFilter = compile_filter(kfl, now_ns=time.time_ns(), variables=EVENT_VARIABLES)
    return lambda event: compiled.matches(_row(event))


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {name: variable.default for name, variable in EVENT_VARIABLES.items()}
    for name in EVENT_VARIABLES:
        value = event.get(_ENDS.get(name, name))
        if type(value) is type(row[name]):
            row[name] = value
    return row


@router.websocket("/api/v1/firewall/events")
async def events(socket: WebSocket) -> None:
    try:
        need("read")(socket)
        need_all(socket)
    except HTTPException as error:
        await socket.close(REFUSED, str(error.detail)[:120])
        return
    hub = hub_of(socket)
    if hub.fleet.listeners >= MAX_CLIENTS:
        await socket.close(REFUSED, "too many listen already")
        return
    await socket.accept()
    kfl = socket.query_params.get("kfl", "")
    try:
        matches = event_filter(kfl)
    except KubesharkError as error:
        await socket.send_text(json.dumps({"op": "error", "message": str(error)}))
        await socket.close(MISMATCH)
        return
    hub.audit.note(who(socket), "watch the firewall")
    hub.fleet.listeners += 1
    feed = _Feed(socket, matches)
    tasks = [asyncio.create_task(feed.send())]
    recent = socket.query_params.get("recent") == "true"
    tasks += [asyncio.create_task(feed.poll(node, recent=recent)) for node in hub.fleet.nodes]
    try:
        with suppress(WebSocketDisconnect):
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
    finally:
        hub.fleet.listeners -= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Feed:
    """One client: events of all nodes go through a queue that is bounded."""

    def __init__(self, socket: WebSocket, matches: Callable[[Mapping[str, Any]], bool]) -> None:
        self._socket, self._matches = socket, matches
        self._waiting: deque[dict[str, Any]] = deque()
        self._lost = 0
        self._wakes = asyncio.Event()

    async def poll(self, node: Node, *, recent: bool) -> None:
        """Ask a node for what is new, again and again; `recent`: begin with what it still has."""
        after = 0 if recent else -1
        while True:
            try:
                path = f"firewall/events?after={max(after, 0)}&limit={1000 if after >= 0 else 0}"
                status, answer = await run_in_threadpool(node.client.exchange, "GET", path)
            except Away:
                await asyncio.sleep(AWAY_S)
                continue
            if status != 200 or not isinstance(answer, dict):
                await asyncio.sleep(AWAY_S)
                continue
            last, found = int(answer.get("last", 0)), answer.get("events", [])
            if last < after:  # its process began again
                after = 0
                continue
            self._lost += int(answer.get("missed", 0))
            after = found[-1]["sequence"] if found else max(after, last)
            self._take(node, found)
            if len(found) < AT_ONCE:
                await asyncio.sleep(POLL_S)

    def _take(self, node: Node, found: list[dict[str, Any]]) -> None:
        for event in found:
            event["node"] = node.name or event.get("node", "")
            if not self._matches(event):
                continue
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(event)
        self._wakes.set()

    async def send(self) -> None:
        told = 0
        while True:
            await self._wakes.wait()
            self._wakes.clear()
            while self._waiting or self._lost > told:
                some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                told = self._lost
                message = {"op": "events", "events": some, "lost": told}
                try:
                    await self._socket.send_text(json.dumps(message, ensure_ascii=False))
                except (WebSocketDisconnect, RuntimeError):  # the client is gone: `events` hears of it, too
                    return
