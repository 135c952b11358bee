"""Cassandra's CQL native protocol, versions 1 to 5, on any port, known by content.

Frames pair by stream id. `_cassandra_frames` finds them (version 5 wraps them in segments, whose content is handed
over to this same dissector), `_cassandra_document` reads their bodies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._cassandra_document import (
    Statement,
    error_of,
    prepared_of,
    query_of,
    request_detail,
    response_detail,
    start_of_body,
    string_map,
)
from kubeshark.pipeline.dissectors.databases._cassandra_frames import (
    OPCODES,
    Frame,
    body_of,
    frame_at,
    frames,
    is_segment,
    resume,
    unwrapped,
)
from kubeshark.pipeline.dissectors.databases._database_stream import Arrival, Cursor, Short, looks_like_sql

__all__ = ["CASSANDRA", "dissect", "probe", "protocols"]

PORT = 9042
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10
MAX_STATEMENTS = 10_000
"""Prepared statements kept of one connection."""
SEGMENTED = 5
"""The version from which on frames lie in segments."""

CASSANDRA = ProtocolSpec(
    name="cassandra",
    abbr="CASSANDRA",
    long_name="Cassandra Query Language, native protocol",
    ports=(PORT,),
    priority=8,
    background="#1287b1",
    foreground="#ffffff",
    reference="https://cassandra.apache.org/doc/latest/cassandra/reference/native-protocol.html",
    matcher="key",
    hands_over=("cassandra",),
    classifiers=(Classifier("tcp", (PORT,)),),
    variables={
        "cassandra_opcode": "string",
        "cassandra_query": "string",
        "cassandra_keyspace": "string",
        "cassandra_stream_id": "int",
        "cassandra_success": "bool",
        "cassandra_error_code": "int",
        "cassandra_error_message": "string",
        "cassandra_request": "bool",
        "cassandra_response": "bool",
        "cassandra_request_size": "int",
        "cassandra_response_size": "int",
        "cassandra_total_size": "int",
    },
)


def _is_cassandra(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    if any(_is_certain(head) for head in heads):
        return True
    if PORT not in (stream.client.port, stream.server.port):
        return False
    if any(frame_at(head, 0) or is_segment(head) for head in heads):
        return True
    return any(
        resume(head := bytes(side.data[:RESYNC_BYTES]), 0) < len(head)
        for side in stream.sides
        if side.starts_midway or side.gaps
    )


def _is_certain(head: bytes) -> bool:
    """Say whether these bytes can begin nothing but CQL: frames whose bodies say so."""
    at = 0
    for _ in range(4):
        frame = frame_at(head, at)
        if frame is None:
            return False
        body = head[frame.body : frame.end]
        if frame.opcode in (0x01, 0x06):
            return b"CQL_VERSION" in body
        if frame.opcode in (0x07, 0x09) and not frame.flags:
            length = int.from_bytes(body[:4], "big")
            return length <= frame.end - frame.body - 4 and looks_like_sql(body[4 : 4 + length])
        if frame.opcode == 0x08 and not frame.flags and len(body) >= 4:
            return body[:3] == bytes(3) and 1 <= body[3] <= 5 and frame.end - frame.body < 1 << 24
        at = frame.end
    return False


def _messages(stream: Stream) -> Iterator[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    found = [list(frames(wire)) for wire in wires]
    places = _segments_from(wires, found)
    if places:
        for direction, place in enumerate(places):
            if place is not None:
                found[direction] = [frame for frame in found[direction] if frame.end <= place]
    yield from _Connection(wires).messages(found, Arrival(stream))
    if places:
        first, second = (len(wire.data) if place is None else place for wire, place in zip(wires, places, strict=True))
        yield Handover((unwrapped(stream.sides[0], first), unwrapped(stream.sides[1], second)), CASSANDRA.flag)


def _segments_from(wires: Sequence[Wire], found: Sequence[Sequence[Frame]]) -> list[int | None] | None:
    """Return where the sides' segments begin, None if they have none: behind STARTUP and its answer (§2)."""
    places: list[int | None] = []
    for wire, side in zip(wires, found, strict=True):
        ends = [0, *(frame.end for frame in side[:8] if frame.version >= SEGMENTED and frame.opcode in (1, 2, 3, 5, 6))]
        places.append(next((end for end in ends if is_segment(wire.data[end : end + 16])), None))
    return places if any(place is not None for place in places) else None


class _Connection:
    """What earlier frames say about later ones: compression, keyspace, prepared statements."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._wires = wires
        self._algorithm = ""
        self._keyspace = ""
        self._statements: dict[bytes, Statement] = {}
        self._waiting: dict[int, tuple[Frame, str, Statement | None]] = {}  # by stream id

    def messages(self, found: Sequence[Sequence[Frame]], arrival: Arrival) -> Iterator[Message]:
        """Go through both sides in the order they spoke."""
        events = sorted(
            (arrival.turn(direction, frame.start), direction, at)
            for direction in (0, 1)
            for at, frame in enumerate(found[direction])
        )
        for _, direction, at in events:
            frame = found[direction][at]
            body, damage = body_of(self._wires[direction], frame, self._algorithm)
            frame.error = frame.error or damage
            if frame.is_response or (frame.opcode < 0 and direction == 1):
                yield self._response(frame, body, direction)
            else:
                yield self._request(frame, body, direction)

    def _body(self, direction: int) -> partial[bytes]:
        """Return what reads a frame's body again: details do not keep it, for it may have been compressed well."""
        return partial(_body_again, self._wires[direction], self._algorithm)

    def _request(self, frame: Frame, body: bytes, direction: int) -> Message:
        query, prepared_id = query_of(frame, body)
        statement = self._statements.get(prepared_id)
        if frame.opcode == 0x01:
            self._algorithm = _compression(frame, body)
        if query[:4].upper() == "USE ":
            self._keyspace = query[4:].strip(' ;"')
        fields: dict[str, Value] = {
            "cassandra_request": True,
            "cassandra_opcode": OPCODES.get(frame.opcode, ""),
            "cassandra_query": query or (statement.query if statement else ""),
            "cassandra_keyspace": self._keyspace,
            "cassandra_stream_id": frame.stream,
            "cassandra_request_size": frame.end - frame.start,
        }
        if frame.opcode >= 0:
            self._waiting[frame.stream] = (frame, query, statement)
        return Message(
            MessageKind.REQUEST,
            direction,
            frame.start,
            frame.end,
            fields=fields,
            key=str(frame.stream),
            one_way=frame.opcode < 0,
            error=frame.error,
            detail=partial(request_detail, frame, self._body(direction), fields, statement),
        )

    def _response(self, frame: Frame, body: bytes, direction: int) -> Message:
        is_event = frame.opcode == 0x0C
        _, query, statement = self._waiting.pop(frame.stream, (None, "", None)) if not is_event else (None, "", None)
        code, message = error_of(frame, body) if frame.opcode == 0x00 else (0, "")
        if frame.opcode == 0x08 and query and len(self._statements) < MAX_STATEMENTS:
            self._learn(frame, body, query)
        fields: dict[str, Value] = {
            "cassandra_response": True,
            "cassandra_opcode": OPCODES.get(frame.opcode, ""),
            "cassandra_stream_id": frame.stream,
            "cassandra_success": frame.opcode > 0,
            "cassandra_error_code": code,
            "cassandra_error_message": message,
            "cassandra_response_size": frame.end - frame.start,
        }
        return Message(
            MessageKind.EVENT if is_event else MessageKind.RESPONSE,
            direction,
            frame.start,
            frame.end,
            fields=fields,
            key=str(frame.stream),
            error=frame.error,
            detail=partial(response_detail, frame, self._body(direction), statement),
        )

    def _learn(self, frame: Frame, body: bytes, query: str) -> None:
        prepared = prepared_of(frame, body)
        if prepared:
            prepared[1].query = query
            self._statements[prepared[0]] = prepared[1]


def _body_again(wire: Wire, algorithm: str, frame: Frame) -> bytes:
    return body_of(wire, frame, algorithm)[0]


def _compression(frame: Frame, body: bytes) -> str:
    cursor = Cursor(body)
    try:
        start_of_body(frame, cursor, {})
        return string_map(cursor).get("COMPRESSION", "").lower()
    except Short:
        return ""


protocols, probe, dissect = one_protocol(CASSANDRA, _is_cassandra, _messages)
