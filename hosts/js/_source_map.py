"""Where a place in a bundled script came from: source maps, revision 3 (ECMA-426).

Read in the sandboxed child, when something has gone wrong already: the map came with the plugin, and is as hostile.
Every number is checked; what makes no sense maps nothing.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right

import msgspec

__all__ = ["MAX_MAP_BYTES", "Place", "SourceMap"]

MAX_MAP_BYTES = 16 << 20
MAX_NAME = 200
Place = tuple[str, int, int]
"""File, line, column; both from 1."""

_DIGITS = {char: value for value, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
_LARGEST = 1 << 31


class _File(msgspec.Struct, rename="camel"):
    version: int
    sources: list[str | None]
    mappings: str
    source_root: str | None = None


class SourceMap:
    """The map of one script. `folder` is that of the script, inside the plugin's."""

    def __init__(self, data: bytes, folder: str = "") -> None:
        self._sources: list[str] = []
        self._mappings = ""
        if not data or len(data) > MAX_MAP_BYTES:
            return
        try:
            file = msgspec.json.decode(data, type=_File)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        root = posixpath.join(folder, file.source_root or "")
        self._sources = [posixpath.normpath(posixpath.join(root, source or "?"))[-MAX_NAME:] for source in file.sources]
        self._mappings = file.mappings

    def original(self, line: int, column: int) -> Place | None:
        """Return where `line` and `column` (from 1) of the script came from; None if that is not known."""
        lines = self._mappings.split(";", line)
        if line < 1 or line > len(lines):
            return None
        source = source_line = source_column = 0
        columns: list[int] = []
        places: list[tuple[int, int, int]] = []
        for number, segments in enumerate(lines[:line], 1):
            at = 0
            for segment in segments.split(",") if segments else ():
                fields = _decode(segment)
                if len(fields) not in (1, 4, 5):
                    return None
                at += fields[0]
                if len(fields) > 1:
                    source, source_line, source_column = (
                        source + fields[1],
                        source_line + fields[2],
                        source_column + fields[3],
                    )
                    if number == line:
                        columns.append(at)
                        places.append((source, source_line, source_column))
        found = bisect_right(columns, column - 1) - 1
        if not columns:
            return None
        source, source_line, source_column = places[max(0, found)]
        if not 0 <= source < len(self._sources) or not 0 <= source_line < _LARGEST or not 0 <= source_column < _LARGEST:
            return None
        return self._sources[source], source_line + 1, source_column + 1


def _decode(segment: str) -> list[int]:
    """Return the numbers of base64 VLQ text; [] if it is none."""
    numbers = []
    value = shift = 0
    for char in segment:
        digit = _DIGITS.get(char)
        if digit is None or shift > 30:
            return []
        value |= (digit & 31) << shift
        if digit & 32:
            shift += 5
            continue
        numbers.append(-(value >> 1) if value & 1 else value >> 1)
        value = shift = 0
    return [] if shift else numbers
