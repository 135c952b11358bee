"""The gate, without a server: what passes, what is refused, and that nothing slips by."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from kubeshark import Pipeline
from kubeshark.hub.access._sessions import Sessions
from kubeshark.hub.gate._gate import COOKIE, CSRF_HEADER, SECURITY_HEADERS, Gate, new_token
from kubeshark.hub.state._hub import Hub
from tests.hub._serving import ask_socket, serving

TOKEN = "t0ken-of-the-test"
HOST = "127.0.0.1:8899"
ORIGIN = f"http://{HOST}"
BEARER = {"authorization": f"Bearer {TOKEN}"}


class Inside:
    """The application behind the gate: remembers who came through."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope["type"])
        if scope["type"] == "http":
            while (await receive()).get("more_body"):
                pass
            await PlainTextResponse("inside")(scope, receive, send)


Answer = tuple[int, dict[str, str], Inside]


class Door:
    """A gate in front of an application that only remembers."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def __call__(
        self,
        headers: dict[str, str],
        *,
        method: str = "GET",
        path: str = "/",
        query: str = "",
        kind: str = "http",
        body: tuple[bytes, ...] = (b"",),
    ) -> Answer:
        """Return (status, headers of the answer, application); a refused websocket's status is its close code."""
        inside, sent = Inside(), list[Message]()
        gate = Gate(inside, self.hub, token=TOKEN, hosts=frozenset({HOST, "localhost:8899"}))
        scope: dict[str, Any] = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "client": ("192.0.2.9", 4711),
            "headers": [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()],
        }
        pieces = list(body)

        async def receive() -> Message:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(gate(scope, receive, send))
        first = sent[0] if sent else {}
        answered = {name.decode(): value.decode() for name, value in first.get("headers", [])}
        return first.get("status", first.get("code", 0)), answered, inside

    def log_in(self, token: str = TOKEN) -> dict[str, str]:
        """Return the headers of a browser's page."""
        _, answered, _ = self({}, query=f"token={token}")
        cookie = SimpleCookie(answered["set-cookie"])[COOKIE].value
        return {"cookie": f"{COOKIE}={cookie}", "origin": ORIGIN, CSRF_HEADER: self.hub.sessions.csrf(cookie)}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Pipeline.open(tmp_path / "store") as pipeline:
        yield Hub(pipeline, tmp_path / "hub", Sessions(b"k" * 32))


@pytest.fixture
def ask(hub: Hub) -> Door:
    return Door(hub)


def test_a_program_with_the_token_comes_in(ask: Door) -> None:
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
        {"cookie": f"{COOKIE}=wrong"},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": COOKIE},
        {"cookie": 'a="\\'},
    ],
)
def test_without_the_token_nothing_is_seen(ask: Door, headers: dict[str, str]) -> None:
    status, answered, inside = ask(headers)
    assert (status, inside.seen) == (401, [])
    assert SECURITY_HEADERS.items() <= answered.items()


def test_the_token_in_the_url_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(ask: Door) -> None:
    status, answered, inside = ask({}, path="/page", query=f"a=1&token={TOKEN}&b=")
    assert (status, answered["location"], inside.seen) == (303, "/page?a=1&b=", [])
    morsel = SimpleCookie(answered["set-cookie"])[COOKIE]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "strict", "/")
    assert TOKEN not in morsel.value
    assert ask({"cookie": f"x=1; {COOKIE}={morsel.value}"})[0] == 200
    assert ask({"cookie": f"{COOKIE}={morsel.value[:-1]}"})[0] == 401
    assert answered["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["//evil.example/", "///evil.example/", "//evil.example:80/a", "/\\evil.example/"])
def test_no_redirect_leads_off_the_host(ask: Door, path: str) -> None:
    status, answered, _ = ask({}, path=path, query=f"token={TOKEN}")
    assert status == 303
    assert urlsplit(urljoin(f"http://{HOST}{path}", answered["location"])).netloc == HOST
    assert answered["location"][:2] not in ("//", "/\\")


def test_a_wrong_token_in_the_url_does_nothing(ask: Door) -> None:
    assert ask({}, query="token=wrong")[0] == 401
    assert ask(BEARER, query="token=wrong")[0] == 200
    assert ask({}, query=f"token=&token={TOKEN}")[0] == 401  # the first one counts
    assert "set-cookie" not in ask({}, query="token=%ff")[1]


def test_only_reading_moves_the_token(ask: Door) -> None:
    assert ask({}, method="POST", query=f"token={TOKEN}")[0] == 401
    assert ask({}, method="HEAD", query=f"token={TOKEN}")[0] == 303


@pytest.mark.parametrize("host", ["", "evil.example:8899", "127.0.0.1", "127.0.0.1:80", "localhost.:8899"])
def test_another_name_that_leads_here_reaches_nothing(ask: Door, host: str) -> None:
    status, _, inside = ask(BEARER | {"host": host})
    assert (status, inside.seen) == (421, [])


@pytest.mark.parametrize(
    ("origin", "status"),
    [(f"http://{HOST}", 200), ("http://evil.example", 403), ("null", 403), (f"https://{HOST}", 403), ("", 403)],
)
def test_other_origins_change_nothing(ask: Door, origin: str, status: int) -> None:
    assert ask(BEARER | {"origin": origin}, method="POST")[0] == status
    assert ask(BEARER | {"origin": origin}, method="GET")[0] == 200  # what it reads it cannot see: no CORS headers


def test_every_answer_carries_the_security_headers(ask: Door) -> None:
    for headers in (BEARER, {}, BEARER | {"host": "evil"}):
        assert SECURITY_HEADERS.items() <= ask(headers)[1].items()


def test_a_websocket_opens_for_programs_and_for_pages_of_our_origin_alone(ask: Door) -> None:
    page = ask.log_in()
    for headers in (BEARER, page, BEARER | {"origin": ORIGIN}):
        assert ask(headers, kind="websocket")[2].seen == ["websocket"]
    cookie = {"cookie": page["cookie"]}
    for headers in (
        {},
        cookie,
        cookie | {"origin": "http://evil.example"},
        cookie | {"origin": "null"},
        BEARER | {"origin": "http://evil.example"},
        page | {"host": "evil.example:8899"},
        {"cookie": f"{COOKIE}=wrong", "origin": ORIGIN},
    ):
        status, _, inside = ask(headers, kind="websocket")
        assert (status, inside.seen) == (1008, [])


def test_a_page_changes_something_only_with_the_token_against_forgery(ask: Door) -> None:
    page = ask.log_in()
    assert ask(page, method="POST")[0] == 200
    for headers in (
        page | {CSRF_HEADER: "wrong"},
        {"cookie": page["cookie"]},
        {"cookie": page["cookie"], "origin": ORIGIN},
        page | {"origin": "http://evil.example"},
    ):
        status, _, inside = ask(headers, method="POST")
        assert (status, inside.seen) == (403, [])


def test_sessions_end_with_their_token(ask: Door) -> None:
    token, text = ask.hub.tokens.new("ci", "viewer", namespaces=["shop"])
    page = ask.log_in(text)
    assert ask(page)[0] == ask({"authorization": f"Bearer {text}"})[0] == 200
    ask.hub.tokens.revoke(token.id)
    assert ask(page)[0] == ask({"authorization": f"Bearer {text}"})[0] == 401


def test_bodies_have_a_limit_whether_they_say_their_length_or_not(ask: Door) -> None:
    large = (b"x" * 600_000, b"x" * 600_000)
    assert ask(BEARER | {"content-length": "1200000"}, method="POST", body=large)[0] == 413
    assert ask(BEARER, method="POST", body=large)[0] == 413
    assert ask(BEARER, method="POST", path="/api/v1/imports", body=large)[0] == 200
    assert ask(BEARER, method="POST", body=large[:1])[0] == 200


def test_wrong_tokens_are_tried_slowly_and_right_ones_still_come_in(ask: Door) -> None:
    answers = [ask({"authorization": "Bearer guess"}) for _ in range(40)]
    assert answers[0][0] == 401
    assert (answers[-1][0], int(answers[-1][1]["retry-after"]) > 0) == (429, True)
    assert ask(BEARER)[0] == 200
    assert ask({})[0] == 401  # who tries nothing is told what to do


def test_a_client_that_asks_too_often_waits(ask: Door) -> None:
    statuses = {ask(BEARER)[0] for _ in range(900)}
    assert statuses == {200, 429}


def test_what_is_logged_has_no_secret(ask: Door) -> None:
    ask.log_in()
    ask({"authorization": "Bearer stolen-secret"})
    text = ask.hub.audit.path.read_text()
    outcomes = [(line["action"], line["outcome"], line["client"]) for line in map(json.loads, text.splitlines())]
    assert outcomes == [("log in", "ok", "192.0.2.9"), ("log in", "refused", "192.0.2.9")]
    assert TOKEN not in text
    assert "stolen-secret" not in text


def test_the_servers_own_messages_pass(ask: Door) -> None:
    assert ask({}, kind="lifespan")[2].seen == ["lifespan"]


def test_tokens_are_long_and_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


CHANGES = (
    ("POST", "/api/v1/imports?name=x.pcap"),
    ("POST", "/api/v1/store/prune"),
    ("POST", "/api/v1/snapshots"),
    ("PUT", "/api/v1/settings"),
    ("PUT", "/api/v1/firewall/policies/x"),
    ("DELETE", "/api/v1/plugins/x"),
)


def test_nobody_changes_what_is_served_read_only(root: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "store", root, tmp_path, options=("--read-only",)) as hub:
        assert hub.json("/api/v1/session")["rights"] == ["clear", "raw", "read"]
        for method, path in CHANGES:
            answer = hub.ask(method, path, {})
            assert (answer.status, json.loads(answer.body)["error"]) == (
                403,
                "this hub was started with --read-only: nobody may change anything",
            ), path
        assert hub.get("/api/v1/export?kfl=dns").status == 200
        with hub.socket() as socket:
            assert ask_socket(socket, 1, "dns").to_the_end()["op"] == "done"
