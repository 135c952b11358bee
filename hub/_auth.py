"""Who may talk to the hub: whoever has the token, from a page of the hub's own origin.

The token comes once in the URL that `serve` prints, and is moved into a cookie that scripts cannot read and other sites
cannot send. Programs send it as `Authorization: Bearer TOKEN`. A Host header that is not ours is refused, so that a
name that resolves to 127.0.0.1 (DNS rebinding) reaches nothing.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY_HEADERS", "Gate", "new_token"]

COOKIE = "kubeshark_token"
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SAFE_METHODS = ("GET", "HEAD")
POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


class Gate:
    """ASGI middleware around the whole application: nothing behind it sees an unauthenticated request."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str] | None) -> None:
        self.app = app
        self._token = token
        self._hosts = hosts  # accepted Host headers, port included; None: any (every address of this machine is served)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # the server's own
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets, and none shall slip by
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        answer = self._refusal(scope)
        await (answer or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and host not in self._hosts:
            return PlainTextResponse("this Host is not served here\n", 421)
        origin = headers.get("origin")
        if scope["method"] not in SAFE_METHODS and origin is not None and origin != f"http://{host}":
            return PlainTextResponse("requests from another origin are refused\n", 403)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offered = next((value for name, value in query if name == "token"), None)
        if offered is not None and scope["method"] in SAFE_METHODS and self._is_token(offered):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            redirect = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            redirect.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", path="/")
            return redirect
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if (scheme.lower() == "bearer" and self._is_token(bearer)) or self._is_token(_cookie(headers)):
            return None
        return PlainTextResponse("open the URL with the token that kubeshark serve printed\n", 401)

    def _is_token(self, offered: str) -> bool:
        return secrets.compare_digest(offered.encode(), self._token.encode())


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
