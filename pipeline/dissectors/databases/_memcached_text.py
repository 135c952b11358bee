"""memcached's text protocol and its meta commands (protocol.txt of the server): where messages are and what they say.

1. A line that names a data block is followed by that many bytes and a line end; nothing else is counted.
2. What makes no sense spoils one message; reading goes on at the next line that begins like one.
3. Lines are at most MAX_LINE bytes; of values only their places are kept, at most MAX_VALUES for a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._lines import next_line
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = [
    "MAX_LINE",
    "REQUEST_LINE",
    "STORAGE",
    "STRICT_ANSWER",
    "STRICT_REQUEST",
    "Item",
    "Unit",
    "read_answers",
    "request_at",
]

MAX_LINE = 64 << 10
"""A request for many keys; the server takes 2 KiB for anything else."""
MAX_VALUES = 1_000
MAX_MESSAGE = 1_000
"""Characters of an answer's text: statistics, errors."""

STORAGE = frozenset(("set", "add", "replace", "append", "prepend", "cas"))
RETRIEVAL = frozenset(("get", "gets", "gat", "gats"))
META = frozenset(("mg", "ms", "md", "ma", "me"))
WITHOUT_KEY = frozenset(
    (
        "stats",
        "flush_all",
        "version",
        "verbosity",
        "quit",
        "slabs",
        "lru",
        "lru_crawler",
        "watch",
        "shutdown",
        "mn",
        "cache_memlimit",
        "misbehave",
        "refresh_certs",
        "extstore",
    )
)
UNANSWERED = frozenset(("quit", "shutdown"))

_KEYED = rb"get|gets|gat|gats|delete|incr|decr|touch|mg|md|ma|me"
_BARE = rb"stats|flush_all|version|verbosity|quit|slabs|lru|lru_crawler|watch|shutdown|mn|cache_memlimit|refresh_certs"
STRICT_REQUEST = re.compile(
    rb"(?:set|add|replace|append|prepend) [!-~\x80-\xff]{1,250} +[0-9]{1,10} +-?[0-9]{1,10} +[0-9]{1,9}"
    rb"(?: +noreply)? *\r?\n"
    rb"|cas [!-~\x80-\xff]{1,250} +[0-9]{1,10} +-?[0-9]{1,10} +[0-9]{1,9} +[0-9]{1,20}(?: +noreply)? *\r?\n"
    rb"|ms [!-~\x80-\xff]{1,250} +S?[0-9]{1,9}(?: +[A-Za-z][!-~]*)* *\r?\n"
)
"""A line that can hardly be anything else."""
REQUEST_LINE = re.compile(
    STRICT_REQUEST.pattern
    + rb"|(?:"
    + _KEYED
    + rb") +[!-~\x80-\xff]{1,250}(?: +[!-~\x80-\xff]{1,250})* *\r?\n|(?:"
    + _BARE
    + rb")(?: +[!-~]{1,250})* *\r?\n"
)
STRICT_ANSWER = re.compile(
    rb"VALUE [!-~\x80-\xff]{1,250} [0-9]{1,10} [0-9]{1,9}(?: [0-9]{1,20})?\r\n|(?:STORED|NOT_STORED|TOUCHED|DELETED"
    rb"|NOT_FOUND|EXISTS)\r\n|STAT [!-~]{1,250} "
)
_WORD = re.compile(rb"[A-Za-z_]{1,32}(?=[ \r\n])")
_ANSWER_LINE = re.compile(
    STRICT_ANSWER.pattern
    + rb"|(?:END|OK|RESET|ERROR|HD|EN|NF|NS|EX|MN|BUSY|SAME|NOSPARE|UNSAFE|BADCLASS|NOTFULL)(?: [^\r\n]*)?\r\n"
    rb"|(?:CLIENT_ERROR|SERVER_ERROR|VERSION|ME) [^\r\n]*\r\n|VA [0-9]{1,9}(?: [^\r\n]*)?\r\n|[0-9]{1,20} *\r\n"
    rb"|(?:key|ts)=[^\r\n]*\r?\n|(?:PREFIX|ITEM|mg) [^\r\n]*\r\n"
)
_VALUE = re.compile(rb"VALUE ([^ \r\n]{1,250}) ([0-9]{1,10}) ([0-9]{1,18})(?: ([0-9]{1,20}))?\r\n")
_META_VALUE = re.compile(rb"VA ([0-9]{1,18})((?: [^ \r\n]+)*) *\r\n")
_LISTED = (b"STAT ", b"PREFIX ", b"ITEM ", b"key=", b"mg ")
_SUCCESS = frozenset(
    ("STORED", "DELETED", "TOUCHED", "OK", "RESET", "VERSION", "VALUE", "STAT", "HD", "VA", "MN", "ME", "NUMBER")
)


class Item(Struct):
    """A value on the wire; `start` and `end` are its place in the side."""

    key: str
    flags: int
    size: int
    start: int
    end: int
    cas: int = 0


class Unit(Struct):
    """A request or an answer, of either protocol."""

    start: int
    end: int
    line_end: int = 0  # of a request in text, if its line is whole
    command: str = ""
    keys: list[str] = field(default_factory=list)
    flags: int = 0
    expiration: int = 0
    cas: int = 0
    opaque: int = 0
    options: list[str] = field(default_factory=list)  # flags of a meta command, arguments of the others
    items: list[Item] = field(default_factory=list)
    is_silent: bool = False  # noreply
    is_quiet: bool = False  # answered only where something is worth telling
    is_secret: bool = False
    status: str = ""
    code: int = 0  # status of the binary protocol
    is_success: bool = False
    message: str = ""
    is_event: bool = False
    is_binary: bool = False
    error: str = ""


def read_answers(wire: Wire) -> Iterator[Unit]:
    data, at, size = wire.data, 0, len(wire.data)
    if wire.starts_midway:
        at = next_line(data, 0, _ANSWER_LINE, MAX_LINE)
    while at < size:
        unit = _answer(wire, at)
        if unit.error and unit.end < size:
            unit.end = next_line(data, max(unit.end, at + 1), _ANSWER_LINE, MAX_LINE)
        yield unit
        at = unit.end


def _line(wire: Wire, unit: Unit, at: int) -> bytes | None:
    """Return the line at `at` without its end and move the unit's end behind it; None if it is not whole."""
    data = wire.data
    end = data.find(b"\n", at, at + MAX_LINE) + 1
    if wire.gaps and (gap := wire.gap_in(at, end or min(len(data), at + MAX_LINE))):
        unit.end, unit.error = max(at + 1, gap[1]), f"gap: {gap[2]} bytes missing at {gap[0]}"
        return None
    if not end:
        unit.end = min(len(data), at + MAX_LINE)
        is_last = unit.end == len(data)
        unit.error = f"truncated: only {unit.end - unit.start} bytes were captured" if is_last else "malformed: a line"
        return None
    unit.end = end
    return data[at:end].rstrip(b"\r\n")


def _block(wire: Wire, unit: Unit, item: Item) -> bool:
    """Find the end of a data block that begins behind the unit's last line; say whether it is whole."""
    data, start = wire.data, unit.end
    end = wire.after(start, item.size)
    item.start, item.end = start, min(end, len(data))
    if len(unit.items) < MAX_VALUES:
        unit.items.append(item)
    if end + 2 > len(data):
        unit.end = len(data)
        unit.error = f"truncated: only {unit.end - unit.start} bytes were captured"
        return False
    gap = wire.gap_in(start, end + 2) if wire.gaps else None
    if gap:
        unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    elif data[end : end + 2] != b"\r\n":
        unit.end, unit.error = end, f"malformed: no end of a data block at {end}"
        return False
    unit.end = end + 2
    return True


def request_at(wire: Wire, at: int) -> Unit:
    """Read the request that begins at `at`, as if it had no fault."""
    unit = Unit(at, at)
    line = _line(wire, unit, at)
    if line is None:
        line = wire.captured(at, min(unit.end, at + MAX_LINE))
        _name(unit, line)
        return unit
    unit.line_end = unit.end
    words = [text(word) for word in line.split()]
    if not _name(unit, line + b"\n"):
        unit.error = f"malformed: no command at {at}"
        return unit
    arguments = words[1:]
    if unit.command in META:
        _meta_request(unit, arguments, wire)
        return unit
    if unit.command in RETRIEVAL:
        if unit.command.startswith("gat"):
            unit.expiration = _number(arguments[:1])
            arguments = arguments[1:]
        unit.keys = arguments
        return unit
    if arguments[-1:] == ["noreply"]:
        unit.is_silent = True
        arguments.pop()
    unit.is_silent = unit.is_silent or unit.command in UNANSWERED
    if unit.command in WITHOUT_KEY:
        unit.options = arguments
        return unit
    unit.keys, unit.options = arguments[:1], arguments[1:]
    if unit.command == "touch":
        unit.expiration = _number(unit.options)
    if unit.command in STORAGE:
        numbers = [_number([word]) for word in unit.options[:4]]
        if len(numbers) < 3 + (unit.command == "cas") or numbers[2] < 0:
            unit.error = f"malformed: a storage command at {at}"
            return unit
        unit.flags, unit.expiration = numbers[:2]
        unit.cas = numbers[3] if unit.command == "cas" else 0
        unit.options = []
        _block(wire, unit, Item(unit.keys[0], unit.flags, numbers[2], 0, 0, unit.cas))
    return unit


def _name(unit: Unit, line: bytes) -> bool:
    word = _WORD.match(line)
    if word:
        unit.command = word[0].decode("ascii")
    return word is not None


_NUMBER = re.compile(r"-?[0-9]{1,20}")


def _number(words: list[str]) -> int:
    """Return the first word as a number, -1 if it is none or too long to be one."""
    word = words[0] if words else ""
    return int(word) if _NUMBER.fullmatch(word) else -1


def _meta_request(unit: Unit, arguments: list[str], wire: Wire) -> None:
    """Read a meta command: key, for `ms` a size, then flags of one letter each with its argument."""
    unit.keys, unit.options = arguments[:1], arguments[1:]
    size = 0
    if unit.command == "ms":
        size = _number([unit.options[0].lstrip("S")] if unit.options else [])
        unit.options = unit.options[1:]
        if size < 0 or not unit.keys:
            unit.error = f"malformed: a storage command at {unit.start}"
            return
    for option in unit.options:
        value = option[1:]
        if option == "q":
            unit.is_quiet = True
        elif option[:1] == "T":
            unit.expiration = _number([value])
        elif option[:1] == "F":
            unit.flags = _number([value])
        elif option[:1] == "C":
            unit.cas = _number([value])
    if unit.command == "ms":
        _block(wire, unit, Item(unit.keys[0], max(0, unit.flags), size, 0, 0, max(0, unit.cas)))


def _answer(wire: Wire, at: int) -> Unit:
    unit = Unit(at, at)
    told: list[str] = []
    while True:
        line_start = unit.end
        line = _line(wire, unit, line_start)
        if line is None:
            return unit
        if value := _VALUE.match(wire.data, line_start):
            key, flags, size, cas = value.groups()
            unit.status, unit.is_success = "VALUE", True
            if not _block(wire, unit, Item(text(key), int(flags), int(size), 0, 0, int(cas or 0))):
                return unit
        elif line.startswith(_LISTED):
            unit.status = unit.status or "STAT"
            unit.is_success = True
            if len(told) < MAX_VALUES:
                told.append(text(line[:MAX_MESSAGE]))
        else:
            break
        if unit.end >= len(wire.data):
            unit.error = unit.error or f"truncated: only {unit.end - at} bytes were captured"
            unit.message = "\n".join(told)
            return unit
    if (unit.status and line == b"END") or (told and line == b"EN"):
        unit.message = "\n".join(told)
        return unit
    if value := _META_VALUE.match(wire.data, line_start):
        _meta_value(unit, value, wire)
        return unit
    if not _ANSWER_LINE.match(wire.data, line_start):
        unit.error = unit.error or f"malformed: no answer at {line_start}"
        unit.end = max(line_start, at + 1)
        return unit
    word, _, rest = line.partition(b" ")
    unit.status = text(word) if not word.isdigit() else "NUMBER"
    unit.message = text((word if word.isdigit() else rest)[:MAX_MESSAGE])
    unit.is_success = unit.status in _SUCCESS
    if word.startswith(b"ts="):
        unit.status, unit.message, unit.is_event = "LOG", text(line[:MAX_MESSAGE]), True
    elif unit.status in ("HD", "EN", "NF", "NS", "EX"):
        unit.options = unit.message.split()
    return unit


def _meta_value(unit: Unit, value: re.Match[bytes], wire: Wire) -> None:
    unit.status, unit.is_success = "VA", True
    unit.options = text(value[2]).split()
    flags = {option[:1]: option[1:] for option in unit.options}
    item = Item(flags.get("k", ""), max(0, _number([flags.get("f", "0")])), int(value[1]), 0, 0)
    _block(wire, unit, item)
