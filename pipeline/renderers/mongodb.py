"""Rows and representations of MongoDB exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import Section
from kubeshark.pipeline.renderers._halves import halves, titled
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._summaries import Code, Said, Told, summary

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


def _namespace(database: Any, collection: Any) -> tuple[str, str]:
    database, collection = str(database), str(collection)
    query = equals("mongodb_collection", collection) or equals("mongodb_database", database)
    if collection and database:
        query = f"{equals('mongodb_database', database)} && {query}"
    return f"{database}.{collection}" if collection else database, query


summarize = summary(
    "mongodb",
    Said("mongodb_command", "mongodb_opcode"),  # what a server sends on its own is no command
    Told("mongodb_database", "mongodb_collection", by=_namespace),
    Code("mongodb_error_code", answered="mongodb_response_size"),
)


def _body(part: Mapping[str, Any]) -> tuple[Section, ...]:
    title = f"Document: {part['comment']}" if part.get("comment") else "Document"
    shown = json.dumps(part["document"], ensure_ascii=False, indent=2, default=str)
    return (Section("code", title, body=shown, mime_type="application/json"),)


render = halves(
    "mongodb", titled("Request", REQUEST, _body), titled("Response", RESPONSE, _body), titled("Event", RESPONSE, _body)
)
