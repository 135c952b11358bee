"""ZMTP, the transport of ZeroMQ: 3.0 (RFC 23), 3.1 (RFC 37), and peers that fall back to 2.0 (RFC 15).

There is no port and no way to find a frame in the middle, so a stream is known by its greeting alone. Neither side asks
and none answers: greeting, commands and messages are events. Behind lost frame headers one event stands for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Stream, Value
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.web._http_body import BODY_LIMIT, text_or_base64

__all__ = ["ZMTP", "dissect", "probe", "protocols"]

ZMTP = ProtocolSpec(
    name="zmtp",
    abbr="ZMTP",
    long_name="ZeroMQ Message Transport Protocol",
    version="2.0 … 3.1",
    priority=9,
    background="#b45309",
    foreground="#ffffff",
    reference="https://rfc.zeromq.org/spec/37/",
    matcher="none",
    variables={
        "zmtp_type": "string",  # GREETING, READY, ERROR, SUBSCRIBE, MESSAGE ...
        "zmtp_topic": "string",  # of a subscription
        "zmtp_socket_type": "string",  # of the sender: REQ, PUB ...
        "zmtp_mechanism": "string",
        "zmtp_identity": "string",
        "zmtp_error_message": "string",
        "zmtp_version": "string",
        "zmtp_frames": "int",
        "zmtp_total_size": "int",
    },
)

SIGNATURE_BYTES, GREETING_BYTES, OLD_GREETING_BYTES = 10, 64, 12
MORE, LONG, COMMAND = 1, 2, 4
MAX_FRAMES = 1_000
"""Frames of a message whose places are kept."""
MAX_PROPERTIES = 256
MAX_IDENTITY = 255
"""RFC 37 allows no longer identities; every message of the side shows it."""
COMMAND_BYTES = 64 << 10
REDACTED = "[redacted]"
SOCKET_TYPES = ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH")
"""By number, as 2.0 says them."""
_SIGNATURE = re.compile(rb"\xff\0{6}[\x00-\x01][\x00-\xff]\x7f")  # to peers of 1.0: the length of the identity
_NAME = re.compile(rb"[A-Z]{1,32}")


class Peer(Struct):
    """What one side has said of itself so far."""

    version: str = ""
    mechanism: str = ""
    socket_type: str = ""
    identity: str = ""


class Unit(Struct):
    start: int
    end: int
    type: str = "MESSAGE"
    frames: list[tuple[int, int]] = field(default_factory=list)  # places of their bodies
    count: int = 0
    topic: str = ""
    message: str = ""  # of an ERROR
    properties: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def _is_mine(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[: SIGNATURE_BYTES + 1]) for side in stream.sides]
    return any(heads) and all(
        _SIGNATURE.match(head) is not None and head[SIGNATURE_BYTES:] in (b"", b"\0", b"\1", b"\2", b"\3")
        for head in heads
        if head
    )


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    majors = [wire.data[SIGNATURE_BYTES] for wire in wires if len(wire.data) > SIGNATURE_BYTES]
    is_old = bool(majors) and min(majors) < 3
    for direction, wire in enumerate(wires):
        peer = Peer()
        for unit in _units(wire, peer, is_old=is_old):
            yield _message(unit, peer, wire, direction)


def _units(wire: Wire, peer: Peer, *, is_old: bool) -> Iterator[Unit]:
    if not wire.data:
        return
    greeting = _greeting(wire, peer, is_old=is_old)
    yield greeting
    at, size = greeting.end, len(wire.data)
    while at < size:
        unit = _unit(wire, at)
        if unit.type == "MESSAGE":
            _read_subscription(unit, wire, peer)
        elif not unit.error:
            _read_command(unit, wire, peer)
        yield unit
        at = unit.end


def _greeting(wire: Wire, peer: Peer, *, is_old: bool) -> Unit:
    data, size = wire.data, len(wire.data)
    unit = Unit(0, min(size, OLD_GREETING_BYTES if is_old else GREETING_BYTES), "GREETING")
    major = data[SIGNATURE_BYTES] if size > SIGNATURE_BYTES else 0
    if is_old:
        peer.version, peer.mechanism = "2.0", "NULL"
        if size >= OLD_GREETING_BYTES:
            number = data[OLD_GREETING_BYTES - 1]
            peer.socket_type = SOCKET_TYPES[number] if number < len(SOCKET_TYPES) else str(number)
            identity = _unit(wire, OLD_GREETING_BYTES)  # a frame of its own
            unit.end = identity.end
            peer.identity = text(wire.captured(*identity.frames[0]))[:MAX_IDENTITY] if identity.frames else ""
    elif size >= GREETING_BYTES:
        peer.version = f"{major}.{data[11]}"
        peer.mechanism = text(data[12:32].rstrip(b"\0"))
        unit.properties = {"asServer": data[32] == 1}
    if unit.end < (OLD_GREETING_BYTES if is_old else GREETING_BYTES):
        unit.error = f"truncated: only {unit.end} bytes were captured"
    if gap := wire.gap_in(0, unit.end):
        unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    return unit


def _unit(wire: Wire, start: int) -> Unit:
    """Read a command, or a message: frames up to the one that says no more follow (RFC 37, framing)."""
    data, at, size = wire.data, start, len(wire.data)
    unit = Unit(start, size)
    while at < size:
        flags = data[at]
        head = 9 if flags & LONG else 2
        if wire.gaps and (gap := wire.gap_in(at, at + head)):
            unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}: what follows cannot be told apart"
            return unit
        if flags & ~(MORE | LONG | COMMAND) or (flags & COMMAND and (flags & MORE or at > start)):
            unit.error = f"malformed: no frame at {at}"
            return unit
        if size - at < head:
            break
        body = at + head
        end = wire.after(body, int.from_bytes(data[at + 1 : body], "big"))
        if wire.gaps and (gap := wire.gap_in(body, end)):
            unit.error = unit.error or f"gap: {gap[2]} bytes missing at {gap[0]}"
        unit.count += 1
        if len(unit.frames) < MAX_FRAMES:
            unit.frames.append((body, min(end, size)))
        if flags & COMMAND:
            unit.type = "COMMAND"
        if end > size:
            break
        at = end
        if not flags & MORE:
            unit.end = end
            return unit
    unit.error = unit.error or f"truncated: only {size - start} bytes were captured"
    return unit


def _read_subscription(unit: Unit, wire: Wire, peer: Peer) -> None:
    """Before 3.1 subscriptions are messages: 1 and the topic subscribes, 0 and the topic cancels (RFC 23)."""
    if peer.socket_type in ("SUB", "XSUB") and unit.count == 1 and not unit.error:
        body = wire.data[slice(*unit.frames[0])]
        if body[:1] in (b"\0", b"\1"):
            unit.type = "SUBSCRIBE" if body[0] else "CANCEL"
            unit.topic = text(body[1:COMMAND_BYTES])


def _read_command(unit: Unit, wire: Wire, peer: Peer) -> None:
    """Read a command: a short name, then what it defines (RFC 37, commands; RFC 24 and 26 for mechanisms)."""
    start, end = unit.frames[0]
    body = wire.data[start : min(end, start + COMMAND_BYTES)]
    name = body[1 : 1 + body[0]] if body else b""
    if body[1:6] == b"ERROR":  # some peers get the length of this name wrong
        name = b"ERROR"
    if not _NAME.fullmatch(name):
        unit.error = f"malformed: no command at {unit.start}"
        return
    rest = body[1 + len(name) :]
    unit.type = name.decode("ascii")
    if unit.type in ("SUBSCRIBE", "CANCEL"):
        unit.topic = text(rest)
    elif unit.type == "ERROR":
        unit.message = text(rest[1 : 1 + rest[0]]) if rest else ""
    elif unit.type == "PING":
        unit.properties = {"ttl": int.from_bytes(rest[:2], "big"), "context": text(rest[2:])}
    elif peer.mechanism == "CURVE":
        unit.properties = {"encrypted": len(rest)}
    elif unit.type in ("READY", "INITIATE"):
        unit.properties = _metadata(rest)
        known = {key.lower(): str(value) for key, value in unit.properties.items()}
        peer.socket_type = known.get("socket-type", peer.socket_type)[:MAX_IDENTITY]
        peer.identity = known.get("identity", peer.identity)[:MAX_IDENTITY]
    elif unit.type == "HELLO" and peer.mechanism == "PLAIN":
        unit.properties = {"username": text(rest[1 : 1 + rest[0]]) if rest else "", "password": REDACTED}


def _metadata(data: bytes) -> dict[str, Any]:
    """Read properties: a name of one length byte, a value of four."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(data) and len(found) < MAX_PROPERTIES:
        value = at + 5 + data[at]
        end = value + int.from_bytes(data[value - 4 : value], "big")
        if value > len(data) or end > len(data):
            break
        found[text(data[at + 1 : value - 4])] = text_or_base64(data[value:end])[0]
        at = end
    return found


def _message(unit: Unit, peer: Peer, wire: Wire, direction: int) -> Message:
    named = {
        "zmtp_topic": unit.topic,
        "zmtp_socket_type": peer.socket_type,
        "zmtp_mechanism": peer.mechanism,
        "zmtp_identity": peer.identity,
        "zmtp_error_message": unit.message,
        "zmtp_version": peer.version,
    }
    fields: dict[str, Value] = {"zmtp_type": unit.type, **{name: value for name, value in named.items() if value}}
    if unit.type == "MESSAGE":
        fields["zmtp_frames"] = unit.count
    return Message(
        MessageKind.EVENT,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        error=unit.error,
        detail=partial(_detail, unit, wire, fields),
    )


def _detail(unit: Unit, wire: Wire, fields: Mapping[str, Value]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        "type": unit.type,
        "version": fields.get("zmtp_version", ""),
        "mechanism": fields.get("zmtp_mechanism", ""),
        "socketType": fields.get("zmtp_socket_type", ""),
        "identity": fields.get("zmtp_identity", ""),
        "topic": unit.topic,
        "error": unit.message,
        "properties": unit.properties,
        "frames": [],
    }
    if unit.type == "MESSAGE":
        left = BODY_LIMIT
        for start, end in unit.frames:
            body = wire.captured(start, min(end, start + left))
            left -= len(body)
            shown, encoding = text_or_base64(body, is_cut=end - start > len(body))
            document["frames"].append(
                {"size": end - start, "payload": shown, **({"encoding": encoding} if encoding else {})}
            )
        if unit.count > len(unit.frames) or left <= 0:
            document["framesTruncated"] = True
    return {}, document


protocols, probe, dissect = one_protocol(ZMTP, _is_mine, _messages)
