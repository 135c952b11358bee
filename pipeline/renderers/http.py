"""Rows and representations of HTTP exchanges, whatever their version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import EntryView, Representation, Section, hookimpl
from kubeshark.pipeline.renderers._kfl_text import equals
from kubeshark.pipeline.renderers._sections import BUILTIN, body, cells, mapping, table, variable_rows

__all__ = ["render", "summarize"]

REQUEST = {
    "method": "Method",
    "url": "URL",
    "path": "Path",
    "http_version": "Version",
    "host": "Host",
    "request_headers_size": "Header bytes",
    "request_body_size": "Body bytes",
}
RESPONSE = {
    "status_code": "Status",
    "content_type": "Media type",
    "http_upgrade": "Upgraded to",
    "response_headers_size": "Header bytes",
    "response_body_size": "Body bytes",
}


@hookimpl
def summarize(entry: EntryView) -> dict[str, Any] | None:
    if entry.protocol.name != "http":
        return None
    method, path, status = str(entry.get("method")), str(entry.get("path")), int(str(entry.get("status_code")))
    status_query = equals("status_code", status) if status else ""
    return cells(method, equals("method", method), path, equals("path", path), status, status_query)


@hookimpl
def render(entry: EntryView) -> Representation | None:
    if entry.protocol.name != "http":
        return None
    document = entry.document()
    request, response = document["request"], document["response"]
    return Representation(
        BUILTIN,
        request=_request(entry, request) if request else (),
        response=_response(entry, response) if response else (),
    )


def _request(entry: EntryView, request: Mapping[str, Any]) -> tuple[Section, ...]:
    post = request["postData"]
    return (
        *table("Request", variable_rows(entry, REQUEST)),
        *mapping("Headers", request["headers"], "request.headers", fold=True),
        *mapping("Cookies", request["cookies"], "request.cookies"),
        *mapping("Query", request["queryString"], "query_string"),
        *_body(post, "request_body"),
    )


def _response(entry: EntryView, response: Mapping[str, Any]) -> tuple[Section, ...]:
    return (
        *table("Response", variable_rows(entry, RESPONSE)),
        *mapping("Headers", response["headers"], "response.headers", fold=True),
        *mapping("Cookies", response["cookies"], "response.cookies"),
        *mapping("Trailers", response["trailers"]),
        *_body(response["content"], "response_body"),
    )


def _body(content: Mapping[str, Any], selector: str) -> tuple[Section, ...]:
    title = "Body (cut)" if content.get("bodyTruncated") else "Body"
    if content.get("comment"):
        title = f"{title}: {content['comment']}"
    return body(title, content["text"], content.get("encoding", ""), content["mimeType"], selector)
