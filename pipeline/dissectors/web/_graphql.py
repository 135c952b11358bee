"""GraphQL operations in HTTP requests (https://graphql.github.io/graphql-over-http/draft/).

Only the beginning of a document is read: what kind of operation it is and its name need no parser, and a whole one
(graphql-core) would have to accept every server's extensions. A request is GraphQL if its body or its URL has a
`query` that starts like a document, or a persisted query's hash instead; the path may be anything.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._text import text

__all__ = ["SCANNED", "Operation", "find_operation", "may_hold_operation"]

SCANNED = 256 << 10
"""Bytes of a body that are read; a longer JSON body is recognised, but shown without variables."""
MAX_DOCUMENT = 64 << 10
MAX_BLANKS = 4096
"""Characters of comments and white space before the first word."""
MAX_OPERATIONS = 20

_NAME = r"[_A-Za-z][_0-9A-Za-z]{0,255}+"
_IGNORED = re.compile(r"(?:[\s,\ufeff]|#[^\r\n]*)*+")
_KEYWORD = rf"(query|mutation|subscription)\b[\s,]*+({_NAME})?+\s*+[({{@]"
_NAMED = re.compile(_KEYWORD)
_OPERATION = re.compile(rf"(?:^|\}})[\s,]*+{_KEYWORD}", re.MULTILINE)
_FRAGMENT = re.compile(rf"fragment\s++{_NAME}\s++on\s++{_NAME}\s*+[{{@]")
_ANONYMOUS = re.compile(rf"\{{[\s,]*+(?:#[^\r\n]*+[\s,]*+)*+(?:\.\.\.|{_NAME}[\s,]*+(?:[({{:@#}}]|\.\.\.|[_A-Za-z]))")
_QUERY_KEY = re.compile(rb'"query"\s{0,20}:\s{0,20}"((?:[^"\\]|\\.){0,4096})')
_ESCAPES = re.compile(r"\\[nrt]")


class Operation(Struct, frozen=True):
    """What a request asks: kind (query, mutation, subscription), name (may be ""), document and variables."""

    kind: str
    name: str = ""
    query: str = ""
    variables: dict[str, Any] = field(default_factory=dict)


def may_hold_operation(method: str, media: str) -> bool:
    """Say whether the body of such a request is worth reading; cheap."""
    return method == "POST" and media in ("application/json", "application/graphql", "application/graphql+json")


def find_operation(method: str, url: str, media: str, body: bytes) -> Operation | None:
    """Return the first operation of a request, None if it is not GraphQL. `body`: decoded, at most SCANNED bytes."""
    if method == "GET":
        return _in_url(url)
    if not may_hold_operation(method, media):
        return None
    if media == "application/graphql":
        document = text(body[:MAX_DOCUMENT])
        found = _operation(document)
        return Operation(*found, document) if found else None
    if b'"query"' not in body and b'"persistedQuery"' not in body:
        return None
    try:
        return _in_json(json.loads(body))
    except (ValueError, RecursionError):  # cut, or no JSON
        match = _QUERY_KEY.search(body)
        document = _ESCAPES.sub(" ", text(match[1])) if match else ""
        found = _operation(document)
        return Operation(*found, document) if found else None


def _in_json(value: Any) -> Operation | None:
    if isinstance(value, list) and value:  # a batch: its first operation names it
        value = value[0]
    if not isinstance(value, dict):
        return None
    return _from_parameters(
        value.get("query"), value.get("operationName"), value.get("variables"), value.get("extensions")
    )


def _in_url(url: str) -> Operation | None:
    query = url.partition("?")[2]
    if "query=" not in query and "persistedQuery" not in query:
        return None
    try:
        pairs = parse_qs(query, max_num_fields=100)
    except ValueError:
        return None
    values = {name: found[0] for name, found in pairs.items()}
    variables, extensions = (_json(values.get(name, "")) for name in ("variables", "extensions"))
    return _from_parameters(values.get("query"), values.get("operationName"), variables, extensions)


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _from_parameters(query: Any, name: Any, variables: Any, extensions: Any) -> Operation | None:
    name = name if isinstance(name, str) else ""
    given = variables if isinstance(variables, dict) else {}
    if isinstance(query, str) and query:
        found = _operation(query[:MAX_DOCUMENT], name)
        return Operation(found[0], found[1] or name, query, given) if found else None
    if isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict):
        return Operation("query", name, "", given)  # only its hash is sent: mutations are not persisted over GET
    return None


def _operation(document: str, wanted: str = "") -> tuple[str, str] | None:
    """Return (kind, name) of the operation, the one called `wanted` if there are several; None if it is no document."""
    blank = _IGNORED.match(document[:MAX_BLANKS])
    at = blank.end() if blank else 0
    named = _NAMED.match(document, at)
    if named is None:
        if _ANONYMOUS.match(document, at):
            return "query", ""
        if not _FRAGMENT.match(document, at):
            return None
    matches = islice(_OPERATION.finditer(document, at), MAX_OPERATIONS)
    operations = [(match[1], match[2] or "") for match in matches]
    first = (named[1], named[2] or "") if named else operations[0] if operations else ("query", "")
    return next((found for found in operations if wanted and found[1] == wanted), first)
