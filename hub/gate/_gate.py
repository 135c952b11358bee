"""Who may talk to the hub: whoever has a token, from a page of the hub's own origin.

1. Nothing behind the gate sees a request of somebody unknown: HTTP and WebSocket alike. A WebSocket ends with the token
   or session that opened it.
2. A token comes once in the URL, and becomes a session cookie that scripts cannot read and other sites cannot send.
   Programs send it as `Authorization: Bearer TOKEN`.
3. A Host header that is not ours is refused, so that a name that resolves to 127.0.0.1 (DNS rebinding) reaches nothing.
4. A page changes something only from our origin and with the token against forgery that only our scripts can read; it
   opens a WebSocket only from our origin.
5. Bodies, rates and failed attempts are limited before anything is read.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kubeshark.errors import StoreError
from kubeshark.hub.access._audit import CLIENT
from kubeshark.hub.access._limits import JSON_BYTES, PACKAGE_BYTES
from kubeshark.hub.access._rights import LOCAL, Principal
from kubeshark.hub.gate._sockets import GuardedSocket
from kubeshark.hub.state._hub import Hub

__all__ = ["COOKIE", "SECURITY_HEADERS", "Gate", "new_token"]

COOKIE = "kubeshark_session"
CSRF_HEADER = "x-csrf-token"
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
        "font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types kubeshark"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SAFE_METHODS = ("GET", "HEAD")
POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1
OPEN_PATHS = frozenset({"/auth/login", "/auth/callback"})
"""What somebody unknown may ask for, where there is an identity provider: the way to it and back."""

BODY_LIMITS = {"/api/v1/imports": None, "/api/v1/plugins": PACKAGE_BYTES}
"""Bytes by path; None: the endpoint has a limit of its own."""


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


class TooLargeError(HTTPException):
    """A body is longer than it may be. FastAPI answers anything else that reading one raises with 400."""

    def __init__(self) -> None:
        super().__init__(413, "the request is larger than this endpoint takes")


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        hub: Hub,
        *,
        token: str,
        hosts: frozenset[str] | None,
        has_login: bool = False,
        tls: bool = False,
        base: str = "",
        is_read_only: bool = False,
    ) -> None:
        """`hosts` are accepted Host headers, port included; None: any. `tls`: a proxy speaks HTTPS for us.

        `is_read_only`: whoever comes in may change nothing, whatever the role says.
        `base`: below this path browsers find us, "/kubeshark"; what a proxy passes on may have it in front, or not.
        """
        self.app = app
        self.hub = hub
        self._token = token
        self._hosts = hosts
        self._open = OPEN_PATHS if has_login else frozenset[str]()
        self._has_login = has_login
        self.is_tls = tls
        self.base = base
        self.is_read_only = is_read_only
        self._scheme = "https" if tls else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # the server's own
            await self.app(scope, receive, send)
            return
        if self.base:
            scope = self._below(scope)
        scope["principal"], scope["csrf"], scope["gate"] = None, "", self
        CLIENT.set(_client(scope))
        if scope["type"] != "http":
            if self._websocket_refusal(scope):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            else:
                socket = GuardedSocket(receive, send, lambda: self._is_still_known(scope))
                await self.app(scope, socket.receive, socket.send)
            return
        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                extra = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        try:
            await self.app(scope, _limited(scope, receive), send_guarded)
        except TooLargeError as error:
            if has_begun:
                raise
            await _error(error.status_code, error.detail)(scope, receive, send_guarded)

    def _below(self, scope: Scope) -> Scope:
        """Return the scope without the base in its path; what is not below it stays as it is."""
        path = scope["path"]
        if path != self.base and not path.startswith(f"{self.base}/"):
            return scope
        rest = path[len(self.base) :] or "/"
        return {**scope, "path": rest, "raw_path": quote(rest).encode(), "is_bare": path == self.base}

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and host not in self._hosts:
            return PlainTextResponse("this Host is not served here\n", 421)
        is_safe = scope["method"] in SAFE_METHODS
        if scope.get("is_bare") and is_safe:  # the page's own URLs are relative: they need the slash
            query = scope["query_string"].decode("latin-1")
            return RedirectResponse(f"{self.base}/" + (f"?{query}" if query else ""), 307)
        origin = headers.get("origin")
        if not is_safe and origin is not None and origin != f"{self._scheme}://{host}":
            return _error(403, "requests from another origin are refused")
        if is_safe and (redirect := self._moved_token(scope)):
            return redirect
        principal, cookie = self._known(headers)
        if principal is None:
            if scope["path"] in self._open and is_safe:
                wait_s = self.hub.requests.take(_client(scope))
                return _error(429, "too many requests", {"retry-after": str(wait_s)}) if wait_s else None
            return self._unknown(scope, headers)
        if (
            cookie
            and not is_safe
            and not secrets.compare_digest(
                headers.get(CSRF_HEADER, "").encode(), self.hub.sessions.csrf(cookie).encode()
            )
        ):
            return _error(403, "the header X-CSRF-Token is missing or old: GET /api/v1/session gives it")
        wait_s = self.hub.requests.take(principal.key)
        if wait_s:
            return _error(429, f"too many requests: come again in {wait_s} s", {"retry-after": str(wait_s)})
        length = headers.get("content-length", "")
        limit = BODY_LIMITS.get(scope["path"], JSON_BYTES)
        if limit is not None and length.isdecimal() and int(length) > limit:
            return _error(413, f"at most {limit:,} bytes are taken here")
        scope["principal"] = principal
        scope["csrf"] = self.hub.sessions.csrf(cookie) if cookie else ""
        return None

    def _websocket_refusal(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["type"] != "websocket" or (self._hosts is not None and host not in self._hosts):
            return True
        principal, cookie = self._known(headers)
        origin = headers.get("origin")
        is_own = origin == f"{self._scheme}://{host}"
        if principal is None or (origin is not None and not is_own) or (cookie and not is_own):
            return True
        if self.hub.requests.take(principal.key):
            return True
        scope["principal"] = principal
        return False

    def _is_still_known(self, scope: Scope) -> bool:
        """Say whether what opened a WebSocket would open it again, for the same principal."""
        try:
            principal, _ = self._known(Headers(scope=scope))
        except StoreError:  # nobody can say who it is
            return False
        return principal is not None and principal == scope["principal"]

    def _moved_token(self, scope: Scope) -> Response | None:
        """Return the answer that moves a token from the URL into a cookie; None if there is no good one."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offered = next((value for name, value in query if name == "token"), None)
        principal = self._of_token(offered) if offered else None
        if principal is None:
            return None
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        path = f"{self.base}/{scope['path'].lstrip('/')}"  # "//host/" would be another host's
        redirect = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        self.let_in(redirect, principal)
        self.hub.audit.note(principal, "log in")
        return redirect

    def let_in(self, response: Response, principal: Principal) -> None:
        """Give a browser its session."""
        response.set_cookie(
            COOKIE,
            self.hub.sessions.cookie(principal),
            httponly=True,
            samesite="strict",
            secure=self._scheme == "https",
            path=f"{self.base}/",
        )

    def _known(self, headers: Headers) -> tuple[Principal | None, str]:
        """Return who it is with what is allowed here, and the cookie if it was one that said so."""
        principal, cookie = self._identified(headers)
        return (principal.reading() if principal and self.is_read_only else principal), cookie

    def _identified(self, headers: Headers) -> tuple[Principal | None, str]:
        """Return the same with all rights of the role."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (principal := self._of_token(bearer.strip())):
            return principal, ""
        cookie = _cookie(headers)
        principal = self.hub.sessions.read(cookie)
        if principal is None or (principal.source and not self._is_current(principal)):
            return None, ""
        return principal, cookie

    def _is_current(self, principal: Principal) -> bool:
        return principal.source.startswith("oidc:") or self.hub.tokens.has(principal.source)

    def _of_token(self, offered: str) -> Principal | None:
        if secrets.compare_digest(offered.encode("utf-8", "replace"), self._token.encode()):
            return LOCAL
        return self.hub.tokens.find(offered)

    def _unknown(self, scope: Scope, headers: Headers) -> Response:
        has_tried = "authorization" in headers or bool(_cookie(headers)) or b"token=" in scope["query_string"]
        wait_s = self.hub.failures.take(_client(scope)) if has_tried else 0
        if wait_s:
            return _error(429, f"too many wrong tokens: come again in {wait_s} s", {"retry-after": str(wait_s)})
        if has_tried:
            self.hub.audit.note(None, "log in", outcome="refused")
        if self._has_login and scope["path"] == "/" and scope["method"] == "GET":
            return RedirectResponse(f"{self.base}/auth/login", 303)
        return PlainTextResponse("open the URL with the token that kubeshark serve printed\n", 401)


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Count the bytes of a body that did not say how long it is."""
    limit = BODY_LIMITS.get(scope["path"], JSON_BYTES)
    if limit is None:
        return receive
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLargeError
        return message

    return counted


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
