"""RADIUS over UDP (RFC 2865, 2866, 3579, 5176), by port, or anywhere by strict content."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors.access._radius_attributes import Attribute, attributes, document, is_sound, shown

__all__ = ["RADIUS", "dissect", "probe", "protocols"]

PORTS = (1812, 1813, 1645, 1646, 3799, 1700)  # 1645, 1646: before RFC 2865; 1700: Cisco's, before RFC 3576
HEADER_BYTES = 20
MAX_BYTES = 4096
PROBED_DATAGRAMS = 4

RADIUS = ProtocolSpec(
    name="radius",
    abbr="RADIUS",
    long_name="Remote Authentication Dial-In User Service",
    ports=(1812, 1813),
    layer4="udp",
    priority=7,
    background="#7c3aed",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc2865",
    matcher="key",
    classifiers=(Classifier("udp", PORTS),),
    variables={
        "radius_code_name": "string",
        "radius_username": "string",
        "radius_code": "int",
        "radius_reply_name": "string",
        "radius_request_authenticator": "string",
        "radius_nas": "string",
        "radius_station": "string",
        "radius_session_id": "string",
        "radius_status_type": "string",
        "radius_request": "bool",
        "radius_response": "bool",
        "radius_request_length": "int",
        "radius_response_length": "int",
        "radius_total_size": "int",
        "status_code": "int",
    },
)

CODES = {
    1: "Access-Request",
    2: "Access-Accept",
    3: "Access-Reject",
    4: "Accounting-Request",
    5: "Accounting-Response",
    6: "Accounting-Status",
    7: "Password-Request",
    8: "Password-Ack",
    9: "Password-Reject",
    10: "Accounting-Message",
    11: "Access-Challenge",
    12: "Status-Server",
    13: "Status-Client",
    21: "Resource-Free-Request",
    22: "Resource-Free-Response",
    23: "Resource-Query-Request",
    24: "Resource-Query-Response",
    25: "Alternate-Resource-Reclaim-Request",
    26: "NAS-Reboot-Request",
    27: "NAS-Reboot-Response",
    29: "Next-Passcode",
    30: "New-Pin",
    31: "Terminate-Session",
    32: "Password-Expired",
    33: "Event-Request",
    34: "Event-Response",
    40: "Disconnect-Request",
    41: "Disconnect-ACK",
    42: "Disconnect-NAK",
    43: "CoA-Request",
    44: "CoA-ACK",
    45: "CoA-NAK",
    50: "IP-Address-Allocate",
    51: "IP-Address-Release",
}
RESPONSES = {2, 3, 5, 8, 9, 11, 22, 24, 27, 29, 30, 31, 32, 34, 41, 42, 44, 45}
COMMON = {1, 2, 3, 4, 5, 11, 12, 40, 41, 42, 43, 44, 45}
FIELDS = {
    1: "radius_username",
    32: "radius_nas",
    31: "radius_station",
    44: "radius_session_id",
    40: "radius_status_type",
}
_NAS_ADDRESSES = (4, 95)


def _is_radius(stream: Stream) -> bool:
    if stream.transport != "udp":
        return False
    if stream.server.port in PORTS or stream.client.port in PORTS:
        return any(_is_plausible(bytes(packet.data[:HEADER_BYTES])) for packet in stream.datagrams[:PROBED_DATAGRAMS])
    return any(_is_certain(packet.data) for packet in stream.datagrams[:1])


def _is_plausible(head: bytes) -> bool:
    return (
        len(head) == HEADER_BYTES and head[0] in CODES and HEADER_BYTES <= int.from_bytes(head[2:4], "big") <= MAX_BYTES
    )


def _is_certain(view: memoryview) -> bool:
    """Say whether these bytes can be nothing but RADIUS: known attributes of the right size, and nothing else."""
    if len(view) <= HEADER_BYTES or len(view) > MAX_BYTES or view[0] not in COMMON:
        return False
    if int.from_bytes(view[2:4], "big") != len(view):
        return False
    data = bytes(view)
    found = list(attributes(data, HEADER_BYTES, len(data)))
    return all(attribute is not None and is_sound(attribute) for attribute in found)


def _messages(stream: Stream) -> list[Message]:
    found = []
    latest: dict[int, bytes] = {}  # identifier → the request that used it last
    for index, datagram in enumerate(stream.datagrams):
        data = bytes(datagram.data)
        if not data:
            continue
        message = _message(data, datagram.direction, index, cut=datagram.cut)
        if message.kind == MessageKind.REQUEST and len(data) >= HEADER_BYTES:
            # sent again: the answer belongs to the first (RFC 2865 §2.5)
            message.one_way = latest.get(data[1]) == data
            latest[data[1]] = data
        found.append(message)
    return found


def _message(data: bytes, direction: int, index: int, *, cut: bool) -> Message:
    if not _is_plausible(data[:HEADER_BYTES]):
        error = "truncated" if cut else "malformed"
        text = f"{error}: {len(data)} bytes that are no RADIUS packet"
        return Message(MessageKind.EVENT, direction, 0, len(data), datagram=index, error=text)
    code, length = data[0], int.from_bytes(data[2:4], "big")
    end = min(length, len(data))
    listed = list(attributes(data, HEADER_BYTES, end))
    known = [attribute for attribute in listed if attribute is not None]
    error = ""
    if length > len(data):
        error = f"{'truncated' if cut else 'malformed'}: {len(data)} bytes of {length}"
    elif None in listed:
        error = f"malformed: attribute {len(known)} is longer than the packet"
    is_response = code in RESPONSES
    half = "response" if is_response else "request"
    fields: dict[str, Value] = {
        "radius_code": code,
        "radius_code_name": CODES[code],
        f"radius_{half}": True,
        f"radius_{half}_length": end,
    }
    if is_response:
        fields |= {"status_code": code, "radius_reply_name": CODES[code]}
    else:
        fields["radius_request_authenticator"] = data[4:HEADER_BYTES].hex()
    for attribute in known:
        if attribute.type in FIELDS:
            fields.setdefault(FIELDS[attribute.type], shown(attribute))
    if "radius_nas" not in fields:
        addresses = [shown(attribute) for attribute in known if attribute.type in _NAS_ADDRESSES]
        fields |= {"radius_nas": addresses[0]} if addresses else {}
    return Message(
        MessageKind.RESPONSE if is_response else MessageKind.REQUEST,
        direction,
        0,
        len(data),
        datagram=index,
        fields=fields,
        key=str(data[1]),
        error=error,
        detail=partial(_detail, data[:HEADER_BYTES], known),
    )


def _detail(head: bytes, known: list[Attribute]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {
        "code": head[0],
        "codeName": CODES[head[0]],
        "identifier": head[1],
        "authenticator": head[4:HEADER_BYTES].hex(),
        "attributes": document(known),
    }


protocols, probe, dissect = one_protocol(RADIUS, _is_radius, _messages)
