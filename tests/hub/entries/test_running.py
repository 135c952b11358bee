"""A query of a WebSocket, without one: what it says while it waits for its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark import Pipeline
from kubeshark.hub.access._rights import LOCAL
from kubeshark.hub.access._sessions import Sessions
from kubeshark.hub.entries._running import RunningQuery
from kubeshark.hub.entries._said import Query
from kubeshark.hub.state._hub import Hub
from kubeshark.hub.state._pool import QueryPool


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Pipeline.open(tmp_path / "store") as pipeline:
        yield Hub(pipeline, tmp_path / "hub", Sessions(b"k" * 32), pool=QueryPool(turns=1))


def until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_live_query_waits_without_a_word_however_many_wait(hub: Hub) -> None:
    said: list[Any] = []
    query = RunningQuery(hub, LOCAL, Query(id=1, live=True), said.append)
    thread = threading.Thread(target=query.run)
    thread.start()
    until(lambda: any(each["op"] == "live" for each in said))
    hub.pool.take(is_admitted=True)
    hub.pool.max_waiting = 0
    until(lambda: hub.pool.waiting == 1)
    hub.pool.give()
    until(lambda: hub.pool.waiting == 0)
    query.cancel()
    thread.join(60)
    assert [each["op"] for each in said if each["op"] != "progress"] == ["live", "done"]


def test_one_that_was_not_begun_says_that_it_waits(hub: Hub) -> None:
    said: list[Any] = []
    hub.pool.take()
    query = RunningQuery(hub, LOCAL, Query(id=1), said.append)
    thread = threading.Thread(target=query.run)
    thread.start()
    until(lambda: said[-1:] == [{"op": "queued", "id": 1, "ahead": 1}])
    hub.pool.max_waiting = 1
    other = RunningQuery(hub, LOCAL, Query(id=2), said.append)
    other.run()
    assert said[-1] == {"op": "error", "id": 2, "message": "too many queries wait: come again later"}
    hub.pool.give()
    thread.join(60)
    assert said[-1]["op"] == "done"
