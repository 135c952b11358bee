"""ICMP and ICMPv6 (RFC 792, RFC 4443, RFC 4861): echoes are paired, everything else is an event."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from kubeshark.extension_api import Datagram, Message, MessageKind, ProtocolSpec, Stream, Value, Verdict, hookimpl
from kubeshark.pipeline.dissectors._columns import Column, Columns, numbers, sizes

__all__ = ["COLUMNS", "ICMP", "dissect", "probe", "protocols"]

ICMP = ProtocolSpec(
    name="icmp",
    abbr="ICMP",
    long_name="Internet Control Message Protocol",
    layer4="icmp",
    priority=250,
    background="#0f766e",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc792",
    matcher="key",
    variables={
        "icmp_version": "int",
        "icmp_type": "string",  # the number: IANA's names have blanks and change
        "icmp_code": "int",
        "icmp_description": "string",
        "icmp_length": "int",
    },
)

TYPES_V4 = {
    0: "Echo Reply",
    3: "Destination Unreachable",
    4: "Source Quench",
    5: "Redirect",
    8: "Echo Request",
    9: "Router Advertisement",
    10: "Router Solicitation",
    11: "Time Exceeded",
    12: "Parameter Problem",
    13: "Timestamp Request",
    14: "Timestamp Reply",
    15: "Information Request",
    16: "Information Reply",
    17: "Address Mask Request",
    18: "Address Mask Reply",
    42: "Extended Echo Request",
    43: "Extended Echo Reply",
}
TYPES_V6 = {
    1: "Destination Unreachable",
    2: "Packet Too Big",
    3: "Time Exceeded",
    4: "Parameter Problem",
    128: "Echo Request",
    129: "Echo Reply",
    130: "Multicast Listener Query",
    131: "Multicast Listener Report",
    132: "Multicast Listener Done",
    133: "Router Solicitation",
    134: "Router Advertisement",
    135: "Neighbor Solicitation",
    136: "Neighbor Advertisement",
    137: "Redirect",
    141: "Inverse Neighbor Discovery Solicitation",
    142: "Inverse Neighbor Discovery Advertisement",
    143: "Multicast Listener Report v2",
    151: "Multicast Router Advertisement",
    152: "Multicast Router Solicitation",
    153: "Multicast Router Termination",
    155: "RPL Control",
    160: "Extended Echo Request",
    161: "Extended Echo Reply",
}
CODES_V4 = {
    3: (
        "network unreachable",
        "host unreachable",
        "protocol unreachable",
        "port unreachable",
        "fragmentation needed",
        "source route failed",
        "network unknown",
        "host unknown",
        "source host isolated",
        "network prohibited",
        "host prohibited",
        "network unreachable for this type of service",
        "host unreachable for this type of service",
        "communication prohibited",
        "host precedence violation",
        "precedence cutoff",
    ),
    5: ("network", "host", "type of service and network", "type of service and host"),
    11: ("time to live exceeded in transit", "fragment reassembly time exceeded"),
    12: ("pointer indicates the error", "required option missing", "bad length"),
}
CODES_V6 = {
    1: (
        "no route to destination",
        "communication prohibited",
        "beyond scope of source address",
        "address unreachable",
        "port unreachable",
        "source address failed policy",
        "reject route to destination",
    ),
    3: ("hop limit exceeded in transit", "fragment reassembly time exceeded"),
    4: ("erroneous header field", "unknown next header", "unknown option"),
}
ECHO = {4: (8, 0), 6: (128, 129)}
WITH_ID = {4: frozenset({0, 8, 13, 14, 15, 16, 17, 18}), 6: frozenset({128, 129})}
QUOTING = {4: frozenset({3, 4, 5, 11, 12}), 6: frozenset({1, 2, 3, 4})}
QUOTE_AT = 8  # behind type, code, checksum and four bytes of each type's own
TRANSPORTS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp"}

EACH = ("request", "response", "event")
COLUMNS: Columns = {
    "icmp_version": Column(numbers(2), EACH),
    "icmp_type": Column(numbers(0, str), EACH),
    "icmp_code": Column(numbers(1), EACH),
    "icmp_length": Column(sizes(), EACH),
}
"""What the scanner (scan_icmp.c) knows."""


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (ICMP,)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
    return [Verdict.MINE if stream.transport == "icmp" else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [
        [_message(stream, index, datagram) for index, datagram in enumerate(stream.datagrams)] for stream in streams
    ]


def _message(stream: Stream, index: int, datagram: Datagram) -> Message:
    data = bytes(datagram.data)
    version = 6 if ":" in stream.client.ip else 4
    kind, code = (data[0], data[1]) if len(data) >= 4 else (-1, -1)  # less has no checksum: it may be anything
    fields: dict[str, Value] = {
        "icmp_version": version,
        "icmp_type": str(kind) if kind >= 0 else "",
        "icmp_code": max(code, 0),
        "icmp_description": _description(version, kind, code),
        "icmp_length": len(data),
    }
    error = ""
    if len(data) < QUOTE_AT:
        error = f"truncated: {len(data)} bytes are no ICMP header"
    elif datagram.cut:
        error = f"truncated: only {len(data)} bytes were captured"
    request, reply = ECHO[version]
    target = stream.server if datagram.direction == 0 else stream.client
    return Message(
        {request: MessageKind.REQUEST, reply: MessageKind.RESPONSE}.get(kind, MessageKind.EVENT),
        datagram.direction,
        0,
        len(data),
        datagram=index,
        fields=fields,
        key=f"{_number(data, 4)}:{_number(data, 6)}" if kind in ECHO[version] else "",
        one_way=_is_group(target.ip),  # whoever answers does so from its own address
        error=error,
        detail=partial(_detail, data, fields),
    )


def _description(version: int, kind: int, code: int) -> str:
    if kind < 0:
        return ""
    name = (TYPES_V4 if version == 4 else TYPES_V6).get(kind, f"type {kind}")
    codes = (CODES_V4 if version == 4 else CODES_V6).get(kind, ())
    return f"{name}: {codes[code]}" if code < len(codes) else name if code == 0 else f"{name}: code {code}"


@functools.lru_cache(maxsize=4096)  # the same few addresses, over and over
def _is_group(address: str) -> bool:
    return address == "255.255.255.255" or (address != "" and ip_address(address).is_multicast)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _detail(data: bytes, fields: Mapping[str, Value]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    version, kind = int(str(fields["icmp_version"])), data[0] if data else 0
    has_id = kind in WITH_ID[version]
    document = {
        "version": version,
        "type": kind,
        "code": fields["icmp_code"],
        "description": fields["icmp_description"],
        "id": _number(data, 4) if has_id else 0,
        "sequence": _number(data, 6) if has_id else 0,
        "length": len(data),
        "quoted": _quoted(data[QUOTE_AT:]) if kind in QUOTING[version] else None,
    }
    return {}, document


def _quoted(packet: bytes) -> dict[str, Any] | None:
    """Read the ends of the packet an error quotes (RFC 792, RFC 4443 §2.4); extension headers are not followed."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        source, target = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
        protocol, header = packet[9], (packet[0] & 15) * 4
    elif version == 6 and len(packet) >= 40:
        source, target = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
        protocol, header = packet[6], 40
    else:
        return None
    transport = TRANSPORTS.get(protocol, str(protocol))
    has_ports = transport in ("tcp", "udp", "sctp") and len(packet) >= header + 4
    return {
        "src": source,
        "dst": target,
        "transport": transport,
        "srcPort": _number(packet, header) if has_ports else 0,
        "dstPort": _number(packet, header + 2) if has_ports else 0,
    }
