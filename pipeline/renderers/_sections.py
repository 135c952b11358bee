"""Building blocks of representations: tables whose rows select themselves, bodies, hex."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from kubeshark.extension_api import EntryView, Section, TableRow, TimelinePoint
from kubeshark.pipeline.renderers._kfl_text import at_key, is_selectable

__all__ = ["BUILTIN", "GENERIC", "body", "cells", "hex_dump", "mapping", "row", "table", "timeline", "variable_rows"]

GENERIC, BUILTIN = 0, 10
"""Priorities: a plugin that knows a protocol better offers more than 10."""

SENDERS: tuple[Literal["client"], Literal["server"]] = ("client", "server")

SHOWN_BYTES = 64 << 10
"""Bytes of a hex section; clients show "all" from the entry."""


def cells(
    method: str = "",
    method_query: str = "",
    summary: str = "",
    summary_query: str = "",
    status: int = 0,
    status_query: str = "",
) -> dict[str, Any]:
    """Return the cells of a row (entries.md §5); an empty query is not clickable."""
    return {
        "method": method,
        "methodQuery": method_query,
        "summary": summary,
        "summaryQuery": summary_query,
        "status": status,
        "statusQuery": status_query,
    }


def row(name: str, value: Any, selector: str = "") -> TableRow:
    """Return a table row; it is selectable if KFL can write its value."""
    if isinstance(value, list):
        value, selector = ", ".join(map(str, value)), ""
    return TableRow(name, value, selector if is_selectable(value) else "")


def variable_rows(entry: EntryView, names: Mapping[str, str]) -> list[TableRow]:
    """Return a row for each KFL variable (name → title) that is not empty; false and 0 are values."""
    return [row(title, value, name) for name, title in names.items() if (value := entry.get(name)) not in ("", [], {})]


def table(title: str, rows: Iterable[TableRow]) -> tuple[Section, ...]:
    """Return a table section, none without rows."""
    found = tuple(rows)
    return (Section("table", title, rows=found),) if found else ()


def mapping(title: str, values: Mapping[str, Any], variable: str = "", *, fold: bool = False) -> tuple[Section, ...]:
    """Return a table of a map; rows select the KFL map's value at their key (`fold`: in lower case)."""
    return table(
        title,
        (
            row(name, ",".join(value) if isinstance(value, list) else value, _selector(variable, name, fold))
            for name, value in values.items()
        ),
    )


def _selector(variable: str, name: str, fold: bool) -> str:
    return at_key(variable, name.lower() if fold else name) if variable else ""


def body(title: str, text: str, encoding: str, mime_type: str, selector: str = "") -> tuple[Section, ...]:
    """Return a body section, none for an empty body."""
    if not text:
        return ()
    if encoding == "base64":  # KFL compares text
        return (Section("body", title, body=text, encoding="base64", mime_type=mime_type),)
    selector = selector if is_selectable(text) else ""
    return (Section("body", title, body=text, mime_type=mime_type, selector=selector),)


def hex_dump(title: str, data: bytes, selector: str = "") -> tuple[Section, ...]:
    """Return a hex section of the first bytes, none for no bytes."""
    if not data:
        return ()
    shown = base64.b64encode(data[:SHOWN_BYTES]).decode("ascii")
    return (Section("hex", title, body=shown, encoding="base64", selector=selector),)


def timeline(title: str, entry: EntryView) -> tuple[Section, ...]:
    """Return what was seen of the entry over time; none where it was all one moment."""
    moments = entry.moments()
    if not moments or moments[0].time_ns == moments[-1].time_ns:
        return ()
    start = moments[0].time_ns
    return (
        Section(
            "timeline",
            title,
            points=tuple(
                TimelinePoint((each.time_ns - start) // 1_000, each.label, SENDERS[each.direction]) for each in moments
            ),
        ),
    )
