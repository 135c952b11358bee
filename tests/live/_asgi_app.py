"""What the live tests' ASGI server answers: echoes, streams, events, compressed bodies, WebSockets."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import brotli

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
    elif scope["type"] == "websocket":
        await _talk(receive, send)
    else:
        await _answer(scope, receive, send)


async def _answer(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers, pieces = [(b"content-type", b"text/plain")], [body]
    if scope["path"] == "/events":
        headers, pieces = [(b"content-type", b"text/event-stream")], [b"event: add\ndata: 1\n\n", b"data: 2\n\n"]
    elif scope["path"] == "/gzip":
        headers, pieces = [*headers, (b"content-encoding", b"gzip")], [gzip.compress(b"small " * 100)]
    elif scope["path"] == "/brotli":
        headers, pieces = [*headers, (b"content-encoding", b"br")], [brotli.compress(b"small " * 100)]
    elif scope["path"] == "/large":
        pieces = [b"x" * 40_000] * 5
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/none" else 200, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0.005)
    await send({"type": "http.response.body", "body": b""})


async def _talk(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        answer = {"text": message["text"].upper()} if message.get("text") else {"bytes": message["bytes"][::-1]}
        await send({"type": "websocket.send", **answer})
