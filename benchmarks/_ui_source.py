"""Stands in for the hub while the page is measured: the built page, and a million rows as fast as it takes them.

The hub's own encoder makes the batches, so that the page decodes what it decodes elsewhere; dissecting is measured in
other rows. The filter `live` goes on with 10,000 rows a second behind the million,
`day9000000` to so many as fast as it can.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from kubeshark.hub.entries._batches import BatchEncoder

PAGE = Path(__file__).resolve().parents[1] / "hub" / "page"
ROWS = 1_000_000
LIVE_ROWS = 10_000  # a second
FRAME_S = 1 / 60
WINDOW = 4
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "A", "AAAA", "SET", "HGETALL", "Query", "PRODUCE")
PROTOCOLS = ("HTTP", "HTTP", "HTTP", "HTTP", "HTTP", "HTTP", "DNS", "DNS", "REDIS", "REDIS", "POSTGRESQL", "KAFKA")
START_MS = 1_795_440_760_210.873


def columns(first: int, count: int) -> dict[str, list[Any]]:
    """Rows as busy services have them: 3,000 clients, 40 servers, 20,000 paths, few errors."""
    numbers = range(first, first + count)
    return {
        "id": [f"20261123T133240Z-node-1-{i >> 15:04d}-{i & 32_767}-{i % 3}" for i in numbers],
        "timestamp": [START_MS + i * 0.137 for i in numbers],
        "protocol": [PROTOCOLS[i % 12] for i in numbers],
        "method": [METHODS[i % 12] for i in numbers],
        "status": [(200, 200, 204, 404, 200, 503)[i * 7 % 6] if i % 12 < 6 else 0 for i in numbers],
        "src": [f"10.{i % 3}.{i % 50}.{i % 20}:{32_768 + i % 1_000}" for i in numbers],
        "dst": [f"10.96.0.{i % 40}:{(80, 53, 6379, 5432)[i % 4]}" for i in numbers],
        "summary": [f"/api/v1/orders/{i * 7_919 % 20_000}?page={i % 3}" for i in numbers],
        "elapsed": [0.05 + i * 31 % 4_000 / 10 for i in numbers],
        "size": [200 + i * 13 % 90_000 for i in numbers],
        "error": [i % 500 == 0 for i in numbers],
    }


app = FastAPI()
encoder = BatchEncoder(0)
ready: list[bytearray] = []  # encoded once: only the query's id differs
QUERY_AT = 4


@app.get("/api/v1/session")
def session() -> dict[str, Any]:
    return {"name": "bench", "role": "viewer", "namespaces": None, "rights": ["read"], "redacted": False, "csrf": ""}


@app.get("/api/v1/info")
def info() -> dict[str, Any]:
    return {"path": "", "packets": ROWS, "flows": 1, "segments": 1}


@app.get("/api/v1/query/check")
def check() -> dict[str, Any]:
    return {"ok": True}


@app.get("/")
def page() -> FileResponse:
    return FileResponse(PAGE / "app" / "index.html")


app.mount("/static", StaticFiles(directory=PAGE))


@app.websocket("/api/v1/ws")
async def socket(wire: WebSocket) -> None:
    await wire.accept(subprotocol="kubeshark.v1")
    state = {"id": 0, "acknowledged": 0}
    sender: asyncio.Task[None] | None = None
    changed = asyncio.Event()
    try:
        while True:
            message = json.loads(await wire.receive_text())
            if message["op"] == "ack" and message["id"] == state["id"]:
                state["acknowledged"] = message["batch"]
                changed.set()
            else:
                if sender is not None:
                    sender.cancel()
                if message["op"] == "query":
                    state |= {"id": message["id"], "acknowledged": 0}
                    sender = asyncio.create_task(send(wire, message, state, changed))
    except WebSocketDisconnect:
        if sender is not None:
            sender.cancel()


async def send(wire: WebSocket, query: dict[str, Any], state: dict[str, int], changed: asyncio.Event) -> None:
    sent = 0

    async def put(batch: bytearray | bytes) -> None:
        nonlocal sent
        sent += 1
        await wire.send_bytes(bytes(batch))
        while sent - state["acknowledged"] >= WINDOW:
            changed.clear()
            await changed.wait()

    await wire.send_text(
        json.dumps({"op": "progress", "id": query["id"], "bytes_read": 0, "bytes_total": 9, "rows": 0})
    )
    for batch in ready:
        batch[QUERY_AT : QUERY_AT + 4] = query["id"].to_bytes(4, "little")
        await put(batch)
    at = ROWS
    while query["kfl"] == "live":
        count = round(LIVE_ROWS * FRAME_S)
        encoded = bytearray(encoder.encode(columns(at, count), "cursor"))
        encoded[QUERY_AT : QUERY_AT + 4] = query["id"].to_bytes(4, "little")
        await asyncio.gather(put(encoded), asyncio.sleep(FRAME_S))
        at += count
    while query["kfl"].startswith("day") and at < int(query["kfl"][3:]):
        encoded = bytearray(encoder.encode(columns(at, 2_000), "cursor"))
        encoded[QUERY_AT : QUERY_AT + 4] = query["id"].to_bytes(4, "little")
        await put(encoded)
        at += 2_000
    done = {"op": "done", "id": query["id"], "rows": at, "cursor": None, "problems": [], "seconds": 1, "bytes_read": 9}
    await wire.send_text(json.dumps(done))


def batches() -> Iterator[dict[str, list[Any]]]:
    yield columns(0, 100)
    for first in range(100, ROWS, 2_000):
        yield columns(first, min(2_000, ROWS - first))


if __name__ == "__main__":
    ready.extend(bytearray(encoder.encode(batch, "cursor")) for batch in batches())
    config = uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
    uvicorn.Server(config).run()
