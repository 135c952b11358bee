"""A plugin's representation as JSON (entries.md §5), checked while it is decoded."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._models import ByteRange, Representation, Section, TableRow, TimelinePoint

__all__ = ["RepresentationError", "parse_representation"]

MAX_SECTIONS = 256  # of one half: what a person scrolls through
MAX_ROWS = 100_000  # of one half: rows of tables, points of timelines, ranges of bytes


class RepresentationError(KubesharkError):
    """The text is not a representation."""


class _Row(msgspec.Struct):
    name: str
    value: str | int | float | bool | None = None
    selector: str = ""


class _Point(msgspec.Struct):
    t: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]  # microseconds
    label: str
    direction: Literal["client", "server", ""] = ""


class _Range(msgspec.Struct):
    start: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    end: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    name: str
    selector: str = ""


class _Section(msgspec.Struct, rename="camel"):
    type: Literal["table", "body", "code", "hex", "image", "timeline"]
    title: str
    table_data: list[_Row] = []
    body: str = ""
    encoding: Literal["", "base64"] = ""
    mime_type: str = ""
    selector: str = ""
    points: list[_Point] = []
    ranges: list[_Range] = []


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
    if any(len(half) > MAX_SECTIONS or sum(map(_rows, half)) > MAX_ROWS for half in halves):
        raise RepresentationError(f"more than {MAX_SECTIONS} sections or {MAX_ROWS:,} rows")
    return Representation(found.priority, *(tuple(_section(part, plugin) for part in half) for half in halves))


def _rows(part: _Section) -> int:
    return len(part.table_data) + len(part.points) + len(part.ranges)


def _section(part: _Section, plugin: str) -> Section:
    return Section(
        part.type,
        part.title,
        tuple(TableRow(row.name, row.value, row.selector) for row in part.table_data),
        part.body,
        part.encoding,
        part.mime_type,
        part.selector,
        plugin,
        tuple(TimelinePoint(point.t, point.label, point.direction) for point in part.points),
        tuple(ByteRange(found.start, found.end, found.name, found.selector) for found in part.ranges),
    )
