"""Rows and representations of HTTP exchanges of any version, and of what lies on top: gRPC, GraphQL, events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, body, mapping, row, table, timeline, variable_rows
from kubeshark.pipeline.renderers._summaries import Code, Said, Summary, Told, summaries

__all__ = ["render", "summarize"]

REQUEST = {
    "method": "Method",
    "url": "URL",
    "path": "Path",
    "http_version": "Version",
    "host": "Host",
    "es_operation": "Elasticsearch operation",
    "es_index": "Elasticsearch index",
    "request_headers_size": "Header bytes",
    "request_body_size": "Body bytes",
}
RESPONSE = {
    "status_code": "Status",
    "content_type": "Media type",
    "http_upgrade": "Upgraded to",
    "ws_subprotocol": "WebSocket protocol",
    "response_headers_size": "Header bytes",
    "response_body_size": "Body bytes",
}
GRPC_REQUEST = {"grpc_service": "Service", "grpc_method": "Method"}
GRPC_RESPONSE = {"grpc_status": "Status", "grpc_message": "Message"}
GRAPHQL = {"gql_operation": "Operation", "gql_name": "Name"}


def _outcome(status: Any) -> tuple[int, str]:
    """Say how a call ended; its status is negative where the response was not seen."""
    return (int(status), equals("grpc_status", int(status))) if int(status) >= 0 else (0, "")


summarize = summaries(
    {
        "grpc": Summary(Said("grpc_method"), Said("path"), Told("grpc_status", by=_outcome)),
        "http": Summary(Said("method"), Said("path"), Code("status_code")),
    }
)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "http":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    over_time = timeline("Over time", entry)
    return Representation(
        BUILTIN,
        request=(*_request(entry, request), *(() if response else over_time)) if request else (),
        response=(*_response(entry, response), *over_time) if response else (),
    )


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    return (
        *table("Request", variable_rows(entry, REQUEST)),
        *mapping("Headers", request["headers"], "request.headers", fold=True),
        *mapping("Cookies", request["cookies"], "request.cookies"),
        *mapping("Query", request["queryString"], "query_string"),
        *_content(entry, request, request["postData"], "request_body", GRPC_REQUEST),
    )


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    return (
        *table("Response", variable_rows(entry, RESPONSE)),
        *mapping("Headers", response["headers"], "response.headers", fold=True),
        *mapping("Cookies", response["cookies"], "response.cookies"),
        *mapping("Trailers", response["trailers"]),
        *_content(entry, response, response["content"], "response_body", GRPC_RESPONSE),
    )


def _content(
    entry: EntryView, half: Mapping[str, Any], content: Mapping[str, Any], selector: str, grpc: Mapping[str, str]
) -> tuple[Section, ...]:
    """Show what the body means where that is known, else the body."""
    if "grpc" in half:
        return (*table("gRPC", variable_rows(entry, grpc)), *_json("Messages", half["grpc"]["messages"]))
    if "graphql" in half:
        operation = half["graphql"]
        return (
            *table("GraphQL", variable_rows(entry, GRAPHQL)),
            *body("Document", operation["query"], "", "application/graphql"),
            *_json("Variables", operation["variables"]),
        )
    if "sseEvents" in half:
        return table("Events", [row(event["event"], event["data"]) for event in half["sseEvents"]])
    return _body(content, selector)


def _json(title: str, value: Sequence[Any] | Mapping[str, Any]) -> tuple[Section, ...]:
    if not value:
        return ()
    shown = json.dumps(value, ensure_ascii=False, indent=2)
    return (Section("code", title, body=shown, mime_type="application/json"),)


def _body(content: Mapping[str, Any], selector: str) -> tuple[Section, ...]:
    title = "Body (cut)" if content.get("bodyTruncated") else "Body"
    if content.get("comment"):
        title = f"{title}: {content['comment']}"
    return body(title, content["text"], content.get("encoding", ""), content["mimeType"], selector)
