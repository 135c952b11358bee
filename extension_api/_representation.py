"""A plugin's representation as JSON (entries.md §5), checked while it is decoded."""

from __future__ import annotations

from typing import Literal

import msgspec

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._models import Representation, Section, TableRow

__all__ = ["RepresentationError", "parse_representation"]

MAX_SECTIONS = 256  # of one half: what a person scrolls through
MAX_ROWS = 100_000


class RepresentationError(KubesharkError):
    """The text is not a representation."""


class _Row(msgspec.Struct):
    name: str
    value: str | int | float | bool | None = None
    selector: str = ""


class _Section(msgspec.Struct, rename="camel"):
    type: Literal["table", "body", "code", "hex", "image", "timeline"]
    title: str
    table_data: list[_Row] = []
    body: str = ""
    encoding: Literal["", "base64"] = ""
    mime_type: str = ""
    selector: str = ""


class _Representation(msgspec.Struct):
    priority: int = 0
    request: list[_Section] = []
    response: list[_Section] = []
    event: list[_Section] = []
    data: list[_Section] = []


_DECODER = msgspec.json.Decoder(_Representation)


def parse_representation(text: bytes, plugin: str) -> Representation:
    """Return what `text` describes; `plugin` (id@version) is put into each section. Unknown keys are ignored."""
    try:
        found = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RepresentationError(f"not a representation: {error}") from error
    halves = (found.request, found.response, found.event, found.data)
    if any(len(half) > MAX_SECTIONS or sum(len(part.table_data) for part in half) > MAX_ROWS for half in halves):
        raise RepresentationError(f"more than {MAX_SECTIONS} sections or {MAX_ROWS:,} rows")
    return Representation(found.priority, *(tuple(_section(part, plugin) for part in half) for half in halves))


def _section(part: _Section, plugin: str) -> Section:
    rows = tuple(TableRow(row.name, row.value, row.selector) for row in part.table_data)
    return Section(part.type, part.title, rows, part.body, part.encoding, part.mime_type, part.selector, plugin)
