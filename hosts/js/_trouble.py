"""One line for what V8 says of an exception: the author's file, line and column, the message, and who called.

`plugin.js:3:9: TypeError: x is undefined (called from plugin.js:20:5)`. Frames of the SDK's prelude are left out; those
of a bundle are looked up in its source map. The text came out of the plugin: it is bounded, and only shown.
"""

from __future__ import annotations

import re

from kubeshark.hosts.js._source_map import SourceMap

__all__ = ["explain"]

MAX_TEXT = 64 << 10
MAX_LINE = 1000
MAX_MESSAGE = 240
CALLERS = 2  # a line is for reading; most exceptions are understood from where they were thrown
_HEAD = re.compile(r"(?P<file>[^\s:]{1,200}):(?P<line>\d{1,9}): (?P<message>.*)")
_FRAME = re.compile(r"    at (?:.* \()?(?P<file>[^\s():]+):(?P<line>\d{1,9}):(?P<column>\d{1,9})\)?")


def explain(text: str, entry: str, source_map: SourceMap) -> str:
    """Return the line for `text`, the message of a JSEvalException; `entry` is the script's name."""
    lines = [line[:MAX_LINE] for line in text[:MAX_TEXT].strip().splitlines()] or [""]
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        return _clean(lines[0])
    frames = [frame for frame in map(_FRAME.fullmatch, lines) if frame and frame["file"] == entry]
    places = [_place(int(frame["line"]), int(frame["column"]), entry, source_map) for frame in frames]
    if not places and head["file"] in (entry, "<anonymous>"):  # no JavaScript, or no Error was thrown
        places = [_place(int(head["line"]), _caret(lines), entry, source_map)]
    places = list(dict.fromkeys(places))
    where = places[0] if places else f"{head['file']}:{head['line']}"
    callers = f" (called from {', '.join(places[1 : CALLERS + 1])})" if len(places) > 1 else ""
    return _clean(f"{where}: {head['message'][:MAX_MESSAGE]}{callers}")


def _place(line: int, column: int, entry: str, source_map: SourceMap) -> str:
    file, line, column = source_map.original(line, column) or (entry, line, column)
    return f"{file}:{line}:{column}"


def _caret(lines: list[str]) -> int:
    """Return the column at which V8 points in the line it quotes."""
    return lines[2].index("^") + 1 if len(lines) > 2 and set(lines[2].strip()) == {"^"} else 1


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
