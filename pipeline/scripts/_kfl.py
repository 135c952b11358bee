"""KFL on documents: what `kfl.match(query, data)` says of an entry as scripts hold it.

While the entry is in a hook its variables are there, and are used; of a document that a script kept, changed or made,
variables are read from its JSON form.
"""

from __future__ import annotations

import base64
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from kubeshark.errors import UsageError
from kubeshark.pipeline.kfl import ENTRY, VARIABLES, CompiledFilter, Variables, compile_filter

__all__ = ["DocumentVariables", "ScriptFilters"]

MAX_FILTERS = 256
MAX_TEXT = 64 << 10


class ScriptFilters:
    """Compiles each text once."""

    def __init__(self, variables: Variables = VARIABLES) -> None:
        self.variables = variables
        self._compiled: OrderedDict[str, CompiledFilter] = OrderedDict()
        self._lock = threading.Lock()

    def compile(self, text: str) -> CompiledFilter:
        """Return a filter; ValueError says `line:col: reason`."""
        with self._lock:
            if text in self._compiled:
                self._compiled.move_to_end(text)
                return self._compiled[text]
        if len(text) > MAX_TEXT:
            raise ValueError("1:1: the query is too long")
        try:
            compiled = compile_filter(text, now_ns=time.time_ns(), variables=self.variables)
        except UsageError as error:
            place = f"line {error.line}, column {error.column}: "
            raise ValueError(f"{error.line or 1}:{error.column or 1}: {error.message.removeprefix(place)}") from error
        with self._lock:
            self._compiled[text] = compiled
            if len(self._compiled) > MAX_FILTERS:
                self._compiled.popitem(last=False)
        return compiled

    def match(self, text: str, row: Mapping[str, Any]) -> bool:
        return self.compile(text).matches(row)

    def document(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return DocumentVariables(document, self.variables)


class DocumentVariables(dict[str, Any]):
    """The KFL variables of a JSON entry, worked out when asked for; the type's default for what it does not say."""

    __slots__ = ("_document", "_variables")

    def __init__(self, document: Mapping[str, Any], variables: Variables) -> None:
        self._document = document
        self._variables = variables
        self[ENTRY] = document
        protocol = _map(document, "protocol")
        name, macro = str(protocol.get("name", "")), str(protocol.get("macro", ""))
        for flag in {name, macro} - {""}:
            self[flag] = True
        if macro in ("http2", "grpc", "gql"):
            self["http"] = True

    def __missing__(self, name: str) -> Any:
        variable = self._variables.get(name)
        if variable is None:
            raise KeyError(name)
        reader = _READERS.get(name)
        value = reader(self._document) if reader else None
        if value is None and name.partition("_")[0] == _map(self._document, "protocol").get("name"):
            value = _by_name(self._document, name)
        value = _fitting(value, variable.type, variable.default)
        self[name] = value
        return value


def _map(document: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _at(*names: str) -> Callable[[Mapping[str, Any]], Any]:
    *above, last = names
    return lambda document: _map(document, *above).get(last)


def _abbreviation(document: Mapping[str, Any]) -> str:
    return "".join(filter(str.isalnum, str(_map(document, "protocol").get("abbr", "")).partition("/")[0])).upper()


def _header(name: str) -> Callable[[Mapping[str, Any]], Any]:
    def read(document: Mapping[str, Any]) -> Any:
        value = _headers("request")(document).get(name)
        return value[0] if isinstance(value, list) and value else value

    return read


def _headers(half: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda document: {str(name).lower(): value for name, value in _map(document, half, "headers").items()}


def _questions(field: str) -> Callable[[Mapping[str, Any]], list[Any]]:
    def read(document: Mapping[str, Any]) -> list[Any]:
        questions = _map(document, "request").get("questions")
        return [each.get(field, "") for each in questions or () if isinstance(each, Mapping)]

    return read


def _payload(document: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(_map(document, "data").get("payloadBase64", "")))
    except ValueError:
        return b""


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    **{name: _at(name) for name in ("id", "index", "stream", "worker", "tls", "file", "tags")},
    **{f"{end}.{name}": _at(end, name) for end in ("src", "dst") for name in ("ip", "name", "namespace")},
    **{
        f"{end}.{kind}.{name}": _at(end, kind, "metadata", name)
        for end in ("src", "dst")
        for kind in ("pod", "service")
        for name in ("name", "namespace")
    },
    **{f"{end}.port": _at(end, "port") for end in ("src", "dst")},
    "timestamp": lambda document: int(document.get("timestamp") or 0) * 1_000_000,
    "elapsed_time": lambda document: int(document.get("elapsedTime") or 0) * 1000,
    "protocol": _abbreviation,
    "transport": _at("networkProps", "transport"),
    "error": lambda document: document.get("error") is not None,
    "error_type": _at("error", "type"),
    "error_message": _at("error", "msg"),
    "method": _at("request", "method"),
    "url": _at("request", "url"),
    "path": _at("request", "path"),
    "path_segments": _at("request", "pathSegments"),
    "http_version": _at("request", "httpVersion"),
    "query_string": _at("request", "queryString"),
    "status_code": lambda document: _map(document, "response").get("status", _map(document, "response").get("rcode")),
    "host": _header("host"),
    "content_type": _header("content-type"),
    "request.headers": _headers("request"),
    "response.headers": _headers("response"),
    "request.cookies": _at("request", "cookies"),
    "response.cookies": _at("response", "cookies"),
    "request_body": _at("request", "postData", "text"),
    "response_body": _at("response", "content", "text"),
    "dns_questions": _questions("name"),
    "dns_question_types": _questions("type"),
    "dns_rcode": _at("response", "code"),
    "tcp_payload": _payload,
    "udp_payload": _payload,
    "tcp_payload_text": lambda document: _payload(document).decode("utf-8", "replace"),
    "udp_payload_text": lambda document: _payload(document).decode("utf-8", "replace"),
}


def _by_name(document: Mapping[str, Any], name: str) -> Any:
    """Read `redis_key` as request.key, `kafka_api_key_name` as request.apiKeyName; else of the response."""
    first, *rest = name.split("_")[1:] or [""]
    camel = first + "".join(part.capitalize() for part in rest)
    for half in ("request", "response"):
        value = _map(document, half).get(camel)
        if value is not None:
            return value
    return _map(document, "event", "data").get(camel)


def _fitting(value: Any, kind: str, default: Any) -> Any:
    """Return the value in the variable's type; its default where that is not possible."""
    expected = {
        "string": str,
        "int": int,
        "double": float,
        "bool": bool,
        "bytes": bytes,
        "timestamp": int,
        "list": list,
        "map": dict,
    }[kind]
    if kind in ("int", "timestamp") and isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
        return int(value)
    if kind in ("int", "timestamp") and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, expected) and (kind == "bool" or not isinstance(value, bool)):
        return value
    return default
