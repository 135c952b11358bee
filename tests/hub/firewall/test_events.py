"""Events of the firewall: filtered by KFL, bounded for a client that is slow, for those who may."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from kubeshark.errors import KubesharkError
from kubeshark.hub.firewall._events import MOST_WAITING, _Feed, event_filter
from tests.hub._serving import Hub, serving
from tests.hub.test_views import token

EVENT = {
    "node": "n", "subject": "host", "policy": None, "rule": "r", "action": "deny", "verdict": "deny", "src": "10.0.0.1",
    "dst": "10.0.0.2", "srcPort": 5, "dstPort": 80, "protocol": 6, "length": 60, "direction": "ingress",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kfl", "matches"),
    [
        ("", True),
        ("verdict == 'deny' && dst.port == 80", True),
        ("src.ip in ['10.0.0.1'] || policy == 'p'", True),
        ("verdict == 'reject'", False),
        ("policy == ''", True),
        ("direction == 'egress'", False),
    ],
)
def test_a_filter_over_the_fields_of_events(kfl: str, matches: bool) -> None:
    assert event_filter(kfl)(EVENT) is matches


def test_filters_that_cannot_be_meant() -> None:
    for kfl in ("verdict ==", "http && true", "verdict == 'x'" * 2000):
        with pytest.raises(KubesharkError):
            event_filter(kfl)


def test_what_a_slow_client_does_not_take_is_counted() -> None:
    sent: list[str] = []

    class Slow:
        async def send_text(self, text: str) -> None:
            sent.append(text)
            await asyncio.sleep(3600 if len(sent) == 1 else 0)

    async def run() -> None:
        feed = _Feed(cast(Any, Slow()), lambda _: True)
        task = asyncio.create_task(feed.send())
        for _ in range(MOST_WAITING + 700):
            feed._take(cast(Any, SimpleNamespace(name="node")), [dict(EVENT)])
            await asyncio.sleep(0)
        assert len(feed._waiting) == MOST_WAITING
        taken = sum(len(json.loads(text)["events"]) for text in sent)
        assert taken + MOST_WAITING + feed._lost == MOST_WAITING + 700
        task.cancel()

    asyncio.run(run())


def test_who_may_listen(root: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "store", root, tmp_path) as hub:

        def listen(secret: str, kfl: str = "") -> Any:
            url = f"ws://{hub.address}:{hub.port}/api/v1/firewall/events?kfl={kfl}"
            return connect(url, additional_headers={"Authorization": f"Bearer {secret}"})

        with listen(token(hub, "viewer", "--role", "viewer")) as socket, pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
        with pytest.raises((ConnectionClosed, InvalidHandshake)), listen(_scoped(hub)) as socket:
            socket.recv(timeout=5)
        with listen(hub.token, "nothing%20==") as socket:
            assert json.loads(socket.recv(timeout=5))["op"] == "error"


def _scoped(hub: Hub) -> str:
    return token(hub, "scoped", "--role", "operator", "--namespace", "shop")
