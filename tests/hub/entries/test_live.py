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
from tests.hub._serving import Hub, ask_socket, serving
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
