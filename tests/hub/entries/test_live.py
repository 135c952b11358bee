"""A query over the WebSocket that goes on live: what is stored, then what comes, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from kubeshark.core_capture.store import load_identities
from kubeshark.hub.access._tokens import Tokens
from tests.hub._serving import Hub, Results, ask_socket, serving
from tests.pipeline._live import LiveCapture
from tests.pipeline._traffic import Capture, Connection, dns


@pytest.fixture(scope="module")
def growing(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose store grows."""
    home = tmp_path_factory.mktemp("growing")
    with serving(home / "store", root, home) as found:
        yield found


def live_capture(hub: Hub, number: int) -> LiveCapture:
    identities = load_identities(hub.home / ".kubeshark" / "identity.age")
    return LiveCapture(Path(hub.store), identities[0], link_type=101, number=number)


def ids(hub: Hub, kfl: str) -> list[str]:
    answer = hub.get(f"/api/v1/query?{urlencode({'kfl': kfl, 'limit': 100_000})}")
    return [json.loads(line)["id"] for line in answer.body.splitlines()]


def test_what_comes_follows_what_is_stored(growing: Hub) -> None:
    capture = live_capture(growing, 7_000)
    traffic = Capture(now_ns=time.time_ns())
    connection = Connection(traffic).open().ask().answer()
    traffic.add(dns(1))
    capture.add(traffic.records)
    stored = ids(growing, "http || dns")
    with growing.socket() as socket:
        got = ask_socket(socket, 1, "http || dns", live=True, columns=["protocol"])
        while got.read() != "live":
            pass
        said = got.said[-1]
        assert (said["rows"], said["problems"], said["dropped"]["segments"]) == (len(stored), [], 0)
        assert got.columns["id"] == stored
        sent = len(traffic.records)
        connection.ask().answer()
        traffic.add(dns(2))
        traffic.add(dns(2, answer=True))
        capture.add(traffic.records[sent:])
        while len(got.columns["id"]) < len(stored) + 2:
            got.read()
        capture.seal()
        fresh = got.columns["id"][len(stored) :]
        assert sorted(fresh) == sorted(set(ids(growing, "http || dns")) - set(stored))
        assert sorted(got.columns["protocol"][len(stored) :]) == ["DNS", "HTTP"]
        socket.send(json.dumps({"op": "cancel", "id": 1}))
        done = got.to_the_end()  # which nothing else ends
        assert (done["op"], done["stopped"], done["rows"]) == ("done", "cancelled", len(stored) + 2)
    with growing.socket() as socket:  # a client that lost its connection goes on where it was
        again = ask_socket(socket, 2, "http || dns", live=True, cursor=got.cursors[-1], columns=[])
        while again.read() != "live":
            pass
        assert again.columns.get("id", []) == []


def test_an_import_shows_up(growing: Hub, root: Path) -> None:
    with growing.socket() as socket:
        got = ask_socket(socket, 1, "redis", live=True, columns=[])
        while got.read() != "live":
            pass
        before = len(got.columns.get("id", []))
        environment = {"HOME": str(growing.home), "PATH": "/usr/bin:/bin"}
        shop = root / "examples" / "captures" / "shop.pcapng.zst"
        command = [sys.executable, "-m", "kubeshark", "import", shop, "--store", growing.store]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        expected = ids(growing, "redis")
        while len(got.columns.get("id", [])) < len(expected):
            got.read()
    assert len(expected) > before
    assert sorted(got.columns["id"]) == sorted(expected)


def test_rules_that_are_set_hold_from_the_next_batch_on(growing: Hub) -> None:
    viewer = Tokens(growing.home / ".kubeshark/hub").new("watching", "viewer")[1]
    operator = Tokens(growing.home / ".kubeshark/hub").new("watching", "operator")[1]
    capture = live_capture(growing, 7_500)
    traffic = Capture(now_ns=time.time_ns())
    connection = Connection(traffic).open()
    sent = 0

    def ask(path: str) -> None:
        nonlocal sent
        connection.ask(f"GET /{path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()).answer()
        capture.add(traffic.records[sent:])
        sent = len(traffic.records)

    def urls(got: Results, number: int) -> list[str]:
        while len(got.columns.get("url", [])) < number:
            got.read()
        return got.columns["url"]

    with growing.socket(token=viewer) as socket, growing.socket(token=operator) as other:
        kfl = 'http && request.headers["host"] == "shop" && src.ip != "0.0.0.0"'
        seen = [ask_socket(each, 1, kfl, live=True, columns=["url"]) for each in (socket, other)]
        for got in seen:
            while got.read() != "live":
                pass
        before = len(seen[0].columns.get("url", []))
        ask("hush111")
        assert "hush111" in urls(seen[0], before + 1)[-1]
        rule = {"kind": "pattern", "match": "hush[0-9]+"}
        assert growing.ask("PUT", "/api/v1/settings", {"redaction": [rule]}).status == 200
        ask("hush222")
        assert "hush" not in urls(seen[0], before + 2)[-1]
        assert growing.ask("PUT", "/api/v1/settings", {"redaction": None}).status == 200
        ask("hush333")
        assert "hush333" in urls(seen[0], before + 3)[-1]
        assert ["hush222" in url for url in urls(seen[1], before + 3)[before:]] == [False, True, False]
        assert len(seen[0].columns["id"]) == len(set(seen[0].columns["id"]))
    capture.seal()


@pytest.mark.parametrize("wrong", [{"order": "newest"}, {"until": "2030-01-01T00:00:00Z"}])
def test_what_has_an_end_is_not_live(growing: Hub, wrong: dict[str, str]) -> None:
    with growing.socket() as socket:
        error = ask_socket(socket, 1, live=True, **wrong).to_the_end()
    assert error["op"] == "error"
    assert "live" in error["message"]


def test_live_queries_leave_turns_to_others(growing: Hub) -> None:
    with growing.socket() as socket:
        watching = [ask_socket(socket, number, "icmp", live=True, columns=[]) for number in range(1, 7)]
        del watching
        other = growing.get(f"/api/v1/query?{urlencode({'kfl': 'http', 'limit': 1})}")
        assert other.status == 200
        with growing.socket() as second:
            assert ask_socket(second, 1, "http", columns=[]).to_the_end()["op"] == "done"
