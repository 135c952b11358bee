"""An answer that nobody waits for is not worked on: the client's socket is closed in the middle, or the hub ends."""

from __future__ import annotations

import json
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from kubeshark.hub.access._tokens import Tokens
from kubeshark.hub.answers._client import Client, ClientGone, listening
from kubeshark.hub.state._pool import QueryPool
from tests.hub import _large
from tests.hub._serving import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

large = _large.large  # the fixture
BOUND_S = 60  # of a busy machine: a query over the large store takes longer


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + BOUND_S
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def figure(hub: Hub, name: str) -> float:
    found = re.search(rf"^kubeshark_{name}(?:_total)? (\S+)$", hub.get("/metrics").body.decode(), re.MULTILINE)
    assert found
    return float(found.group(1))


@contextmanager
def asked(hub: Hub, path: str, method: str = "GET", body: Any = None, *, token: str = "") -> Iterator[socket.socket]:
    """A request whose answer nobody has read yet."""
    content = b"" if body is None else json.dumps(body).encode()
    target = path if path.startswith("/") else f"/api/v1/{path}"
    with closing(socket.create_connection((hub.address, hub.port), timeout=BOUND_S)) as wire:
        wire.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: {hub.address}:{hub.port}\r\n"
            f"Content-Length: {len(content)}\r\nAccept: application/json, text/event-stream\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {token or hub.token}\r\n\r\n".encode()
            + content
        )
        yield wire


@pytest.mark.parametrize(
    "path",
    [
        "map",
        "map?layer=7&progress=true",
        "timeline",
        "timeline?progress=true",
        "query/histogram",
        "query/count?kfl=path+%3D%3D+%22x%22",
        "query/explain",
        "query/values?variable=path&look_at=1000000",
        "query?kfl=path+%3D%3D+%22x%22",
        "export?format=har&kfl=path+%3D%3D+%22x%22",
        "export?format=pcap&kfl=path+%3D%3D+%22x%22",
    ],
)
def test_work_ends_when_the_client_has_gone(large: Hub, path: str) -> None:
    before = figure(large, "queries_cancelled")
    with asked(large, path):
        until(lambda: figure(large, "queries_running") == 1)
    until(lambda: figure(large, "queries_running") == 0)
    if not path.startswith("export"):  # those are downloads, counted as such
        until(lambda: figure(large, "queries_cancelled") > before)


def test_a_body_that_was_read_hides_no_disconnect(large: Hub) -> None:
    before = figure(large, "queries_cancelled")
    wish = {"subject": "host", "kfl": 'path == "x"'}
    with asked(large, "firewall/learn", "POST", wish):
        until(lambda: figure(large, "queries_running") == 1)
    until(lambda: figure(large, "queries_running") == 0 and figure(large, "queries_cancelled") > before)


@pytest.mark.parametrize("tool", ["count", "query", "service_map", "flows", "export"])
def test_a_tool_of_an_assistant_that_has_gone_ends(large: Hub, tool: str) -> None:
    before = figure(large, "queries_cancelled")
    call = {"name": tool, "arguments": {"kfl": 'path == "x"'}}
    with asked(large, "/mcp", "POST", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}):
        until(lambda: figure(large, "queries_running") == 1)
    until(lambda: figure(large, "queries_running") == 0 and figure(large, "queries_cancelled") > before)


def test_the_check_of_a_store_ends_with_who_asked_for_it(large: Hub) -> None:
    before = figure(large, "queries_cancelled")
    with asked(large, "store/verify", "POST"):
        until(lambda: figure(large, "queries_running") == 1)
    until(lambda: figure(large, "queries_running") == 0 and figure(large, "queries_cancelled") > before)


def test_who_waits_for_a_turn_goes_too(large: Hub) -> None:
    with asked(large, "map"), asked(large, "map"), asked(large, "map"), asked(large, "map"):
        until(lambda: figure(large, "queries_running") + figure(large, "queries_waiting") == 4)
        with asked(large, "map"):
            until(lambda: figure(large, "queries_waiting") >= 1)
    until(lambda: figure(large, "queries_running") + figure(large, "queries_waiting") == 0)


def test_a_hub_that_is_told_to_end_does_not_finish_a_sum(large: Hub) -> None:
    command = [sys.executable, "-m", "kubeshark", "serve", "--store", str(large.store), "--port", "0"]
    environment = {"HOME": str(large.home), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        hub = Hub(found.group())
        with asked(hub, "timeline") as wire:
            until(lambda: figure(hub, "queries_running") == 1)
            process.send_signal(signal.SIGINT)
            answer = b"".join(iter(lambda: wire.recv(1 << 16), b""))
        process.wait(BOUND_S)
        complaints = process.stderr.read()
    assert not answer.startswith(b"HTTP/1.1 200")
    assert "Traceback" not in complaints
    assert "graceful" not in complaints


class _Hub:
    """What a client knows of a hub."""

    def __init__(self) -> None:
        self.pool, self.is_ending, self.cancelled = QueryPool(turns=1), False, 0
        self.figures = self

    def add(self, *, queries_cancelled: int) -> None:
        self.cancelled += queries_cancelled


def test_a_turn_ends_with_who_it_was_for() -> None:
    hub: Any = _Hub()
    client = Client(hub)
    with client.turn():
        assert hub.pool.running == 1
    with pytest.raises(ClientGone), client.turn():  # what was made of half a result goes nowhere
        client.is_gone = True
    assert (hub.pool.running, hub.cancelled) == (0, 1)
    hub.pool.take()
    with pytest.raises(ClientGone), client.turn():
        raise AssertionError
    assert (hub.pool.running, hub.cancelled) == (1, 2)


def test_the_end_of_a_body_is_not_the_end_of_its_sender() -> None:
    hub: Any = _Hub()
    client = Client(hub)
    messages = iter(["http.request", "http.request", "http.disconnect"])

    async def receive() -> dict[str, Any]:
        assert not client.is_gone
        return {"type": next(messages)}

    anyio.run(listening, receive, client)
    assert client.is_gone


def test_the_client_is_there_while_it_reads(hub: Hub, tmp_path: Path) -> None:
    lines = hub.get("/api/v1/timeline?progress=true").body.splitlines()
    assert json.loads(lines[-1])["op"] == "done"
    assert hub.get("/api/v1/export?format=pcap").body[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")


def test_one_who_asks_for_too_much_is_refused_and_nobody_else_waits(large: Hub) -> None:
    viewer = Tokens(large.home / ".kubeshark/hub").new("greedy", "viewer")[1]
    with ExitStack() as stack:
        wires = [stack.enter_context(asked(large, "map?kfl=path+%3D%3D+%22x%22", token=viewer)) for _ in range(45)]
        until(lambda: figure(large, "queries_running") + figure(large, "queries_waiting") == 32)
        for path in ("/", "/api/v1/health", "/api/v1/session", "/static/icon.svg"):
            began = time.monotonic()
            assert large.get(path).status == 200
            assert time.monotonic() - began < 5
        refused = large.get("/api/v1/query/count", token=viewer)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "too many queries wait" in json.loads(refused.body)["error"]
        assert large.get("/api/v1/query/check?kfl=http", token=viewer).status == 200
        ready, _, _ = select.select(wires, [], [], 1)
        assert len(ready) == 45 - 32
    until(lambda: figure(large, "queries_running") + figure(large, "queries_waiting") == 0)
    assert large.get("/api/v1/query?limit=1", token=viewer).status == 200
