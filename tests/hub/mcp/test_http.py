"""The Model Context Protocol on a hub: a real client over a real port sees what its token may."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from kubeshark.hub.access._tokens import Tokens
from tests.hub._serving import Hub
from tests.hub.mcp.test_tools import COOKIE

ORACLE = f'request.cookies["session"] == "{COOKIE}"'
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def new_token(hub: Hub, role: Any, **more: Any) -> str:
    return Tokens(hub.home / ".kubeshark/hub").new("assistant", role, **more)[1]


def ask(hub: Hub, token: str, *calls: tuple[str, dict[str, Any]], mode: Any = "auto") -> tuple[set[str], list[Any]]:
    """Return the names of the tools there are, and the answer of each call; the text of an error."""

    async def talk() -> tuple[set[str], list[Any]]:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"http://{hub.address}:{hub.port}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
                answers = []
                for name, given in calls:
                    result = await client.call_tool(name, given)
                    text = result.content[0].text  # type: ignore[union-attr]
                    answers.append(text if result.is_error else json.loads(text))
                return names, answers

    return anyio.run(talk)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_operator_sees_what_the_store_holds(hub: Hub, mode: str) -> None:
    names, (rows, count, captures, wrong, oracle) = ask(
        hub,
        new_token(hub, "operator"),
        ("query", {"kfl": "http", "limit": 500}),
        ("count", {"kfl": "http"}),
        ("captures", {}),
        ("query", {"kfl": "http && nonsense"}),
        ("query", {"kfl": ORACLE}),
        mode=mode,
    )
    assert {"captures", "query", "entry", "flows", "service_map", "export"} <= names
    assert len(rows["rows"]) == count["entries"] == hub.json("/api/v1/query/count?kfl=http")["entries"]
    assert captures["captures"][0]["name"] == "sample.pcapng"
    assert "nonsense" in wrong
    assert oracle["rows"]


def test_a_viewer_sees_no_secret(hub: Hub) -> None:
    found = hub.json(f"/api/v1/query/values?{urlencode({'variable': 'id', 'kfl': ORACLE})}")
    (identifier, *_) = (each["value"] for each in found["values"])
    viewer = new_token(hub, "viewer")
    _, (entry, oracle, har) = ask(
        hub, viewer, ("entry", {"id": identifier}), ("query", {"kfl": ORACLE}), ("export", {"kfl": "http", "limit": 20})
    )
    assert entry["id"] == identifier
    assert oracle["rows"] == []
    assert COOKIE not in json.dumps([entry, har])


def test_whoever_sees_some_namespaces_is_told_of_nothing_else(hub: Hub) -> None:
    names, (rows, count) = ask(
        hub, new_token(hub, "operator", namespaces=["shop"]), ("query", {}), ("count", {"kfl": ""})
    )
    assert "captures" not in names
    assert rows["rows"] == []
    assert count["entries"] == 0


def test_nobody_comes_in_without_a_token_or_from_another_page(hub: Hub) -> None:
    assert hub.ask("POST", "/mcp", PING, token="wrong", **ACCEPT).status == 401
    assert hub.ask("POST", "/mcp", PING, **ACCEPT, Origin="http://evil.example").status == 403
    assert hub.ask("POST", "/mcp", PING, **ACCEPT, Host="evil.example").status == 421
    assert hub.ask("POST", "/mcp", [{}] * 200_000, **ACCEPT).status in (400, 413)
    assert hub.get("/mcp").status == 405
    assert hub.ask("DELETE", "/mcp").status == 405


def test_a_withdrawn_token_ends_it(hub: Hub) -> None:
    tokens = Tokens(hub.home / ".kubeshark/hub")
    token, secret = tokens.new("gone", "viewer")
    assert hub.ask("POST", "/mcp", PING, token=secret, **ACCEPT).status == 200
    tokens.revoke(token.id)
    assert hub.ask("POST", "/mcp", PING, token=secret, **ACCEPT).status == 401


def test_calls_stand_in_the_audit_log(hub: Hub) -> None:
    ask(hub, new_token(hub, "viewer"), ("query", {"kfl": 'host == "very.secret"'}))
    audit = (hub.home / ".kubeshark/hub/audit.jsonl").read_text()
    lines = [json.loads(line) for line in audit.splitlines()]
    assert any(line["action"] == "mcp" and line["tool"] == "query" and line["who"] == "assistant" for line in lines)
    assert "very.secret" not in audit
