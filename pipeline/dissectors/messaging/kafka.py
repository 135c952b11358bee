"""Kafka, by port or by content, any API and version (https://kafka.apache.org/protocol).

A request names its API and version, a response only the request's correlation id: so requests are read first.
`_kafka_framing` finds messages, `_kafka_schema` reads bodies, `_kafka_records` what they carry; this module says what
they mean.

1. A message with an unknown API or version shows its header: new ones appear with every release.
2. Behind lost bytes messages go on where a header is plausible; answers where their correlation id was asked for.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from kubeshark.extension_api import Classifier, Message, MessageKind, ProtocolSpec, Stream, Value
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._kafka_cursor import Cursor, Malformed
from kubeshark.pipeline.dissectors.messaging._kafka_errors import error_name
from kubeshark.pipeline.dissectors.messaging._kafka_framing import (
    CUT_BYTES,
    MAX_FRAME,
    MIN_REQUEST,
    MIN_RESPONSE,
    PORTS,
    Found,
    Frame,
    Header,
    RequestSearch,
    has_request,
    is_kafka,
    read_frames,
    read_header,
    skip_tags,
)
from kubeshark.pipeline.dissectors.messaging._kafka_records import RecordSet, body_of, read_records
from kubeshark.pipeline.dissectors.messaging._kafka_schema import REDACTED, read_body

__all__ = ["KAFKA", "dissect", "probe", "protocols"]

KAFKA = ProtocolSpec(
    name="kafka",
    abbr="KAFKA",
    long_name="Apache Kafka",
    version="",
    ports=PORTS,
    priority=2,
    background="#374151",
    foreground="#ffffff",
    reference="https://kafka.apache.org/protocol",
    matcher="key",
    classifiers=(Classifier("tcp", PORTS),),
    variables={
        "kafka_api_key_name": "string",
        "kafka_client_id": "string",
        "kafka_request_summary": "string",
        "kafka_error": "string",
        "kafka_api_key": "int",
        "kafka_api_version": "int",
        "kafka_size": "int",
        "kafka_error_code": "int",
        "kafka_topics": "list",
        "kafka_request": "bool",
        "kafka_response": "bool",
        "kafka_request_size": "int",
        "kafka_response_size": "int",
        "kafka_total_size": "int",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)


MAX_TOPICS = 100  # in a summary
PRODUCE, METADATA, SASL_HANDSHAKE, API_VERSIONS = 0, 3, 17, 18
UNSUPPORTED_VERSION = 35
TOKEN_KEY = "sasl"  # noqa: S105 - pairs authentication tokens, which have no correlation id


def _dissect(stream: Stream) -> list[Message]:
    wires = [Wire(side) for side in stream.sides]
    asking = int(not has_request(wires[0]) and has_request(wires[1]))
    reader = _Reader(stream, wires, asking)
    return [*reader.requests(), *reader.responses()]


class _Reader:
    """Reads both sides of a connection; what was asked says how to read answers."""

    def __init__(self, stream: Stream, wires: Sequence[Wire], asking: int) -> None:
        self._sides = stream.sides
        self._wires = wires
        self._asking = asking
        self._answering = 1 - asking
        self._runs = sorted({start for way, start, _ in stream.turns() if way == self._answering})
        self._run_starts = frozenset(self._runs)
        self._place = -1  # the latest that was searched for; none lies between there and here
        self._asked: defaultdict[int, deque[tuple[int, Header]]] = defaultdict(deque)
        self._asked_ns: dict[int, int] = {}  # correlation id → when it was first asked for
        self._tokens = 0  # unanswered: after SaslHandshake v0 they have no header (KIP-43)
        self._expects_tokens = False
        self._topic_names: dict[str, str] = {}  # by id, as Metadata answers told

    def requests(self) -> Iterator[Message]:
        wire = self._wires[self._asking]
        for frame in read_frames(wire, RequestSearch(wire.data).find, self._is_request):
            header = read_header(frame.data)
            if header is None or (self._expects_tokens and not header.is_known):
                if self._expects_tokens:
                    self._tokens += 1
                    yield self._token(frame, MessageKind.REQUEST)
                else:
                    error = frame.error or "malformed: no request header"
                    yield Message(MessageKind.REQUEST, self._asking, frame.start, frame.end, error=error)
                continue
            self._expects_tokens = header.key == SASL_HANDSHAKE and header.version == 0
            message = self._request(frame, header)
            if not message.one_way:
                self._asked[header.correlation].append((frame.start, header))
                self._asked_ns.setdefault(header.correlation, self._sides[self._asking].time_at(frame.start))
            yield message

    def _is_request(self, size: int, head: bytes) -> bool:
        """Say whether a frame begins here: any header, or a token where those are expected."""
        return self._expects_tokens or (size >= MIN_REQUEST and read_header(head) is not None)

    def _is_answer(self, size: int, _head: bytes) -> bool:
        return size >= MIN_RESPONSE or self._tokens > 0

    def responses(self) -> Iterator[Message]:
        wire = self._wires[self._answering]
        for frame in read_frames(wire, self._find_answer, self._is_answer):
            data = frame.data[:MIN_RESPONSE]
            correlation = int.from_bytes(data, "big", signed=True)
            header = self._take(correlation, frame.start) if len(data) == MIN_RESPONSE else None
            if header is None and self._tokens:
                self._tokens -= 1
                yield self._token(frame, MessageKind.RESPONSE)
            else:
                yield self._response(frame, correlation, header)

    def _take(self, correlation: int, start: int) -> Header | None:
        """Return what this answers: the oldest request with its id, unless that came later."""
        waiting = self._asked.get(correlation)
        if not waiting:
            return None
        asked, answered = self._sides[self._asking], self._sides[self._answering]
        if answered.time_at(start) < asked.time_at(waiting[0][0]):
            return None  # it answers a request from before the capture
        return waiting.popleft()[1]

    @cached_property
    def _places(self) -> re.Pattern[bytes] | None:
        """Finds sizes before what may be an asked correlation id; read once all requests are."""
        if not self._asked:
            return None
        octets = zip(*(correlation.to_bytes(4, "big") for correlation in self._asked), strict=True)
        classes = b"".join(b"[%b]" % b"".join(re.escape(bytes([octet])) for octet in set(column)) for column in octets)
        return re.compile(rb"[\0-\x06](?=..." + classes + rb")(?!(?<=\0)\0\0[\0-\x03])", re.DOTALL)

    def _find_answer(self, at: int) -> Found:
        """Return where the next answer starts: where a known correlation id is, or where the broker began to speak.

        Each place takes about a microsecond, whatever its bytes are.
        """
        data = self._wires[self._answering].data
        run = bisect_left(self._runs, at)
        while True:
            while run < len(self._runs) and self._runs[run] < at:
                run += 1
            start = min(self._place_from(at), self._runs[run] if run < len(self._runs) else len(data))
            if start >= len(data):
                return Found(len(data))
            if self._is_answer_at(start):
                return Found(start)
            at = start + 1

    def _place_from(self, at: int) -> int:
        """Return the next of `_places`, else the end; searches go forwards, and no byte is looked at twice."""
        if self._place < at:
            data = self._wires[self._answering].data
            found = self._places.search(data, at) if self._places else None
            self._place = found.start() if found else len(data)
        return self._place

    def _is_answer_at(self, start: int) -> bool:
        """Say whether a whole answer is here: another follows, or the end, or it begins and ends with a turn."""
        data = self._wires[self._answering].data
        size = int.from_bytes(data[start : start + 4], "big")
        end = start + 4 + size
        if not MIN_RESPONSE <= size <= MAX_FRAME or start + 8 > len(data):
            return False
        is_last = end == len(data) or (end > len(data) and size <= CUT_BYTES)
        if self._was_asked(start) and (is_last or self._was_asked(end)):
            return True
        return start in self._run_starts and size <= CUT_BYTES and (end == len(data) or end in self._run_starts)

    def _was_asked(self, at: int) -> bool:
        """Say whether the frame at `at` has the correlation id of a request that was sent before it."""
        asked_ns = self._asked_ns.get(int.from_bytes(self._wires[self._answering].data[at + 4 : at + 8], "big"))
        return asked_ns is not None and asked_ns <= self._sides[self._answering].time_at(at)

    def _request(self, frame: Frame, header: Header) -> Message:
        fields: dict[str, Value] = {
            "kafka_request": True,
            "kafka_api_key": header.key,
            "kafka_api_key_name": _key_name(header),
            "kafka_api_version": header.version,
            "kafka_client_id": header.client or "",
            "kafka_size": frame.size,
            "kafka_request_size": frame.size + 4,
        }
        data = frame.data
        cursor = Cursor(data, header.body, len(data))
        payload: dict[str, Any] = {}
        damage = _fill(cursor, header, payload, is_response=False)
        topics = self._topics(cursor)
        if topics:
            fields["kafka_topics"] = topics
        fields["kafka_request_summary"] = ",".join(topics)
        return Message(
            MessageKind.REQUEST,
            self._asking,
            frame.start,
            frame.end,
            fields=fields,
            key=str(header.correlation),
            one_way=header.key == PRODUCE and payload.get("requiredAcks") == 0,
            error=frame.error or damage,
            detail=partial(_request_detail, frame, header),
        )

    def _response(self, frame: Frame, correlation: int, header: Header | None) -> Message:
        fields: dict[str, Value] = {
            "kafka_response": True,
            "kafka_size": frame.size,
            "kafka_response_size": frame.size + 4,
        }
        damage = ""
        if header is not None:
            fields["kafka_api_key"] = header.key
            fields["kafka_api_key_name"] = _key_name(header)
            fields["kafka_api_version"] = header.version
            data = frame.data
            cursor = Cursor(data, MIN_RESPONSE, len(data))
            payload: dict[str, Any] = {}
            damage = _fill(cursor, header, payload, is_response=True)
            if header.key == METADATA:
                self._learn(payload)
            fields["kafka_error_code"] = cursor.error
            if cursor.error:
                fields["kafka_error"] = error_name(cursor.error)
            if topics := self._topics(cursor):
                fields["kafka_topics"] = topics
        return Message(
            MessageKind.RESPONSE,
            self._answering,
            frame.start,
            frame.end,
            fields=fields,
            key=str(correlation),
            error=frame.error or damage,
            detail=partial(_response_detail, frame, correlation, header),
        )

    def _token(self, frame: Frame, kind: MessageKind) -> Message:
        is_request = kind == MessageKind.REQUEST
        fields: dict[str, Value] = {
            "kafka_request" if is_request else "kafka_response": True,
            "kafka_api_key": SASL_HANDSHAKE,
            "kafka_api_key_name": "SASL_TOKEN",
            "kafka_size": frame.size,
            "kafka_request_size" if is_request else "kafka_response_size": frame.size + 4,
        }
        direction = self._asking if is_request else self._answering
        detail = partial(_token_detail, frame.size)
        return Message(
            kind, direction, frame.start, frame.end, fields=fields, key=TOKEN_KEY, error=frame.error, detail=detail
        )

    def _learn(self, payload: Mapping[str, Any]) -> None:
        for topic in payload.get("topics") or ():
            if topic.get("topicId") and topic.get("name"):
                self._topic_names[topic["topicId"]] = topic["name"]

    def _topics(self, cursor: Cursor) -> list[str]:
        """Return topic names; ids (KIP-516) where no answer on this connection told the name."""
        named = dict(cursor.topics)
        if not named:
            named = {self._topic_names.get(name, name): None for name in cursor.topic_ids}
        return list(named)[:MAX_TOPICS]


def _key_name(header: Header) -> str:
    """Return `LIST_OFFSETS` for the API that the protocol guide calls ListOffsets."""
    if header.api is None:
        return f"API_{header.key}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", header.api.name).upper()


def _fill(cursor: Cursor, header: Header, payload: dict[str, Any], *, is_response: bool) -> str:
    """Read a body; return what is wrong with it."""
    version = header.version
    try:
        if is_response and header.api is not None and header.is_known:
            if header.key == API_VERSIONS:  # always header version 0: the client may not know others yet
                if int.from_bytes(cursor.data[cursor.at : cursor.at + 2], "big") == UNSUPPORTED_VERSION:
                    version = 0
            elif header.api.is_flexible(version):
                cursor.at = skip_tags(cursor.data, cursor.at)
        read_body(cursor, header.key, version, payload, is_response=is_response)
    except Malformed as damage:
        if version != header.version:  # some write the list their own way: the code alone is looked at
            return ""
        return f"malformed: {damage}"
    return ""


def _request_detail(frame: Frame, header: Header) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    payload, variables = _payload(frame.data, header.body, header, "request")
    document = {
        "size": frame.size,
        "apiKeyName": header.api.name if header.api else "",
        "apiKey": header.key,
        "apiVersion": header.version,
        "correlationID": header.correlation,
        "clientID": header.client or "",
        "payload": payload,
    }
    return variables, document


def _response_detail(
    frame: Frame, correlation: int, header: Header | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    if header is None:
        return {}, {"correlationID": correlation, "payload": {}}
    payload, variables = _payload(frame.data, MIN_RESPONSE, header, "response")
    return variables, {"correlationID": correlation, "payload": payload}


def _token_detail(size: int) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {"size": size, "apiKeyName": "SaslToken", "payload": {"authBytes": REDACTED}}


def _payload(data: bytes, at: int, header: Header, part: str) -> tuple[dict[str, Any], dict[str, Value]]:
    """Return a body as a document, and the text of its records as KFL variables."""
    sets: list[RecordSet] = []

    def expand(records: bytes) -> dict[str, Any]:
        found = read_records(records)
        sets.append(found)
        return found.document

    payload: dict[str, Any] = {}
    _fill(Cursor(data, at, len(data), records=expand), header, payload, is_response=part == "response")
    if not sets:
        return payload, {}
    body, is_cut = body_of(sets)
    variables: dict[str, Value] = {f"{part}_body": body}
    if is_cut:
        variables[f"{part}_body_truncated"] = True
    return payload, variables


protocols, probe, dissect = one_protocol(KAFKA, is_kafka, _dissect)
