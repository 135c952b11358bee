"""Where a store may be served, and what is said when it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from kubeshark import Pipeline
from kubeshark.errors import StoreError, UsageError
from kubeshark.hub import serve


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with Pipeline.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Servers that would have run: (gate, sockets)."""
    servers: list[Any] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        servers.append((self.config.app, sockets))
        for listener in sockets:
            listener.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return servers


def start(pipeline: Pipeline, host: str = "127.0.0.1", port: int = 0, *, insecure: bool = False) -> str:
    announced: list[str] = []
    serve(pipeline, host=host, port=port, insecure=insecure, announce=announced.append)
    (url,) = announced
    return url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test", "127.1", ""])
def test_addresses_that_others_can_reach_are_refused(pipeline: Pipeline, ran: list[Any], host: str) -> None:
    with pytest.raises(UsageError, match="--insecure"):
        start(pipeline, host)
    assert ran == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_this_machine_is_served(pipeline: Pipeline, ran: list[Any], host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    url = start(pipeline, host)
    shown = f"[{host}]" if ":" in host else host
    assert url.startswith(f"http://{shown}:")
    ((gate, _),) = ran
    port = url.split("/?")[0].rsplit(":", 1)[1]
    assert gate._hosts == {f"{shown}:{port}", f"localhost:{port}"}
    assert url.endswith(f"/?token={gate._token}")


def test_insecure_is_the_callers_choice(pipeline: Pipeline, ran: list[Any]) -> None:
    assert start(pipeline, "0.0.0.0", insecure=True).startswith("http://0.0.0.0:")
    ((gate, _),) = ran
    assert gate._hosts is None  # every address of this machine is served, by whatever name; the token remains


def test_each_run_has_a_token_of_its_own(pipeline: Pipeline, ran: list[Any]) -> None:
    assert start(pipeline).split("token=")[1] != start(pipeline).split("token=")[1]


def test_a_port_in_use_is_said(pipeline: Pipeline, ran: list[Any]) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StoreError, match=f"cannot serve on 127.0.0.1 port {port}: .*in use: try --port 0"):
            start(pipeline, port=port)
    assert ran == []


def test_an_address_that_is_not_ours_is_said(pipeline: Pipeline, ran: list[Any]) -> None:
    with pytest.raises(StoreError, match=r"cannot serve on 192\.0\.2\.1"):
        start(pipeline, "192.0.2.1", insecure=True)
