"""MQTT 3.1, 3.1.1 and 5.0 (OASIS), on any port by its CONNECT, on its own port also from the middle.

Packets are paired by type and packet identifier: PUBLISH with PUBACK or PUBREC, PUBREL with PUBCOMP, SUBSCRIBE with
SUBACK; both sides publish and acknowledge. What the server sends at QoS 0 is an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, always, numbers, sizes, texts
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._mqtt_packet import (
    TYPES,
    Packet,
    begins_connection,
    guess_version,
    is_sound,
    parse,
    read_packets,
)
from kubeshark.pipeline.dissectors.messaging._mqtt_properties import (
    ASSIGNED_CLIENT_ID,
    REDACTED,
    TOPIC_ALIAS,
    shown_properties,
)
from kubeshark.pipeline.dissectors.messaging._mqtt_resync import resume
from kubeshark.pipeline.dissectors.messaging._payload import payload_of
from kubeshark.pipeline.dissectors.web._http_body import text_or_base64

__all__ = ["COLUMNS", "MQTT", "dissect", "probe", "protocols"]

PORTS = (1883, 8883)
PROBED = 512
RESYNC_BYTES = 64 << 10  # how far into a side of port 1883 whose start was lost packets are looked for
REPEATED = 1_024
"""Characters of a client's name or an alias's topic in messages that do not carry it themselves: they are many."""

MQTT = ProtocolSpec(
    name="mqtt",
    abbr="MQTT",
    long_name="Message Queuing Telemetry Transport",
    version="3.1 … 5.0",
    ports=PORTS,
    priority=8,
    background="#7e22ce",
    foreground="#ffffff",
    reference="https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS),),
    variables={
        "mqtt_type": "string",
        "mqtt_topic": "string",
        "mqtt_client_id": "string",
        "mqtt_qos": "int",
        "mqtt_retain": "bool",
        "mqtt_version": "int",
        "mqtt_reason_code": "int",
        "mqtt_request": "bool",
        "mqtt_response": "bool",
        "mqtt_request_size": "int",
        "mqtt_response_size": "int",
        "mqtt_total_size": "int",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)

ASKED = ("request", "event")
EACH = ("request", "response", "event")
COLUMNS: Columns = {
    "mqtt_type": Column(numbers(0, lambda number: TYPES[number >> 8]), EACH),
    "mqtt_version": Column(numbers(0, lambda number: number & 0x7F), EACH),
    "mqtt_topic": Column(texts(0), ASKED),
    "mqtt_client_id": Column(texts(1), EACH),
    "mqtt_qos": Column(numbers(1, lambda number: number & 3), ASKED),
    "mqtt_retain": Column(numbers(1, lambda number: number > 3), ASKED),
    "mqtt_reason_code": Column(numbers(2), ("response", "request", "event")),
    "mqtt_request": Column(always(True)),
    "mqtt_response": Column(always(True), ("response",)),
    "mqtt_request_size": Column(sizes()),
    "mqtt_response_size": Column(sizes(), ("response", "event")),
}
"""What the scanner (scan_mqtt.c) knows."""

_ANSWERS = {  # an answer → what it answers
    "CONNACK": "CONNECT",
    "PUBACK": "PUBLISH",
    "PUBREC": "PUBLISH",
    "PUBCOMP": "PUBREL",
    "SUBACK": "SUBSCRIBE",
    "UNSUBACK": "UNSUBSCRIBE",
    "PINGRESP": "PINGREQ",
}
_WITHOUT_ANSWER = frozenset(("DISCONNECT", "AUTH", ""))
_FAILED = 0x80


def _is_mine(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:PROBED]) for side in stream.sides]
    if any(map(begins_connection, heads)):
        return True
    known_port = PORTS[0] in (stream.server.port, stream.client.port)
    return known_port and any(map(_holds_packets, heads, stream.sides))


def _holds_packets(head: bytes, side: StreamSide) -> bool:
    """Say whether a side of a stream without CONNECT is a chain of packets; a lost start is looked for."""
    if not head or head.startswith(b"\x10"):
        return False
    if is_sound(head, 0):
        return True
    if not side.starts_midway and not side.gaps:
        return False
    wire = Wire(side)
    return resume(wire, 0, RESYNC_BYTES) < len(wire.data)


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    packets = [list(read_packets(wire)) for wire in wires]
    version, client_id = _session(packets, wires)
    for direction, wire in enumerate(wires):
        aliases: dict[int, str] = {}
        for packet in packets[direction]:
            if packet.type == "CONNECT":
                version = packet.version or version
                client_id = packet.client_id or client_id
            elif packet.type:
                parse(packet, wire.data, version)
            _resolve_alias(packet, aliases)
            yield _message(packet, wire, direction, client_id, version)


def _session(packets: Sequence[list[Packet]], wires: Sequence[Wire]) -> tuple[int, str]:
    """Return the version and the client's name: what CONNECT says, or what other packets betray."""
    version, client_id = 0, ""
    for found, wire in zip(packets, wires, strict=True):
        for packet in found:
            if packet.type == "CONNECT":
                parse(packet, wire.data, 0)
                version, client_id = version or packet.version, client_id or packet.client_id
    if not version:
        version = max(guess_version(found, wire.data) for found, wire in zip(packets, wires, strict=True)) or 4
    if version == 5 and not client_id:
        client_id = _assigned(packets[1], wires[1])
    return version, client_id


def _assigned(packets: Sequence[Packet], wire: Wire) -> str:
    """Return the name the server gave a client that had none (MQTT 5.0 §3.2.2.3.7)."""
    for packet in packets[:2]:
        if packet.type == "CONNACK":
            parse(packet, wire.data, 5)
            return next((value for number, value in packet.properties if number == ASSIGNED_CLIENT_ID), "")
    return ""


def _resolve_alias(packet: Packet, aliases: dict[int, str]) -> None:
    """Put the topic in place of its alias (MQTT 5.0 §3.3.2.3.4)."""
    if packet.type != "PUBLISH" or not packet.properties:
        return
    for number, value in packet.properties:
        if number == TOPIC_ALIAS:
            if packet.topic:
                aliases[value] = packet.topic[:REPEATED]
            elif value in aliases:
                packet.topics = [aliases[value]]


def _message(packet: Packet, wire: Wire, direction: int, client_id: str, version: int) -> Message:
    kind, key = _role(packet, direction)
    is_answer = kind == MessageKind.RESPONSE
    fields: dict[str, Value] = {"mqtt_type": packet.type, "mqtt_version": version}
    if client_id:
        fields["mqtt_client_id"] = client_id if packet.type == "CONNECT" else client_id[:REPEATED]
    if packet.topics:
        fields["mqtt_topic"] = packet.topic
    if packet.type == "PUBLISH":
        fields["mqtt_qos"], fields["mqtt_retain"] = packet.qos, packet.flags & 1 == 1
    elif packet.options:
        fields["mqtt_qos"] = packet.options[0] & 3
    if packet.reason_codes:
        fields["mqtt_reason_code"] = next(
            (code for code in packet.reason_codes if code >= _FAILED), packet.reason_codes[0]
        )
    half = "response" if is_answer or (kind == MessageKind.EVENT and direction == 1) else "request"
    if kind != MessageKind.EVENT:
        fields[f"mqtt_{half}"] = True
    fields[f"mqtt_{half}_size"] = packet.end - packet.start
    return Message(
        kind,
        direction,
        packet.start,
        packet.end,
        fields=fields,
        key=key,
        one_way=kind == MessageKind.REQUEST and not key,
        error=packet.error,
        detail=partial(_answer if is_answer else _detail, packet, wire, direction, fields),
    )


def _role(packet: Packet, direction: int) -> tuple[MessageKind, str]:
    """Return a packet's part and what pairs it: the sender of the request, its type, its identifier."""
    kind = packet.type
    sender = ("", "server ")[direction]
    if kind in _ANSWERS:
        asker = ("server ", "")[direction]
        return MessageKind.RESPONSE, f"{asker}{_ANSWERS[kind]} {packet.packet_id}".removesuffix(" 0")
    if kind in _WITHOUT_ANSWER or (kind == "PUBLISH" and not packet.qos):
        return (MessageKind.EVENT if direction == 1 else MessageKind.REQUEST), ""
    return MessageKind.REQUEST, f"{sender}{kind} {packet.packet_id}".removesuffix(" 0")


def _answer(
    packet: Packet,
    wire: Wire,  # noqa: ARG001
    direction: int,  # noqa: ARG001
    fields: Mapping[str, Value],
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "type": packet.type,
        "packetId": packet.packet_id,
        "reasonCode": fields.get("mqtt_reason_code", 0),
        "reasonCodes": packet.reason_codes,
        "properties": shown_properties(packet.properties),
    }
    if packet.type == "CONNACK":
        document["sessionPresent"] = packet.session_present
    return {}, document


def _detail(
    packet: Packet, wire: Wire, direction: int, fields: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    half: Literal["request", "response"] = "response" if direction == 1 and "mqtt_request" not in fields else "request"
    variables: dict[str, Value] = {}
    payload: dict[str, Any] = {"payload": ""}
    if packet.type == "PUBLISH" and packet.payload:
        variables, payload = payload_of(wire, packet.payload, packet.end, half)
    document: dict[str, Any] = {
        "type": packet.type,
        "packetId": packet.packet_id,
        "version": fields["mqtt_version"],
        "clientId": packet.client_id,
        "topic": packet.topic,
        "topics": packet.topics,
        "qos": fields.get("mqtt_qos", 0),
        "retain": packet.type == "PUBLISH" and packet.flags & 1 == 1,
        "dup": packet.flags & 8 == 8,
        **payload,
        "properties": shown_properties(packet.properties),
    }
    if packet.options:
        document["subscriptions"] = [
            {
                "topic": topic,
                "qos": options & 3,
                "noLocal": options & 4 == 4,
                "retainAsPublished": options & 8 == 8,
                "retainHandling": options >> 4 & 3,
            }
            for topic, options in zip(packet.topics, packet.options, strict=False)
        ]
    if packet.reason_codes:
        document["reasonCode"] = packet.reason_codes[0]
    if packet.type == "CONNECT":
        document |= _connect(packet)
    return variables, document


def _connect(packet: Packet) -> dict[str, Any]:
    flags = packet.connect_flags
    shown, encoding = text_or_base64(packet.will_payload)
    will = {
        "topic": packet.will_topic,
        "qos": flags >> 3 & 3,
        "retain": flags & 0x20 != 0,
        "payload": shown,
        **({"encoding": encoding} if encoding else {}),
        "properties": shown_properties(packet.will_properties),
    }
    return {
        "cleanSession": flags & 0x02 != 0,
        "keepAlive": packet.keep_alive,
        "bridge": packet.is_bridge,
        "username": packet.user,
        "password": REDACTED if packet.has_password else "",
        "will": will if flags & 0x04 else None,
    }


protocols, probe, dissect = one_protocol(MQTT, _is_mine, _messages)
