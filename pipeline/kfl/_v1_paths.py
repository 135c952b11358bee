"""The paths of KFL v1 and what they are called now (kfl.md §6).

v1 walked the JSON entry; KFL has variables. A path that has none is read from the entry by `field()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kubeshark.pipeline.kfl._v1_grammar import NotV1, Step

__all__ = ["MAPPED", "RESOLUTION", "Target", "field_path", "new_name", "quoted"]

Rest = Sequence[Step]
"""What of a path follows the mapped name."""


def _as_it_is(text: str) -> str:
    return text


class Target(Struct, frozen=True):
    """The KFL for a path: an expression, and the guard or the loop that reading it needs."""

    text: str
    type: str  # VariableType or "dyn"
    guard: str = ""  # must hold before `text` may be read
    each: str = ""  # any element may match: `text` is the list or map, `each` the element, `loop` its variable
    loop: str = ""
    scale: int = 1  # literals are multiplied: v1 had milliseconds
    spelled: Callable[[str], str] = _as_it_is  # other spelling of literals


def quoted(text: str) -> str:
    """Return a KFL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for char, escape in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(char, escape)
    return f'"{escaped}"'


def field_path(names: Sequence[str], steps: Rest) -> str:
    """Return the path of field() and json(). Raise NotV1 for a call in it."""
    parts = list(names[:1])
    parts += [f".{name}" for name in names[1:]]
    for step in steps:
        match step.kind:
            case "name":
                parts.append(f".{step.text}" if parts else step.text)
            case "index":
                parts.append(f"[{step.text}]")
            case "any":
                parts.append("[*]")
            case "key" if '"' not in step.text:
                parts.append(f'["{step.text}"]')
            case _:
                raise NotV1
    return "".join(parts)


def _plain(name: str, kind: str, *, scale: int = 1, spelled: Callable[[str], str] = _as_it_is) -> _Mapping:
    return lambda rest: None if rest else Target(name, kind, scale=scale, spelled=spelled)


def _keyed(name: str, *, is_folded: bool = False) -> _Mapping:
    """A map: one key, or any."""

    def target(rest: Rest) -> Target | None:
        match rest:
            case []:
                return Target(name, "map")
            case [Step("key" | "name", key)]:
                return Target(f'map_get({name}, {quoted(key.lower() if is_folded else key)}, "")', "string")
            case [Step("any")]:
                return Target(name, "string", each=f"{name}[k]", loop="k")
        return None

    return target


def _listed(name: str) -> _Mapping:
    """A list: one element, if it is there, or any."""

    def target(rest: Rest) -> Target | None:
        match rest:
            case []:
                return Target(name, "list")
            case [Step("index", index)]:
                return Target(f"{name}[{index}]", "string", guard=f"size({name}) > {index}")
            case [Step("any")]:
                return Target(name, "string", each="p", loop="p")
        return None

    return target


def _records(lists: Mapping[str, str], other: str = "") -> _Mapping:
    """A list of objects of which KFL has some members as lists of their own: `questions[0].name`."""

    def target(rest: Rest) -> Target | None:
        match rest:
            case [place, Step("name", member)] if member in lists or other:
                return _listed(lists.get(member, other))([place])
        return None

    return target


def _any_record(name: str) -> _Mapping:
    """A list of objects whose order KFL does not keep: any of them matches."""
    return lambda rest: Target(name, "string", each="t", loop="t") if len(rest) == 2 else None


def _path(rest: Rest) -> Target | None:
    return Target("path", "string") if not rest else _listed("path_segments")(rest)


def _body(name: str) -> _Mapping:
    """A body, or a value in it: `response.body.json().a.b`."""

    def target(rest: Rest) -> Target | None:
        match rest:
            case []:
                return Target(name, "string")
            case [Step("name", "json" | "xml" as language), Step("call", args=()), *steps]:
                path = field_path([], list(steps))
                found = Target(f"{name}.{language}({quoted(path)})", "dyn")
                return replace(found, each="p", loop="p") if "[*]" in path else found
        return None

    return target


def _snake_capitals(text: str) -> str:
    """`ListOffsets` → `LIST_OFFSETS`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).upper()


def _dotted(text: str) -> str:
    return text.replace(" ", ".", 1)


_Mapping = Callable[[Rest], Target | None]

_ENDS = {
    f"{end}.{part}": _plain(f"{end}.{part}", kind)
    for end in ("src", "dst")
    for part, kind in (("ip", "string"), ("port", "int"), ("name", "string"), ("namespace", "string"))
}

_COMMON: Mapping[str, _Mapping] = {
    **_ENDS,
    "stream": _plain("stream", "string"),
    "tls": _plain("tls", "bool"),
    "timestamp": _plain("timestamp", "timestamp"),
    "elapsedTime": _plain("elapsed_time", "int", scale=1000),
    "protocol.name": _plain("protocol", "string", spelled=str.upper),
    "protocol.abbr": _plain("protocol", "string", spelled=str.upper),
    "node.name": _plain("node_name", "string"),
    "node.ip": _plain("node_ip", "string"),
    "error": _plain("error", "bool"),
    "error.type": _plain("error_type", "string"),
    "error.msg": _plain("error_message", "string"),
    "request.method": _plain("method", "string"),
    "request.url": _plain("url", "string"),
    "request.path": _path,
    "request.pathSegments": _listed("path_segments"),
    "request.query": _keyed("query_string"),
    "request.queryString": _keyed("query_string"),
    "request.headers": _keyed("request.headers", is_folded=True),
    "request.cookies": _keyed("request.cookies"),
    "request.body": _body("request_body"),
    "request.postData.text": _body("request_body"),
    "request.httpVersion": _plain("http_version", "string"),
    "response.status": _plain("status_code", "int"),
    "response.headers": _keyed("response.headers", is_folded=True),
    "response.cookies": _keyed("response.cookies"),
    "response.body": _body("response_body"),
    "response.content.text": _body("response_body"),
    "request.questions": _records({"name": "dns_questions", "type": "dns_question_types"}),
    "response.answers": _records({"name": "dns_answer_names"}, other="dns_answers"),
    "request.command": _plain("redis_type", "string"),
    "request.key": _plain("redis_key", "string"),
    "request.apiKey": _plain("kafka_api_key", "int"),
    "request.apiKeyName": _plain("kafka_api_key_name", "string", spelled=_snake_capitals),
    "request.clientID": _plain("kafka_client_id", "string"),
    "request.payload.topics": _any_record("kafka_topics"),
    "request.exchange": _plain("amqp_exchange", "string"),
    "request.queue": _plain("amqp_queue", "string"),
    "request.routingKey": _plain("amqp_routing_key", "string"),
    "data.payload": _plain("tcp_payload_text", "string"),
}

MAPPED: Mapping[tuple[str, str], _Mapping] = {
    **{("", name): mapping for name, mapping in _COMMON.items()},
    ("amqp", "request.method"): _plain("amqp_method", "string", spelled=_dotted),
    ("udp", "data.payload"): _plain("udp_payload_text", "string"),
    ("mongodb", "request.command"): _plain("mongodb_command", "string"),
    ("mysql", "request.command"): _plain("mysql_command", "string"),
    ("postgresql", "request.command"): _plain("postgresql_command", "string"),
    ("memcached", "request.command"): _plain("memcached_command", "string"),
}
"""(protocol flag or "", path) → what it is now; an answer of None leaves the path to field()."""


def new_name(path: str) -> str:
    """Return the KFL variable that a path of v1 became, or ""."""
    mapping = MAPPED.get(("", path))
    target = mapping(()) if mapping else None
    return target.text if target else ""


_END = frozenset(
    {"ip", "port", "name", "namespace", "pod", "endpointSlice", "service", "processId", "processName", "processPath"}
    | {"cgroupId", "containerId", "socketId", "parentProcessId", "hostProcessId", "resolutionMechanism"}
)
_PROTOCOL = frozenset({"name", "version", "abbr", "longName", "macro", "layer3", "layer4", "priority", "ports"})

_ANY = (
    "request response event data requestSize responseSize startTime record duplicate matcherKey passed failed outgoing"
    " entryFile captureSource subProtocol"
)

RESOLUTION: Mapping[str, frozenset[str] | None] = {
    "src": _END,
    "dst": _END,
    "protocol": _PROTOCOL,
    "node": frozenset({"ip", "name"}),
    "error": frozenset({"type", "msg"}),
    "capture": frozenset({"backend", "source", "proxy", "vlan"}),
    "networkProps": frozenset({"transport", "retransmissions", "outOfOrder", "gaps", "rttUs"}),
    **dict.fromkeys(_ANY.split()),
}
"""First names of JSON paths: which second names an entry has; None is any, or none at all (entries.md §1, §3)."""
