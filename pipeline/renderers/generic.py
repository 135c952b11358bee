"""Shows any protocol: a table of its KFL variables, and the JSON of what its dissector gave."""

from __future__ import annotations

import json
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, TableRow, hookimpl
from kubeshark.pipeline.renderers._kfl_text import at_key, equals
from kubeshark.pipeline.renderers._sections import GENERIC, cells, row, table

__all__ = ["render", "summarize"]

PARTS = ("request", "response", "event", "data")


@hookimpl(trylast=True)
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show the first two texts of the record: most protocols name a verb first and an object second."""
    texts = [
        (name, value)
        for name, kind in entry.protocol.variables.items()
        if kind == "string" and isinstance(value := entry.get(name), str) and value
    ]
    (method, verb), (summary, what) = (*texts[:2], ("", ""), ("", ""))[:2]
    return cells(verb, equals(method, verb), what, equals(summary, what))


@hookimpl(trylast=True)
def render(entry: EntryView) -> Representation | None:
    document = entry.document()
    parts = {part: document[part] for part in PARTS if document.get(part)}
    rows = [found for name in entry.protocol.variables for found in _rows(entry, name)]
    sections: dict[str, tuple[Section, ...]] = {}
    for part, value in parts.items():
        shown = json.dumps(value, ensure_ascii=False, indent=2, default=str)
        variables = () if sections else table(entry.protocol.long_name, rows)  # they are the exchange's: shown once
        sections[part] = (*variables, Section("code", part.capitalize(), body=shown, mime_type="application/json"))
    return Representation(GENERIC, **sections)


def _rows(entry: EntryView, name: str) -> list[TableRow]:
    value = entry.get(name)
    if isinstance(value, dict):
        return [row(f"{name}[{key}]", text, at_key(name, key)) for key, text in value.items()]
    if isinstance(value, bytes):
        return [row(name, f"{len(value)} bytes")] if value else []
    return [] if value in ("", []) else [row(name, value, name)]
