"""An HTTP message as entries and KFL show it (HAR-like): its summary, and its heavy half of headers and bodies.

Shared by every version of HTTP: it starts from header pairs and body bytes, not from the wire. What lies on top of HTTP
is recognised here too: gRPC, GraphQL, Elasticsearch, server-sent events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors.web._elasticsearch import call_of
from kubeshark.pipeline.dissectors.web._graphql import SCANNED, find_operation
from kubeshark.pipeline.dissectors.web._grpc import (
    is_grpc,
    read_messages,
    service_and_method,
    status_code,
    status_text,
    web_trailers,
)
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, Body, decode_body, text_or_base64
from kubeshark.pipeline.dissectors.web._http_fields import Fields
from kubeshark.pipeline.dissectors.web._sse import read_events

__all__ = [
    "add_grpc_request",
    "add_grpc_status",
    "add_operation",
    "media_of",
    "path_of",
    "request_detail",
    "request_fields",
    "response_detail",
    "response_fields",
    "segments_of",
]

NO_BODY = Body(b"")
Detail = tuple[Mapping[str, Value], Mapping[str, Any]]

MAX_PAIRS = 1000
"""Parameters, cookies and form parts shown; PHP and Tomcat accept 1000 and 10,000."""


def path_of(target: str) -> tuple[str, str]:
    """Return (path with query, path) of a request target in any of its four forms (RFC 9112 §3.2)."""
    if target[:1] not in "/*" and (scheme := target.find("://")) > 0:  # absolute-form, to a proxy
        slash = target.find("/", scheme + 3)
        query = target.find("?", scheme + 3)
        begin = min((at for at in (slash, query) if at >= 0), default=len(target))
        target = target[begin:]
        if not target.startswith("/"):
            target = "/" + target
    return target, target.partition("?")[0]


def segments_of(path: str) -> list[str]:
    """Return what lies between the slashes of a path, decoded; empty segments are left out."""
    segments = [segment for segment in path.split("/") if segment]
    return list(map(unquote, segments)) if "%" in path else segments


def media_of(content_type: str) -> str:
    """Return the media type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def request_fields(
    method: str, target: str, version: str, host: str, head_size: int, body_size: int
) -> dict[str, Value]:
    """Return the summary of a request."""
    url, path = path_of(target)
    fields: dict[str, Value] = {
        "method": method,
        "url": url,
        "path": path,
        "http_version": version,
        "host": host,
        "request_headers_size": head_size,
        "request_body_size": body_size,
        "path_segments": segments_of(path),
    }
    operation, index = call_of(path)
    if operation:
        fields["es_operation"], fields["es_index"] = operation, index
    return fields


def response_fields(status: int, version: str, content_type: str, head_size: int, body_size: int) -> dict[str, Value]:
    """Return the summary of a response."""
    return {
        "status_code": status,
        "http_version": version,
        "content_type": media_of(content_type),
        "response_headers_size": head_size,
        "response_body_size": body_size,
    }


def add_operation(fields: dict[str, Value], content_type: str, raw_body: bytes, codings: str) -> bool:
    """Add the GraphQL operation to the summary of a request; False if it is none."""
    method, url = str(fields["method"]), str(fields["url"])
    body = decode_body(raw_body, codings).data[:SCANNED]
    operation = find_operation(method, url, media_of(content_type), body)
    if operation is None:
        return False
    fields["gql_operation"], fields["gql_name"] = operation.kind, operation.name
    return True


def add_grpc_request(fields: dict[str, Value]) -> None:
    fields["grpc_service"], fields["grpc_method"] = service_and_method(str(fields["path"]))


def add_grpc_status(fields: dict[str, Value], status: str, message: str) -> None:
    """Add a call's outcome to the summary of a response."""
    fields["grpc_status"] = status_code(status)
    if message:
        fields["grpc_message"] = status_text(message)


def request_detail(
    summary: Mapping[str, Value], target: str, headers: Fields, raw_body: bytes, body_size: int, cut: bool
) -> Detail:
    """Return the heavy KFL variables and the `request` object; `raw_body` is not in chunks any more."""
    url, path = str(summary["url"]), str(summary["path"])
    by_name = headers.by_name
    query = _pairs_of_query(url.partition("?")[2]) if "?" in url else {}
    cookies = _cookies(by_name["cookie"], ";") if "cookie" in by_name else {}
    coding, media = _codings(by_name), by_name.get("content-type", "")
    body = decode_body(raw_body, coding) if raw_body or coding else NO_BODY  # as of most requests
    variables = _Variables(
        lambda: {
            "request.headers": by_name,
            "request.cookies": cookies,
            "query_string": {name: ",".join(values) for name, values in query.items()},
            "request_body": body.text,
            "request_body_truncated": body.truncated or cut,
        }
    )
    shown, encoding = text_or_base64(body.data, is_cut=body.truncated or cut) if body.data else ("", "")
    post: dict[str, Any] = {"mimeType": media, "text": shown, "params": _params(media, body.data)}
    document = {
        "method": summary["method"],
        "url": url,
        "targetUri": target,
        "path": path,
        "pathSegments": summary["path_segments"],
        "httpVersion": summary["http_version"],
        "headers": headers.shown,
        "cookies": cookies,
        "queryString": {name: values[0] if len(values) == 1 else values for name, values in query.items()},
        "headersSize": summary["request_headers_size"],
        "bodySize": body_size,
        "postData": _marked(post, body, encoding, cut),
    }
    kind = media_of(media) if media else ""
    if kind and is_grpc(kind):
        service, method = service_and_method(path)
        messages = read_messages(raw_body, by_name.get("grpc-encoding", ""), kind)
        document["grpc"] = {"service": service, "method": method, "messages": messages}
    elif "gql_operation" in summary:
        operation = find_operation(str(summary["method"]), url, kind, body.data[:SCANNED])
        if operation:
            document["graphql"] = {
                "operation": operation.kind,
                "name": operation.name,
                "query": operation.query,
                "variables": operation.variables,
            }
    return variables, document


def response_detail(
    summary: Mapping[str, Value],
    reason: str,
    headers: Fields,
    trailers: Fields,
    raw_body: bytes,
    body_size: int,
    cut: bool,
) -> Detail:
    """Return the heavy KFL variables and the `response` object; `raw_body` is not in chunks any more."""
    by_name = headers.by_name
    media = str(summary["content_type"])
    cookies: dict[str, str] = {}
    if "set-cookie" in by_name:
        set_cookies = [value.partition(";")[0] for value in headers.values("set-cookie")]
        cookies = _cookies("\n".join(set_cookies), "\n")
    body = decode_body(raw_body, _codings(by_name))
    events: list[dict[str, str]] | None = None

    def variables() -> dict[str, Value]:
        said: dict[str, Value] = {
            "response.headers": by_name,
            "response.cookies": cookies,
            "response_body": body.text,
            "response_body_truncated": body.truncated or cut,
        }
        if events is not None:
            said["sse_events"] = [event["data"] for event in events]
        return said

    shown, encoding = text_or_base64(body.data, is_cut=body.truncated or cut)
    content: dict[str, Any] = {
        "size": len(body.data),
        "mimeType": by_name.get("content-type", ""),
        "encoding": encoding,
    }
    content["text"] = shown
    document: dict[str, Any] = {
        "status": summary["status_code"],
        "statusText": reason,
        "httpVersion": summary["http_version"],
        "headers": headers.shown,
        "cookies": cookies,
        "content": _marked(content, body, encoding, cut),
        "redirectURL": by_name.get("location", ""),
        "headersSize": summary["response_headers_size"],
        "bodySize": body_size,
        "trailers": trailers.shown or {},
    }
    if is_grpc(media):
        trailing = {**trailers.by_name, **web_trailers(raw_body, media)}
        document["grpc"] = {
            "status": summary.get("grpc_status", 0),
            "message": status_text(trailing.get("grpc-message", by_name.get("grpc-message", ""))),
            "messages": read_messages(raw_body, by_name.get("grpc-encoding", ""), media),
        }
    elif media == "text/event-stream":
        events = read_events(body.text)
        document["sseEvents"] = events
    return _Variables(variables), document


class _Variables(Mapping[str, Value]):
    """KFL variables that are worked out when one is looked at: whoever prints documents reads none."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Mapping[str, Value]]) -> None:
        self._make = make
        self._made: Mapping[str, Value] | None = None

    def _known(self) -> Mapping[str, Value]:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> Value:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def items(self) -> ItemsView[str, Value]:
        return self._known().items()


def _marked(part: dict[str, Any], body: Body, encoding: str, cut: bool) -> dict[str, Any]:
    if encoding:
        part["encoding"] = encoding
    if body.truncated or cut:
        part["bodyTruncated"] = True
    if body.comment:
        part["comment"] = body.comment
    return part


def _cookies(header: str, separator: str) -> dict[str, str]:
    result: dict[str, str] = {}
    for pair in header.split(separator, MAX_PAIRS)[:MAX_PAIRS]:
        name, equals, value = pair.partition("=")
        if equals:
            result.setdefault(name.strip(), value.strip())
    return result


def _pairs_of_query(query: str) -> dict[str, list[str]]:
    return _collected(parse_qsl("&".join(query.split("&", MAX_PAIRS)[:MAX_PAIRS]), keep_blank_values=True))


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for name, value in pairs:
        result.setdefault(name, []).append(value)
    return result


def _params(media: str, body: bytes) -> list[dict[str, str]]:
    """Return the fields of a form (HAR `params`), [] for any other body."""
    if not body:
        return []
    kind, _, parameters = media.partition(";")
    kind = kind.strip().lower()
    if kind == "application/x-www-form-urlencoded":
        pairs = _pairs_of_query(text(body).strip())
        return [_param(name, value) for name, values in pairs.items() for value in values]
    boundary = _parameter(parameters, "boundary")
    if kind != "multipart/form-data" or not boundary:
        return []
    parts = body.split(b"--" + boundary.encode("latin-1", "replace"), MAX_PAIRS)[1:MAX_PAIRS]
    return [_form_part(part) for part in parts if not part.startswith(b"--")]


def _param(name: str, value: str, file_name: str = "", content_type: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "fileName": file_name, "contentType": content_type}


def _form_part(part: bytes) -> dict[str, str]:
    """Read one part of multipart/form-data (RFC 7578); a file that is not text has no value."""
    head, _, value = part.replace(b"\r\n", b"\n", 2 * MAX_PAIRS).lstrip(b"\n").partition(b"\n\n")
    fields = {name: rest for name, _, rest in (line.partition(":") for line in text(head).lower().split("\n"))}
    original = text(head)
    disposition = next((line for line in original.split("\n") if line.lower().startswith("content-disposition:")), "")
    shown, encoding = text_or_base64(value.removesuffix(b"\n")[:BODY_LIMIT], is_cut=len(value) > BODY_LIMIT)
    return _param(
        _parameter(disposition, "name"),
        "" if encoding else shown,
        _parameter(disposition, "filename"),
        fields.get("content-type", "").strip(),
    )


def _codings(by_name: Mapping[str, str]) -> str:
    """Return what was done to a body, in that order: its content codings, then its transfer codings but chunks.

    `Transfer-Encoding: gzip, chunked` (RFC 9112 §6.1) is seldom.
    """
    content, transfer = by_name.get("content-encoding", ""), by_name.get("transfer-encoding", "")
    if not transfer or transfer.lower() == "chunked":
        return content
    others = [name for name in transfer.split(",") if name.strip().lower() not in ("chunked", "identity")]
    return ",".join([content, *others])


_PARAMETER = re.compile(r'(?:\A|;)\s*+([^=;\s]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;]*+))')
_ESCAPED = re.compile(r"\\(.)")


def _parameter(parameters: str, name: str) -> str:
    """Return a parameter of a header value, unquoted; "" without it (RFC 9110 §5.6.6)."""
    for found in _PARAMETER.finditer(parameters):
        if found[1].lower() == name:
            return found[3].strip().strip('"') if found[2] is None else _ESCAPED.sub(r"\1", found[2])
    return ""
