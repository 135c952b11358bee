"""Requests to a worker: HTTPS with mutual TLS, plain range requests (docs/adr/0022-workers.md).

1. Whatever the other side does, a request ends: every wait is bounded, and so is their sum and what is read.
2. Who did not answer is not asked again for a while: a query that needs a hundred things of it fails once, not a
   hundred times. It comes back by itself.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._backend import Changed, Found, Piece, Requests
from kubeshark.core_capture.store.places._names import is_public
from kubeshark.core_capture.store.places._tls_files import TlsFiles

__all__ = ["REQUEST_SECONDS", "Listed", "Listing", "WorkerClient"]

CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 4.0
"""Without a byte of an answer that long, it is asked again, or given up."""

REQUEST_SECONDS = 10.0
"""All tries of one request with their answers; 8 MiB, the most one asks for, need 7 Mbit/s."""

AWAY_SECONDS, MOST_AWAY_SECONDS = 2.0, 30.0
"""How long a worker that did not answer is taken to be away: twice as long each time, up to the most."""

MAX_LISTING_BYTES = 64 << 20
"""A line of some 120 bytes a file: half a million files."""

MAX_STATUS_BYTES = 1 << 20
MAX_ERROR_BYTES = 64 << 10
MAX_RANGE_BYTES = 16 << 20
"""What a worker gives at once; more takes several requests."""

CONNECTIONS = 8
KEPT_SECONDS = 20.0  # less than the worker keeps them
TRIES = 3

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})", re.ASCII)

T = TypeVar("T")


class Listed(msgspec.Struct, frozen=True):
    """A file as a worker lists it."""

    name: str
    size: int
    etag: str


class Listing(msgspec.Struct, frozen=True):
    files: list[Listed]


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    data: bytes


class WorkerClient:
    """The files of one worker's store, for reading."""

    def __init__(self, url: str, tls: TlsFiles, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self.shown = url  # with the node's name, once it said it
        self._requests = Requests()
        self._lock = Lock()
        self._clock = clock
        self._failures = 0  # in a row
        self._away: tuple[float, str, str] | None = None  # until when, why, and what to do
        self._listing: tuple[str, dict[str, Found]] = ("", {})  # ETag, what it listed
        self._extensions = {"sni_hostname": tls.peer} if tls.peer else {}
        self._http = httpx.Client(
            base_url=f"{url}/v1/",
            verify=tls.context(ssl.Purpose.SERVER_AUTH),
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS, pool=REQUEST_SECONDS),
            limits=httpx.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEPT_SECONDS
            ),
            headers={"user-agent": "kubeshark", "accept-encoding": "identity"},
            trust_env=False,  # a proxy of the environment would see the names of nodes
        )

    @property
    def requests(self) -> Requests:
        return self._requests

    def list(self) -> dict[str, Found]:
        """Return every file of the store that readers ask for."""
        etag, known = self._listing
        answer = self._ask("files", {"if-none-match": etag} if etag else {}, MAX_LISTING_BYTES)
        self._count(lists=1)
        if answer.status == 304:
            return known
        if answer.status != 200:
            raise self._refused("files", answer)
        listing = self._decoded(answer, Listing)
        found = {each.name: Found(each.size, each.etag) for each in listing.files if is_public(each.name)}
        self._listing = answer.headers.get("etag", ""), found
        return found

    def get(self, name: str, start: int, end: int, *, version: str = "") -> Piece:
        """Return bytes [start, end), fewer at the end; raise FileNotFoundError, Changed if the version is another."""
        if not is_public(name):
            raise self._missing(name)
        pieces, at = [self._range(name, start, min(max(end, start + 1), start + MAX_RANGE_BYTES), version)], start
        while len(pieces[-1].data) == MAX_RANGE_BYTES and (at := at + MAX_RANGE_BYTES) < min(end, pieces[0].size):
            pieces.append(self._range(name, at, min(end, at + MAX_RANGE_BYTES), pieces[0].version))
        return pieces[0] if len(pieces) == 1 else pieces[0]._replace(data=b"".join(piece.data for piece in pieces))

    def _range(self, name: str, start: int, end: int, version: str) -> Piece:
        headers = {"range": f"bytes={start}-{end - 1}", **({"if-match": version} if version else {})}
        answer = self._ask(f"files/{name}", headers, end - start)
        self._count(reads=1, bytes_read=len(answer.data))
        match answer.status:
            case 206 | 416:
                found = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
                data = answer.data if answer.status == 206 else b""
                if found is None or (int(found[1] or -1), int(found[2] or -1)) != _ends(start, data):
                    raise self._gone("answers with another range than it was asked for")
                return Piece(data, int(found[3]), answer.headers.get("etag", ""))
            case 404:
                raise self._missing(name)
            case 412:
                raise Changed(name)
        raise self._refused(name, answer)

    def head(self, name: str) -> Found:
        """Return what is known of one file; raise FileNotFoundError."""
        piece = self.get(name, 0, 1)
        return Found(piece.size, piece.version)

    def status(self, kind: type[T], *, ask_anyway: bool = False) -> T:
        """Return what the worker says of itself. `ask_anyway`: also while it is taken to be away."""
        if ask_anyway:
            self._away = None
        answer = self._ask("status", {}, MAX_STATUS_BYTES)
        if answer.status != 200:
            raise self._refused("status", answer)
        return self._decoded(answer, kind)

    def exchange(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Send a request that is no read of the store; return its status and JSON. Raise Away if nobody answers.

        It is sent again if no answer came: `path` must be for what does no harm twice. Whether the worker is taken to
        be away does not matter, and its answer to a refusal is returned.
        """
        self._away = None
        answer = self._ask(path, {}, MAX_STATUS_BYTES * 8, method=method, body=body)
        return answer.status, self._decoded(answer, object)

    @property
    def trouble(self) -> str:
        """Why the latest request failed, "" if it did not."""
        return self._away[1] if self._away else ""

    def close(self) -> None:
        self._http.close()

    def _ask(
        self, path: str, headers: Mapping[str, str], limit: int, *, method: str = "GET", body: bytes | None = None
    ) -> _Answer:
        """Ask until there is an answer that says something; raise Away if there is none in time."""
        if self._away is not None and self._clock() < self._away[0]:
            raise Away(self.shown, self._away[1], hint=self._away[2])
        deadline = self._clock() + REQUEST_SECONDS
        why, hint = "does not answer", ""
        for attempt in range(TRIES):
            try:
                answer = self._once(path, headers, limit, deadline, method, body)
            except httpx.ConnectTimeout:
                break  # a machine that is not there
            except (httpx.TransportError, ssl.SSLError, OSError) as error:
                if refusal := _refusal(error):
                    raise self._gone(*refusal) from None
                why, hint = _said(error)
            else:
                self._away, self._failures = None, 0
                if answer.status not in (429, 503):
                    return answer
                why, hint = "is too busy", ""
            pause = min(0.1 * 4**attempt, deadline - self._clock())
            if attempt == TRIES - 1 or pause <= 0:
                break
            time.sleep(pause)
        raise self._gone(why, hint)

    def _once(
        self, path: str, headers: Mapping[str, str], limit: int, deadline: float, method: str, body: bytes | None
    ) -> _Answer:
        with self._http.stream(
            method, path, headers=dict(headers), content=body, extensions=self._extensions
        ) as response:
            pieces: list[bytes] = []
            size = 0
            most = limit if response.status_code in (200, 206) else MAX_ERROR_BYTES
            for piece in response.iter_raw():
                size += len(piece)
                if size > most:
                    raise self._gone("sends more than it was asked for")
                if self._clock() > deadline:
                    raise httpx.ReadTimeout("too slow")
                pieces.append(piece)
            return _Answer(response.status_code, response.headers, b"".join(pieces))

    def _decoded(self, answer: _Answer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._gone("does not speak the language of a kubeshark worker") from None

    def _refused(self, what: str, answer: _Answer) -> Away:
        said: Any = ""
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            said = msgspec.json.decode(answer.data, type=dict[str, Any]).get("error", "")
        text = "".join(each for each in str(said)[:200] if each.isprintable())
        return self._gone(f"refuses {what} ({answer.status}{f': {text}' if text else ''})")

    def _gone(self, why: str, hint: str = "") -> Away:
        seconds = min(AWAY_SECONDS * 2 ** min(self._failures, 10), MOST_AWAY_SECONDS)
        self._failures += 1
        self._away = self._clock() + seconds, why, hint
        return Away(self.shown, why, hint=hint)

    def _missing(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(2, "No such file", f"{self.url}/{name}")

    def _count(self, **more: int) -> None:
        with self._lock:
            for field, number in more.items():
                setattr(self._requests, field, getattr(self._requests, field) + number)


def _ends(start: int, data: bytes) -> tuple[int, int]:
    """Return the first and last place that an answer with these bytes names."""
    return (start, start + len(data) - 1) if data else (-1, -1)


def _refusal(error: Exception) -> tuple[str, str] | None:
    """Return what is wrong with a certificate, and what to do; None if that is not it: asking again may help."""
    text = str(error)
    if "ALERT" in text.upper():
        said = re.search(r"ALERT_([A-Z_]+)|alert ([a-z ]+)", text)
        reason = (said[1] or said[2]).strip().replace("_", " ").lower() if said else "alert"
        return f"refuses our certificate ({reason})", "use one that its authority signed for a hub, and that is in time"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.rpartition("failed: ")[2].partition(" (_ssl")[0][:200]
        return f"has a certificate that is not believed ({reason})", "see --tls, and the name in the URL"
    return None


def _said(error: Exception) -> tuple[str, str]:
    if isinstance(error, httpx.TimeoutException):
        return "does not answer in time", ""
    if isinstance(error, httpx.ConnectError):
        return "cannot be reached", ""
    # asyncio ends a handshake that it refuses without a word (Python 3.11 to 3.13 at least)
    return "ends connections unanswered", "it may not accept our certificate: see --tls"
