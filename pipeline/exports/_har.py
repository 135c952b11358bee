"""HTTP exchanges as a HAR 1.2 file (http://www.softwareishard.com/blog/har-12-spec/), one entry after the other.

1. Memory holds one entry at a time; the file is whole JSON also if no entry matches.
2. Secrets are redacted unless the caller says otherwise: values of SECRET_HEADERS, and whatever repeats them.
3. What HAR requires and a capture cannot know is -1 or "", as the specification has it; `comment` says what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, BinaryIO

from kubeshark._json import json_text
from kubeshark.extension_api import MessageKind, Redaction
from kubeshark.pipeline.enrichment._redact import SECRET_HEADERS, SECRET_WORD, redact
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.entries._time import rfc3339

__all__ = ["write_har"]

_BETWEEN_WORDS = re.compile(r"[\s,;=]+")
_NO_RESPONSE: Mapping[str, Any] = {"status": 0, "statusText": "", "httpVersion": "", "headersSize": -1, "bodySize": -1}
_NO_REQUEST: Mapping[str, Any] = {"method": "", "url": "", "httpVersion": "", "headersSize": -1, "bodySize": -1}


def write_har(entries: Iterable[Entry], out: BinaryIO, *, with_secrets: bool = False) -> tuple[int, int]:
    """Write the HTTP entries; return (how many were written, how many others were left out)."""
    written = skipped = 0
    creator = {"name": "kubeshark", "version": version("kubeshark")}
    out.write(b'{"log":{"version":"1.2","creator":' + _json(creator) + b',"entries":[')
    for entry in entries:
        if not entry.get("http"):
            skipped += 1
            continue
        out.write(b",\n" if written else b"\n")
        out.write(_json(_document(entry.whole(), with_secrets=with_secrets)))
        written += 1
    out.write(b"\n]}}\n")
    return written, skipped


def _json(value: Any) -> bytes:
    return json_text(value).encode()


def _document(entry: Entry, *, with_secrets: bool) -> dict[str, Any]:
    if not with_secrets:
        redact(entry, [Redaction(text=secret) for secret in sorted(_secrets(entry), key=len, reverse=True)])
    request, response = entry.detail(MessageKind.REQUEST), entry.detail(MessageKind.RESPONSE)
    milliseconds = entry.elapsed_ns / 1e6
    document: dict[str, Any] = {
        "startedDateTime": rfc3339(entry.start_ns),
        "time": milliseconds,
        "request": _request(entry, request or _NO_REQUEST),  # empty where a plugin had it withheld
        "response": _response(response or _NO_RESPONSE),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "serverIPAddress": entry.dst.ip,
        "connection": str(entry.src.port),
        "_id": entry.id,
    }
    if entry.error:
        document["comment"] = f"{entry.error.type}: {entry.error.message}"
    return document


def _secrets(entry: Entry) -> set[str]:
    """Return what must not be shown: secret headers' values, their words, and each cookie."""
    found: set[str] = set()
    for half in (entry.detail(MessageKind.REQUEST), entry.detail(MessageKind.RESPONSE)):
        document = half or {}
        found.update(map(str, document.get("cookies", {}).values()))
        for pair in _pairs(document.get("headers", {})):
            if pair["name"].lower() in SECRET_HEADERS:
                words = _BETWEEN_WORDS.split(pair["value"])
                found.update([pair["value"], *(word for word in words if len(word) >= SECRET_WORD)])
    return found - {""}


def _request(entry: Entry, request: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "method": request["method"],
        "url": _absolute(entry, str(request["url"])),
        "httpVersion": request["httpVersion"],
        "cookies": _pairs(request.get("cookies", {})),
        "headers": _pairs(request.get("headers", {})),
        "queryString": _pairs(request.get("queryString", {})),
        "headersSize": request["headersSize"],
        "bodySize": request["bodySize"],
    }
    post = request.get("postData") or {}
    if post.get("text") or post.get("params"):
        kept = ("mimeType", "text", "params", "encoding", "comment")
        document["postData"] = {name: post[name] for name in kept if post.get(name) or name == "mimeType"}
    return document


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    content = {name: value for name, value in response.get("content", {}).items() if value != "" or name == "mimeType"}
    return {
        "status": response["status"],
        "statusText": response["statusText"],
        "httpVersion": response["httpVersion"],
        "cookies": _pairs(response.get("cookies", {})),
        "headers": _pairs(response.get("headers", {})),
        "content": {"size": 0, "mimeType": "", **content},
        "redirectURL": response.get("redirectURL", ""),
        "headersSize": response["headersSize"],
        "bodySize": response["bodySize"],
    }


def _pairs(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return HAR's list of names and values; a name that came more than once has a list of values."""
    return [
        {"name": name, "value": str(each)}
        for name, value in values.items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _absolute(entry: Entry, url: str) -> str:
    """Return scheme, host and path: HAR wants it whole."""
    if not url.startswith("/"):
        return url
    ip = f"[{entry.dst.ip}]" if ":" in entry.dst.ip else entry.dst.ip
    scheme = "https" if entry.get("tls") else "http"
    return f"{scheme}://{entry.get('host') or f'{ip}:{entry.dst.port}'}{url}"
