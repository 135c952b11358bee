"""What `onItemQueried` makes of an entry: a verdict, another content, or nothing at all.

An entry whose content was changed shows only what the script returned: its documents are the script's, its bytes are
withheld, and a variable stays only if its texts and numbers still stand in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import Message, MessageKind
from kubeshark.pipeline.enrichment._redact import is_indexed, with_other_fields
from kubeshark.pipeline.entries._entry import Entry
from kubeshark.pipeline.kfl import VARIABLES
from kubeshark.pipeline.scripts._kfl import DocumentVariables

__all__ = ["take"]

_KEYS = {MessageKind.REQUEST: "request", MessageKind.RESPONSE: "response"}
_CONTENT = frozenset({"request", "response", "event", "data"})
_FIXED = frozenset({"id", "index", "stream", "passed", "failed", "timestamp", "startTime"})
"""What says which entry it is stays."""

_READ_AGAIN = ("method", "status_code", "url", "path", "host", "content_type")

MAX_DEPTH = 64


def take(entry: Entry, answer: Any) -> bool:
    """Do what one call returned; False if the entry goes."""
    if answer is None:
        return False
    if not isinstance(answer, Mapping):
        return True
    entry.passed, entry.failed = bool(answer.get("passed")), bool(answer.get("failed"))
    entry.forget_documents()
    data = answer.get("data")
    if isinstance(data, Mapping):
        before = entry.to_dict()
        changed = {name for name, value in data.items() if before.get(name) != value} - _FIXED
        entry.amended = {name: data[name] for name in changed - _CONTENT}
        if changed & _CONTENT:
            _replace(entry, data)
        entry.forget_documents()
    return True


def _replace(entry: Entry, data: Mapping[str, Any]) -> None:
    documents: dict[MessageKind, Mapping[str, Any]] = {}
    for kind in MessageKind:
        event = data.get("event")
        inner = event.get("data") if isinstance(event, Mapping) else data.get("data")
        given = data.get(_KEYS[kind]) if kind in _KEYS else inner
        documents[kind] = given if isinstance(given, Mapping) else {}
    shown = "\n".join(["", *sorted(_texts(list(documents.values()), 0)), ""])
    read = DocumentVariables(data, VARIABLES)
    variables: dict[str, Any] = {}
    for name, value in list(entry.variables.items()):
        if is_indexed(name) or name == "tags":
            continue
        if all(text in shown for text in _texts(value, 0)):
            variables[name] = value
    for name in ("request.headers", "response.headers", "request.cookies", "response.cookies", "query_string"):
        variables[name] = read[name]
    for name in ("request_body", "response_body", *_READ_AGAIN):
        if name in entry.variables or name.endswith("_body"):
            variables[name] = read[name]

    def kept(message: Message) -> dict[str, Any]:
        return {
            name: value for name, value in message.fields.items() if all(text in shown for text in _texts(value, 0))
        }

    passed, failed = entry.passed, entry.failed
    entry.show_only(variables, documents, with_other_fields(entry, kept))
    entry.passed, entry.failed = passed, failed


def _texts(value: Any, depth: int) -> set[str]:
    """Return every text and number in a value; of bytes, their text."""
    if isinstance(value, str):
        return {value} if value else set()
    if isinstance(value, bytes | memoryview):
        return {bytes(value).decode("utf-8", "replace")} if value else set()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {f"\n{value}\n" if depth == 0 else str(value)} if value else set()  # a whole one, of those inside
    if depth >= MAX_DEPTH:
        return {"\0"}  # too deep to look at: stands nowhere
    if isinstance(value, Mapping):
        return set().union(*(_texts(inner, depth + 1) for inner in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(_texts(inner, depth + 1) for inner in value))
    return set()
