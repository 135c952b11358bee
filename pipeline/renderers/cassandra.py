"""Rows and representations of CQL exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Section
from kubeshark.pipeline.renderers._database_sections import numbered, one_line, result_table, statement
from kubeshark.pipeline.renderers._halves import halves
from kubeshark.pipeline.renderers._sections import mapping, row, table, variable_rows
from kubeshark.pipeline.renderers._summaries import Code, Said, summary

__all__ = ["render", "summarize"]

REQUEST = {"cassandra_opcode": "Opcode", "cassandra_keyspace": "Keyspace", "cassandra_stream_id": "Stream"}
RESPONSE = {
    "cassandra_success": "Success",
    "cassandra_error_code": "Error code",
    "cassandra_error_message": "Error",
}

summarize = summary(
    "cassandra",
    "cassandra_opcode",
    Said("cassandra_query", shown=one_line),
    Code("cassandra_error_code", answered="cassandra_response"),
)


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    consistency = [row("Consistency", request["consistency"])] if request["consistency"] else []
    return (
        *table("Request", [*variable_rows(entry, REQUEST), *consistency]),
        *statement(str(request["query"]), "cassandra_query"),
        *mapping("Parameters", numbered(request["parameters"])),
        *mapping("Options", request.get("options", {})),
        *_json("Batch", request.get("statements")),
    )


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    kind = [row("Kind", response["kind"] or response["opcode"])]
    return (
        *table("Response", [*kind, *variable_rows(entry, RESPONSE)]),
        *_json("Options", response.get("options")),
        *result_table("Rows", response["columns"], response["rows"], int(response.get("rowCount") or 0)),
    )


def _json(title: str, value: Any) -> tuple[Section, ...]:
    if not value:
        return ()
    shown = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return (Section("code", title, body=shown, mime_type="application/json"),)


render = halves("cassandra", _request, _response, _response)
