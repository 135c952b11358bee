"""Rows and representations of CQL exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._database_sections import SHOWN_STATEMENT, numbered, result_table, statement
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, cells, mapping, row, table, variable_rows

__all__ = ["render", "summarize"]

REQUEST = {"cassandra_opcode": "Opcode", "cassandra_keyspace": "Keyspace", "cassandra_stream_id": "Stream"}
RESPONSE = {
    "cassandra_success": "Success",
    "cassandra_error_code": "Error code",
    "cassandra_error_message": "Error",
}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "cassandra":
        return None
    opcode, query = str(entry.get("cassandra_opcode")), str(entry.get("cassandra_query"))
    code = int(str(entry.get("cassandra_error_code")))
    return cells(
        opcode,
        equals("cassandra_opcode", opcode),
        " ".join(query[:SHOWN_STATEMENT].split()),
        equals("cassandra_query", query),
        code,
        equals("cassandra_error_code", code) if entry.get("cassandra_response") else "",
    )


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "cassandra":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    event = (document["event"] or {}).get("data")
    return Representation(
        BUILTIN,
        request=_request(entry, request) if request else (),
        response=_response(entry, response) if response else (),
        event=_response(entry, event) if event else (),
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
