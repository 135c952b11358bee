"""Which function, file and line of the author's an address of a C or C++ plugin belongs to: a table, made when built.

Read from the DWARF of an object that was just built here, by pyelftools (pure Python, public domain): whoever looks an
address up later, perhaps in a stranger's package, reads a small JSON file instead of a stranger's ELF. Calls that the
compiler put in line are told apart; what lies in the SDK's or the system's headers counts as the author's line
around it.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from elftools.elf.elffile import ELFFile
from msgspec import Struct

__all__ = ["LINES_SUFFIX", "Call", "LineTable", "make_table", "read_table"]

LINES_SUFFIX = ".lines.json"
MAX_TABLE_BYTES = 32 << 20  # the largest example's has 60 KB

Call = tuple[str, str, int]
"""Function, file, line."""


class LineTable(msgspec.Struct, frozen=True):
    """`starts` are addresses, ascending; from each on, `calls[index]` holds: the innermost first, [] for nobody's."""

    starts: list[int]
    indices: list[int]
    calls: list[list[Call]]

    def at(self, address: int) -> list[Call]:
        """Return the author's calls that an address lies in; [] if there are none."""
        found = bisect_right(self.starts, address) - 1
        if found < 0 or found >= len(self.indices) or not 0 <= self.indices[found] < len(self.calls):
            return []
        return self.calls[self.indices[found]]


def read_table(file: Path) -> LineTable | None:
    """Return the table in a file of a plugin; None if there is none that makes sense."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_TABLE_BYTES + 1)
        return msgspec.json.decode(data, type=LineTable) if len(data) <= MAX_TABLE_BYTES else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Scope(Struct, frozen=True):
    """A function, or one that was put in line, on one range of addresses."""

    low: int
    high: int
    depth: int
    name: str
    called_at: tuple[str, int] | None  # file and line of the call, if in line


def make_table(object_file: Path) -> LineTable:
    """Return the table of an object that was built with line tables, from relative names."""
    starts: list[int] = []
    indices: list[int] = []
    known: dict[tuple[Call, ...], int] = {}
    rows: list[tuple[int, tuple[Call, ...]]] = []
    with object_file.open("rb") as opened:
        elf: Any = ELFFile(opened)
        if elf.has_dwarf_info():
            dwarf = elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                rows += _unit_rows(dwarf, unit)
    for address, calls in sorted(rows, key=lambda row: row[0]):
        index = known.setdefault(calls, len(known))
        if starts and starts[-1] == address:  # of several at one address, the last holds
            indices[-1] = index
        elif not indices or indices[-1] != index:
            starts.append(address)
            indices.append(index)
    return LineTable(starts, indices, [list(calls) for calls in known])


def _unit_rows(dwarf: Any, unit: Any) -> Iterator[tuple[int, tuple[Call, ...]]]:
    """Yield (address, calls): from there on, until the next."""
    program = dwarf.line_program_for_CU(unit)
    top = unit.get_top_DIE()
    if program is None or not _is_authors(_text(top, "DW_AT_name")):
        return
    files = _Files(program)
    scopes = sorted(_scopes(dwarf, top, files, 0, _attribute(top, "DW_AT_low_pc")), key=lambda scope: scope.low)
    lines = [entry.state for entry in program.get_entries() if entry.state is not None]
    active: list[_Scope] = []
    upcoming = 0
    for line in sorted(lines, key=lambda line: (line.address, not line.end_sequence)):
        while upcoming < len(scopes) and scopes[upcoming].low <= line.address:
            active.append(scopes[upcoming])
            upcoming += 1
        active = [scope for scope in active if scope.high > line.address]
        yield line.address, () if line.end_sequence else _calls(active, (files.name(line.file), line.line))


def _calls(active: list[_Scope], where: tuple[str, int]) -> tuple[Call, ...]:
    """Return the author's lines, from the innermost scope out."""
    found: list[Call] = []
    place: tuple[str, int] | None = where
    for scope in sorted(active, key=lambda scope: -scope.depth):
        if place and place[1] and _is_authors(place[0]):
            found.append((scope.name, *place))
        place = scope.called_at
    return tuple(found)


class _Files:
    """The file names of a unit's line program, relative where they are the author's."""

    def __init__(self, program: Any) -> None:
        self._version = int(program["version"])
        self._files = program["file_entry"]
        self._folders = program["include_directory"]

    def name(self, number: int) -> str:
        index = number if self._version >= 5 else number - 1
        if not 0 <= index < len(self._files):
            return ""
        entry = self._files[index]
        folder = entry.dir_index if self._version >= 5 else entry.dir_index - 1
        parts = [self._folders[folder].decode()] if 0 <= folder < len(self._folders) else []
        return str(posixpath.normpath(posixpath.join(*parts, entry.name.decode("utf-8", "replace"))))


def _scopes(dwarf: Any, die: Any, files: _Files, depth: int, base: int) -> Iterator[_Scope]:
    """Yield the functions below a DIE, each with its ranges."""
    for child in die.iter_children():
        if child.tag in ("DW_TAG_subprogram", "DW_TAG_inlined_subroutine"):
            called_at = None
            if child.tag == "DW_TAG_inlined_subroutine":
                called_at = files.name(_attribute(child, "DW_AT_call_file")), _attribute(child, "DW_AT_call_line")
            name = _name(child)
            for low, high in _ranges(dwarf, child, base):
                yield _Scope(low, high, depth, name, called_at)
        if child.has_children:
            yield from _scopes(dwarf, child, files, depth + 1, base)


def _ranges(dwarf: Any, die: Any, base: int) -> Iterator[tuple[int, int]]:
    attributes = die.attributes
    if "DW_AT_ranges" in attributes:
        for entry in dwarf.range_lists().get_range_list_at_offset(attributes["DW_AT_ranges"].value, cu=die.cu):
            if hasattr(entry, "begin_offset"):
                start = 0 if getattr(entry, "is_absolute", False) else base
                yield start + entry.begin_offset, start + entry.end_offset
            elif hasattr(entry, "base_address"):
                base = entry.base_address
    elif "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        yield low, high.value if high.form == "DW_FORM_addr" else low + high.value


def _name(die: Any) -> str:
    for _ in range(4):  # a function in line → the function → its declaration in a class
        if name := _text(die, "DW_AT_name"):
            return name
        origin = next((key for key in ("DW_AT_abstract_origin", "DW_AT_specification") if key in die.attributes), None)
        if origin is None:
            break
        die = die.get_DIE_from_attribute(origin)
    return "?"


def _attribute(die: Any, name: str) -> int:
    return int(die.attributes[name].value) if name in die.attributes else 0


def _text(die: Any, name: str) -> str:
    return str(die.attributes[name].value, "utf-8", "replace") if name in die.attributes else ""


def _is_authors(file: str) -> bool:
    return bool(file) and not file.startswith(("/", "../"))
