"""The store over the Model Context Protocol: a real client starts the command, and sees no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from kubeshark import Pipeline

COOKIE = "8f14e45f"


@pytest.fixture(scope="module")
def home(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    sample = root / "examples" / "captures" / "sample.pcapng"
    command = [sys.executable, "-m", "kubeshark", "import", sample, "--store", folder / "store"]
    subprocess.run(command, env={"HOME": str(folder)}, check=True, capture_output=True)
    return folder


def ask(home: Path, *calls: tuple[str, dict[str, Any]], options: tuple[str, ...] = ()) -> list[tuple[Any, bool]]:
    """Start the command as a client does, and return (answer, whether it is an error) of each call."""
    arguments = ["-m", "kubeshark", "mcp", "--store", str(home / "store"), *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env={"HOME": str(home)})

    async def talk() -> list[tuple[Any, bool]]:
        async with Client(server) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"captures", "query", "entry", "flows", "service_map", "export"} <= names
            answers = []
            for name, given in calls:
                result = await client.call_tool(name, given)
                text = result.content[0].text  # type: ignore[union-attr]
                answers.append((text if result.is_error else json.loads(text), bool(result.is_error)))
            return answers

    return anyio.run(talk)


def test_what_a_client_is_told_is_what_the_store_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(home / ".kubeshark" / "identity.age"))
    with Pipeline.open(home / "store", create=False) as pipeline:
        http = list(pipeline.query("http"))
        connections = list(pipeline.query("conn"))
    with_cookie = next(entry for entry in http if entry.get("request.cookies"))
    answers = ask(
        home,
        ("captures", {}),
        ("query", {"kfl": "http", "limit": 500}),
        ("count", {"kfl": "http"}),
        ("entry", {"id": with_cookie.id}),
        ("flows", {"limit": 500}),
        ("service_map", {"kfl": "http"}),
        ("export", {"kfl": "http && status_code >= 400"}),
        ("query", {"kfl": f'request.cookies["session"] == "{COOKIE}"'}),
        ("query", {"kfl": "http && nonsense"}),
        ("entry", {"id": "20000101T000000Z-x-0001-0-0"}),
        ("query", {"kfl": "http", "limit": 10_000}),
        ("export", {"kfl": "http", "limit": 500}),  # with its bodies more than is given at once
    )
    assert [is_error for _, is_error in answers] == [False] * 8 + [True] * 4
    captures, rows, count, entry, flows, edges, har, oracle, wrong, *_ = (answer for answer, _ in answers)
    assert captures["captures"][0]["name"] == "sample.pcapng"
    assert [row["id"] for row in rows["rows"]] == [each.id for each in http]
    assert count["entries"] == edges["entries"] == len(http)
    assert entry["id"] == with_cookie.id
    assert len(flows["flows"]) == len(connections)
    assert len(har["log"]["entries"]) == sum(each.get("status_code") >= 400 for each in http)
    assert COOKIE not in json.dumps([rows, entry, har])
    assert oracle["rows"] == []
    assert "nonsense" in wrong


def test_its_user_may_show_everything(home: Path) -> None:
    ((found, _),) = ask(home, ("query", {"kfl": f'request.cookies["session"] == "{COOKIE}"'}), options=("--no-redact",))
    assert found["rows"]
