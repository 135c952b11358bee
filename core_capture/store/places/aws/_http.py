"""One request to a service of AWS that gives keys: bounded, no redirects, its answer never quoted."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException

from kubeshark.errors import StoreError

__all__ = ["exchange"]

MAX_BYTES = 1 << 16
_TRIES = 3


def exchange(
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    method: str = "GET",
    seconds: float = 10,
    through_proxy: bool = False,
) -> tuple[int, bytes]:
    """Return status and body; raise StoreError where no answer comes, or too long a one.

    What the network or the server (5xx) failed at is tried again, three times in all.
    """
    proxies: dict[str, str] | None = None if through_proxy else {}  # None: those of the environment
    opener = urllib.request.OpenerDirector()  # bare: it follows no redirects, and a status is no exception
    for each in (urllib.request.ProxyHandler(proxies), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()):
        opener.add_handler(each)
    opener.addheaders = []
    where = url.partition("?")[0]
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.2 * 4**attempt)
        is_last = attempt == _TRIES - 1
        try:
            request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310  # by the callers
            with opener.open(request, timeout=seconds) as answer:
                status, said = int(answer.status), bytes(answer.read(MAX_BYTES + 1))
        except (OSError, HTTPException) as error:
            if is_last:
                reason = getattr(error, "reason", error)
                why = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
                raise StoreError(f"{where} cannot be reached: {why}") from None
            continue
        if len(said) > MAX_BYTES:
            raise StoreError(f"{where} answers with more than {MAX_BYTES:,} bytes")
        if status < 500 or is_last:
            return status, said
    raise AssertionError  # the last attempt returns or raises
