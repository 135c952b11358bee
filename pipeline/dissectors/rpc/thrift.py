"""Apache Thrift: framed and unframed binary and compact protocols, and THeader, on any port, known by content.

The interface is not on the wire: arguments and results are shown by field id. `_thrift_values` reads them; this
module finds messages. Framed: 4 bytes of length; THeader: the same, then 0x0FFF, flags, sequence id and headers
(https://github.com/apache/thrift/blob/master/doc/specs/HeaderFormat.md); unframed: values follow one another, so
only reading one tells where the next begins.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import Classifier, Message, MessageKind, ProtocolSpec, Stream, Value
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.rpc._thrift_values import TYPES, Early, Header, Malformed, Values, read_header

__all__ = ["THRIFT", "dissect", "probe", "protocols"]

PORTS = (9090,)

THRIFT = ProtocolSpec(
    name="thrift",
    abbr="THRIFT",
    long_name="Apache Thrift",
    ports=PORTS,
    priority=9,
    background="#0f766e",
    foreground="#ffffff",
    reference="https://thrift.apache.org/",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS),),
    variables={
        "thrift_method": "string",
        "thrift_service": "string",
        "thrift_type": "string",
        "thrift_protocol": "string",
        "thrift_transport": "string",
        "thrift_error_message": "string",
        "thrift_success": "bool",
        "thrift_request": "bool",
        "thrift_response": "bool",
        "thrift_request_size": "int",
        "thrift_response_size": "int",
        "thrift_total_size": "int",
    },
)

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
MAX_FRAME = 16_384_000  # the default maximum of the library (THRIFT-5237)
MAX_HEADERS = 100
HEADER_MAGIC = b"\x0f\xff"
HEADER_PROTOCOLS = {0: "binary", 2: "compact"}
ZLIB_TRANSFORM = 1
TRANSFORMS = {ZLIB_TRANSFORM: "zlib", 2: "hmac", 3: "snappy"}
DECODED_LIMIT = 1 << 20
PROBED_BYTES = 1 << 16
CUT_BYTES = 1 << 20  # a longer message is believed only where its end was captured
MAX_LOST = 4 << 20  # bytes of damaged unframed messages that are read again
# a length is below 16 MiB: only binary messages go without one
_START = re.compile(
    rb"\x80(?=\x01\0[\x01-\x04]\0\0\0[^\0])|(?<=\0...)(?:\x82(?=[\x21\x41\x61\x81])|\x0f(?=\xff\0))", re.DOTALL
)

EXCEPTION_TYPES = (
    "UNKNOWN",
    "UNKNOWN_METHOD",
    "INVALID_MESSAGE_TYPE",
    "WRONG_METHOD_NAME",
    "BAD_SEQUENCE_ID",
    "MISSING_RESULT",
    "INTERNAL_ERROR",
    "PROTOCOL_ERROR",
    "INVALID_TRANSFORM",
    "INVALID_PROTOCOL",
    "UNSUPPORTED_CLIENT_TYPE",
)


class Unit(Struct):
    """One message: data[start:end] on the wire, its values in body[header.end:]."""

    transport: str  # "framed", "unframed", "header"
    header: Header
    start: int
    end: int  # may lie beyond the data
    body: bytes | None = None  # None: the side's data
    sequence: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    error: str = ""
    cost: int = 0  # bytes read to find the end


def _is_thrift(stream: Stream) -> bool:
    if stream.transport != "tcp" or not stream.sides:
        return False
    for side in stream.sides:
        head = bytes(side.data[:PROBED_BYTES])
        if _is_certain(head, 0, len(side.data)):
            return True
    return False


def _is_certain(data: bytes, at: int, available: int) -> bool:
    """Say whether these bytes can be nothing but Thrift: a header, values that fill the frame, then the next."""
    if data[at : at + 1] not in (b"\0", b"\x01", b"\x80", b"\x82"):
        return False
    unit = _unit_at(data, at)
    if unit is None or (unit.transport == "unframed" and unit.error):
        return False
    if unit.transport == "unframed":
        return unit.end == len(data) or read_header(data, unit.end, len(data)) is not None
    if unit.end > len(data):
        is_named = unit.transport == "header" or data[at + 4 : at + 6] == b"\x80\x01"
        return is_named and unit.end <= max(available, CUT_BYTES)
    body = data if unit.body is None else unit.body
    values = Values(body, unit.header.end, unit.end if unit.body is None else len(body))
    try:
        values.struct(unit.header.protocol)
    except Malformed:
        return False
    return values.at == values.end


def _unit_at(data: bytes, at: int) -> Unit | None:
    """Return the message that starts at `at`; None if none does. Its values are read only where it has no length."""
    size = int.from_bytes(data[at : at + 4], "big")
    if 0 < size <= MAX_FRAME:
        end = at + 4 + size
        if data[at + 4 : at + 6] == HEADER_MAGIC:
            return _header_unit(data, at, end)
        header = read_header(data, at + 4, min(end, len(data)))
        if header is not None:
            return Unit("framed", header, at, end, sequence=header.sequence)
    header = read_header(data, at, len(data))
    if header is None:
        return None
    values = Values(data, header.end, len(data))
    unit = Unit("unframed", header, at, len(data), sequence=header.sequence)
    try:
        values.struct(header.protocol)
    except Early:
        unit.error = f"truncated: only {len(data) - at} bytes were captured"
    except Malformed as damage:
        unit.error = f"malformed: {damage}"
    else:
        unit.end = values.at
    unit.cost = values.at - at
    return unit


def _header_unit(data: bytes, at: int, end: int) -> Unit | None:
    """Read THeader: magic, flags, sequence id, count of header words, then protocol, transforms and headers."""
    if len(data) < at + 14:
        return None
    sequence = int.from_bytes(data[at + 8 : at + 12], "big")
    body_at = at + 14 + 4 * int.from_bytes(data[at + 12 : at + 14], "big")
    stop = min(end, len(data))
    values = Values(data, at + 14, min(body_at, stop))
    headers: dict[str, str] = {}
    try:
        protocol = HEADER_PROTOCOLS.get(values.varint())
        transforms = [values.varint() for _ in range(min(values.varint(), len(TRANSFORMS)))]
        while values.at < values.end and (kind := values.varint()):
            if kind != 1:
                break
            for _ in range(min(values.varint(), MAX_HEADERS)):
                name = text(values.take(values.varint()))
                headers[name] = text(values.take(values.varint()))
    except Malformed:
        return None
    if protocol is None or body_at > end:
        return None
    unit = Unit("header", Header(protocol, "", CALL, sequence, body_at), at, end, sequence=sequence, headers=headers)
    if transforms == [ZLIB_TRANSFORM]:
        try:
            unit.body = zlib.decompressobj().decompress(data[body_at:stop], DECODED_LIMIT)
        except zlib.error as damage:
            unit.error = f"malformed: zlib: {damage}"
            return unit
    elif transforms:
        named = ", ".join(TRANSFORMS.get(transform, str(transform)) for transform in transforms)
        unit.error = f"malformed: transform {named} is not undone"
        return unit
    header = read_header(data, body_at, stop) if unit.body is None else read_header(unit.body, 0, len(unit.body))
    if header is None:
        return None
    unit.header = header
    return unit


def _side_messages(wire: Wire, direction: int) -> Iterator[Message]:
    data, at, lost = wire.data, 0, 0
    if wire.starts_midway and not _is_certain(data, 0, len(data)):
        at = _resume(data, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + 1):
            at = _resume(data, gap[1])
            continue
        unit = _unit_at(data, at)
        if unit is None:
            end = _resume(data, at + 1)
            gap = wire.gap_in(at, end)
            error = f"gap: {gap[2]} bytes missing at {gap[0]}" if gap else f"malformed: no message at {at}"
            yield Message(MessageKind.EVENT, direction, at, end, error=error)
            at = end
            continue
        if unit.transport != "unframed":
            unit.end = wire.after(at + 4, unit.end - at - 4)
            if unit.end > len(data):
                unit.error = f"truncated: {len(data) - at} of {unit.end - at} bytes were captured"
        if gap := wire.gap_in(at, unit.end):
            unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        if unit.transport == "unframed" and unit.error:  # a wrong length may have swallowed others
            lost += unit.cost
            from_here = gap[1] if gap else unit.header.end
            unit.end = _resume(data, from_here) if lost < MAX_LOST else len(data)
            if lost >= MAX_LOST:
                unit.error += f"; too many messages are damaged: from {from_here} on none is searched for"
        at = unit.end
        unit.end = min(unit.end, len(data))
        yield _message(wire, unit, direction)


def _resume(data: bytes, at: int) -> int:
    """Return where the next plausible message starts, else the end: each place takes some microseconds at most."""
    for found in _START.finditer(data, at):
        start = found.start()
        if start - 4 >= at and _is_framed(data, start - 4):
            return start - 4
        if data[start] == 0x80 and read_header(data, start, len(data)):
            return start
    return len(data)


def _is_framed(data: bytes, at: int) -> bool:
    """Say whether a length is here: a header behind it, and behind the frame the end or another length."""
    size = int.from_bytes(data[at : at + 4], "big")
    end = at + 4 + size
    if not 0 < size <= MAX_FRAME or end > len(data) or data[end : end + 1] not in (b"", b"\0", b"\1"):
        return False
    return data[at + 4 : at + 6] == HEADER_MAGIC or read_header(data, at + 4, end) is not None


def _message(wire: Wire, unit: Unit, direction: int) -> Message:
    header = unit.header
    is_request = header.type in (CALL, ONEWAY)
    service, _, method = header.method.rpartition(":")
    part = "request" if is_request else "response"
    fields: dict[str, Value] = {
        "thrift_method": method,
        "thrift_type": TYPES[header.type],
        "thrift_protocol": header.protocol,
        "thrift_transport": unit.transport,
        f"thrift_{part}": True,
        f"thrift_{part}_size": unit.end - unit.start,
    }
    if service:
        fields["thrift_service"] = service
    if not is_request:
        fields["thrift_success"] = header.type == REPLY and _is_success(wire, unit)
    if header.type == EXCEPTION:
        message = _values(wire, unit).get("1")
        fields["thrift_error_message"] = message if isinstance(message, str) else ""
    return Message(
        MessageKind.REQUEST if is_request else MessageKind.RESPONSE,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=str(unit.sequence),
        one_way=header.type == ONEWAY,
        error=unit.error,
        detail=partial(_detail, wire, unit),
    )


def _is_success(wire: Wire, unit: Unit) -> bool:
    """Say whether a result is one: field 0, or nothing for void; other fields are declared exceptions."""
    at = unit.header.end
    head = (wire.data if unit.body is None else unit.body)[at : at + 3]
    if head[:1] == b"\0":
        return True
    return head[1:] == b"\0\0" if unit.header.protocol == "binary" else head[0] >> 4 == 0 if head else True


def _values(wire: Wire, unit: Unit) -> dict[str, Any]:
    """Return the arguments or the result, as far as they were captured."""
    body, stop = (wire.data, unit.end) if unit.body is None else (unit.body, len(unit.body))
    if unit.body is None and (gap := wire.gap_in(unit.start, unit.end)):
        stop = gap[0]
    values, found = Values(body, unit.header.end, stop), dict[str, Any]()
    try:
        values.fill(unit.header.protocol, found)
    except Malformed as damage:
        found["error"] = f"malformed: {damage}"
    return found


def _detail(wire: Wire, unit: Unit) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    header, values = unit.header, _values(wire, unit)
    service, _, method = header.method.rpartition(":")
    document: dict[str, Any] = {
        "method": method,
        "service": service,
        "type": TYPES[header.type],
        "protocol": header.protocol,
        "transport": unit.transport,
        "sequenceId": unit.sequence,
        "headers": unit.headers,
    }
    if header.type == EXCEPTION:
        code = values.get("2")
        is_known = isinstance(code, int) and 0 <= code < len(EXCEPTION_TYPES)
        document["exception"] = {
            "message": values.get("1", ""),
            "code": code if isinstance(code, int) else 0,
            "name": EXCEPTION_TYPES[code] if is_known and isinstance(code, int) else "",
        }
    else:
        document["result" if header.type == REPLY else "arguments"] = values
    return {}, document


def _messages(stream: Stream) -> Iterator[Message]:
    for way, side in enumerate(stream.sides):
        yield from _side_messages(Wire(side), way)


protocols, probe, dissect = one_protocol(THRIFT, _is_thrift, _messages)
