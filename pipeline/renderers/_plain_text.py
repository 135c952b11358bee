"""A representation as plain text, for terminals.

Traffic is hostile: what is not printable (escape sequences, bidirectional overrides) is shown, never sent.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kubeshark.extension_api import MessageKind, Representation, Section

if TYPE_CHECKING:
    from kubeshark.pipeline.entries._entry import Entry

__all__ = ["printable", "to_hex", "to_text"]

PARTS = ("request", "response", "event", "data")
ARROWS = {"client": "→", "server": "←", "": " "}
HEX_BYTES = 512
"""Bytes of a hex dump in a terminal; `--output json` has them all."""


def to_text(representation: Representation) -> str:
    """Return headings, tables and bodies, one line behind the other."""
    lines: list[str] = []
    for part in PARTS:
        sections = getattr(representation, part)
        if sections:
            lines += ["", part.upper()] if lines else [part.upper()]
        for section in sections:
            lines += ["", f"  {printable(section.title)}", *(f"    {line}" for line in _section_lines(section))]
    return "\n".join(lines)


def to_hex(entry: Entry) -> str:
    """Return the bytes of an entry's messages in hex, all of them; "" for what has none, such as a connection."""
    lines: list[str] = []
    for kind in MessageKind:
        if data := entry.raw(kind):
            lines += ["", f"{kind.name} BYTES"] if lines else [f"{kind.name} BYTES"]
            lines += ["", *(f"    {line}" for line in _hex_lines(data, len(data)))]
    return "\n".join(lines)


def _section_lines(section: Section) -> Iterator[str]:
    if section.rows:
        width = max(len(printable(row.name)) for row in section.rows)
        for row in section.rows:
            yield f"{printable(row.name):<{width}}  {printable(_value_text(row.value))}"
    elif section.points:
        width = max(len(_seconds(point.t)) for point in section.points)
        for point in section.points:
            yield f"{_seconds(point.t):>{width}}  {ARROWS[point.direction]} {printable(point.label)}"
    elif section.encoding == "base64":
        yield from _hex_lines(_decoded(section.body))
    else:
        yield from map(printable, section.body.split("\n"))


def _seconds(micros: int) -> str:
    return f"{micros / 1e6:.6f} s"


def _value_text(value: str | float | bool | None) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def printable(text: str) -> str:
    """Return text with everything that is not printable written as an escape; tabs become blanks."""
    text = text.removesuffix("\r")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c == "\t" else ascii(c)[1:-1] for c in text)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # a plugin's mistake
        return text.encode()


def _hex_lines(data: bytes, most: int = HEX_BYTES) -> Iterator[str]:
    for start in range(0, min(len(data), most), 16):
        line = data[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        yield f"{start:04x}  {line.hex(' '):<47}  {shown}"
    if len(data) > most:
        yield f"… {len(data) - most} more bytes"
