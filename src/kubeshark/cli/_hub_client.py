"""A hub as a command asks it: its REST and its WebSockets, with the token of the environment."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from kubeshark.errors import KubesharkError, UsageError

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

__all__ = ["HubClient", "HubError"]

TIMEOUT_S = 120
MAX_BYTES = 64 << 20
TOKEN = "KUBESHARK_TOKEN"  # noqa: S105 - the name of a variable


class HubError(KubesharkError):
    """A hub does not answer, or does not let us."""


class HubClient:
    """Raises HubError with what the hub says, UsageError (exit 2) for what it says cannot be meant."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.path.strip("/"):
            raise UsageError(
                f"{url[:100]!r} is no hub", hint="write --hub http://HOST:PORT; the token: $KUBESHARK_TOKEN"
            )
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._token = os.environ.get(TOKEN, "")
        if not self._token:
            raise UsageError(f"${TOKEN} holds no token", hint='make one: "kubeshark token create --help"')

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something; return its JSON, None for an empty answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(self._root + path, data, headers, method=method)  # noqa: S310 - http and https alone
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:  # no proxy sees the token
                said = answer.read(MAX_BYTES)
        except HTTPError as error:
            raise _refusal(error.code, error.read(1 << 16)) from None
        except (URLError, OSError) as error:
            raise HubError(
                f"{self._root} does not answer: {getattr(error, 'reason', error)}", hint='is "kubeshark serve" running?'
            ) from None
        return json.loads(said) if said else None

    def socket(self, path: str) -> ClientConnection:
        """Open a WebSocket."""
        from websockets.exceptions import InvalidHandshake
        from websockets.sync.client import connect

        url = f"ws{self._root.removeprefix('http')}{path}"
        try:
            return connect(url, additional_headers={"Authorization": f"Bearer {self._token}"}, proxy=None)
        except (OSError, InvalidHandshake) as error:
            raise HubError(f"{self._root} refuses: {error}", hint=f"see ${TOKEN}") from None


def _refusal(status: int, said: bytes) -> KubesharkError:
    try:
        document = json.loads(said)
        text = str(document.get("error") or document)
    except (ValueError, AttributeError):
        text = f"the hub answered {status}"
    kind = UsageError if status in (400, 404, 409, 422) else HubError
    return kind(text)
