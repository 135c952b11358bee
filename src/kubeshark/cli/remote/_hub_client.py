"""A hub as a command asks it: its REST and its WebSockets, with the token of the environment."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from kubeshark.errors import KubesharkError, UsageError
from kubeshark.settings._values import BASE_PATH

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["HubClient", "HubError"]

TIMEOUT_S = 120
MAX_BYTES = 64 << 20
TOKEN = "KUBESHARK_TOKEN"  # noqa: S105 - the name of a variable
PCAP_HEADER, PCAP_RECORD = 24, 16
PCAP_ORDERS = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
}
"""Magic numbers of pcap, of microseconds and nanoseconds → byte order."""


class Downloaded(NamedTuple):
    packets: int
    bytes: int
    is_cut: bool
    problems: tuple[str, ...]  # why packets may be missing


class HubError(KubesharkError):
    """A hub does not answer, or does not let us."""


class HubClient:
    """Raises HubError with what the hub says, UsageError (exit 2) for what it says cannot be meant."""

    def __init__(self, url: str, token: str = "") -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or not re.fullmatch(BASE_PATH, parts.path)
        ):
            raise UsageError(
                f"{url[:100]!r} is no hub",
                hint="write --hub http://HOST:PORT, and the path below which it is; the token: $KUBESHARK_TOKEN",
            )
        self._root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._token = token or os.environ.get(TOKEN, "")
        if not self._token:
            raise UsageError(f"${TOKEN} holds no token", hint='make one: "kubeshark token create --help"')

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something; return its JSON, None for an empty answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(self._root + path, data, headers, method=method)  # noqa: S310 - http and https alone
        with self._answer(request) as answer:
            said = answer.read(MAX_BYTES)
        return json.loads(said) if said else None

    def download_pcap(self, path: str, out: BinaryIO, most: int) -> Downloaded:
        """Write the pcap at a path into `out`, at most `most` bytes of it, whole packets; raise HubError."""
        request = Request(self._root + path, headers={"Authorization": f"Bearer {self._token}"})  # noqa: S310
        with self._answer(request) as answer:
            head = _exactly(answer, PCAP_HEADER)
            order = PCAP_ORDERS.get(head[:4])
            if order is None:
                raise HubError(f"{self._root} did not send a pcap")
            _write(out, head)
            packets, written, problems = 0, len(head), _problems(answer.headers.get("kubeshark-problems", ""))
            while record := answer.read(PCAP_RECORD):
                record += _exactly(answer, PCAP_RECORD - len(record))
                length: int = struct.unpack_from(f"{order}I", record, 8)[0]
                if length > MAX_BYTES:
                    raise HubError(f"{self._root} sent a packet of {length:,} bytes: that is none")
                if written + PCAP_RECORD + length > most:
                    return Downloaded(packets, written, True, problems)
                _write(out, record + _exactly(answer, length))
                packets, written = packets + 1, written + PCAP_RECORD + length
        return Downloaded(packets, written, False, problems)

    @contextmanager
    def _answer(self, request: Request) -> Iterator[Any]:
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:  # no proxy sees the token
                yield answer
        except HTTPError as error:
            raise _refusal(error.code, error.read(1 << 16)) from None
        except HTTPException as error:
            raise HubError(f"{self._root} ended its answer early: {type(error).__name__}") from None
        except (URLError, OSError) as error:
            raise HubError(
                f"{self._root} does not answer: {getattr(error, 'reason', error)}", hint='is "kubeshark serve" running?'
            ) from None

    def socket(self, path: str) -> ClientConnection:
        """Open a WebSocket."""
        from websockets.exceptions import InvalidHandshake
        from websockets.sync.client import connect

        url = f"ws{self._root.removeprefix('http')}{path}"
        try:
            return connect(url, additional_headers={"Authorization": f"Bearer {self._token}"}, proxy=None)
        except (OSError, InvalidHandshake) as error:
            raise HubError(f"{self._root} refuses: {error}", hint=f"see ${TOKEN}") from None


def _write(out: BinaryIO, data: bytes) -> None:
    try:
        out.write(data)
    except OSError as error:  # not the hub's fault
        raise KubesharkError(f"the file cannot be written: {error.strerror}", hint="is the disk full?") from None


def _exactly(answer: Any, count: int) -> bytes:
    data: bytes = answer.read(count)
    if len(data) != count:
        raise HubError("the hub ended its answer inside a packet")
    return data


def _refusal(status: int, said: bytes) -> KubesharkError:
    try:
        document = json.loads(said)
        text = str(document.get("error") or document)
    except (ValueError, AttributeError):
        text = f"the hub answered {status}"
    kind = UsageError if status in (400, 404, 409, 422) else HubError
    return kind(text)


def _problems(header: str) -> tuple[str, ...]:
    """Read what a hub says of a download that may not be whole."""
    try:
        told = json.loads(header or "[]")
    except ValueError:
        told = [header]
    return tuple(map(str, told)) if isinstance(told, list) else (header,)
