"""Sends every sealed segment to a web server, by PUT: data, then index, as a store reads them.

What is sent is encrypted: the server learns sizes and times, and can open nothing. A segment that cannot be sent is a
problem of the import that sealed it; the store keeps it.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from kubeshark.extension_api import SealedSegment, SettingSpec, hookimpl

SECONDS = 30.0  # for one answer of the server
DATA, INDEX = ".pcap.zst.age", ".idx.age"
options: dict[str, Any] = {}


@hookimpl
def settings() -> Sequence[SettingSpec]:
    return (
        SettingSpec("url", required=True, description="where to: https://host/folder"),
        SettingSpec("token", secret=True, description="sent as Authorization: Bearer"),
    )


@hookimpl
def configure(values: dict[str, Any]) -> None:
    parts = urlsplit(values["url"])
    is_local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
        raise ValueError(f"{values['url']} is not https://host/…")
    options.clear()
    options.update(values)


@hookimpl
def segment_sealed(segment: SealedSegment) -> None:
    if "://" in segment.path:
        return  # the store is in a bucket: it is away already
    data = Path(segment.path)
    index = data.with_name(data.name.removesuffix(DATA) + INDEX)
    for path in (data, index):  # in this order: an index says that the data is there
        send(path)


def send(path: Path) -> None:
    """Put one file; OSError says what the server answered."""
    parts = urlsplit(options["url"])
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    headers = {"Content-Type": "application/octet-stream"}
    if options["token"]:
        headers["Authorization"] = f"Bearer {options['token']}"
    try:
        with path.open("rb") as body:
            headers["Content-Length"] = str(path.stat().st_size)
            connection.request("PUT", f"{parts.path.rstrip('/')}/{quote(path.name)}", body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
        if not 200 <= answer.status < 300:
            raise OSError(f"{path.name}: the server answered {answer.status} {answer.reason}")
    finally:
        connection.close()
