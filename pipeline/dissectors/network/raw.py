"""Payload that no dissector took, as it is: one message a turn (TCP) or a datagram (UDP, SCTP)."""

from __future__ import annotations

import base64
import functools
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Stream, Value, hookimpl

__all__ = ["RAW", "dissect", "protocols"]

PAYLOAD_LIMIT = 64 << 10
"""Bytes of one message's payload that are kept (kfl.md, Transport)."""

_LONG_NAMES = {
    "tcp": ("Transmission Control Protocol", "https://www.rfc-editor.org/rfc/rfc9293"),
    "udp": ("User Datagram Protocol", "https://www.rfc-editor.org/rfc/rfc768"),
    "sctp": ("Stream Control Transmission Protocol", "https://www.rfc-editor.org/rfc/rfc9260"),
}
_VARIABLES: dict[str, dict[str, Any]] = {
    "tcp": {"tcp_payload": "bytes", "tcp_payload_text": "string", "tcp_length": "int"},
    "udp": {"udp_payload": "bytes", "udp_payload_text": "string", "udp_length": "int"},
    "sctp": {"sctp_chunk_type": "string", "sctp_length": "int"},
}
RAW = {
    transport: ProtocolSpec(
        name=transport,
        abbr=transport.upper(),
        long_name=long_name,
        layer4=transport,
        priority=255,
        reference=reference,
        matcher="none",
        variables=_VARIABLES[transport],
    )
    for transport, (long_name, reference) in _LONG_NAMES.items()
}
"""Transport → protocol. There is no probe: the dissect stage gives these what nobody claimed."""

SCTP_CHUNKS = {
    0: "DATA",
    1: "INIT",
    2: "INIT_ACK",
    3: "SACK",
    4: "HEARTBEAT",
    5: "HEARTBEAT_ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    8: "SHUTDOWN_ACK",
    9: "ERROR",
    10: "COOKIE_ECHO",
    11: "COOKIE_ACK",
    12: "ECNE",
    13: "CWR",
    14: "SHUTDOWN_COMPLETE",
    15: "AUTH",
    64: "I_DATA",
    128: "ASCONF_ACK",
    130: "RE_CONFIG",
    132: "PAD",
    192: "FORWARD_TSN",
    193: "ASCONF",
    194: "I_FORWARD_TSN",
}


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return tuple(RAW.values())


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [list(_turns(stream) if stream.transport == "tcp" else _datagrams(stream)) for stream in streams]


def _turns(stream: Stream) -> Iterator[Message]:
    for direction, start, end in stream.turns():
        side = stream.sides[direction]
        payload = bytes(side.data[start : min(end, start + PAYLOAD_LIMIT)])
        gap = _first_gap(side.gaps, start, end)
        yield Message(
            MessageKind.EVENT,
            direction,
            start,
            end,
            fields={"tcp_length": end - start},
            error=f"gap: {gap[2]} bytes missing at {gap[0]}" if gap else "",
            detail=functools.partial(_detail, "tcp", payload, end - start, direction),
        )


def _first_gap(gaps: Sequence[tuple[int, int, int]], start: int, end: int) -> tuple[int, int, int] | None:
    """Return the first gap in [start, end): of thousands, where a capture lost much."""
    at = bisect_right(gaps, start, key=itemgetter(1))
    return gaps[at] if at < len(gaps) and gaps[at][0] < end else None


def _datagrams(stream: Stream) -> Iterator[Message]:
    for index, datagram in enumerate(stream.datagrams):
        size = len(datagram.data)
        if not size:
            continue
        payload = bytes(datagram.data[:PAYLOAD_LIMIT])
        fields: dict[str, Value] = {f"{stream.transport}_length": size}
        chunk_type = ""
        if stream.transport == "sctp":
            chunk_type = fields["sctp_chunk_type"] = ",".join(_chunk_types(payload))
        yield Message(
            MessageKind.EVENT,
            datagram.direction,
            0,
            size,
            datagram=index,
            fields=fields,
            error=f"truncated: only {size} bytes were captured" if datagram.cut else "",
            detail=functools.partial(_detail, stream.transport, payload, size, datagram.direction, chunk_type),
        )


def _chunk_types(packet: bytes) -> Iterator[str]:
    """Name the chunks of an SCTP packet, its common header excluded (RFC 9260 §3.2)."""
    at = 0
    while at + 4 <= len(packet):
        kind, length = packet[at], int.from_bytes(packet[at + 2 : at + 4], "big")
        yield SCTP_CHUNKS.get(kind, str(kind))
        at += max(4, length + 3 & ~3)  # padded to four bytes


def _detail(
    transport: str, payload: bytes, size: int, direction: int, chunk_type: str = ""
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    shown = payload.decode("utf-8", "replace")
    variables: dict[str, Value] = {}
    if transport != "sctp":
        variables = {f"{transport}_payload": payload, f"{transport}_payload_text": shown}
    document = {
        "payload": shown,
        "payloadBase64": base64.b64encode(payload).decode("ascii"),
        "size": size,
        "direction": ("client", "server")[direction],  # who sent it
        "chunkType": chunk_type,
    }
    return variables, document
