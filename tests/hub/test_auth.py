"""The gate, without a server: what passes, what is refused, and that nothing slips by."""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from kubeshark.hub._auth import SECURITY_HEADERS, Gate, new_token

TOKEN = "t0ken-of-the-test"
HOST = "127.0.0.1:8899"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Inside:
    """The application behind the gate: remembers who came through."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope["type"])
        if scope["type"] == "http":
            await PlainTextResponse("inside")(scope, receive, send)


def ask(
    headers: dict[str, str], *, method: str = "GET", path: str = "/", query: str = "", kind: str = "http"
) -> tuple[int, dict[str, str], Inside]:
    """Return (status, headers of the answer, application); the status of a refused websocket is its close code."""
    inside, sent = Inside(), list[Message]()
    gate = Gate(inside, token=TOKEN, hosts=frozenset({HOST, "localhost:8899"}))
    scope: dict[str, Any] = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    first = sent[0] if sent else {}
    answered = {name.decode(): value.decode() for name, value in first.get("headers", [])}
    return first.get("status", first.get("code", 0)), answered, inside


def test_a_program_with_the_token_comes_in() -> None:
    for headers in (BEARER, {"authorization": f"bearer {TOKEN}"}, BEARER | {"host": "localhost:8899"}):
        status, _, inside = ask(headers)
        assert (status, inside.seen) == (200, ["http"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer \xff\xfe"},
        {"cookie": f"other={TOKEN}"},
        {"cookie": "kubeshark_token=wrong"},
        {"cookie": "kubeshark_token"},
        {"cookie": 'a="\\'},
    ],
)
def test_without_the_token_nothing_is_seen(headers: dict[str, str]) -> None:
    status, answered, inside = ask(headers)
    assert (status, inside.seen) == (401, [])
    assert SECURITY_HEADERS.items() <= answered.items()


def test_the_token_in_the_url_becomes_a_cookie_that_scripts_and_other_sites_cannot_use() -> None:
    status, answered, inside = ask({}, path="/page", query=f"a=1&token={TOKEN}&b=")
    assert (status, answered["location"], inside.seen) == (303, "/page?a=1&b=", [])
    morsel = SimpleCookie(answered["set-cookie"])["kubeshark_token"]
    assert (morsel.value, morsel["httponly"], morsel["samesite"], morsel["path"]) == (TOKEN, True, "strict", "/")
    assert ask({"cookie": f"x=1; kubeshark_token={morsel.value}"})[0] == 200
    assert answered["cache-control"] == "no-store"


def test_a_wrong_token_in_the_url_does_nothing() -> None:
    assert ask({}, query="token=wrong")[0] == 401
    assert ask(BEARER, query="token=wrong")[0] == 200
    assert ask({}, query=f"token=&token={TOKEN}")[0] == 401  # the first one counts
    assert "set-cookie" not in ask({}, query="token=%ff")[1]


def test_only_reading_moves_the_token() -> None:
    assert ask({}, method="POST", query=f"token={TOKEN}")[0] == 401
    assert ask({}, method="HEAD", query=f"token={TOKEN}")[0] == 303


@pytest.mark.parametrize("host", ["", "evil.example:8899", "127.0.0.1", "127.0.0.1:80", "localhost.:8899"])
def test_another_name_that_leads_here_reaches_nothing(host: str) -> None:
    status, _, inside = ask(BEARER | {"host": host})
    assert (status, inside.seen) == (421, [])


@pytest.mark.parametrize(
    ("origin", "status"),
    [(f"http://{HOST}", 200), ("http://evil.example", 403), ("null", 403), (f"https://{HOST}", 403), ("", 403)],
)
def test_other_origins_change_nothing(origin: str, status: int) -> None:
    assert ask(BEARER | {"origin": origin}, method="POST")[0] == status
    assert ask(BEARER | {"origin": origin}, method="GET")[0] == 200  # what it reads it cannot see: no CORS headers


def test_every_answer_carries_the_security_headers() -> None:
    for headers in (BEARER, {}, BEARER | {"host": "evil"}):
        assert SECURITY_HEADERS.items() <= ask(headers)[1].items()


def test_a_websocket_is_closed_before_it_opens() -> None:
    for headers in ({}, BEARER):
        status, _, inside = ask(headers, kind="websocket")
        assert (status, inside.seen) == (1008, [])


def test_the_servers_own_messages_pass() -> None:
    assert ask({}, kind="lifespan")[2].seen == ["lifespan"]


def test_tokens_are_long_and_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43
