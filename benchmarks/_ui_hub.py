"""Row 10, the hub's part: a query over a store, as the page asks it. Times on the wall, between two processes."""

from __future__ import annotations

import json
import os
import re
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._measure import Result
from benchmarks._workload import make_capture

__all__ = ["run"]

SHOP = Path(__file__).resolve().parents[1] / "examples" / "captures" / "sample.pcapng"
COLUMNS = ["timestamp", "protocol", "method", "status", "src", "dst", "summary", "elapsed", "size", "error"]
RUNS = 7
NO_ROWS = "what is not there"
CASES = (
    ("everything", ""),
    (NO_ROWS, 'http && path == "/nowhere"'),
    ("by status", "http && status_code >= 500"),
)


def run(scratch: Path, size: int) -> list[Result]:
    """Import `size` bytes of packets, serve them, and ask; medians of seven queries each."""
    from websockets.sync.client import connect

    store, capture = scratch / "store", scratch / "capture.pcap"
    environment = os.environ | {
        "KUBESHARK_IDENTITY": str(scratch / "identity.age"),
        "KUBESHARK_PLUGINS": str(scratch / "plugins"),
        "KUBESHARK_HUB": str(scratch / "hub"),
    }
    make_capture(SHOP, capture, size)
    command = [sys.executable, "-m", "kubeshark"]
    subprocess.run(
        [*command, "import", capture, "--store", store], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    capture.unlink()
    with _serving([*command, "serve", "--store", str(store), "--port", "0", "--no-browser"], environment) as url:
        host, token = re.fullmatch(r"http://([^/]+)/\?token=(.+)", url).groups()  # type: ignore[union-attr]
        wire = connect(
            f"ws://{host}/api/v1/ws",
            additional_headers={"Authorization": f"Bearer {token}", "Origin": f"http://{host}"},
            subprotocols=["kubeshark.v1"],  # type: ignore[list-item]
            max_size=None,
        )
        with wire:
            asked = [(name, _ask(wire, at * 1000, kfl)) for at, (name, kfl) in enumerate(CASES, 1)]
            cancelled = [_cancel(wire, 10_000 + at) for at in range(RUNS)]
    about = f"{size / 1e9:.3g} GB of packets; on the wall"
    results = []
    for name, found in asked:
        progress, first = (statistics.median(column) for column in zip(*found, strict=True))
        results.append(_result(f"query, {name}: ms to the first progress", progress, 100, about))
        if name != NO_ROWS:
            results.append(_result(f"query, {name}: ms to the first rows", first, 1_000, about))
    results.append(_result("query: ms from cancel to its end", statistics.median(cancelled), 200, about))
    return results


def _ask(wire: Any, first: int, kfl: str) -> list[tuple[float, float]]:
    """Return ms to the first progress, and to the first rows or the end, of some queries."""
    found = []
    for query in range(first, first + RUNS):
        began = time.perf_counter()
        _send(wire, op="query", id=query, kfl=kfl, limit=1_000_000, order="oldest", columns=COLUMNS)
        progress = rows = 0.0
        for message in _messages(wire, query):
            now = (time.perf_counter() - began) * 1000
            progress = progress or now
            if message["op"] in ("batch", "done"):
                rows = now
                break
        found.append((progress, rows))
        _end(wire, query, message)
    return found


def _cancel(wire: Any, query: int) -> float:
    _send(wire, op="query", id=query, kfl='path == "/nowhere"', limit=1_000_000, order="oldest", columns=COLUMNS)
    time.sleep(0.15)  # it is in the middle of it
    began = time.perf_counter()
    _send(wire, op="cancel", id=query)
    for message in _messages(wire, query):
        if message["op"] == "done":
            return (time.perf_counter() - began) * 1000
    raise AssertionError("the query did not end")


def _end(wire: Any, query: int, message: dict[str, Any]) -> None:
    if message["op"] == "done":
        return
    _send(wire, op="cancel", id=query)
    for each in _messages(wire, query):
        if each["op"] == "done":
            return


def _messages(wire: Any, query: int) -> Iterator[dict[str, Any]]:
    """Yield what comes for a query; batches, which are acknowledged, as {"op": "batch"}."""
    while True:
        data = wire.recv(timeout=120)
        if isinstance(data, str):
            message = json.loads(data)
            if message["op"] == "error":
                raise AssertionError(message["message"])
            if message["id"] == query:
                yield message
            continue
        _, its, batch = struct.unpack_from("<III", data)
        if its == query:
            _send(wire, op="ack", id=query, batch=batch)
            yield {"op": "batch"}


def _send(wire: Any, **message: Any) -> None:
    wire.send(json.dumps(message))


@contextmanager
def _serving(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise RuntimeError("the hub does not start")
            yield found.group()
        finally:
            process.terminate()


def _result(case: str, value: float, target: float, note: str) -> Result:
    return Result(10, case, "(the hub)", round(value, 3), target, "lower", note)
