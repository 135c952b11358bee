"""One SIP message (RFC 3261 §7): start line, headers with their short names, body, session description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "START",
    "SipMessage",
    "address_of",
    "find_start",
    "is_whole_head",
    "read_head",
    "request_detail",
    "response_detail",
]

MAX_HEAD = 64 << 10  # bytes of start line and headers
MAX_HEADERS = 1_000
MAX_BODY = 1 << 20  # bytes shown
MAX_TEXT = 1_000  # characters of a value in a summary

START = re.compile(
    rb"(?:(?P<method>[A-Za-z][A-Za-z0-9.!%*_+`'~-]{1,31}) (?P<uri>[^\s]{1,2048}) SIP/[0-9]\.[0-9]"
    rb"|SIP/[0-9]\.[0-9] (?P<status>[1-6][0-9][0-9])(?: (?P<reason>[^\r\n]{0,512}))?)[ \t]*(?:\r?\n|\Z)"
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NUMBER = re.compile(r"\s*(\d{1,10})")
_ADDRESS = re.compile(r"<([^>]*)>?")

COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}


class SipMessage(Struct):
    """A message; `head` is all up to the body. `length` is None where Content-Length is missing."""

    start: int
    head: bytes
    method: str
    uri: str
    status: int
    reason: str
    length: int | None
    values: Mapping[str, str]  # the headers summaries need, by lower-case name

    @property
    def key(self) -> str:
        """Call-ID and CSeq: what a request and its responses share (RFC 3261 §8.1.3.3, without the branch)."""
        return f"{self.values.get('call-id', '')} {' '.join(self.values.get('cseq', '').split())}"


_WANTED = frozenset({"call-id", "cseq", "from", "to", "content-length", "user-agent", "content-type"})


def read_head(data: bytes, at: int, end: int) -> SipMessage | None:
    """Read the message whose start line is at `at`; None if there is none. Its head may be cut at `end`."""
    line = START.match(data, at, min(end, at + MAX_HEAD))
    if line is None:
        return None
    found = _HEAD_END.search(data, line.end() - 2, min(end, at + MAX_HEAD))
    head = data[at : found.end() if found else min(end, at + MAX_HEAD)]
    values: dict[str, str] = {}
    for name, value in headers(head):
        if name.lower() in _WANTED:
            values.setdefault(name.lower(), value[:MAX_TEXT])
    length = _NUMBER.match(values.get("content-length", ""))
    is_request = line["method"] is not None
    return SipMessage(
        at,
        head,
        text(line["method"]) if is_request else "",
        text(line["uri"]) if is_request else "",
        0 if is_request else int(line["status"]),
        "" if is_request else text(line["reason"] or b""),
        int(length[1]) if length else None,
        values,
    )


def is_whole_head(message: SipMessage) -> bool:
    return bool(_HEAD_END.search(message.head, max(0, len(message.head) - 4)))


def find_start(data: bytes, at: int) -> int:
    """Return the offset of the next start line at or behind `at`, else the end."""
    while at < len(data):
        line_start = at == 0 or data[at - 1 : at] == b"\n"
        if line_start and START.match(data, at, min(len(data), at + MAX_HEAD)):
            return at
        at = data.find(b"\n", at) + 1 or len(data)
    return len(data)


def headers(head: bytes) -> list[tuple[str, str]]:
    """Return the headers in order: short names written out, folded lines joined."""
    found: list[tuple[str, str]] = []
    for line in head.split(b"\n", MAX_HEADERS)[1:MAX_HEADERS]:
        line = line.rstrip(b"\r")
        if line[:1] in (b" ", b"\t") and found:
            name, value = found[-1]
            found[-1] = name, f"{value} {text(line.strip())}"
        elif line:
            name_bytes, _, value_bytes = line.partition(b":")
            name = text(name_bytes.strip())
            found.append((COMPACT.get(name.lower(), name), text(value_bytes.strip())))
    return found


def address_of(value: str) -> str:
    """Return the URI of a From or To header, without name and parameters."""
    found = _ADDRESS.search(value)
    return (found[1] if found else value.partition(";")[0]).strip()


Detail = tuple[Mapping[str, Value], Mapping[str, Any]]


def request_detail(message: SipMessage, body: bytes) -> Detail:
    shown, document = _common(message, body)
    return {"request_body": shown}, {"method": message.method, "uri": message.uri, **document}


def response_detail(message: SipMessage, body: bytes) -> Detail:
    shown, document = _common(message, body)
    return {"response_body": shown}, {"status": message.status, "reason": message.reason, **document}


def _common(message: SipMessage, body: bytes) -> tuple[str, dict[str, Any]]:
    by_name: dict[str, str | list[str]] = {}
    for name, value in headers(message.head):
        known = by_name.get(name)
        if known is None:
            by_name[name] = value
        else:
            by_name[name] = [*known, value] if isinstance(known, list) else [known, value]
    shown = body[:MAX_BODY].decode("utf-8", "replace")
    document: dict[str, Any] = {"version": "2.0", "headers": by_name, "body": shown}
    if "application/sdp" in message.values.get("content-type", "").lower():
        document["sdp"] = session(shown)
    return shown, document


def session(description: str) -> dict[str, Any]:
    """Return what a session description (RFC 8866) offers: its name, where to, which media."""
    found: dict[str, Any] = {"origin": "", "name": "", "connection": "", "media": []}
    singles = {"o": "origin", "s": "name", "c": "connection"}
    for line in description.splitlines()[:MAX_HEADERS]:
        kind, equals, value = line.partition("=")
        if not equals:
            continue
        if kind == "m":
            words = [*value.split(), "", "", ""]
            media = {"type": words[0], "port": words[1], "protocol": words[2], "formats": value.split()[3:]}
            found["media"].append(media)
        elif kind == "c" and found["media"]:
            found["media"][-1]["connection"] = value
        elif kind == "a" and value.startswith("rtpmap:") and found["media"]:
            found["media"][-1].setdefault("codecs", []).append(value.removeprefix("rtpmap:"))
        elif kind in singles:
            found[singles[kind]] = value
    return found
