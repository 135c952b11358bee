"""Rows and representations of MongoDB exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, table, variable_rows

__all__ = ["render", "summarize"]

REQUEST = {
    "mongodb_command": "Command",
    "mongodb_database": "Database",
    "mongodb_collection": "Collection",
    "mongodb_opcode": "Opcode",
}
RESPONSE = {
    "mongodb_success": "Success",
    "mongodb_error_code": "Error code",
    "mongodb_error_code_name": "Error name",
    "mongodb_error_message": "Error",
}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    """Show command, namespace and error code; of what a server sent on its own: its opcode."""
    if entry.protocol.name != "mongodb":
        return None
    name = "mongodb_command" if entry.get("mongodb_command") else "mongodb_opcode"
    command = str(entry.get(name))
    database, collection = str(entry.get("mongodb_database")), str(entry.get("mongodb_collection"))
    code = int(str(entry.get("mongodb_error_code")))
    query = equals("mongodb_collection", collection) or equals("mongodb_database", database)
    if collection and database:
        query = f"{equals('mongodb_database', database)} && {query}"
    return cells(
        command,
        equals(name, command),
        f"{database}.{collection}" if collection else database,
        query,
        code,
        equals("mongodb_error_code", code) if entry.get("mongodb_response_size") else "",
    )


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "mongodb":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    event = (document["event"] or {}).get("data")
    return Representation(
        BUILTIN,
        request=(*table("Request", variable_rows(entry, REQUEST)), *_body(request)) if request else (),
        response=(*table("Response", variable_rows(entry, RESPONSE)), *_body(response)) if response else (),
        event=(*table("Event", variable_rows(entry, RESPONSE)), *_body(event)) if event else (),
    )


def _body(part: Mapping[str, Any]) -> tuple[Section, ...]:
    title = f"Document: {part['comment']}" if part.get("comment") else "Document"
    shown = json.dumps(part["document"], ensure_ascii=False, indent=2, default=str)
    return (Section("code", title, body=shown, mime_type="application/json"),)
