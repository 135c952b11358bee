"""Queries over the WebSocket: the rows are those of the list, in batches, no faster than the client takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from kubeshark.hub.entries._columns import _milliseconds
from tests.hub._serving import Hub, Results, ask_socket, serving


@pytest.fixture(scope="module")
def shop(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """More entries than four batches hold."""
    home = tmp_path_factory.mktemp("shop")
    with serving(home / "store", root, home, capture="shop.pcapng.zst") as found:
        yield found


def rows(hub: Hub, kfl: str = "") -> list[dict[str, Any]]:
    answer = hub.get(f"/api/v1/query?{urlencode({'kfl': kfl, 'limit': 100_000})}")
    return [json.loads(line) for line in answer.body.splitlines()]


def end(side: dict[str, Any]) -> str:
    return f"[{side['ip']}]:{side['port']}" if ":" in side["ip"] else f"{side['ip']}:{side['port']}"


def test_the_columns_are_the_rows_of_the_list(hub: Hub) -> None:
    with hub.socket() as socket:
        got = ask_socket(socket, 1, limit=100_000)
        done = got.to_the_end()
    expected = rows(hub)
    assert (done["rows"], done["cursor"], done["stopped"], done["problems"]) == (len(expected), None, "", [])
    columns = got.columns
    assert columns["id"] == [row["id"] for row in expected] != []
    for name in ("method", "status", "summary", "size"):
        assert columns[name] == [row[name] for row in expected], name
    assert columns["src"] == [end(row["src"]) for row in expected]
    assert columns["dst"] == [end(row["dst"]) for row in expected]
    for value, row in zip(columns["timestamp"], expected, strict=True):
        assert row["timestamp"] <= value < row["timestamp"] + 1.001
    assert [int(value) for value in columns["elapsed"]] == [row["elapsedTime"] for row in expected]


def test_a_time_in_a_list_is_never_later_than_the_entrys() -> None:
    begin = 1_700_000_000_000_000_000
    for ns in (begin, begin + 999_999, begin + 999_999_999, begin - 1, begin + 1_000_000 - 122, 2**61 - 1, 0):
        value = _milliseconds(ns)
        assert math.floor(value) == ns // 1_000_000
        assert 0 <= ns - Fraction(value) * 1_000_000 < 250


def test_the_first_word_is_progress_and_the_first_batch_is_small(hub: Hub) -> None:
    with hub.socket() as socket:
        got = ask_socket(socket, 7)
        assert got.read() == "progress"
        got.to_the_end()
    assert got.sizes[0] <= 100
    assert max(got.sizes) <= 2_000
    assert sum(got.sizes) == got.said[-1]["rows"]


def test_kfl_variables_are_columns(hub: Hub) -> None:
    names = ["status_code", "host", "tls", "dns_questions", "request.headers", "tcp_rtt_us"]
    with hub.socket() as socket:
        got = ask_socket(socket, 1, "http || dns", columns=names)
        got.to_the_end()
    assert list(got.columns) == ["id", *names]
    entry = next(each for each in rows(hub, "dns"))
    questions = got.columns["dns_questions"][got.columns["id"].index(entry["id"])]
    assert json.loads(questions) != []
    assert {type(value) for value in got.columns["status_code"]} <= {int, float}
    assert set(got.columns["tls"]) <= {0, 1}


def test_pages_follow_each_other_in_both_orders(hub: Hub) -> None:
    everything = [row["id"] for row in rows(hub)]
    for order, expected in (("oldest", everything), ("newest", everything[::-1])):
        ids, cursor = [], None
        with hub.socket() as socket:
            for number in range(1, 100):
                got = ask_socket(socket, number, limit=37, order=order, cursor=cursor, columns=[])
                done = got.to_the_end()
                ids += got.columns.get("id", [])
                cursor = done["cursor"]
                if cursor is None:
                    break
                assert done["stopped"] == "limit"
        assert ids == expected


def test_a_batch_says_where_to_go_on(hub: Hub) -> None:
    with hub.socket() as socket:
        got = ask_socket(socket, 1, columns=[])
        while got.read() != "batch":
            pass
    with hub.socket() as socket:
        rest = ask_socket(socket, 1, columns=[], cursor=got.cursors[0])
        rest.to_the_end()
    assert got.columns["id"] + rest.columns["id"] == [row["id"] for row in rows(hub)]


def test_a_client_that_does_not_acknowledge_gets_four_batches(shop: Hub) -> None:
    with shop.socket() as socket:
        slow = ask_socket(socket, 1, columns=[], limit=100_000)
        with pytest.raises(TimeoutError):
            while True:
                slow.read(acknowledge=False, timeout=2 if len(slow.sizes) >= 4 else 60)
        assert len(slow.sizes) == 4
        quick = ask_socket(socket, 2, "dns", columns=[])  # others do not wait for it
        assert quick.to_the_end()["op"] == "done"
        socket.send(json.dumps({"op": "ack", "id": 1, "batch": 4}))
        assert slow.to_the_end()["rows"] == sum(slow.sizes) > 100 + 3 * 2_000


def test_a_wrong_filter_says_where_and_the_connection_goes_on(hub: Hub) -> None:
    with hub.socket() as socket:
        error = ask_socket(socket, 1, "http && ststus_code == 5").to_the_end()
        assert (error["op"], error["line"], error["column"]) == ("error", 1, 9)
        assert "ststus_code" in error["message"]
        for more in ({"columns": ["nonsense"]}, {"cursor": "nonsense"}, {"since": "nonsense"}):
            assert ask_socket(socket, 2, **more).to_the_end()["op"] == "error"
        assert ask_socket(socket, 3, "http").to_the_end()["op"] == "done"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        '{"op":"dance","id":1}',
        '{"op":"query"}',
        '{"op":"query","id":-1}',
        '{"op":"query","id":1,"limit":0}',
        '{"op":"query","id":1,"limit":9999999999}',
        '{"op":"ack","id":1}',
        '{"op":"query","id":1,"kfl":"' + "x" * 20_000 + '"}',
        b"\xff\xfe\x00",
    ],
)
def test_nonsense_is_answered_and_spoils_nothing(hub: Hub, message: str | bytes) -> None:
    with hub.socket() as socket:
        socket.send(message)
        got = Results(socket, 5)
        assert got.read() == "error"
        assert got.said[-1]["id"] is None
        socket.send('{"op":"cancel","id":4294967295}')  # not running: nothing to say
        assert ask_socket(socket, 5, "http").to_the_end()["op"] == "done"


def test_a_message_too_long_ends_the_connection(hub: Hub) -> None:
    with hub.socket() as socket, pytest.raises(ConnectionClosed):
        socket.send("x" * 200_000)
        socket.recv(timeout=10)


def blocked(socket: ClientConnection) -> Results:
    """Begin a query with the id 1 that waits for acknowledgements: it runs until somebody ends it."""
    got = ask_socket(socket, 1, columns=[], limit=100_000)
    while len(got.sizes) < 4:
        got.read(acknowledge=False)
    return got


def test_ids_are_unique_among_those_that_run(shop: Hub) -> None:
    with shop.socket() as socket:
        first = blocked(socket)
        socket.send(json.dumps({"op": "query", "id": 1}))
        while first.read(acknowledge=False) != "error":
            pass
        assert first.said[-1]["id"] is None
        socket.send(json.dumps({"op": "ack", "id": 1, "batch": 4}))  # the first one goes on
        assert first.to_the_end()["op"] == "done"


def test_cancel_ends_with_one_done(shop: Hub) -> None:
    with shop.socket() as socket:
        got = blocked(socket)
        socket.send(json.dumps({"op": "cancel", "id": 1}))
        done = got.to_the_end()
        assert (done["op"], done["stopped"], done["rows"]) == ("done", "cancelled", sum(got.sizes))
        rest = ask_socket(socket, 1, columns=[], limit=100_000, cursor=done["cursor"])  # the id is free again
        rest.to_the_end()
        everything = ask_socket(socket, 2, columns=[], limit=100_000)
        everything.to_the_end()
    assert got.columns["id"] + rest.columns["id"] == everything.columns["id"]


def test_many_at_once_are_all_answered(hub: Hub) -> None:
    with hub.socket() as socket:
        for number in range(1, 9):
            socket.send(json.dumps({"op": "query", "id": number, "kfl": "http", "columns": []}))
        too_many = {"op": "query", "id": 99, "kfl": "http"}
        socket.send(json.dumps(too_many))
        ended: dict[int, str] = {}
        while len(ended) < 9:
            message = socket.recv(timeout=60)
            if isinstance(message, bytes):
                number, batch = int.from_bytes(message[4:8], "little"), int.from_bytes(message[8:12], "little")
                socket.send(json.dumps({"op": "ack", "id": number, "batch": batch}))
                continue
            said = json.loads(message)
            if said["op"] in ("done", "error"):
                assert said["id"] not in ended
                ended[said["id"]] = said["op"]
    assert [ended[number] for number in range(1, 9)] == ["done"] * 8


def test_a_client_that_goes_away_frees_its_turn(hub: Hub) -> None:
    for _ in range(12):
        with hub.socket() as socket:
            ask_socket(socket, 1, "true || conn", columns=["request.headers"])
    with hub.socket() as socket:
        assert ask_socket(socket, 1, "http").to_the_end()["op"] == "done"


def test_who_does_not_come_in(hub: Hub) -> None:
    url = f"ws://{hub.address}:{hub.port}/api/v1/ws"
    bearer = {"Authorization": f"Bearer {hub.token}"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, bearer | {"Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus), connect(url, subprotocols=["kubeshark.v1"], additional_headers=headers):  # type: ignore[list-item]
            pass
    with pytest.raises(InvalidStatus), connect(url, additional_headers=bearer):
        pass
