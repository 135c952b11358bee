"""Whoever asks, while they are asked for: an answer that nobody waits for any more is not worked on.

A browser that leaves a view, a program that is ended: each closes its connection, and the server says so. What works
for a request asks `has_left` as often as a query asks whether it is cancelled, in the middle of a chunk too.

Who asks for too much at a time is refused here, in the event loop: none of the server's threads waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.types import Receive

from kubeshark.hub.access._rights import who
from kubeshark.hub.state._hub import Hub, hub_of
from kubeshark.hub.state._pool import Turn

__all__ = ["Asker", "Client", "ClientGone", "listening"]


class ClientGone(Exception):
    """Nobody waits for the answer: raised so that nothing is made of half a result."""


@dataclass(slots=True)
class Client:
    """Who waits for one answer: admitted by the pool. Set in the event loop, read in any thread."""

    hub: Hub
    is_gone: bool = False

    def has_left(self) -> bool:
        return self.is_gone or self.hub.is_ending

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Hold a turn of the pool. Raise ClientGone if nobody waits, before it is there or when the work has ended."""
        try:
            with self.hub.pool.turn(gave_up=self.has_left, is_admitted=True) as turn:
                if turn.take():
                    yield turn
        finally:  # also of a stream, which is closed in the middle
            if self.has_left():
                self.hub.figures.add(queries_cancelled=1)
        self.go_on()

    def go_on(self) -> None:
        """Raise ClientGone if nobody waits any more."""
        if self.has_left():
            raise ClientGone


async def listening(receive: Receive, client: Client) -> None:
    """Wait until whoever asks is gone; the body of the request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
    client.is_gone = True


async def _asker(request: Request) -> AsyncIterator[Client]:
    client = Client(hub_of(request))
    with client.hub.pool.admitted(who(request).key):
        listener = asyncio.create_task(listening(request.receive, client))
        try:
            yield client
        finally:
            client.is_gone = True  # also where the hub ends and its server lets go of the request
            listener.cancel()


Asker = Annotated[Client, Depends(_asker)]
