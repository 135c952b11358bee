"""memcached: text protocol, meta commands and binary protocol, on TCP and UDP.

Specifications: protocol.txt and protocol_binary.txt of the server. The binary protocol pairs by the client's opaque,
the frames of UDP by their request id, text by order; there, quiet meta commands that got no answer are skipped.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    Classifier,
    Ending,
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
from kubeshark.pipeline.dissectors.databases._memcached_binary import REQUEST, RESPONSE, is_header, read_packets
from kubeshark.pipeline.dissectors.databases._memcached_datagrams import HEADER_BYTES, Joined, continued, joined
from kubeshark.pipeline.dissectors.databases._memcached_text import (
    REQUEST_LINE,
    STRICT_ANSWER,
    STRICT_REQUEST,
    Item,
    Unit,
    read_answers,
)
from kubeshark.pipeline.dissectors.databases._memcached_turns import Turns, read_requests, text_keys

__all__ = ["COLUMNS", "MEMCACHED", "dissect", "probe", "protocols"]

PORT = 11211

MEMCACHED = ProtocolSpec(
    name="memcached",
    abbr="MEMCACHED",
    long_name="memcached",
    ports=(PORT,),
    priority=8,
    background="#0f766e",
    foreground="#ffffff",
    reference="https://docs.memcached.org/protocols/",
    matcher="key",
    classifiers=(Classifier("tcp", (PORT,)), Classifier("udp", (PORT,))),
    variables={
        "memcached_command": "string",
        "memcached_key": "string",
        "memcached_status": "string",
        "memcached_success": "bool",
        "memcached_request": "bool",
        "memcached_response": "bool",
        "memcached_request_size": "int",
        "memcached_response_size": "int",
        "memcached_total_size": "int",
    },
)

ANSWER = ("response",)
COLUMNS: Columns = {
    "memcached_command": Column(texts(0)),
    "memcached_key": Column(texts(1), ("request", "response")),
    "memcached_status": Column(texts(0), ANSWER),
    "memcached_success": Column(numbers(0, bool), ANSWER),
    "memcached_request": Column(always(True)),
    "memcached_response": Column(always(True), ANSWER),
    "memcached_request_size": Column(sizes()),
    "memcached_response_size": Column(sizes(), ANSWER),
}
"""What the scanner (scan_memcached.c) knows."""

PROBED = 512
SHOWN_VALUE = 64 << 10
"""Bytes of a value in the document."""
REDACTED = "[redacted]"
_ANSWERED = re.compile(
    STRICT_ANSWER.pattern + rb"|(?:END|OK|RESET|ERROR|HD|EN)\r\n|(?:CLIENT_ERROR|SERVER_ERROR|VERSION) "
)


class _Datagram:
    """What datagrams hold behind the frame header, as a side of a stream."""

    gaps = ()
    starts_midway = False
    ended: Ending = ""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def time_at(self, offset: int) -> int:  # noqa: ARG002 - nobody asks
        return 0

    packet_at = time_at


def _is_mine(stream: Stream) -> bool:
    known_port = PORT in (stream.server.port, stream.client.port)
    if stream.transport == "udp":
        return known_port and any(_is_frame(datagram.data) for datagram in stream.datagrams[:2])
    if stream.transport != "tcp":
        return False
    client, server = (_head(side) for side in stream.sides)
    if is_header(client, 0, REQUEST) or is_header(server, 0, RESPONSE):
        return known_port or (is_header(client, 0, REQUEST) and is_header(server, 0, RESPONSE))
    if known_port:
        return _is_text(client, server, stream)
    if STRICT_REQUEST.match(client):
        return not server or _answers_storage(server)
    return STRICT_ANSWER.match(server) is not None and (not client or REQUEST_LINE.match(client) is not None)


def _answers_storage(server: bytes) -> bool:
    return server.startswith((b"STORED", b"NOT_", b"EXISTS", b"ERROR", b"SERVER_ERROR", b"CLIENT_ERROR", b"HD", b"N"))


def _is_text(client: bytes, server: bytes, stream: Stream) -> bool:
    if REQUEST_LINE.match(client) or _ANSWERED.match(server):
        return True
    return any(side.starts_midway or side.gaps for side in stream.sides) and any(
        b"\n" in head and pattern.match(head, head.find(b"\n") + 1)
        for head, pattern in ((client, REQUEST_LINE), (server, STRICT_ANSWER))
    )


def _head(side: StreamSide) -> bytes:
    return bytes(side.data[:PROBED])


def _is_frame(data: memoryview) -> bool:
    """Say whether a datagram has the frame header: request id, its number, how many, zeros; then either protocol."""
    head = bytes(data[:PROBED])
    number, count = (int.from_bytes(head[at : at + 2], "big") for at in (2, 4))
    if len(head) <= HEADER_BYTES or head[6:8] != b"\0\0" or number >= count:
        return False
    body = head[HEADER_BYTES:]
    if is_header(body, 0, REQUEST) or is_header(body, 0, RESPONSE):
        return True
    return number > 0 or REQUEST_LINE.match(body) is not None or _ANSWERED.match(body) is not None


def _datagrams(stream: Stream) -> Iterator[Message]:
    for part in continued(joined(stream.datagrams), _goes_on):
        wire = Wire(_Datagram(memoryview(part.data)))
        if part.is_rest:
            units = [Unit(0, len(part.data), status="CONTINUATION", is_event=True)]
        elif part.direction == 0:
            binary = is_header(part.data, 0, REQUEST)
            units = list(read_packets(wire, REQUEST) if binary else read_requests(wire, Turns()))
        else:
            units = list(read_packets(wire, RESPONSE) if is_header(part.data, 0, RESPONSE) else read_answers(wire))
        for unit in units:
            message = _message(unit, wire, part.direction)
            if part.error and unit is units[-1]:
                message.error = part.error  # and not what that looks like
            message.datagram, message.start, message.end = part.place(unit.start, unit.end)
            message.key = f"{part.request_id:#06x}"
            message.one_way = unit.is_silent
            yield message


def _goes_on(part: Joined) -> bool:
    if part.error or is_header(part.data, 0, RESPONSE):
        return False
    *_, last = read_answers(Wire(_Datagram(memoryview(part.data))))
    return last.error.startswith("truncated:")


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    if _is_binary(wires):
        requests, answers = (list(read_packets(wires[n], magic)) for n, magic in enumerate((REQUEST, RESPONSE)))
        told = Counter((unit.command, unit.opaque) for unit in answers)
        for unit in requests:
            is_told = told[unit.command, unit.opaque] > 0
            told[unit.command, unit.opaque] -= is_told
            unit.is_silent = unit.is_silent or (unit.is_quiet and not is_told)
        keys = [[f"{unit.opaque:#010x}" for unit in units] for units in (requests, answers)]
    else:
        answers = list(read_answers(wires[1]))
        requests = list(read_requests(wires[0], Turns(stream.sides, answers)))
        keys = text_keys(requests, answers, stream.sides)
    for direction, units in enumerate((requests, answers)):
        for unit, key in zip(units, keys[direction], strict=True):
            message = _message(unit, wires[direction], direction)
            message.key = key
            yield message


def _is_binary(wires: Sequence[Wire]) -> bool:
    return any(
        is_header(wire.data, 0, magic) or (wire.starts_midway and wire.data[:1] == bytes((magic,)))
        for wire, magic in zip(wires, (REQUEST, RESPONSE), strict=True)
    )


def _message(unit: Unit, wire: Wire, direction: int) -> Message:
    size = unit.end - unit.start
    key = unit.keys[0] if unit.keys else unit.items[0].key if unit.items else ""
    if unit.is_secret:
        unit.options = []
    fields: dict[str, Value]
    if unit.is_event:
        kind = MessageKind.EVENT
        fields = {"memcached_status": unit.status, "memcached_response_size": size}
    elif direction == 0:
        kind = MessageKind.REQUEST
        fields = {
            "memcached_command": unit.command,
            "memcached_key": key,
            "memcached_request": True,
            "memcached_request_size": size,
        }
    else:
        kind = MessageKind.RESPONSE
        fields = {
            "memcached_status": unit.status,
            "memcached_success": unit.is_success,
            "memcached_response": True,
            "memcached_response_size": size,
        }
        if key:
            fields["memcached_key"] = key
    return Message(
        kind,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        one_way=unit.is_silent,
        error=unit.error,
        detail=partial(_answer if unit.is_event or direction else _request, unit, wire),
    )


def _request(unit: Unit, wire: Wire) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    item = unit.items[0] if unit.items else None
    document: dict[str, Any] = {
        "command": unit.command,
        "keys": unit.keys,
        "flags": unit.flags,
        "expiration": unit.expiration,
        "size": item.size if item else 0,
        "value": REDACTED if unit.is_secret else "",
        "opaque": unit.opaque,
        "cas": unit.cas,
        "binary": unit.is_binary,
        "options": unit.options,
    }
    if item and not unit.is_secret:
        document |= _value(item, wire)
    return {}, document


def _answer(unit: Unit, wire: Wire) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    values = [{"key": item.key, "flags": item.flags, "size": item.size, **_value(item, wire)} for item in unit.items]
    document: dict[str, Any] = {"status": unit.status, "values": values, "message": unit.message}
    if unit.options:
        document["options"] = unit.options
    return {}, document


def _value(item: Item, wire: Wire) -> dict[str, str]:
    data = wire.captured(item.start, min(item.end, item.start + SHOWN_VALUE))
    try:
        return {"value": data.decode()}
    except UnicodeDecodeError:
        return {"value": base64.b64encode(data).decode("ascii"), "encoding": "base64"}


def _dissect(stream: Stream) -> Iterable[Message]:
    return _datagrams(stream) if stream.transport == "udp" else _messages(stream)


protocols, probe, dissect = one_protocol(MEMCACHED, _is_mine, _dissect)
