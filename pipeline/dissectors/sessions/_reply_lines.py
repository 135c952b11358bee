"""Lines of commands and three-digit replies: the form SMTP and FTP share (RFC 5321 §4.2, RFC 959 §4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["MAX_LINE", "REPLY", "Line", "Reply", "is_tls", "line_at", "read_lines", "read_replies"]

MAX_LINE = 16 << 10  # bytes; RFC 4954 §4 has the longest, 12,288 octets of AUTH
MAX_REPLY_LINES = 2_000
MAX_REPLY = 256 << 10  # bytes of one reply

REPLY = re.compile(rb"([1-6][0-9][0-9])(?:([ -])|(?=\r?\n))")
_BREAK = re.compile(rb"\r?\n")


class Line(Struct):
    start: int
    end: int  # behind the line break
    text: bytes  # without it
    error: str = ""


class Reply(Struct):
    start: int
    end: int
    code: int
    lines: list[bytes]  # without code and break
    error: str = ""


def is_tls(data: bytes, at: int) -> bool:
    """Say whether a TLS handshake begins here: no line of text does so."""
    return data[at : at + 2] == b"\x16\x03"


def line_at(wire: Wire, at: int) -> Line:
    """Return the line at `at`, cut at MAX_LINE or at the end of the data."""
    data = wire.data
    found = _BREAK.search(data, at, at + MAX_LINE)
    if found:
        line = Line(at, found.end(), data[at : found.start()])
    elif len(data) - at > MAX_LINE:
        line = Line(at, at + MAX_LINE, data[at : at + MAX_LINE], f"malformed: no line ends within {MAX_LINE} bytes")
    else:
        line = Line(at, len(data), data[at:], f"truncated: only {len(data) - at} bytes were captured")
    if gap := wire.gap_in(at, line.end):
        if gap[0] <= at:
            return Line(at, gap[1], b"", "")
        line.text, line.error = data[at : gap[0]], f"gap: {gap[2]} bytes missing at {gap[0]}"
        line.end = max(line.end, gap[1])
    return line


def read_lines(wire: Wire, at: int = 0) -> Iterator[Line]:
    """Yield lines up to the end, or to where TLS begins; of a stream seen from the middle, whole ones only."""
    data = wire.data
    while at < len(data) and not is_tls(data, at):
        if wire.gap_in(at, at + 1):
            gap = wire.gap_in(at, at + 1)
            assert gap is not None
            found = _BREAK.search(data, gap[1])
            at = found.end() if found else len(data)
            continue
        line = line_at(wire, at)
        yield line
        at = line.end


def read_replies(wire: Wire) -> tuple[list[Reply], int | None]:
    """Return the replies one side sent, and where TLS begins, if it does."""
    data, at = wire.data, 0
    replies: list[Reply] = []
    skipped: Reply | None = None
    while at < len(data):
        if is_tls(data, at):
            return replies, at
        if gap := wire.gap_in(at, at + 1):
            found = _BREAK.search(data, gap[1])
            at, skipped = (found.end() if found else len(data)), None
            continue
        head = REPLY.match(data, at)
        if head:
            replies.append(_reply(wire, at, head))
            at, skipped = replies[-1].end, None
            continue
        line = line_at(wire, at)
        is_rest = not replies and skipped is None and wire.starts_midway
        if line.text.strip() and not is_rest:  # empty lines between replies are nobody's fault
            if skipped is None:
                skipped = Reply(at, line.end, 0, [], f"malformed: no reply at {at}")
                replies.append(skipped)
            skipped.end = line.end
        at = line.end
    return replies, None


def _reply(wire: Wire, start: int, head: re.Match[bytes]) -> Reply:
    code = head[1]
    first = line_at(wire, start)
    reply = Reply(start, first.end, int(code), [first.text[4:]], first.error)
    if head[2] != b"-" or reply.error:
        return reply
    while reply.end < len(wire.data):
        if len(reply.lines) >= MAX_REPLY_LINES or reply.end - start > MAX_REPLY:
            reply.error = "malformed: a reply without end"
            return reply
        line = line_at(wire, reply.end)
        reply.end, reply.error = line.end, line.error
        is_last = line.text.startswith(code) and line.text[3:4] in (b" ", b"")
        has_code = is_last or line.text.startswith(code + b"-")
        reply.lines.append(line.text[4:] if has_code else line.text)
        if is_last or reply.error:
            return reply
    reply.error = f"truncated: only {reply.end - start} bytes were captured"
    return reply
