"""Requests over HTTPS, with every answer bounded.

urllib, not a client library: it knows proxies and the system's certificates (and SSL_CERT_FILE), and the rest, which
is what matters here, is policy that we would have to set in any client: which addresses, which redirects, who sees
credentials, how much, how long.

1. Only https; plain HTTP where the caller allows it, to this machine alone.
2. A redirect goes to https, or stays at the same place. Credentials stay at the place they were meant for.
3. An answer has a limit, and a transfer a deadline.
4. What may go well the next time (429, 5xx, a connection that broke) is tried again where the caller allows it: a few
   times, with longer and longer pauses.
5. Errors name host and path, never a query or a header: both may hold secrets.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from msgspec import Struct

from kubeshark.errors import PluginError

__all__ = ["Answer", "Progress", "Web", "is_local", "joined", "origin", "shown"]

TIMEOUT_S = 30.0  # of one wait
DEADLINE_S = 1800.0  # of one transfer: 256 MiB at 150 KB/s
MAX_REDIRECTS = 5
MAX_ERROR_BYTES = 64 << 10
TRIES = 4  # one, and three more
PAUSE_S = 1.0  # before the second; twice as long before each further one
MAX_PAUSE_S = 30.0  # a server may ask for (Retry-After)
AGAIN = (429, 500, 502, 503, 504)
_CHUNK = 256 << 10
_AGENT = "kubeshark"
_LOCAL = ("localhost", "127.0.0.1", "::1")

Progress = Callable[[int, int | None], None]
"""Called with bytes done and the total, None if nobody told."""
Pause = Callable[[float], object]


class _Broken(PluginError):
    """No answer, or not all of it, because the connection broke."""


class Answer(Struct, frozen=True):
    """A whole answer; `body` is empty where it went into a file."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    url: str  # after redirects


class Web:
    """Sends requests; holds no state but the certificates."""

    def __init__(
        self, *, allow_http: bool = False, progress: Progress | None = None, tries: int = 1, pause: Pause = time.sleep
    ) -> None:
        """`allow_http` permits plain HTTP to this machine; `tries` is for requests that may be sent twice."""
        self._allow_http = allow_http
        self._tries = tries
        self._pause = pause
        self._progress = progress
        context = ssl.create_default_context()
        self._direct = _opener(context)  # to this machine: what is said there is for no proxy
        self._proxied = _opener(context, urllib.request.ProxyHandler())

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        credentials: str = "",
        body: bytes | Path | None = None,
        limit: int = 1 << 20,
        into: Path | None = None,
    ) -> Answer:
        """Send a request, follow redirects of GET and HEAD, and read at most `limit` bytes, `into` a file if given.

        Any status is an answer. `credentials` is the Authorization header. PluginError if there is no answer, it is
        larger than `limit`, or it would take us where we do not go.
        """
        deadline = time.monotonic() + DEADLINE_S
        for left in reversed(range(self._tries)):
            pause = PAUSE_S * 2 ** (self._tries - 1 - left)
            try:
                answer = self._send(method, url, headers, credentials, body, limit, into, deadline)
            except _Broken:
                if not left or time.monotonic() + pause > deadline:
                    raise
            else:
                pause = max(pause, _asked_pause(answer))
                if answer.status not in AGAIN or not left or time.monotonic() + pause > deadline:
                    return answer
            self._pause(pause)
        raise AssertionError("unreachable: the last try returns or raises")

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        credentials: str,
        body: bytes | Path | None,
        limit: int,
        into: Path | None,
        deadline: float,
    ) -> Answer:
        first = origin(url)
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            wanted = dict(headers or {})
            if credentials and origin(url) == first:
                wanted["Authorization"] = credentials
            response = self._open(method, url, wanted, body)
            with response:
                found = {name.lower(): value for name, value in response.headers.items()}
                target = found.get("location", "")
                if response.status in (301, 302, 303, 307, 308) and target and method in ("GET", "HEAD"):
                    there = joined(url, target)
                    if origin(there)[0] != "https" and origin(there) != origin(url):
                        raise _fail(url, f"redirects to {shown(there)}, which is not https")
                    url = there
                    continue
                is_good = response.status < 300
                sink: IO[bytes] = into.open("wb") if into is not None and is_good else BytesIO()
                with sink:
                    size = limit if is_good else MAX_ERROR_BYTES
                    self._receive(response, sink, url, size, deadline, cut=not is_good, empty=method == "HEAD")
                    data = sink.getvalue() if isinstance(sink, BytesIO) else b""
                return Answer(response.status, found, data, url)
        raise _fail(url, f"redirects more than {MAX_REDIRECTS} times")

    def _check(self, url: str) -> None:
        parts = _split(url)
        if parts.username or parts.password:
            raise _fail(url, "has credentials in its address", hint="credentials do not belong there")
        if parts.scheme == "https" and parts.hostname:
            return
        if parts.scheme == "http" and self._allow_http and is_local(parts.hostname or ""):
            return
        raise _fail(url, f"is not reached by https but by {parts.scheme or 'nothing'}", hint="use an https:// address")

    def _open(self, method: str, url: str, headers: dict[str, str], body: bytes | Path | None) -> Any:
        headers |= {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if body is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
        with ExitStack() as opened:
            data: Any = body
            if isinstance(body, Path):
                data = opened.enter_context(body.open("rb"))
                headers["Content-Length"] = str(body.stat().st_size)
            request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 (checked)
            opener = self._direct if is_local(origin(url)[1]) else self._proxied
            try:
                return opener.open(request, timeout=TIMEOUT_S)
            except (OSError, http.client.HTTPException, ValueError) as error:
                kind = _Broken if _is_broken(error) else PluginError
                raise _fail(url, f"cannot be reached: {_reason(error)}", kind=kind) from error

    def _receive(
        self, response: Any, sink: IO[bytes], url: str, limit: int, deadline: float, *, cut: bool, empty: bool
    ) -> None:
        """Read the answer; one that is too long is an error, or is `cut`."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() and len(length) < 18 else None
        if not cut and not empty and total is not None and total > limit:
            raise _fail(url, f"is larger than {limit:,} bytes")
        done = 0
        try:
            while chunk := response.read1(_CHUNK):
                done += len(chunk)
                if done > limit:
                    if cut:
                        return
                    raise _fail(url, f"is larger than {limit:,} bytes")
                if time.monotonic() > deadline:
                    raise _fail(url, f"takes longer than {DEADLINE_S / 60:.0f} minutes")
                sink.write(chunk)
                if self._progress and not cut:
                    self._progress(done, total)
        except (OSError, http.client.HTTPException) as error:
            raise _fail(url, f"broke off after {done:,} bytes: {_reason(error)}", kind=_Broken) from error
        if not empty and not cut and total is not None and done != total:
            raise _fail(url, f"broke off after {done:,} of {total:,} bytes", kind=_Broken)


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: who sees what is sent there."""
    parts = _split(url)
    try:
        port = parts.port
    except ValueError as error:
        raise _fail(url, "has no port that can be read") from error
    return parts.scheme, (parts.hostname or "").lower(), port or (443 if parts.scheme == "https" else 80)


def is_local(host: str) -> bool:
    """Say whether a host is this machine, by its name."""
    return host.lower() in _LOCAL


def shown(url: str) -> str:
    """Return an address without what may be secret: credentials, query, fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:500] if parts.scheme else url.partition("?")[0][:500]


def _opener(context: ssl.SSLContext, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Not build_opener: no file:, ftp: or data: is ever opened, no redirect followed but by us."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *handlers,
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # `https://[::1`
        raise _fail(url, "is no address") from error


def joined(url: str, target: str) -> str:
    """Return where a redirect from `url` leads."""
    try:
        return urljoin(url, target)
    except ValueError as error:
        raise _fail(url, "redirects to what is no address") from error


def _fail(url: str, message: str, hint: str = "", kind: type[PluginError] = PluginError) -> PluginError:
    return kind(message, plugin=shown(url), hint=hint)


def _is_broken(error: Exception) -> bool:
    """Say whether a connection broke or was not answered in time: nobody refused it, and the name is known."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(inner, (ConnectionResetError, BrokenPipeError, TimeoutError, http.client.BadStatusLine))


def _asked_pause(answer: Answer) -> float:
    """Return the seconds of Retry-After, at most MAX_PAUSE_S; 0.0 without it, or where it is a date."""
    said = answer.headers.get("retry-after", "").strip()
    return min(float(said), MAX_PAUSE_S) if said.isascii() and said.isdigit() and len(said) < 9 else 0.0


def _reason(error: Exception) -> str:
    """Return the system's words; never a text of urllib that repeats the address."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({inner.verify_message})"
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason or 'no reason given'})"
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError):
        return inner.strerror or type(inner).__name__
    return type(inner).__name__
