"""An open WebSocket ends with what let it in: a token that was withdrawn or has expired, a session that was left."""

from __future__ import annotations

import asyncio
import json
import time
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from kubeshark import Pipeline
from kubeshark.hub.access._sessions import Sessions
from kubeshark.hub.access._tokens import Tokens
from kubeshark.hub.gate._gate import COOKIE, Gate
from kubeshark.hub.gate._sockets import SIGNED_OUT
from kubeshark.hub.state._hub import Hub as State
from tests.hub._serving import Hub, ask_socket

WITHIN_S = 20


@pytest.fixture
def tokens(hub: Hub) -> Tokens:
    return Tokens(hub.home / ".kubeshark/hub")


def ended(socket: ClientConnection) -> int:
    """Return the code that a socket is closed with; what comes until then is of no interest."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            socket.recv(timeout=WITHIN_S)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


def test_a_message_of_a_withdrawn_token_is_not_answered(hub: Hub, tokens: Tokens) -> None:
    token, secret = tokens.new("passing", "viewer")
    with hub.socket(token=secret) as socket:
        assert ask_socket(socket, 1, "http", limit=1).to_the_end()["op"] == "done"
        tokens.revoke(token.id)
        socket.send(json.dumps({"op": "query", "id": 2, "kfl": "http"}))
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=WITHIN_S)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == SIGNED_OUT


def test_a_live_query_ends_with_its_token_though_its_client_says_nothing(hub: Hub, tokens: Tokens) -> None:
    token, secret = tokens.new("passing", "viewer")
    with hub.socket(token=secret) as socket:
        got = ask_socket(socket, 1, "http", live=True, columns=[])
        while got.read() != "live":
            pass
        tokens.revoke(token.id)
        assert ended(socket) == SIGNED_OUT


def test_it_ends_when_its_token_expires(hub: Hub, tokens: Tokens) -> None:
    with hub.socket(token=tokens.new("brief", "viewer", lasts_s=2)[1]) as socket:
        assert ended(socket) == SIGNED_OUT


def test_the_events_of_firewalls_end_too(hub: Hub, tokens: Tokens) -> None:
    token, secret = tokens.new("passing", "viewer")
    url = f"ws://{hub.address}:{hub.port}/api/v1/firewall/events"
    with connect(url, additional_headers={"Authorization": f"Bearer {secret}"}) as socket:
        tokens.revoke(token.id)
        assert ended(socket) == SIGNED_OUT


def test_it_ends_with_the_session_that_is_left_and_another_of_the_same_person_goes_on(hub: Hub) -> None:
    def log_in() -> dict[str, str]:
        answer = hub.get(f"/?token={hub.token}", token="")
        cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE].value
        return {"Cookie": f"{COOKIE}={cookie}", "Origin": f"http://{hub.address}:{hub.port}"}

    url = f"ws://{hub.address}:{hub.port}/api/v1/ws"
    page, other = log_in(), log_in()
    csrf = json.loads(hub.get("/api/v1/session", token="", **page).body)["csrf"]
    with (
        connect(url, subprotocols=["kubeshark.v1"], additional_headers=page) as socket,  # type: ignore[list-item]
        connect(url, subprotocols=["kubeshark.v1"], additional_headers=other) as stays,  # type: ignore[list-item]
    ):
        left = hub.ask("DELETE", "/api/v1/session", token="", **page, **{"X-CSRF-Token": csrf})
        assert left.status == 204
        assert hub.get("/api/v1/session", token="", **page).status == 401
        assert ended(socket) == SIGNED_OUT
        assert ask_socket(stays, 1, "http", limit=1).to_the_end()["op"] == "done"


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_go_on(tmp_path: Path) -> None:
    sent: list[Message] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        hub.tokens.path.write_text("no list")
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="signed out"):
            await send({"type": "websocket.send", "text": "a row"})

    async def say(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        await asyncio.sleep(WITHIN_S)
        raise AssertionError

    with Pipeline.open(tmp_path / "store") as pipeline:
        hub = State(pipeline, tmp_path / "hub", Sessions(b"k" * 32))
        secret = hub.tokens.new("ci", "viewer")[1]
        headers = [(b"host", b"hub"), (b"authorization", f"Bearer {secret}".encode())]
        scope = {"type": "websocket", "path": "/", "headers": headers, "query_string": b""}
        began = time.monotonic()
        asyncio.run(Gate(inside, hub, token="t", hosts=None)(scope, nothing, say))
    assert [message["code"] for message in sent] == [SIGNED_OUT]
    assert time.monotonic() - began < WITHIN_S
