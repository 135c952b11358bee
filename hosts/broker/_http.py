"""One HTTP request for a plugin, to granted hosts only.

Invariants:

1. A name is resolved once for each request; the connection goes to an address that was checked (no DNS rebinding).
   Addresses that are not public must be granted as such.
2. A redirect is a new request: its host, scheme and address are checked like the first's. From TLS it never leads
   to plain HTTP, and credentials do not go to another host.
3. One deadline holds for all of it, resolver included: a timer shuts the socket down, so that a server that sends one
   byte a second gains nothing. `cancel` does the same from any thread.
4. Nothing is unpacked, kept or sent that was not asked for: no cookies, proxies, netrc, compression or keep-alive.
   The response's size is bounded before it is read.

http.client because a connection must go to an address we chose and be ended from outside; clients that are nicer to use
would have to be bent for both.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from msgspec import Struct, field

from kubeshark.extension_api._permissions import DEFAULT_PORTS, Address, Grants

__all__ = ["HttpError", "HttpResponse", "LateError", "Network", "RefusedError"]

MAX_URL = 8192
MAX_HEADERS = 64
MAX_HEADER_BYTES = 32 << 10
MAX_RESPONSE_BYTES = 4 << 20
MAX_REDIRECTS = 5
MAX_TRIES = 4  # addresses of one name
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_URL = re.compile(r"https?://[!#-\[\]^_a-z{|}~A-Z]+", re.IGNORECASE)  # printable ASCII but space, quote, \ and `
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpError(Exception):
    """The request failed, or makes no sense: one line."""


class RefusedError(HttpError):
    """It was not granted."""


class LateError(HttpError):
    """Its deadline is over."""


class HttpResponse(Struct, frozen=True):
    status: int
    reason: str
    url: str  # where it came from, behind redirects
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Target(Struct, frozen=True):
    url: str
    scheme: str
    host: str
    port: int
    path: str


Resolver = Callable[[str, int], Sequence[str]]
"""Name and port → addresses as text."""


def _resolve(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Network(Struct):
    """Sends requests; one at a time, from one thread. `cancel` may come from any, and is for good."""

    grants: Grants
    resolve: Resolver = _resolve
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context  # verifies; SSL_CERT_FILE names other roots
    max_response_bytes: int = MAX_RESPONSE_BYTES
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _socket: socket.socket | None = None
    _cancelled: bool = False

    def request(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes, seconds: float
    ) -> HttpResponse:
        """Send one request and return the response to it, behind redirects; an HttpError otherwise."""
        deadline = time.monotonic() + seconds
        method = method.upper()
        if method not in METHODS:
            raise HttpError(f"{method[:20]!r} is no method: there are {', '.join(sorted(METHODS))}")
        _check_headers(headers)
        target = self._granted(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = self._once(method, target, headers, body, deadline)
            location = {name.lower(): value for name, value in response.headers}.get("location")
            if response.status not in _REDIRECTS or location is None:
                return response
            before, target = target, self._granted(_joined(target.url, location))
            if before.scheme == "https" and target.scheme == "http":
                raise RefusedError(f"{before.host} redirects from TLS to plain {target.url[:200]}")
            if (before.scheme, before.host, before.port) != (target.scheme, target.host, target.port):
                headers = [header for header in headers if header[0].lower() not in _CREDENTIALS]
            if response.status == 303 or (response.status in (301, 302) and method == "POST"):  # RFC 9110 §15.4
                method, body = "HEAD" if method == "HEAD" else "GET", b""
                headers = [header for header in headers if not header[0].lower().startswith("content-")]
        raise HttpError(f"more than {MAX_REDIRECTS} redirects")

    def cancel(self) -> None:
        """End the request under way, and every later one."""
        with self._lock:
            self._cancelled = True
            _shut(self._socket)

    def _granted(self, url: str) -> _Target:
        """Take a URL apart and compare its host with the grants."""
        if len(url) > MAX_URL or not _URL.fullmatch(url):
            raise HttpError(f"{url[:100]!r} is no URL: write http(s)://host/path, in ASCII and without blanks")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise HttpError(f"{url[:100]!r} is no URL: {error}") from error
        if not host or "@" in parts.netloc:
            raise HttpError(f"{url[:100]!r} is no URL with a host and without a user")
        scheme = parts.scheme.lower()
        target = _Target(url, scheme, host, port or DEFAULT_PORTS[scheme], (parts.path or "/") + _query(parts.query))
        if port == 0 or not self.grants.host(scheme, host, target.port):
            name = host if target.port == DEFAULT_PORTS[scheme] else f"{host}:{target.port}"
            raise RefusedError(f'permission "hosts: {name}" not granted')
        return target

    def _addresses(self, target: _Target, deadline: float) -> list[Address]:
        """Resolve a name, in time; return the addresses that may be connected to."""
        found: list[str] = []
        failure: list[str] = []

        def run() -> None:
            try:
                found.extend(self.resolve(target.host, target.port))
            except (OSError, UnicodeError) as error:
                failure.append(str(error))

        thread = threading.Thread(target=run, name="kubeshark-resolve", daemon=True)  # getaddrinfo knows no deadline
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise LateError(f"{target.host} was not resolved in time")
        if failure:
            raise HttpError(f"{target.host} cannot be resolved: {failure[0]}")
        addresses = []
        for text in dict.fromkeys(found):
            with suppress(ValueError):
                addresses.append(ipaddress.ip_address(text.partition("%")[0]))
        allowed = [address for address in addresses if self.grants.address(address, target.scheme, target.port)]
        if not allowed:
            shown = str(addresses[0]) if addresses else "no address"
            raise RefusedError(
                f'{target.host} is {shown}, which is not public: permission "hosts: {shown}" not granted'
            )
        return allowed[:MAX_TRIES]

    def _once(
        self, method: str, target: _Target, headers: Sequence[tuple[str, str]], body: bytes, deadline: float
    ) -> HttpResponse:
        addresses = self._addresses(target, deadline)
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._shut_now)
        timer.daemon = True
        timer.start()
        connection = http.client.HTTPConnection(target.host, target.port)
        try:
            connection.sock = self._connect(addresses, target, deadline)
            connection.putrequest(method, target.path, skip_accept_encoding=True, skip_host=True)
            default = target.port == DEFAULT_PORTS[target.scheme]
            host = f"[{target.host}]" if ":" in target.host else target.host
            connection.putheader("Host", host if default else f"{host}:{target.port}")
            if not any(name.lower() == "accept-encoding" for name, _ in headers):
                connection.putheader("Accept-Encoding", "identity")
            for name, value in headers:
                connection.putheader(name, value.encode("latin-1"))
            connection.putheader("Connection", "close")
            if body or method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            with connection.getresponse() as response:
                said = response.read(self.max_response_bytes + 1)
                if len(said) > self.max_response_bytes:
                    raise HttpError(f"{target.host} answers more than {self.max_response_bytes:,} bytes")
                if response.length and method != "HEAD":  # the connection ended before
                    raise HttpError(f"{target.host} ended its answer after {len(said):,} bytes")
                shown = tuple((name, value) for name, value in response.getheaders())
                return HttpResponse(response.status, response.reason, target.url, shown, said)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise LateError(f"{target.host} did not answer in time") from error
            if self._cancelled:
                raise HttpError("the plugin is being closed") from error
            text = " ".join(str(error).split())[:200] or type(error).__name__
            raise HttpError(f"{target.host}: {text}") from error
        finally:
            timer.cancel()
            with self._lock:
                guard, self._socket = self._socket, None
            if guard is not None:
                guard.close()
            connection.close()
            if connection.sock is not None:
                connection.sock.close()

    def _connect(self, addresses: Sequence[Address], target: _Target, deadline: float) -> socket.socket:
        """Connect to the first address that answers, and speak TLS there if the URL says so."""
        failure: OSError = OSError("there is no address")
        for address in addresses:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            stream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                self._guard(stream)
                stream.settimeout(max(0.001, deadline - time.monotonic()))
                stream.connect((str(address), target.port))
                if target.scheme == "https":
                    return self.context().wrap_socket(stream, server_hostname=target.host)
            except OSError as error:
                stream.close()
                failure = error
                if self._cancelled or time.monotonic() >= deadline or isinstance(error, ssl.SSLError):
                    raise
            else:
                return stream
        raise failure

    def _guard(self, stream: socket.socket) -> None:
        """Keep a second descriptor of the connection, for who must end it from another thread."""
        guard = socket.socket(fileno=socket.dup(stream.fileno()))
        with self._lock:
            before, self._socket = self._socket, guard
            if before is not None:
                before.close()
            if self._cancelled:
                raise OSError("cancelled")

    def _shut_now(self) -> None:
        with self._lock:
            _shut(self._socket)


def _shut(stream: socket.socket | None) -> None:
    if stream is not None:
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)


def _query(query: str) -> str:
    return f"?{query}" if query else ""


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location.partition("#")[0])
    except ValueError as error:
        raise HttpError(f"redirects to {location[:100]!r}, which is no URL") from error


def _check_headers(headers: Sequence[tuple[str, str]]) -> None:
    """What a plugin may not say is refused, above all a second request behind a line end."""
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HttpError(f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES:,} bytes of them")
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise HttpError(f"header {name[:40]!r} has a character that none may have")
        if name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise HttpError(f"header {name} is not a plugin's to set")
