"""The Redis serialization protocol, RESP2 and RESP3: where values begin and end, and what they say on demand.

1. A value's place is found without building it: aggregates are counted, not nested, so no input can exhaust the stack.
2. Every byte is read once: behind bytes that make no sense, reading goes on where the sense ended.
3. `decoded` builds values for people: at most MAX_ELEMENTS of them, MAX_DEPTH deep, MAX_TEXT bytes each.
"""

from __future__ import annotations

import re

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._lines import next_line
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["KINDS", "Frame", "decoded", "next_value", "read_value", "shown"]

KINDS = {
    "+": "Simple String",
    "-": "Error",
    ":": "Integer",
    "$": "Bulk String",
    "*": "Array",
    "_": "Null",
    "#": "Boolean",
    ",": "Double",
    "(": "Big Number",
    "!": "Error",
    "=": "Verbatim",
    "%": "Map",
    "~": "Set",
    ">": "Push",
    "|": "Attribute",
}

MAX_LINE = 64 << 10
"""A header or simple string; Redis takes inline commands and MONITOR lines no longer than this."""
MAX_DIGITS = 16
"""Bytes of a length that the quick way takes; longer ones have the slow way."""
MAX_PARTS = 256
"""Strings of one value whose places are kept: arguments of a command."""
MAX_ELEMENTS = 1_000
MAX_DEPTH = 32
MAX_TEXT = 64 << 10

_HEADER = re.compile(rb"([$=!*~>%|;])(\?|-?[0-9]{1,18})\r\n|([+\-:_#,(.])([^\r\n]*)\r\n")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,20}")
_LINE = re.compile(rb"[+\-:][^\r\n]*\r\n")
_START = re.compile(rb"(?:[*~>%|$=!](?:-1|[0-9]{1,10})|[:(][+-]?[0-9]+|_|#[tf])\r\n|[+-][A-Z][^\r\n]*\r\n")
_AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}


class Frame(Struct):
    """One value's place. `parts` are the places of its first strings (bulk or simple), in order, however nested."""

    start: int
    end: int
    kind: str  # its first byte, behind attributes
    count: int = -1  # elements of an aggregate
    parts: list[tuple[int, int]] = field(default_factory=list)
    error: str = ""


def next_value(data: bytes, at: int) -> int:
    """Return where the next line begins that can start a value, else the end: for the middle of a stream."""
    return next_line(data, at, _START, MAX_LINE)


def read_value(wire: Wire, start: int) -> Frame:
    """Read the value at `start`; `error` says if it is cut or malformed, `end` is then where its sense ends."""
    data, at, size = wire.data, start, len(wire.data)
    if not wire.gaps and (line := _LINE.match(data, at, at + MAX_LINE)):  # most answers
        return Frame(start, line.end(), chr(data[at]), parts=[(at + 1, line.end() - 2)])
    if not wire.gaps and data.startswith(b"$", at):  # most of the others: a string that is all there
        line_end = data.find(b"\r\n", at, at + MAX_DIGITS)
        digits = data[at + 1 : line_end]
        if line_end > 0 and digits.isdigit() and data.startswith(b"\r\n", end := line_end + 2 + int(digits)):
            return Frame(start, end + 2, "$", parts=[(line_end + 2, end)])
    if not wire.gaps and data.startswith(b"*", at) and (frame := _strings(data, at)):  # most commands
        return frame
    frame = Frame(start, start, "")
    pending, value_start = 1, -1
    outer: list[int] = []  # counts to go on with behind streamed aggregates
    has_gaps = bool(wire.gaps)
    while pending:
        if frame.kind and not has_gaps and data[at : at + 1] == b"$":  # most elements, and they are many
            line_end = data.find(b"\r\n", at, at + MAX_DIGITS)
            digits = data[at + 1 : line_end]
            if line_end > 0 and digits.isdigit() and data.startswith(b"\r\n", end := line_end + 2 + int(digits)):
                if len(frame.parts) < MAX_PARTS:
                    frame.parts.append((line_end + 2, end))
                pending -= 1
                at = end + 2
                continue
        header = _HEADER.match(data, at, at + MAX_LINE)
        if header is None:
            return _ended(frame, wire, at)
        sign, count_text, simple = header[1], header[2], header[3]
        begin, at = at, header.end()
        pending -= 1
        if not (frame.kind or pending or outer) and sign != b"|":  # the value itself, behind attributes
            frame.kind = chr(data[begin]) if sign != b";" else "$"
            frame.parts.clear()
            value_start = begin
        if simple is not None:
            if simple == b".":
                if not outer:
                    return _ended(frame, wire, begin)
                pending = outer.pop()
                continue
            if len(frame.parts) < MAX_PARTS:
                frame.parts.append((begin + 1, at - 2))
            continue
        count = -1 if count_text == b"?" else int(count_text)
        if sign in _AGGREGATES:
            if begin == value_start:
                frame.count = max(0, count)
            if count_text == b"?":
                if len(outer) == MAX_DEPTH:
                    return _ended(frame, wire, begin)
                outer.append(pending)
                pending = size  # until its end mark
            else:
                pending += max(0, count) * _AGGREGATES[sign] + (sign == b"|")
            continue
        if sign == b";" or count_text == b"?":  # chunks of a streamed string, up to an empty one
            pending += count != 0
        if count <= 0 and sign == b";":
            continue
        if count < 0:
            if count_text != b"?" and len(frame.parts) < MAX_PARTS:
                frame.parts.append((at, at))
            continue
        end = wire.after(at, count) if wire.gaps else at + count
        if len(frame.parts) < MAX_PARTS:
            frame.parts.append((at, min(end, size)))
        if end + 2 > size:
            return _ended(frame, wire, size)
        if data[end : end + 2] != b"\r\n" and not (wire.gaps and wire.gap_in(begin, end + 2)):
            return _ended(frame, wire, end)
        at = end + 2
    frame.end = at
    if wire.gaps and (gap := wire.gap_in(start, at)):
        frame.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    return frame


def _strings(data: bytes, start: int) -> Frame | None:
    """Read an array of strings that are all there; None if it is anything else."""
    line_end = data.find(b"\r\n", start, start + MAX_DIGITS)
    digits = data[start + 1 : line_end]
    if line_end < 0 or not digits.isdigit() or not 0 < (count := int(digits)) <= MAX_PARTS:
        return None
    at, parts = line_end + 2, list[tuple[int, int]]()
    for _ in range(count):
        line_end = data.find(b"\r\n", at, at + MAX_DIGITS)
        digits = data[at + 1 : line_end]
        begin = line_end + 2
        if line_end < 0 or not (digits.isdigit() and data.startswith(b"$", at)):
            return None
        end = begin + int(digits)
        if not data.startswith(b"\r\n", end):
            return None
        parts.append((begin, end))
        at = end + 2
    return Frame(start, at, "*", count, parts)


def _ended(frame: Frame, wire: Wire, at: int) -> Frame:
    """Give up at a header that is none: because bytes are missing, because the stream ends, or because it is wrong."""
    frame.end, size = at, len(wire.data)
    gap = wire.gap_in(frame.start, min(at + MAX_LINE, size))
    if gap and gap[0] <= at + MAX_LINE and b"\n" not in wire.data[at : gap[0]]:
        frame.end = max(at, gap[1])
        frame.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    elif size - at < MAX_LINE and wire.data.find(b"\r\n", at) < 0:
        frame.end = size
        frame.error = f"truncated: only {size - frame.start} bytes were captured"
    else:
        frame.error = f"malformed: no value at {at}"
    return frame


def decoded(data: bytes) -> object:
    """Build the value `data` is: str, list, dict (of texts), None, int, float, bool; attributes are dropped.

    What is cut or malformed is left out; elements beyond the limits too.
    """
    value, _, _ = _decode(data, 0, MAX_DEPTH, MAX_ELEMENTS)
    return value


def _decode(data: bytes, at: int, depth: int, left: int) -> tuple[object, int, int]:
    """Return (value, where it ends, how many elements may still be built); ends behind the data if it is damaged."""
    header = _HEADER.match(data, at)
    if header is None or not depth or not left:
        return "", len(data) + 1, 0
    left -= 1
    at = header.end()
    if header[3] is not None:
        return _simple(header[3], header[4]), at, left
    sign, unknown = header[1], header[2] == b"?"
    count = -1 if unknown else int(header[2])
    if sign == b"|":
        _, at, left = _elements(data, at, count * 2, depth, left)
        return _decode(data, at, depth - 1, left)
    if sign in _AGGREGATES:
        if count < 0 and not unknown:
            return None, at, left
        values, at, left = _elements(data, at, len(data) if unknown else count * _AGGREGATES[sign], depth, left)
        if sign == b"%":
            return {shown(key): value for key, value in zip(values[::2], values[1::2], strict=False)}, at, left
        return values, at, left
    if unknown:
        return _chunks(data, at, left)
    if count < 0:
        return None, at, left
    body = data[at : at + min(count, MAX_TEXT)]
    return text(body[4:] if sign == b"=" else body), at + count + 2, left


def _elements(data: bytes, at: int, count: int, depth: int, left: int) -> tuple[list[object], int, int]:
    values: list[object] = []
    while len(values) < count and at < len(data) and left:
        if data.startswith(b".\r\n", at):
            return values, at + 3, left
        value, at, left = _decode(data, at, depth - 1, left)
        if at > len(data) and value == "":
            break
        values.append(value)
    return values, at, left


def _chunks(data: bytes, at: int, left: int) -> tuple[str, int, int]:
    body = b""
    while (header := _HEADER.match(data, at)) and header[1] == b";" and len(body) < MAX_TEXT:
        count = int(header[2]) if header[2] != b"?" else 0
        at = header.end()
        if count <= 0:
            break
        body += data[at : at + min(count, MAX_TEXT)]
        at += count + 2
    return text(body), at, left


def _simple(sign: bytes, line: bytes) -> object:
    if sign == b"_":
        return None
    if sign == b"#":
        return line == b"t"
    line = line[:MAX_TEXT]
    if sign == b":" and _INTEGER.fullmatch(line):
        return int(line)
    return text(line)


def shown(value: object) -> str:
    """Write a decoded value as one text: `[a, b]`, `{k: v}`, `nil`; cut at MAX_TEXT characters."""
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"[:MAX_TEXT]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"[:MAX_TEXT]
    if value is None:
        return "nil"
    return str(value).lower() if isinstance(value, bool) else str(value)
