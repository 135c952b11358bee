"""The Model Context Protocol on the hub: `/mcp`, streamable HTTP, behind the same gate as everything else.

1. Whoever asks sees what their role sees: the tools read through their view, made anew for each call, so that they
   redact and keep to namespaces as the API does, by the rules of that moment.
2. No sessions: every request says by its token who asks, and a stolen session id is worth nothing.
3. A tool takes a turn like any other query (ADR 17), the audit log has its name, and it ends when whoever asked has
   gone (ADR 44).

Without the extra `mcp` the path answers 501 and says what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from kubeshark.errors import StoreError
from kubeshark.hub.access._rights import Principal
from kubeshark.hub.answers._client import Client, ClientGone, listening
from kubeshark.hub.state._hub import Hub

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

__all__ = ["PATH", "McpEndpoint"]

PATH = "/mcp"
_CLIENT: ContextVar[Client] = ContextVar("client")
KEPT_SERVERS = 64
"""Of people who asked last: describing the tools takes longer than most calls of one."""


class McpEndpoint:
    """The ASGI application at PATH; the gate has let in whoever asks it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._server = lru_cache(KEPT_SERVERS)(self._make)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal = scope["principal"]
        refusal = _refusal(scope["method"], principal)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        server = self._server(principal)
        # Host and Origin are the gate's affair. A manager may run once only, so each request has its own.
        manager = StreamableHTTPSessionManager(server._lowlevel_server, json_response=True, stateless=True)
        client = Client(self._hub)
        _CLIENT.set(client)
        with self._hub.pool.admitted(principal.key):
            async with _heard(receive, client) as heard, manager.run():
                await manager.handle_request(scope, heard, send)

    def _make(self, principal: Principal) -> MCPServer[Any]:
        from kubeshark.hub.mcp._tools import make_server

        @contextmanager
        def working(tool: str) -> Iterator[None]:
            self._hub.audit.note(principal, "mcp", tool=tool)
            self._hub.figures.add(queries=1)
            try:
                with _CLIENT.get().turn():
                    yield
            except ClientGone:
                raise StoreError("nobody waits for the answer") from None

        return make_server(
            lambda: self._hub.view(principal),
            working=working,
            gave_up=lambda: _CLIENT.get().has_left(),
            sees_all=principal.namespaces is None and not self._hub.global_filter,
        )


@asynccontextmanager
async def _heard(receive: Receive, client: Client) -> AsyncIterator[Receive]:
    """Give what receives the body, and listen behind it for whoever asks to go."""
    listener: asyncio.Task[None] | None = None

    async def heard() -> Message:
        nonlocal listener
        if listener is not None:
            await asyncio.shield(listener)
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] == "http.disconnect":
            client.is_gone = True
        elif not message.get("more_body"):
            listener = asyncio.create_task(listening(receive, client))
        return message

    try:
        yield heard
    finally:
        client.is_gone = True
        if listener is not None:
            listener.cancel()


def _refusal(method: str, principal: Principal) -> JSONResponse | None:
    if "read" not in principal.rights:
        return JSONResponse({"error": f"{principal.name} may not read entries"}, 403)
    if method != "POST":  # there is nothing to listen to, and no session to end
        return JSONResponse({"error": "only POST is answered here"}, 405, {"allow": "POST"})
    if find_spec("mcp") is None:
        error = 'the Model Context Protocol is not installed on this hub: pip install "kubeshark[mcp]"'
        return JSONResponse({"error": error}, 501)
    return None
