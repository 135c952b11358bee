"""MQTT control packets, versions 3.1, 3.1.1 and 5: where they are in one side of a stream, and their fields.

1. Framing reads the fixed header alone (MQTT 5.0 §2.1); a packet whose fields make no sense still has its place.
2. Behind bytes that are no packet, reading goes on where `_mqtt_resync` finds enough evidence of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._mqtt_properties import Cursor, Short
from kubeshark.pipeline.dissectors.messaging._mqtt_resync import resume

__all__ = ["TYPES", "Packet", "begins_connection", "guess_version", "is_sound", "parse", "read_packets"]

TYPES = {
    1: "CONNECT",
    2: "CONNACK",
    3: "PUBLISH",
    4: "PUBACK",
    5: "PUBREC",
    6: "PUBREL",
    7: "PUBCOMP",
    8: "SUBSCRIBE",
    9: "SUBACK",
    10: "UNSUBSCRIBE",
    11: "UNSUBACK",
    12: "PINGREQ",
    13: "PINGRESP",
    14: "DISCONNECT",
    15: "AUTH",
}
PUBLISH = 3
_ACKNOWLEDGEMENTS = frozenset(("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"))
MAX_TOPICS = 1_000
MAX_HEAD = 70_000
"""Bytes of a packet's body that are looked at for its fields; topics and identifiers are at most 64 KiB."""
MAX_BODY = 1 << 20
"""The same for packets that are all fields: CONNECT, SUBSCRIBE."""
SOUND_TOPIC = 1_024
_TOPIC = re.compile(rb"[^\x00-\x1f\x7f]+")
NAMES = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")


class Packet(Struct):
    """One control packet. Offsets are those of its side."""

    start: int
    end: int
    type: str = ""
    flags: int = 0
    body: int = 0
    version: int = 0
    packet_id: int = 0
    client_id: str = ""
    topics: list[str] = field(default_factory=list)
    options: list[int] = field(default_factory=list)  # of the topics of a SUBSCRIBE
    reason_codes: list[int] = field(default_factory=list)
    session_present: bool = False
    keep_alive: int = 0
    connect_flags: int = 0
    is_bridge: bool = False
    user: str = ""
    has_password: bool = False
    will_topic: str = ""
    will_payload: bytes = b""
    will_properties: list[tuple[int, Any]] = field(default_factory=list)
    properties: list[tuple[int, Any]] = field(default_factory=list)
    payload: int = 0  # where a PUBLISH's begins
    error: str = ""

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def topic(self) -> str:
        return self.topics[0] if self.topics else ""


def begins_connection(data: bytes) -> bool:
    """Say whether a side begins with a CONNECT: nothing else looks like it."""
    return data[:1] == b"\x10" and any(data.startswith(NAMES, at) for at in range(2, 6) if data[at - 1 : at] < b"\x80")


def read_packets(wire: Wire) -> Iterator[Packet]:
    data, at, size = wire.data, 0, len(wire.data)
    budget = 2 * size  # bytes of doubtful packets that are read: those that lie are looked into again
    if wire.starts_midway and not _is_chain(data):
        at = resume(wire, 0)
    while at < size:
        packet = _frame(wire, at)
        if not packet.type and packet.end < size:
            packet.end = resume(wire, max(packet.end, at + 1))
        elif packet.end < size and budget > 0 and not is_sound(data, packet.end):
            budget -= min(packet.end - at, MAX_HEAD if packet.type == "PUBLISH" else MAX_BODY)
            if _has_bad_fields(packet, data):  # nor does what follows make sense: its length is none either
                packet.error = f"malformed: fields of {packet.type} at {at}"
                packet.type, packet.end = "", resume(wire, at + 1)
        yield packet
        at = packet.end


def _frame(wire: Wire, at: int) -> Packet:
    data, size = wire.data, len(wire.data)
    packet = Packet(at, min(size, at + 2))
    header_end, length = _length(data, at) if data[at] >> 4 in TYPES else (0, 0)
    has_good_flags = _has_good_flags(data[at])
    if header_end and not has_good_flags and not _may_end(data, header_end + length):
        header_end = 0
    if wire.gaps and (gap := wire.gap_in(at, max(header_end, packet.end))):
        packet.end, packet.error = max(gap[1], at + 1), f"gap: {gap[2]} bytes missing at {gap[0]}"
        return packet
    if not header_end:
        if size - at < 5 and all(byte >= 0x80 for byte in data[at + 1 :]) and _has_good_flags(data[at]):
            packet.end, packet.type = size, TYPES[data[at] >> 4]
            packet.error = f"truncated: only {size - at} bytes were captured"
        else:
            packet.error = f"malformed: no packet at {at}"
        return packet
    end = wire.after(header_end, length)
    packet.type, packet.flags = TYPES[data[at] >> 4], data[at] & 15
    packet.body, packet.end = header_end, min(end, size)
    if not has_good_flags:
        packet.error = f"malformed: flags {packet.flags:#x} of {packet.type}"
    if end > size:
        packet.error = f"truncated: only {size - at} bytes were captured"
    if wire.gaps and (gap := wire.gap_in(at, packet.end)):
        packet.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    return packet


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Return (where the body begins, its length); (0, 0) if there is no proper fixed header at `at`."""
    return _length(data, at) if _has_good_flags(data[at]) else (0, 0)


def _may_end(data: bytes, at: int) -> bool:
    """Say whether a packet may end at `at`: the data does, or another begins."""
    return at == len(data) or (at < len(data) and _has_good_flags(data[at]))


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return (where the body begins, its length) whatever the first byte; (0, 0) if no length follows it."""
    cursor = Cursor(data, at + 1, min(len(data), at + 5))
    try:
        length = cursor.variable()
    except Short:
        return 0, 0
    return cursor.at, length


def _has_good_flags(first: int) -> bool:
    """Say whether flags fit the type: PUBLISH has QoS 0 to 2; 3.1 clients set DUP on what they repeat (3.1 §2.1)."""
    kind, flags = first >> 4, first & 15
    if kind == PUBLISH:
        return flags & 6 != 6
    if kind in (6, 8, 10):
        return flags & 7 == 2
    return kind in TYPES and flags == 0


def _is_chain(data: bytes) -> bool:
    """Say whether data is a sound packet and others up to its end: what the scanner takes from the middle."""
    at = is_sound(data, 0)
    while 0 < at < len(data):
        body, length = _header(data, at)
        at = body + length
    return at == len(data)


def _has_bad_fields(packet: Packet, data: bytes) -> bool:
    """Say whether fields of a captured packet fit no version."""
    if packet.type == "CONNECT" or packet.error.startswith("gap:"):
        return False
    for version in (4, 5):
        read = Packet(packet.start, packet.end, packet.type, packet.flags, packet.body)
        parse(read, data, version)
        if not read.error:
            return False
    return True


def is_sound(data: bytes, at: int) -> int:
    """Return where a packet that is plausible from its first fields ends; 0 if none is at `at`, or it is not whole."""
    if at >= len(data):
        return 0
    body, length = _header(data, at)
    end = body + length
    if not body or end > len(data):
        return 0
    kind = TYPES[data[at] >> 4]
    if kind in ("PINGREQ", "PINGRESP"):
        return end if length == 0 else 0
    if kind == "PUBLISH":
        topic_end = body + 2 + int.from_bytes(data[body : body + 2], "big")
        topic = data[body + 2 : topic_end]
        if length < 2 or len(topic) > SOUND_TOPIC or topic_end > end:
            return 0
        return end if _TOPIC.fullmatch(topic) else 0
    if kind == "CONNECT":
        return end if data.startswith(NAMES, body) else 0
    if kind == "CONNACK":
        return end if length >= 2 and data[body] <= 1 else 0
    if kind in ("DISCONNECT", "AUTH"):
        return end if length < SOUND_TOPIC else 0
    packet_id = data[body : body + 2]
    if len(packet_id) < 2 or packet_id == b"\0\0" or (kind in _ACKNOWLEDGEMENTS and length > SOUND_TOPIC):
        return 0
    return end


def guess_version(packets: list[Packet], data: bytes) -> int:
    """Return 5 if a packet of one side can be of no older version, else 0: for streams without CONNECT."""
    for packet in packets[:50]:
        length = packet.end - packet.body
        if packet.error or not packet.type:
            continue
        if packet.type == "AUTH" or (packet.type in ("CONNACK", "UNSUBACK", *_ACKNOWLEDGEMENTS) and length > 2):
            return 5
        if packet.type == "DISCONNECT" and length:
            return 5
        if packet.type in ("SUBSCRIBE", "UNSUBSCRIBE"):
            old, new = (Packet(packet.start, packet.end, packet.type, packet.flags, packet.body) for _ in range(2))
            parse(old, data, 4)
            parse(new, data, 5)
            if old.error and not new.error:
                return 5
    return 0


def parse(packet: Packet, data: bytes, version: int) -> None:
    """Read a packet's fields as this version has them; what is wrong with them becomes its error."""
    packet.version = version
    limit = MAX_HEAD if packet.type == "PUBLISH" else MAX_BODY
    end = min(packet.end, packet.body + limit)
    cursor = Cursor(data, packet.body, end)
    try:
        _fields(packet, cursor, version)
    except Short:
        if not packet.error:
            packet.error = f"malformed: fields of {packet.type} at {packet.start}"


def _fields(packet: Packet, cursor: Cursor, version: int) -> None:
    kind, is_new = packet.type, version == 5
    if kind == "PUBLISH":
        packet.topics = [cursor.string()]
        if packet.qos:
            packet.packet_id = cursor.number(2)
        if is_new:
            packet.properties = cursor.properties()
        packet.payload = cursor.at
    elif kind == "CONNECT":
        _connect(packet, cursor)
    elif kind == "CONNACK":
        packet.session_present = cursor.number(1) & 1 == 1
        packet.reason_codes = [cursor.number(1)]
        if is_new and cursor.at < cursor.end:
            packet.properties = cursor.properties()
    elif kind in _ACKNOWLEDGEMENTS:
        packet.packet_id = cursor.number(2)
        _reason(packet, cursor)
    elif kind in ("DISCONNECT", "AUTH"):
        _reason(packet, cursor)
    elif kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
        packet.packet_id = cursor.number(2)
        if is_new:
            packet.properties = cursor.properties()
        while cursor.at < cursor.end and len(packet.topics) < MAX_TOPICS:
            packet.topics.append(cursor.string())
            if kind == "SUBSCRIBE":
                packet.options.append(cursor.number(1))
        if not packet.topics:
            raise Short
    elif kind in ("SUBACK", "UNSUBACK"):
        packet.packet_id = cursor.number(2)
        if is_new:
            packet.properties = cursor.properties()
        packet.reason_codes = list(cursor.take(min(cursor.end - cursor.at, MAX_TOPICS)))


def _reason(packet: Packet, cursor: Cursor) -> None:
    """Read a reason code and properties, both of which may be left out at the end."""
    if cursor.at < cursor.end:
        packet.reason_codes = [cursor.number(1)]
    if cursor.at < cursor.end:
        packet.properties = cursor.properties()


def _connect(packet: Packet, cursor: Cursor) -> None:
    if cursor.take(8 if cursor.data[cursor.at + 1 : cursor.at + 2] == b"\x06" else 6) not in NAMES:
        raise Short
    level = cursor.number(1)
    packet.version, packet.is_bridge = level & 0x7F, level >= 0x80  # bridges of mosquitto and others say so
    packet.connect_flags = flags = cursor.number(1)
    packet.keep_alive = cursor.number(2)
    if packet.version == 5:
        packet.properties = cursor.properties()
    packet.client_id = cursor.string()
    if flags & 0x04:
        if packet.version == 5:
            packet.will_properties = cursor.properties()
        packet.will_topic, packet.will_payload = cursor.string(), cursor.binary()
    if flags & 0x80:
        packet.user = cursor.string()
    if flags & 0x40:
        packet.has_password = True
        cursor.binary()
