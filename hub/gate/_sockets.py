"""A WebSocket outlives its handshake: whoever opened it has to be known for as long as it is open.

Each message that comes is taken only from somebody who is still known, and while nothing comes that is asked again
every LOOK_S. Whoever is known no more hears SIGNED_OUT, and the application behind the gate that they are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Message, Receive, Send

__all__ = ["SIGNED_OUT", "GuardedSocket"]

SIGNED_OUT = 4401  # one of those for applications (RFC 6455 §7.4.2), after 401
LOOK_S = 2.0
FAREWELL_S = 1.0
"""A client that reads nothing is not waited for."""


class GuardedSocket:
    """What an application gets in place of a socket's `receive` and `send`."""

    def __init__(self, receive: Receive, send: Send, is_known: Callable[[], bool]) -> None:
        self._receive = receive
        self._send = send
        self._is_known = is_known
        self._has_ended = False

    async def receive(self) -> Message:
        coming = asyncio.ensure_future(self._receive())
        try:
            while not self._has_ended:
                await asyncio.wait([coming], timeout=LOOK_S)
                if coming.done() and coming.result()["type"] == "websocket.disconnect":
                    return coming.result()
                if not self._is_known():
                    await self._end()
                elif coming.done():
                    return coming.result()
        finally:
            coming.cancel()
        return {"type": "websocket.disconnect", "code": SIGNED_OUT}

    async def send(self, message: Message) -> None:
        if self._has_ended:
            raise OSError("signed out")  # as ASGI has it for a client that is gone
        await self._send(message)

    async def _end(self) -> None:
        self._has_ended = True
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_S):
                await self._send({"type": "websocket.close", "code": SIGNED_OUT, "reason": "signed out"})
