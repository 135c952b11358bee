"""STUN and TURN's control messages over UDP and TCP (RFC 8489, 8656), on any port, known by the magic cookie.

Other things share a STUN flow (RFC 7983): its DTLS handshakes are read as such, RTP and TURN's channels stay raw UDP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import Struct

from kubeshark.extension_api import (
    Classifier,
    Datagram,
    Endpoint,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.network import raw
from kubeshark.pipeline.dissectors.network._stun_message import (
    HEADER_BYTES,
    MAGIC,
    StunMessage,
    error_code,
    is_classic,
    is_stun,
    name_of,
    read_message,
    shown,
)
from kubeshark.pipeline.dissectors.security import tls

__all__ = ["STUN", "dissect", "probe", "protocols"]

PORTS = (3478,)
PROBED_DATAGRAMS = 4
LATE = 254
_DTLS_TYPES = range(20, 64)  # first octets (RFC 7983 §7)

STUN = ProtocolSpec(
    name="stun",
    abbr="STUN",
    long_name="Session Traversal Utilities for NAT",
    ports=PORTS,
    layer4="udp",
    priority=4,  # before TLS, which would take a flow for the DTLS in it
    background="#0e7490",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc8489",
    matcher="key",
    classifiers=(Classifier("udp", PORTS), Classifier("udp", offset=4, prefix=MAGIC), Classifier("tcp", PORTS)),
    variables={
        "stun_method": "string",
        "stun_mapped_address": "string",
        "stun_username": "string",
        "stun_class": "string",
        "stun_software": "string",
        "stun_realm": "string",
        "stun_relayed_address": "string",
        "stun_peer_address": "string",
        "stun_error_code": "int",
        "stun_request": "bool",
        "stun_response": "bool",
        "stun_request_size": "int",
        "stun_response_size": "int",
        "stun_total_size": "int",
        "status_code": "int",
    },
)
UDP = raw.RAW["udp"]
DTLS = replace(tls.TLS, classifiers=(), priority=LATE)
"""Names TLS's messages found here; as a protocol of its own it takes no stream."""

_FIELDS = {
    0x0001: "stun_mapped_address",
    0x0006: "stun_username",
    0x0012: "stun_peer_address",
    0x0014: "stun_realm",
    0x0016: "stun_relayed_address",
    0x0020: "stun_mapped_address",
    0x8020: "stun_mapped_address",
    0x8022: "stun_software",
}
_ERROR_CODE = 0x0009


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (STUN, UDP, DTLS)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    is_ours = protocol.flag == STUN.flag
    return [Verdict.MINE if is_ours and _is_stun(stream) else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [list(_tcp(stream) if stream.transport == "tcp" else _udp(stream)) for stream in streams]


def _is_stun(stream: Stream) -> bool:
    if stream.transport == "tcp":
        return any(_has_cookie(side.data) for side in stream.sides)
    if stream.transport != "udp":
        return False
    probed = stream.datagrams[:PROBED_DATAGRAMS]
    if any(_has_cookie(datagram.data) for datagram in probed):
        return True
    is_known_port = stream.server.port in PORTS or stream.client.port in PORTS
    return is_known_port and any(is_classic(bytes(datagram.data)) for datagram in probed)


def _has_cookie(view: memoryview) -> bool:
    return view[4:8] == MAGIC and is_stun(bytes(view[:HEADER_BYTES]))


class _Part(Struct):
    """Some datagrams of a stream, as a stream."""

    transport: str
    client: Endpoint
    server: Endpoint
    datagrams: Sequence[Datagram]
    sides: Any = ()

    def turns(self) -> Sequence[tuple[int, int, int]]:
        return ()


class _Transactions:
    """Finds what a client sent again: the same id (RFC 8489 §6.2.1); all the answer goes to the first.

    Some clients use an id for ever: what has an answer of its own behind that to the first is an exchange, too.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, int], Message | None] = {}  # (id, who asks) → its open request; None: answered
        self._answered: set[tuple[str, int]] = set()

    def mark(self, message: Message) -> None:
        if message.kind == MessageKind.RESPONSE:
            transaction = (message.key, 1 - message.direction)
            if self._latest.get(transaction):
                self._latest[transaction] = None
                self._answered.add(transaction)
            elif transaction in self._answered:
                message.final = False  # the answer to what was sent again
        elif not message.one_way:
            transaction = (message.key, message.direction)
            if self._latest.get(transaction):
                message.one_way = True
            else:
                self._latest[transaction] = message

    def end(self) -> None:
        """Judge what nobody answered: where an answer to the same had come it was sent again."""
        for transaction in self._answered:
            if message := self._latest[transaction]:
                message.one_way = True


def _udp(stream: Stream) -> Iterator[Message]:
    transactions = _Transactions()
    handshakes: list[int] = []
    others: list[int] = []
    for index, datagram in enumerate(stream.datagrams):
        data = bytes(datagram.data)
        if is_stun(data) or is_classic(data):
            message = _message(read_message(data), datagram.direction, 0, len(data))
            message.datagram = index
            transactions.mark(message)
            yield message
        elif data:
            (handshakes if data[0] in _DTLS_TYPES and data[1:2] in (b"\xfe", b"\x01") else others).append(index)
    transactions.end()
    yield from _foreign(stream, handshakes, DTLS, tls.dissect)
    yield from _foreign(stream, others, UDP, raw.dissect)


def _foreign(
    stream: Stream, indexes: Sequence[int], protocol: ProtocolSpec, dissect: Callable[..., Any]
) -> Iterator[Message]:
    """Yield what another dissector finds in some of the datagrams."""
    if not indexes:
        return
    part = _Part("udp", stream.client, stream.server, [stream.datagrams[index] for index in indexes])
    for message in dissect(protocol=protocol, streams=[part])[0]:
        yield replace(message, protocol=protocol.flag, datagram=indexes[message.datagram])


def _tcp(stream: Stream) -> Iterator[Message]:
    for direction, side in enumerate(stream.sides):
        yield from _side_messages(Wire(side), direction)


def _side_messages(wire: Wire, direction: int) -> Iterator[Message]:
    """Read messages and step over TURN's channel data between them (RFC 8656 §12.5)."""
    data, at = wire.data, 0
    if wire.starts_midway:
        at = _find_message(data, 0)
    while at + 4 <= len(data):
        if gap := wire.gap_in(at, at + HEADER_BYTES):
            at = _find_message(data, gap[1])
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0x40 <= data[at] < 0x50:
            at = wire.after(at, 4 + (length + 3 & ~3))
            continue
        if not is_stun(data[at : at + HEADER_BYTES]):
            start, at = at, _find_message(data, at + 1)
            is_cut = len(data) - start < HEADER_BYTES
            error = f"{'truncated' if is_cut else 'malformed'}: no message at {start}"
            yield Message(MessageKind.EVENT, direction, start, at, error=error)
            continue
        end = wire.after(at, HEADER_BYTES + length)
        shown_end = min(end, len(data))
        message = _message(read_message(data[at:shown_end]), direction, at, shown_end)
        if gap := wire.gap_in(at, shown_end):
            message.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        yield message
        at = end


def _find_message(data: bytes, at: int) -> int:
    """Return where the next message with a cookie begins, else the end."""
    while (cookie := data.find(MAGIC, at + 4)) >= 0:
        if is_stun(data[cookie - 4 : cookie - 4 + HEADER_BYTES]):
            return cookie - 4
        at = cookie - 3
    return len(data)


def _message(stun: StunMessage, direction: int, start: int, end: int) -> Message:
    is_response = stun.kind in ("success", "error")
    half = "response" if is_response else "request"
    fields: dict[str, Value] = {
        "stun_method": stun.method,
        "stun_class": stun.kind,
        f"stun_{half}": True,
        f"stun_{half}_size": end - start,
    }
    for attribute in stun.attributes:
        if attribute.type in _FIELDS:
            fields.setdefault(_FIELDS[attribute.type], shown(attribute, stun.transaction))
        elif attribute.type == _ERROR_CODE:
            code = error_code(attribute.value)
            fields |= {"stun_error_code": code, "status_code": code}
    return Message(
        MessageKind.RESPONSE if is_response else MessageKind.REQUEST,
        direction,
        start,
        end,
        fields=fields,
        key=stun.transaction.hex(),
        one_way=stun.kind == "indication",
        error=stun.error,
        detail=partial(_detail, stun),
    )


def _detail(stun: StunMessage) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {
        "method": stun.method,
        "class": stun.kind,
        "transactionId": stun.transaction.removeprefix(MAGIC).hex(),
        "attributes": [
            {"type": attribute.type, "name": name_of(attribute), "value": shown(attribute, stun.transaction)}
            for attribute in stun.attributes
        ],
    }
