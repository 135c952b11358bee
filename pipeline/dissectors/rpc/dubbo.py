"""Dubbo (the `dubbo` protocol, not Triple), on any port, known by its magic number 0xDABB.

Sixteen bytes precede each message: magic, flags and serialization, status, request id, length
(https://dubbo.apache.org/en/overview/reference/protocols/tcp/). Who called what is in the body, as Hessian 2,
fastjson or fastjson2 values; of other serializations only the header is shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from struct import Struct
from typing import Any, Protocol

import msgspec

from kubeshark.extension_api import Classifier, Message, MessageKind, ProtocolSpec, Stream, Value
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.rpc._hessian2 import Hessian2, Malformed
from kubeshark.pipeline.dissectors.rpc._jsonb import Jsonb

__all__ = ["DUBBO", "dissect", "probe", "protocols"]

PORTS = (20880,)
MAGIC = b"\xda\xbb"

DUBBO = ProtocolSpec(
    name="dubbo",
    abbr="DUBBO",
    long_name="Apache Dubbo",
    version="2",
    ports=PORTS,
    priority=8,
    background="#0369a1",
    foreground="#ffffff",
    reference="https://dubbo.apache.org/en/overview/reference/protocols/tcp/",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS), Classifier("tcp", prefix=MAGIC)),
    variables={
        "dubbo_method": "string",
        "dubbo_service": "string",
        "dubbo_version": "string",
        "dubbo_service_version": "string",
        "dubbo_serialization": "string",
        "dubbo_status": "int",
        "dubbo_error_message": "string",
        "dubbo_event": "bool",
        "dubbo_request": "bool",
        "dubbo_response": "bool",
        "dubbo_request_size": "int",
        "dubbo_response_size": "int",
        "dubbo_total_size": "int",
    },
)

_HEADER = Struct(">2sBBqI")
REQUEST, TWO_WAY, EVENT, SERIALIZATION = 0x80, 0x40, 0x20, 0x1F
MAX_BODY = 64 << 20
PROBED_BYTES = 8 << 20  # what a server accepts unless told otherwise
SUMMARY_BYTES = 4 << 10  # a request names service and method within
HESSIAN2, FASTJSON, FASTJSON2 = 2, 6, 23
SERIALIZATIONS = {
    2: "hessian2",
    3: "java",
    4: "compactedjava",
    6: "fastjson",
    7: "nativejava",
    8: "kryo",
    9: "fst",
    10: "nativehessian",
    11: "avro",
    12: "protostuff",
    16: "gson",
    21: "protobuf-json",
    22: "protobuf",
    23: "fastjson2",
    25: "kryo2",
    27: "msgpack",
}
OK = 20
STATUSES = {
    20: "OK",
    30: "CLIENT_TIMEOUT",
    31: "SERVER_TIMEOUT",
    35: "CHANNEL_INACTIVE",
    40: "BAD_REQUEST",
    50: "BAD_RESPONSE",
    60: "SERVICE_NOT_FOUND",
    70: "SERVICE_ERROR",
    80: "SERVER_ERROR",
    90: "CLIENT_ERROR",
    100: "SERVER_THREADPOOL_EXHAUSTED_ERROR",
    105: "SERIALIZATION_ERROR",
}
RESULTS = ("exception", "value", "null")  # the same with attachments: 3 more


class Frame(msgspec.Struct):
    """One message: its header, and where its body lies in the side's data."""

    wire: Wire
    direction: int
    start: int
    end: int
    flags: int = 0
    status: int = 0
    id: int = 0
    stop: int = 0  # where the bytes end that were captured in one piece
    error: str = ""

    @property
    def is_request(self) -> bool:
        return bool(self.flags & REQUEST)

    def body(self, limit: int = MAX_BODY) -> bytes:
        at = self.start + _HEADER.size
        return self.wire.data[at : min(self.stop, at + limit)]


def _is_dubbo(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    for side in stream.sides:
        head = bytes(side.data[: _HEADER.size])
        if _is_header(head, 0):
            return True
        is_lost = (side.starts_midway or bool(side.gaps)) and stream.server.port in PORTS
        if is_lost and _next_header(bytes(side.data[:PROBED_BYTES]), 0) is not None:
            return True
    return False


def _is_header(data: bytes, at: int) -> bool:
    """Say whether a message can begin here: a known serialization, a status that fits, a length in bounds."""
    if len(data) < at + _HEADER.size or data[at : at + 2] != MAGIC:
        return False
    _, flags, status, _, length = _HEADER.unpack_from(data, at)
    if flags & SERIALIZATION not in SERIALIZATIONS or length > MAX_BODY:
        return False
    return status == 0 if flags & REQUEST else status in STATUSES


def _next_header(data: bytes, at: int, wire: Wire | None = None) -> int | None:
    """Return where the next message begins: another follows it, or lost bytes, or the end. Each place is cheap."""
    while (at := data.find(MAGIC, at)) >= 0:
        if _is_header(data, at) and _is_followed(data, at, wire):
            return at
        at += 1
    return None


def _is_followed(data: bytes, at: int, wire: Wire | None) -> bool:
    end = at + _HEADER.size + int.from_bytes(data[at + 12 : at + 16], "big")
    return MAGIC.startswith(data[end : end + 2]) or bool(wire and wire.gap_in(at, end + 2))


def _frames(wire: Wire, direction: int) -> Iterator[Frame]:
    data, at = wire.data, 0
    if wire.starts_midway:
        at = _resume(wire, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + _HEADER.size):
            at = _resume(wire, gap[1])
            continue
        if not _is_header(data, at):
            end = _resume(wire, at + 1)
            is_cut = len(data) - at < _HEADER.size and MAGIC.startswith(data[at : at + 2])
            error = f"truncated: {len(data) - at} bytes of a header" if is_cut else f"malformed: no message at {at}"
            yield Frame(wire, direction, at, end, stop=at, error=error)
            at = end
            continue
        _, flags, status, number, length = _HEADER.unpack_from(data, at)
        end = wire.after(at + _HEADER.size, length)
        frame = Frame(wire, direction, at, min(end, len(data)), flags, status, number, min(end, len(data)))
        if gap := wire.gap_in(at, end):
            frame.stop, frame.error = gap[0], f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > len(data):
            frame.error = f"truncated: {len(data) - at} of {end - at} bytes were captured"
        yield frame
        at = end


def _resume(wire: Wire, at: int) -> int:
    found = _next_header(wire.data, at, wire)
    return len(wire.data) if found is None else found


class _Values(Protocol):
    """Reads the values of a body, one after the other."""

    @property
    def is_done(self) -> bool: ...

    def value(self) -> Any: ...

    def text(self) -> str: ...


class _Json:
    """fastjson: a value a line."""

    def __init__(self, data: bytes) -> None:
        self._lines = iter([line for line in data.splitlines() if line.strip()])
        self._next = next(self._lines, None)

    @property
    def is_done(self) -> bool:
        return self._next is None

    def value(self) -> Any:
        if self._next is None:
            raise Malformed("no more values")
        line, self._next = self._next, next(self._lines, None)
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as damage:
            raise Malformed(f"no JSON: {text(line[:40])!r}") from damage

    def text(self) -> str:
        value = self.value()
        return "" if value is None else str(value)


_READERS: dict[int, Callable[[bytes], _Values]] = {HESSIAN2: Hessian2, FASTJSON: _Json, FASTJSON2: Jsonb}


def _values(frame: Frame, limit: int = MAX_BODY) -> _Values | None:
    """Return a reader of the body's values; None if we do not know the serialization."""
    make = _READERS.get(frame.flags & SERIALIZATION)
    return make(frame.body(limit)) if make else None


def _message(frame: Frame) -> Message:
    if frame.stop == frame.start:  # no header: nobody knows what it was
        return Message(MessageKind.EVENT, frame.direction, frame.start, frame.end, error=frame.error)
    part = "request" if frame.is_request else "response"
    size = frame.end - frame.start
    fields: dict[str, Value] = {f"dubbo_{part}": True, f"dubbo_{part}_size": size}
    if frame.flags & SERIALIZATION:
        fields["dubbo_serialization"] = SERIALIZATIONS[frame.flags & SERIALIZATION]
    if frame.flags & EVENT:
        fields["dubbo_event"] = True
    elif frame.is_request:
        fields |= _call(frame)
    if not frame.is_request and frame.status:
        fields["dubbo_status"] = frame.status
        if not frame.flags & EVENT and (error := _error_text(frame)):
            fields["dubbo_error_message"] = error
    asker = frame.direction if frame.is_request else 1 - frame.direction
    return Message(
        MessageKind.REQUEST if frame.is_request else MessageKind.RESPONSE,
        frame.direction,
        frame.start,
        frame.end,
        fields=fields,
        key=f"{frame.id}" if asker == 0 else f"{frame.id} of the server",  # both ends number their own requests
        one_way=frame.is_request and not frame.flags & TWO_WAY,
        error=frame.error,
        detail=partial(_request_detail if frame.is_request else _response_detail, frame),
    )


def _call(frame: Frame) -> dict[str, Value]:
    values, found = _values(frame, SUMMARY_BYTES), dict[str, Value]()
    if values is None:
        return found
    try:
        for name in ("dubbo_version", "dubbo_service", "dubbo_service_version", "dubbo_method"):
            found[name] = values.text()
    except Malformed:
        pass  # the detail tells
    return found


def _error_text(frame: Frame) -> str:
    """Return what went wrong: the status's message, or that of the exception the service threw; "" for a result."""
    try:
        values = _values(frame, SUMMARY_BYTES)
        if values is None:
            return ""
        if frame.status != OK:
            return values.text()
        if _result_kind(values) % len(RESULTS):
            return ""
        thrown = values.value()
    except Malformed:
        return ""
    return str(thrown.get("detailMessage") or thrown.get("class", "")) if isinstance(thrown, dict) else str(thrown)


def _head(frame: Frame) -> dict[str, Any]:
    return {
        "requestId": frame.id,
        "serialization": SERIALIZATIONS.get(frame.flags & SERIALIZATION, ""),
        "event": bool(frame.flags & EVENT),
    }


def _request_detail(frame: Frame) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = _head(frame) | {"twoWay": bool(frame.flags & TWO_WAY)}
    values = _values(frame)
    if values is None:
        return {}, document
    try:
        if frame.flags & EVENT:
            document["data"] = None if values.is_done else values.value()
            return {}, document
        for name in ("dubboVersion", "service", "version", "method", "parameterTypes"):
            document[name] = values.text()
        document["arguments"] = []
        for _ in range(_parameter_count(document["parameterTypes"])):
            document["arguments"].append(values.value())
        document["attachments"] = {} if values.is_done else values.value()
    except Malformed as damage:
        document["error"] = f"malformed: {damage}"
    return {}, document


def _parameter_count(types: str) -> int:
    """Count the parameters of a JVM descriptor such as `Ljava/lang/String;[I` (JVMS §4.3.2)."""
    count = at = 0
    while at < len(types):
        while at < len(types) - 1 and types[at] == "[":
            at += 1
        end = types.find(";", at) if types[at] == "L" else at
        if end < 0:
            break
        at, count = end + 1, count + 1
    return count


def _result_kind(values: _Values) -> int:
    kind = values.value()
    if not isinstance(kind, int) or not 0 <= kind < 2 * len(RESULTS):
        raise Malformed(f"a result of kind {kind!r}")
    return kind


def _response_detail(frame: Frame) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = _head(frame) | {"status": frame.status, "statusName": STATUSES.get(frame.status, "")}
    values = _values(frame)
    if values is None:
        return {}, document
    try:
        if frame.flags & EVENT:
            document["data"] = None if values.is_done else values.value()
        elif frame.status != OK:
            document["message"] = values.text()
        else:
            kind = _result_kind(values)
            document["type"] = RESULTS[kind % len(RESULTS)]
            if document["type"] != "null":
                document["value"] = values.value()
            document["attachments"] = values.value() if kind >= len(RESULTS) and not values.is_done else {}
    except Malformed as damage:
        document["error"] = f"malformed: {damage}"
    return {}, document


def _messages(stream: Stream) -> Iterator[Message]:
    for way, side in enumerate(stream.sides):
        yield from (_message(frame) for frame in _frames(Wire(side), way))


protocols, probe, dissect = one_protocol(DUBBO, _is_dubbo, _messages)
