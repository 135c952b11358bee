"""Shows messages of queues: their variables, headers and properties, what else is known, and the body on its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section
from kubeshark.pipeline.renderers._sections import BUILTIN, body, mapping, table, variable_rows

__all__ = ["with_body"]

HIDDEN = frozenset(("request_body", "response_body", "request_body_truncated", "response_body_truncated"))
TABLES = ("headers", "properties")


def with_body(entry: EntryView, body_key: str) -> Representation:
    """Return the representation of an entry whose documents hold a body under this key."""
    document = entry.document()
    event = (document["event"] or {}).get("data")
    parts = {"request": document["request"], "response": document["response"], "event": event}
    kinds = entry.protocol.variables
    names = {name: name for name, kind in kinds.items() if kind not in ("map", "list") and name not in HIDDEN}
    sections: dict[str, tuple[Section, ...]] = {}
    for part, shown in parts.items():
        if shown:
            first = () if sections else table(entry.protocol.long_name, variable_rows(entry, names))
            sections[part] = (*first, *_sections(entry, part, shown, body_key))
    return Representation(BUILTIN, **sections)


def _sections(entry: EntryView, part: str, document: Mapping[str, Any], body_key: str) -> tuple[Section, ...]:
    half = "request" if part == "request" else "response"  # what a server tells unasked is its body too
    rest = {key: value for key, value in document.items() if key not in (*TABLES, body_key, "encoding")}
    properties = dict(document.get("properties") or {})
    headers = document.get("headers") or properties.pop("headers", {})
    selectable = f"{half}.headers" if f"{half}.headers" in entry.protocol.variables else ""
    text, variable = str(document.get(body_key, "")), f"{half}_body"
    return (
        *mapping("Headers", _flat(headers), selectable, fold=True),
        *mapping("Properties", _flat({name: value for name, value in properties.items() if value not in ("", 0)})),
        Section("code", part.capitalize(), body=_json(rest), mime_type="application/json"),
        *body(
            "Body",
            text,
            str(document.get("encoding", "")),
            str(properties.get("contentType") or "") or _guess(text),
            variable if entry.get(variable) == text else "",
        ),
    )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a table can show: what is nested as JSON."""
    return {
        name: _json(value) if isinstance(value, dict) else list(map(str, value)) if isinstance(value, list) else value
        for name, value in values.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _guess(text: str) -> str:
    """Return a media type for a body of which nothing is said."""
    return "application/json" if text[:1] in ("{", "[") else "text/plain"
