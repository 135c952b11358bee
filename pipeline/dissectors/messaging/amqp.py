"""AMQP 0-9-1 as RabbitMQ speaks it: methods with their content, paired by channel and method.

Own reader, not the library pamqp: that builds every frame at once, raises a dozen kinds of exceptions on damaged ones,
and knows nothing of gaps. Other versions (1.0, 0-10) are known by their protocol header, shown as such and not read.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Literal

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._amqp_frames import Unit, is_frame, read_units
from kubeshark.pipeline.dissectors.messaging._amqp_methods import ANSWERS, METHODS
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, text_or_base64

__all__ = ["AMQP", "dissect", "probe", "protocols"]

PORTS = (5671, 5672)

AMQP = ProtocolSpec(
    name="amqp",
    abbr="AMQP",
    long_name="Advanced Message Queuing Protocol 0-9-1",
    version="0-9-1",
    ports=PORTS,
    priority=1,
    background="#c2410c",
    foreground="#ffffff",
    reference="https://www.rabbitmq.com/amqp-0-9-1-reference.html",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS), Classifier("tcp", prefix=b"AMQP")),
    variables={
        "amqp_method": "string",
        "amqp_summary": "string",
        "amqp_exchange": "string",
        "amqp_routing_key": "string",
        "amqp_queue": "string",
        "amqp_channel": "int",
        "amqp_reply_code": "int",
        "amqp_request": "bool",
        "amqp_response": "bool",
        "amqp_request_length": "int",
        "amqp_response_length": "int",
        "amqp_total_size": "int",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)

CLOSE, CLOSED = "connection.close", "connection.close-ok"
HEADER_BYTES = 8
PROBED = 512
REDACTED = "[redacted]"
SECRETS = ("response", "challenge", "newSecret")
"""Arguments of SASL and of token renewal."""
_VERSIONS = {  # what a protocol header says, for the ones this reader knows
    b"\x00\x00\x09\x01": "0-9-1",
    b"\x01\x01\x00\x09": "0-9",
    b"\x01\x01\x08\x00": "0-8",
    b"\x01\x01\x09\x01": "0-9-1",
}
_LAYERS = {0: "", 2: " over TLS", 3: " with SASL"}
_UNANSWERED = frozenset(
    (
        "basic.publish",
        "basic.ack",
        "basic.nack",
        "basic.reject",
        "basic.recover-async",
        "connection.blocked",
        "connection.unblocked",
        "",
    )
)
_PUSHES = frozenset(
    ("basic.deliver", "basic.return", "basic.ack", "basic.nack", "connection.blocked", "connection.unblocked", "")
)
_SUMMARY = {  # method → the argument that says most
    "connection.open": ("virtualHost",),
    "connection.tune": ("channelMax",),
    "connection.tune-ok": ("channelMax",),
    "connection.close": ("replyText",),
    "channel.close": ("replyText",),
    "connection.blocked": ("reason",),
    "basic.publish": ("exchange", "routingKey"),
    "basic.deliver": ("exchange", "routingKey"),
    "basic.return": ("exchange", "routingKey"),
    "basic.get-ok": ("exchange", "routingKey"),
    "basic.consume": ("queue",),
    "basic.consume-ok": ("consumerTag",),
    "basic.cancel": ("consumerTag",),
    "basic.cancel-ok": ("consumerTag",),
    "basic.get": ("queue",),
    "basic.qos": ("prefetchCount",),
    **dict.fromkeys(("basic.ack", "basic.nack", "basic.reject"), ("deliveryTag",)),
    **dict.fromkeys(("exchange.declare", "exchange.delete"), ("exchange",)),
    **dict.fromkeys(("exchange.bind", "exchange.unbind"), ("destination",)),
    **dict.fromkeys(
        [f"queue.{name}" for name in ("declare", "declare-ok", "bind", "unbind", "purge", "delete")], ("queue",)
    ),
}


def _is_mine(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    known_port = any(port in (stream.server.port, stream.client.port) for port in PORTS)
    for side in stream.sides:
        head = bytes(side.data[:PROBED])
        if _version(head) or (is_frame(head, 0, whole=False) and (known_port or head[7:11] == b"\0\x0a\0\x0a")):
            return True
        if known_port and (side.starts_midway or side.gaps):
            marks = (at + 1 for at, byte in enumerate(head) if byte == 0xCE)
            if any(is_frame(head, at, whole=False) for at in marks):
                return True
    return False


def _version(data: bytes) -> str:
    """Return the version a protocol header names, "" if `data` begins with none."""
    if not data.startswith(b"AMQP") or len(data) < HEADER_BYTES:
        return ""
    rest = data[4:HEADER_BYTES]
    if rest in _VERSIONS:
        return _VERSIONS[rest]
    if rest[0] in _LAYERS and rest[1] == 1:
        return f"1.{rest[2]}{_LAYERS[rest[0]]}"
    return f"{rest[2]}-{rest[3]}" if rest[:2] == b"\x01\x01" else ""


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    versions = [_version(wire.data) for wire in wires]
    asked = versions[0] or versions[1]
    is_ours = not asked or asked in _VERSIONS.values()
    starts = [HEADER_BYTES if version else 0 for version in versions]
    units = [list(read_units(wire, start)) if is_ours else [] for wire, start in zip(wires, starts, strict=True)]
    refused = _refused(units, stream)
    for direction, wire in enumerate(wires):
        start = starts[direction]
        if start and (versions[1] or not is_ours):  # a server that says its version refuses the client's
            yield _header(versions[direction], direction, answered=bool(versions[1]))
        is_left = _is_left(units, stream, direction)
        for unit in units[direction]:
            close = refused.get(unit.start) if direction == 0 else None
            message = _message(
                unit, wire, direction, _role(unit, direction), close.arguments["replyCode"] if close else 0
            )
            message.one_way = message.one_way or (is_left and unit.name == CLOSE)
            yield message
            if close and _is_call(unit):
                yield _message(close, wires[1], 1, (MessageKind.RESPONSE, message.key))
        if not is_ours and start < len(wire.data):
            yield _opaque(asked, direction, start, len(wire.data))


def _is_left(units: Sequence[Sequence[Unit]], stream: Stream, direction: int) -> bool:
    """Say whether a side that closed the connection was answered by hanging up, as by clients that were refused."""
    other = 1 - direction
    if not any(unit.name == CLOSE for unit in units[direction]) or any(unit.name == CLOSED for unit in units[other]):
        return False
    return stream.sides[direction].ended == "refused" or bool(stream.sides[other].ended)


def _is_call(unit: Unit) -> bool:
    """Say whether a client's unit waits for an answer."""
    kind, key = _role(unit, 0)
    return kind == MessageKind.REQUEST and bool(key)


def _refused(units: Sequence[Sequence[Unit]], stream: Stream) -> dict[int, Unit]:
    """Return the client's units that the server answered by closing: where they start → the close.

    That names a method. Servers read in order: it is the first call of it that waits, else the last unit of it.
    """
    if not any(unit.arguments.get("failedMethodId") for unit in units[1]):
        return {}
    client, server = stream.sides
    timed = [(client.time_at(unit.start), 0, unit.start, unit) for unit in units[0]]
    timed += [(server.time_at(unit.start), 1, unit.start, unit) for unit in units[1]]
    waiting: defaultdict[tuple[str, int], deque[Unit]] = defaultdict(deque)  # calls, by method and channel
    others: dict[tuple[str, int], Unit] = {}
    refused: dict[int, Unit] = {}
    for _, direction, _, unit in sorted(timed, key=itemgetter(0, 1, 2)):
        place = unit.name, unit.channel
        if direction == 0 and _is_call(unit):
            waiting[place].append(unit)
        elif direction == 0:
            others[place] = unit
        elif calls := waiting.get((ANSWERS.get(unit.name, ""), unit.channel)):
            calls.popleft()
        elif failed := METHODS.get((unit.arguments.get("failedClassId", 0), unit.arguments.get("failedMethodId", 0))):
            places = [(failed.name, unit.channel)]
            if unit.name == CLOSE:  # of which channel it does not say
                places = [place for place in (*waiting, *others) if place[0] == failed.name]
            places = [place for place in places if waiting[place] or place in others]
            found = [waiting[place].popleft() if waiting[place] else others[place] for place in places]
            if found:
                refused[max(found, key=lambda asked: asked.start).start] = unit
            if unit.name == CLOSE:
                break
    return refused


def _header(version: str, direction: int, *, answered: bool) -> Message:
    kind = MessageKind.REQUEST if direction == 0 else MessageKind.RESPONSE
    half = ("request", "response")[direction]
    fields: dict[str, Value] = {"amqp_summary": f"AMQP {version}", f"amqp_{half}": True}
    fields[f"amqp_{half}_length"] = HEADER_BYTES
    document = {"method": "", "protocolVersion": version}
    return Message(
        kind,
        direction,
        0,
        HEADER_BYTES,
        fields=fields,
        key="protocol header",
        one_way=direction == 0 and not answered,
        detail=lambda: ({}, document),
    )


def _opaque(version: str, direction: int, start: int, end: int) -> Message:
    """Return one event for all that a side says in a version this reader does not know."""
    summary = f"AMQP {version}: {end - start} bytes, not dissected"
    return Message(
        MessageKind.EVENT,
        direction,
        start,
        end,
        fields={"amqp_summary": summary},
        detail=lambda: ({}, {"method": "", "protocolVersion": version, "size": end - start}),
    )


def _message(unit: Unit, wire: Wire, direction: int, role: tuple[MessageKind, str], refused: int = 0) -> Message:
    """Return a unit's message in its role; `refused` is the reply code of the close that answered it, 0 if none did."""
    name, arguments = unit.name, unit.arguments
    kind, key = role
    is_ours = kind == MessageKind.RESPONSE or (kind == MessageKind.EVENT and direction == 1)
    half: Literal["request", "response"] = "response" if is_ours else "request"
    named = {
        "amqp_summary": _summary(unit),
        "amqp_exchange": arguments.get("exchange", ""),
        "amqp_routing_key": arguments.get("routingKey", ""),
        "amqp_queue": arguments.get("queue", ""),
    }
    fields: dict[str, Value] = {"amqp_method": name, **{key: value for key, value in named.items() if value}}
    fields["amqp_channel"] = unit.channel
    if code := arguments.get("replyCode", refused):
        fields["amqp_reply_code"] = code
    if kind != MessageKind.EVENT:
        fields[f"amqp_{half}"] = True
    fields[f"amqp_{half}_length"] = unit.size
    return Message(
        kind,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=key,
        one_way=kind == MessageKind.REQUEST and not key,
        error=unit.error,
        detail=partial(_detail, unit, wire, half),
    )


def _role(unit: Unit, direction: int) -> tuple[MessageKind, str]:
    """Return a unit's part and what pairs it: channel and method, and who asked if it was the server."""
    name = unit.name
    if name in ANSWERS:
        return MessageKind.RESPONSE, f"{unit.channel} {ANSWERS[name]}{(' of the server', '')[direction]}"
    if direction == 1 and name in _PUSHES:
        return MessageKind.EVENT, ""
    if name in _UNANSWERED or unit.arguments.get("noWait"):
        return MessageKind.EVENT if direction == 1 else MessageKind.REQUEST, ""
    return MessageKind.REQUEST, f"{unit.channel} {name}{('', ' of the server')[direction]}"


def _summary(unit: Unit) -> str:
    arguments = unit.arguments
    if unit.name == "connection.start" and "versionMinor" in arguments:
        return f"{arguments['versionMajor']}.{arguments['versionMinor']}"
    return next((str(arguments[name]) for name in _SUMMARY.get(unit.name, ()) if arguments.get(name)), "")


def _detail(
    unit: Unit, wire: Wire, half: Literal["request", "response"]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    method = unit.method
    document: dict[str, Any] = {
        "method": unit.name.replace(".", " "),
        "classId": method.class_id if method else 0,
        "methodId": method.method_id if method else 0,
        "channel": unit.channel,
        **unit.arguments,
    }
    for secret in SECRETS:
        if document.get(secret):
            document[secret] = REDACTED
    if not unit.properties and not unit.pieces:
        return {}, document
    body, size = _body(unit, wire)
    shown, encoding = text_or_base64(body, is_cut=size > len(body))
    document |= {"body": shown, "properties": unit.properties}
    variables: dict[str, Value] = {f"{half}_body": shown if not encoding else body.decode("utf-8", "replace")}
    if encoding:
        document["encoding"] = encoding
    if size > len(body):
        document["bodyTruncated"] = variables[f"{half}_body_truncated"] = True
    return variables, document


def _body(unit: Unit, wire: Wire) -> tuple[bytes, int]:
    """Return the body's first BODY_LIMIT bytes, and how many there were."""
    parts, left = [], BODY_LIMIT
    for start, end in unit.pieces:
        parts.append(wire.captured(start, min(end, start + left)))
        left -= len(parts[-1])
        if left <= 0:
            break
    body = b"".join(parts)
    return body, max(unit.body_seen, len(body)) if left <= 0 else len(body)


protocols, probe, dissect = one_protocol(AMQP, _is_mine, _messages)
