"""Where HTTP/1 messages begin and end in one side of a stream (RFC 9112); nothing else of them is read here.

1. A message starts at a request line or a status line, whatever side sent it.
2. Bytes that are neither spoil one message; reading goes on at the next start line.
3. Every search is bounded: start line and header section by MAX_HEAD, a chunk's size line by MAX_CHUNK_LINE.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.tls import begins_tls

__all__ = [
    "MAX_HEAD",
    "MAX_TARGET",
    "METHODS",
    "Unit",
    "find_start",
    "read_chunked",
    "read_units",
    "start_line",
    "value_of",
]

MAX_HEAD = 64 << 10
"""Start line and header section. Servers stop between 8 KiB (Apache, nginx by default) and 64 KiB."""
TLS_HEAD = 64
"""Bytes that show whether what is no HTTP is TLS."""
MAX_TARGET = 8 << 10
"""How far before its version a request line may begin when looking for one in the middle of a stream."""
MAX_CHUNK_LINE = 4096
"""A chunk's size and extensions; RFC 9112 §7.1.1 asks for a limit, common servers take 16 bytes to 4 KiB."""

METHODS = (
    rb"GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|LOCK|UNLOCK|REPORT|SEARCH"
    rb"|MERGE|CHECKOUT|MKACTIVITY|SUBSCRIBE|UNSUBSCRIBE|NOTIFY|M-SEARCH|PURGE|LINK|UNLINK|RPC_IN_DATA|RPC_OUT_DATA"
    rb"|CCM_POST|BITS_POST|SOURCE"
)
_KNOWN = frozenset(METHODS.split(b"|"))
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")  # RFC 9110 §9.1: any token may be a method
_STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9])[ \t]++([0-9]{3})(?:[ \t]([^\n]*+)|\r)?\n")
_VERSION = re.compile(rb"HTTP/1\.[0-9](?:\.[0-9]{1,3})?")  # a third number is wrong, and sent by small devices
_METHOD_BEFORE = re.compile(rb"(?:" + METHODS + rb")\Z")
_HEADER_OR_END = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:|\r?\n|\Z")
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]++)[ \t]*(?:;[^\n]*)?\r?\n")
_EMPTY_LINE = re.compile(rb"\r?\n")
_FOLDS = (b" ", b"\t")  # what a line begins with that goes on with the one before
_DIGITS = re.compile(rb"[0-9]{1,18}")


class Unit(Struct):
    """One message's place in its side."""

    start: int
    line_end: int  # behind the start line
    head_end: int  # behind the blank line: the body starts here
    end: int
    is_response: bool
    method: bytes = b""  # of a request; empty if its start line is damaged
    target: bytes = b""
    status: int = 0  # of a response
    reason: bytes = b""
    version: bytes = b""
    head: bytes = b""  # header section, lower case, beginning with the start line's newline
    chunked: bool = False
    trailer: int = 0  # where the trailer section starts, if chunked
    switches: bool = False  # what follows may be another protocol
    awaits: bool = False  # its body is sent when the server asks for it
    lacks: int = 0  # bytes of the body that its length promises and the side does not have
    is_cut: bool = False  # the side ends inside the body
    error: str = ""


def value_of(unit: Unit, data: bytes, name: bytes) -> bytes:
    """Return the first value of a header (lower-case name), as it is on the wire, folds joined; b"" without it."""
    head = unit.head
    at = head.find(b"\n" + name + b":")
    if at < 0:
        return b""
    start = at + len(name) + 2
    end = head.find(b"\n", start)
    while end >= 0 and head[end + 1 : end + 2] in _FOLDS:  # obs-fold, RFC 9112 §5.2
        end = head.find(b"\n", end + 1)
    base = unit.line_end - 1
    return b" ".join(data[base + start : base + (end if end >= 0 else len(head))].split())


def read_units(wire: Wire, asked: Callable[[int], bytes | None], *, answers: bool) -> list[Unit]:
    """Return the messages of one side, in order; `answers` says what a message without readable start line is.

    `asked` gives, for the offset of a final response, the method it answers (None: not known): a response to HEAD has
    no body, one to CONNECT opens a tunnel. It is called once for each final response, in order; behind a response that
    switches protocols nothing is read, behind a request that asks for it only what is HTTP.
    """
    data, units, at = wire.data, list[Unit](), 0
    lost = wire.starts_midway  # bytes before `at` were not captured: what is there need not begin a message
    while at < len(data):
        gap = wire.gap_in(at, at + 1)
        if gap:
            at, lost = gap[1], True
            continue
        if data[at] in b"\r\n":  # RFC 9112 §2.2: empty lines before a request line are ignored
            at += 1
            continue
        if lost:  # what is here may be the tail of a message whose head was never captured
            at, lost = find_start(data, at), False
            continue
        unit = start_line(data, at)
        if unit is None:
            if units and units[-1].switches:
                break
            end = find_start(data, at)
            _blame(data, units, at, end, answers)
            at = end
            continue
        _read_head(wire, unit)
        _read_body(wire, unit, asked)
        units.append(unit)
        if unit.is_response and unit.switches:
            break
        at = unit.end
    return units


def start_line(data: bytes, at: int) -> Unit | None:
    """Read the request or status line at `at` (RFC 9112 §3, §4); None if there is none. No version, no message."""
    limit = min(len(data), at + MAX_HEAD)
    match = _STATUS_LINE.match(data, at, limit)
    if match:
        end, reason = match.end(), match[3] or b""
        return Unit(at, end, end, end, True, status=int(match[2]), reason=reason.strip(), version=match[1])
    end = data.find(b"\n", at, limit) + 1
    method, _, rest = data[at:end].rstrip().partition(b" ")
    target, _, version = rest.rpartition(b" ")
    if not _VERSION.fullmatch(version) or not _TOKEN.fullmatch(method):
        return None
    if b" " in target and method not in _KNOWN:  # spaces in a target are wrong, but sent; in both it is just text
        return None
    return Unit(at, end, end, end, False, method=method, target=target.strip(), version=version[5:8])


def find_start(data: bytes, at: int) -> int:
    """Return the offset of the next start line worth believing in the middle of anything; len(data) if there is none.

    Worth believing: a status line, or a request line with a known method, with a header or nothing behind it.
    """
    if _is_believable(data, start_line(data, at)):
        return at
    here = at
    while (here := data.find(b"HTTP/1.", here)) >= 0:
        start = here
        if data[here - 1 : here] == b" ":
            before = data[max(at, here - MAX_TARGET) : here].rsplit(b" ", 2)
            method = _METHOD_BEFORE.search(before[0][-16:]) if len(before) == 3 and b"\n" not in before[1] else None
            if method:
                start = here - len(before[1]) - 2 - len(method[0])
        if _is_believable(data, start_line(data, start)):
            return start
        here += 7
    return len(data)


def _is_believable(data: bytes, line: Unit | None) -> bool:
    return (
        line is not None
        and (line.is_response or line.method in _KNOWN)
        and _HEADER_OR_END.match(data, line.end) is not None
    )


def _blame(data: bytes, units: list[Unit], at: int, end: int, answers: bool) -> None:
    """Say which message data[at:end] spoils: one of its own if it has a header section, else the one before."""
    if units and not _HEAD_END.search(data, at, end):
        units[-1].end = end
        units[-1].error = units[-1].error or f"malformed: {end - at} bytes at {at} behind the end start no message"
    else:
        is_tls = begins_tls(data[at : min(end, at + TLS_HEAD)], midway=False)  # an alert: TLS was expected here
        what = ": they are TLS" if is_tls else ""
        error = f"malformed: {end - at} bytes at {at} start no message{what}"
        units.append(Unit(at, at, at, end, answers, error=error))


def _read_head(wire: Wire, unit: Unit) -> None:
    data = wire.data
    found = _HEAD_END.search(data, unit.line_end - 1, unit.start + MAX_HEAD)
    if found:
        unit.head_end = found.end()
    elif unit.start + MAX_HEAD < len(data):
        unit.head_end = unit.start + MAX_HEAD
        unit.error = f"malformed: header section longer than {MAX_HEAD} bytes"
    else:
        unit.head_end = len(data)
        unit.error = "truncated: the header section ends early"
    gap = wire.gap_in(unit.start, unit.head_end)
    if gap:
        unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}, in the header section"
    unit.head = data[unit.line_end - 1 : unit.head_end].lower()


def _read_body(wire: Wire, unit: Unit, asked: Callable[[int], bytes | None]) -> None:
    """Set where the body ends: RFC 9112 §6.3, rule by rule."""
    data = wire.data
    if unit.is_response:
        method = None if 100 <= unit.status < 200 and unit.status != 101 else asked(unit.start)
        unit.switches = unit.status == 101 or (method == b"CONNECT" and 200 <= unit.status < 300)
        if method == b"HEAD" or unit.status < 200 or unit.status in (204, 304) or unit.switches:
            unit.end = unit.head_end
            return
        if method is None and data.startswith(b"HTTP/1.", unit.head_end) and start_line(data, unit.head_end):
            unit.end = unit.head_end  # the answer to a HEAD that was not captured: the next message starts at once
            return
    else:
        unit.switches = unit.method == b"CONNECT" or unit.head.find(b"\nupgrade:") >= 0
        unit.awaits = value_of(unit, data, b"expect").lower() == b"100-continue"
        if unit.awaits and _is_believable(data, start_line(data, unit.head_end)):
            unit.end = unit.head_end  # nobody asked for the body, so the next message starts at once
            return
    coding = value_of(unit, data, b"transfer-encoding").lower()
    length = value_of(unit, data, b"content-length")
    if coding.endswith(b"chunked"):
        unit.chunked = True
        unit.end, unit.trailer, error = read_chunked(wire, unit.head_end)
        unit.is_cut = not unit.error and error.startswith("truncated:")
        unit.error = unit.error or error
    elif length:
        _read_length(wire, unit, length)
    elif unit.error and unit.head_end < len(data):  # the header that says it may be what is missing
        unit.end = find_start(data, unit.head_end)
    elif unit.is_response:
        unit.end = len(data)  # until the connection closes
    else:
        unit.end = unit.head_end
        if coding:
            unit.error = unit.error or "malformed: a request's transfer coding does not end with chunked"
    if not unit.error and (gap := wire.gap_in(unit.head_end, unit.end)):
        unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}, in the body"


def _read_length(wire: Wire, unit: Unit, text: bytes) -> None:
    name = b"\ncontent-length:"
    values = [part.strip() for part in text.split(b",")]
    second = unit.head.find(name, unit.head.find(name) + 1)
    if second >= 0 and (end := unit.head.find(b"\n", second + 1)) >= 0:  # else the head is cut inside of it
        values.append(unit.head[second + len(name) : end].strip())
    if not _DIGITS.fullmatch(values[0]):
        unit.error = unit.error or "malformed: Content-Length is not a number"
        unit.end = find_start(wire.data, unit.head_end)
        return
    if any(value != values[0] for value in values):
        unit.error = unit.error or "malformed: Content-Length values contradict each other"
    end = wire.after(unit.head_end, int(values[0]))
    unit.end = min(end, len(wire.data))
    if end > unit.end and not unit.error:
        unit.is_cut, unit.lacks = True, end - unit.end
        unit.error = f"truncated: {unit.lacks} bytes of the body were not captured"


def read_chunked(wire: Wire, at: int, spans: list[tuple[int, int]] | None = None) -> tuple[int, int, str]:
    """Walk a chunked body: return (end, start of the trailers, error); chunks' data go to `spans`."""
    data = wire.data
    while True:
        match = _CHUNK_SIZE.match(data, at, min(len(data), at + MAX_CHUNK_LINE))
        if match is None:
            return _broken_chunk(wire, at)
        size = int(match[1], 16)
        if size == 0:
            break
        end = wire.after(match.end(), size)
        if spans is not None:
            spans.append((match.end(), min(end, len(data))))
        if end >= len(data):
            return len(data), len(data), "truncated: the chunked body ends early"
        at = end + 2 if data.startswith(b"\r\n", end) else end + 1 if data.startswith(b"\n", end) else end
        if at == end:
            return _broken_chunk(wire, at)
    trailer = match.end()
    blank = _EMPTY_LINE.match(data, trailer)
    if blank:
        return blank.end(), trailer, ""
    found = _HEAD_END.search(data, trailer, trailer + MAX_HEAD)
    if found:
        return found.end(), trailer, ""
    return len(data), trailer, "truncated: the trailer section ends early"


def _broken_chunk(wire: Wire, at: int) -> tuple[int, int, str]:
    end = find_start(wire.data, at)
    gap = wire.gap_in(at, at + MAX_CHUNK_LINE)
    if gap:
        return end, end, f"gap: {gap[2]} bytes missing at {gap[0]}, in a chunk's size"
    if end - at < 20 and end == len(wire.data):
        return end, end, "truncated: the chunked body ends early"
    return end, end, f"malformed: no chunk size at {at}"
