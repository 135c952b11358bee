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
from kubeshark.pipeline.dissectors.databases._memcached_text import (
    REQUEST_LINE,
    STRICT_ANSWER,
    STRICT_REQUEST,
    Item,
    Unit,
    read_answers,
    read_requests,
)

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

UDP_HEADER = 8
PROBED = 512
SHOWN_VALUE = 64 << 10
"""Bytes of a value in the document."""
REDACTED = "[redacted]"
_ANSWERED = re.compile(
    STRICT_ANSWER.pattern + rb"|(?:END|OK|RESET|ERROR|HD|EN)\r\n|(?:CLIENT_ERROR|SERVER_ERROR|VERSION) "
)
_WHAT_QUIET_SENDS = {
    "ms": ("NS", "EX", "NF"),
    "md": ("EX",),
    "ma": ("VA", "NS", "EX"),
}
"""Answers that the flag `q` does not suppress, besides errors."""


class _Datagram:
    """What a datagram holds behind the frame header, as a side of a stream."""

    gaps = ()
    starts_midway = False
    ended: Ending = ""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def time_at(self, offset: int) -> int:  # noqa: ARG002 - a datagram comes at once
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
    if len(head) <= UDP_HEADER or head[6:8] != b"\0\0" or number >= count:
        return False
    body = head[UDP_HEADER:]
    if is_header(body, 0, REQUEST) or is_header(body, 0, RESPONSE):
        return True
    return number > 0 or REQUEST_LINE.match(body) is not None or _ANSWERED.match(body) is not None


def _datagrams(stream: Stream) -> Iterator[Message]:
    for index, datagram in enumerate(stream.datagrams):
        head = bytes(datagram.data[:UDP_HEADER])
        if len(datagram.data) <= UDP_HEADER:
            continue
        wire = Wire(_Datagram(datagram.data[UDP_HEADER:]))
        number, count = (int.from_bytes(head[at : at + 2], "big") for at in (2, 4))
        if number:  # what it continues came in other datagrams
            rest = Unit(0, len(wire.data), status="CONTINUATION", is_event=True)
            units = [rest]
        elif datagram.direction == 0:
            binary = is_header(wire.data, 0, REQUEST)
            units = list(read_packets(wire, REQUEST) if binary else read_requests(wire))
        else:
            units = list(read_packets(wire, RESPONSE) if is_header(wire.data, 0, RESPONSE) else read_answers(wire))
        for unit in units:
            message = _message(unit, wire, datagram.direction)
            if count > 1 and message.error.startswith("truncated:"):
                message.error = ""  # the rest is in the next datagrams
            message.start, message.end = message.start + UDP_HEADER, message.end + UDP_HEADER
            message.datagram = index
            message.key = f"{int.from_bytes(head[:2], 'big'):#06x}"
            message.one_way = unit.is_silent
            yield message


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
        requests, answers = list(read_requests(wires[0])), list(read_answers(wires[1]))
        keys = _text_keys(requests, answers, stream.sides)
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


def _text_keys(requests: list[Unit], answers: list[Unit], sides: Sequence[StreamSide]) -> list[list[str]]:
    """Number requests and answers so that quiet requests without an answer are skipped; "" where nothing is quiet."""
    if not any(unit.is_quiet for unit in requests):
        return [[""] * len(requests), [""] * len(answers)]
    keys: list[str] = []
    at = 0
    for answer in answers:
        while at < len(requests) and _has_no_answer(requests[at], answer):
            requests[at].is_silent = True
            at += 1
        is_due = at < len(requests) and sides[1].time_at(answer.start) >= sides[0].time_at(requests[at].start)
        keys.append(str(at) if is_due and not answer.is_event else "none")
        at += is_due and not answer.is_event
    for request in requests[at:]:
        request.is_silent = request.is_silent or request.is_quiet
    return [[str(number) for number in range(len(requests))], keys]


def _has_no_answer(request: Unit, answer: Unit) -> bool:
    if request.is_silent:
        return True
    if not request.is_quiet:
        return False
    names = {option[:1]: option[1:] for option in answer.options}
    asked = {option[:1]: option[1:] for option in request.options}
    told: Sequence[str] = _WHAT_QUIET_SENDS.get(request.command, ())
    if request.command == "mg":  # a hit: with its value if that was asked for
        told = ("VA",) if "v" in asked else ("HD",)
    if answer.status not in told:
        return not answer.status.endswith("ERROR")
    if "O" in asked or "O" in names:
        return names.get("O") != asked.get("O")
    return "k" in names and names["k"] != (request.keys or [""])[0]


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
