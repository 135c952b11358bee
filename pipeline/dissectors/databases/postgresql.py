"""PostgreSQL, protocol 3.0 to 3.2 (chapter 55 of its manual): simple and extended queries, COPY, login, notifications.

An entry is a simple query, or one Execute of the extended protocol with the Parse and Bind before it, or what a client
asked besides (startup with all of its authentication, Describe, Close). Units are paired here, cycle by cycle, because
after an error the server skips what is left of a cycle: the key of a message is "cycle.unit".

`_postgresql_framing` finds messages, `_postgresql_units` groups them, `_postgresql_session` pairs the groups,
`_postgresql_document` builds their documents.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import partial
from typing import Any

from numpy.typing import NDArray

from kubeshark.core_capture import Scanned
from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
    rest_of,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, always, numbers, sizes, texts
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import Arrival, by_direction, first_words
from kubeshark.pipeline.dissectors.databases._postgresql_document import (
    cancelled,
    notification_detail,
    request_detail,
    response_detail,
    subject,
)
from kubeshark.pipeline.dissectors.databases._postgresql_framing import (
    CANCEL,
    GSS_ENCRYPTION,
    TLS_REQUEST,
    chain_at,
    client_packets,
    holds_sql,
    resume,
    server_packets,
    startup_code,
)
from kubeshark.pipeline.dissectors.databases._postgresql_session import (
    UNASKED,
    Connection,
    Question,
    expects_answer,
    is_farewell,
    pair,
)
from kubeshark.pipeline.dissectors.databases._postgresql_units import Unit, client_units, server_units

__all__ = ["COLUMNS", "POSTGRESQL", "dissect", "probe", "protocols"]

PORT = 5432
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10  # how far into a side of port 5432 the first messages are looked for
POSTGRESQL = ProtocolSpec(
    name="postgresql",
    abbr="POSTGRESQL",
    long_name="PostgreSQL Frontend/Backend Protocol",
    version="3",
    ports=(PORT,),
    priority=6,
    background="#336791",
    foreground="#ffffff",
    reference="https://www.postgresql.org/docs/current/protocol.html",
    matcher="key",
    hands_over=("tlsx",),
    handover_marks=(b"\x04\xd2\x16\x2f", b"s\x16\x03"),  # SSLRequest, or the answer "S" and a TLS record
    classifiers=(
        Classifier("tcp", (PORT,)),
        Classifier("tcp", offset=4, prefix=b"\x04\xd2\x16"),  # a request for encryption, or to cancel
        Classifier("tcp", offset=4, prefix=b"\0\x03\0"),  # a startup message
    ),
    variables={
        "postgresql_command": "string",
        "postgresql_query": "string",
        "postgresql_database": "string",
        "postgresql_user": "string",
        "postgresql_subject": "string",  # where there is no statement: channel, setting, notice, process to cancel
        "postgresql_success": "bool",
        "postgresql_error_code": "string",
        "postgresql_error_message": "string",
        "postgresql_request_size": "int",
        "postgresql_response_size": "int",
        "postgresql_total_size": "int",
    },
)


def _is_postgresql(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    if any(_is_certain_client(head) for head in heads) or any(_is_certain_server(head) for head in heads):
        return True
    if PORT not in (stream.client.port, stream.server.port):
        return False
    return any(
        _is_likely(bytes(side.data[:RESYNC_BYTES]), direction, is_lossy=side.starts_midway or bool(side.gaps))
        for direction, side in enumerate(stream.sides)
    )


def _is_certain_client(head: bytes) -> bool:
    """Say whether these bytes can begin nothing but what a client of PostgreSQL sends."""
    if len(head) < 8:
        return False
    if code := startup_code(head):
        return code in (TLS_REQUEST, GSS_ENCRYPTION, CANCEL) or head[8:13] in (b"user\0", b"datab", b"clien", b"appli")
    return head[0] in b"QP" and chain_at(head, 0, 0) > 0 and holds_sql(head)


_AUTHENTICATION_LENGTHS = frozenset((8, 12))


def _is_certain_server(head: bytes) -> bool:
    """Say whether these bytes can begin nothing but what a server of PostgreSQL sends: some linked messages."""
    at = 1 if head[:1] in (b"N", b"S") and head[1:2] in (b"R", b"E") else 0
    if head[at : at + 5] == b"R\0\0\0\x08" and head[at + 5 : at + 8] == bytes(3):
        return chain_at(head, at, 1, 4) > 1 or len(head) == at + 9
    if head[at : at + 1] == b"E":
        return head[at + 5 : at + 6] == b"S" and b"\0C" in head and b"\0M" in head and chain_at(head, at, 1) > 0
    return head[at : at + 1] in (b"1", b"2", b"T", b"t", b"n", b"C") and chain_at(head, at, 1, 4) >= 3


def _is_likely(head: bytes, direction: int, *, is_lossy: bool) -> bool:
    """Say whether bytes on PostgreSQL's own port may be its."""
    if not head:
        return False
    if (not direction and startup_code(head)) or chain_at(head, 0, direction) or head in (b"S", b"N", b"G"):
        return True
    return is_lossy and resume(head, 0, direction) < len(head)


def _messages(stream: Stream) -> Iterator[Message | Handover]:
    wires = (Wire(stream.sides[0]), Wire(stream.sides[1]))
    client = _asking_side(wires)
    asking, answering = wires[client], wires[1 - client]
    handover = _encryption(stream, client, asking, answering)
    connection = Connection()
    questions = [connection.question(asking, unit) for unit in client_units(asking, client_packets(asking))]
    encryption_requests = sum(question.unit.code in (TLS_REQUEST, GSS_ENCRYPTION) for question in questions)
    answers = list(server_units(answering, server_packets(answering, encryption_requests)))
    alone = pair(questions, answers, Arrival(stream), client, answering.gaps)
    for question in questions:
        yield _request(question, asking, client, answering)
        if question.answer:
            yield _response(question.answer, answering, 1 - client, question, asking)
    for unit in alone:
        if unit.types <= UNASKED or is_farewell(unit):
            yield _event(unit, answering, 1 - client)
        else:
            yield _response(unit, answering, 1 - client, None, asking)
    if handover:
        yield handover


def _asking_side(wires: tuple[Wire, Wire]) -> int:
    """Return which side is the client: a capture that begins midway may have guessed wrongly."""
    first, second = (_is_certain_client(wire.data[:PROBE_BYTES]) for wire in wires)
    if first or second:
        return 0 if first else 1
    return 1 if _is_certain_server(wires[0].data[:PROBE_BYTES]) else 0


def _encryption(stream: Stream, client: int, asking: Wire, answering: Wire) -> Handover | None:
    """Cut both sides where encryption was agreed on; return what goes on there (§55.2.10, §55.2.11)."""
    at = answers = 0
    while (code := startup_code(asking.data, at)) in (TLS_REQUEST, GSS_ENCRYPTION):
        at += 8
        answer = answering.data[answers : answers + 1]
        is_granted = answer == (b"S" if code == TLS_REQUEST else b"G")
        if not answering.data and code == TLS_REQUEST:  # one side alone: it goes on with a TLS record
            is_granted = asking.data[at : at + 2] == b"\x16\x03"
        answers += bool(answer)
        if is_granted:
            return _cut(stream, client, asking, answering, (at, answers), "tlsx" if code == TLS_REQUEST else "")
    if not asking.data and answering.data[:3] == b"S\x16\x03":
        return _cut(stream, client, asking, answering, (0, 1), "tlsx")
    return None


def _cut(
    stream: Stream, client: int, asking: Wire, answering: Wire, places: tuple[int, int], protocol: str
) -> Handover | None:
    asking.data, answering.data = asking.data[: places[0]], answering.data[: places[1]]
    if not protocol:
        return None  # GSSAPI-encrypted: nothing there can be read
    rest = rest_of(stream.sides[client], places[0]), rest_of(stream.sides[1 - client], places[1])
    return Handover(by_direction(client, *rest), protocol)


_COMMANDS = {
    0x58: "TERMINATE",
    0x46: "FUNCTION CALL",
    0x45: "EXECUTE",
    0x50: "PARSE",
    0x42: "BIND",
    0x44: "DESCRIBE",
    0x43: "CLOSE",
    0x70: "PASSWORD",
    0x64: "COPY DATA",
    0x63: "COPY DONE",
    0x66: "COPY FAIL",
    0x53: "SYNC",
    0x51: "QUERY",
    0x48: "FLUSH",
}
_SPECIAL = {TLS_REQUEST: "SSLREQUEST", GSS_ENCRYPTION: "GSSENCREQUEST", CANCEL: "CANCEL"}
_TWO_WORDS = ("CREATE", "ALTER", "DROP", "REFRESH", "REASSIGN")


def _command(code: int, types: Container[int], query: str) -> str:
    """Name a question as its CommandComplete tag would, or else by its message."""
    if code:
        return _SPECIAL.get(code, "STARTUP")
    if query and (0x51 in types or 0x45 in types):
        verb = first_words(query)
        if verb:
            return first_words(query, 2) if verb in _TWO_WORDS else verb
    return next((name for kind, name in _COMMANDS.items() if kind in types), "")


def _tag_command(tag: str) -> str:
    """Return a tag without its counts: "INSERT 0 1" says INSERT."""
    return tag.rstrip("0123456789 ")


SCANNED_KINDS = b"QPBEDCSHXp"
"""Types of client messages by their bit in what the scanner says of a unit."""


def _scanned_commands(found: Scanned, rows: NDArray[Any]) -> list[Any]:
    """Read the command of each of these messages."""
    codes, masks = (found.messages["number"][rows, place].tolist() for place in (0, 1))
    asked = list(zip(codes, masks, found.texts(rows, 0), found.texts(rows, 1), strict=True))
    known = {each: _scanned_command(*each) for each in set(asked)}
    return [known[each] for each in asked]


def _scanned_command(code: int, mask: int, query: bytes, tag: bytes) -> str:
    kinds = {kind for bit, kind in enumerate(SCANNED_KINDS) if mask >> bit & 1}
    return _tag_command(text(tag)) or _command(code, kinds, text(query))


_EITHER = ("request", "response")

COLUMNS: Columns = {
    "postgresql_command": Column(_scanned_commands, _EITHER),
    "postgresql_query": Column(texts(0)),
    "postgresql_database": Column(texts(2)),
    "postgresql_user": Column(texts(3)),
    "postgresql_subject": Column(always("")),  # what has one is left to the dissector
    "postgresql_success": Column(numbers(2, bool), _EITHER),
    "postgresql_error_code": Column(texts(2), ("response",)),
    "postgresql_error_message": Column(texts(3), ("response",)),
    "postgresql_request_size": Column(sizes()),
    "postgresql_response_size": Column(sizes(), ("response",)),
}
"""What the scanner (scan_postgresql.c) knows."""


def _request(question: Question, wire: Wire, direction: int, answering: Wire) -> Message:
    unit, answer = question.unit, question.answer
    query = unit.query or (question.statement.query if question.statement else "")
    tag = answer.tags[0] if answer and answer.tags else ""
    fields: dict[str, Value] = {
        "postgresql_command": _tag_command(tag) or _command(unit.code, unit.types, query),
        "postgresql_query": query,
        "postgresql_database": question.database,
        "postgresql_user": question.user,
        "postgresql_request_size": unit.end - unit.start,
    }
    if unit.code == CANCEL:
        fields["postgresql_subject"] = f"process {cancelled(wire, unit)}"
    if not expects_answer(unit) and not unit.error:
        fields["postgresql_success"] = True  # nobody says otherwise: no failure that a filter should find
    if question.is_skipped and not answer:
        fields["postgresql_error_message"] = "not run: an earlier statement of the same batch failed"
    return Message(
        MessageKind.REQUEST,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=question.key,
        one_way=not expects_answer(unit) or (question.is_skipped and not answer),
        error=unit.error,
        detail=partial(request_detail, wire, unit, fields, question.statement, answering),
    )


def _response(unit: Unit, wire: Wire, direction: int, question: Question | None, asking: Wire) -> Message:
    failure = unit.failure
    fields: dict[str, Value] = {
        "postgresql_command": _tag_command(unit.tags[0]) if unit.tags else "",
        "postgresql_success": not failure,
        "postgresql_error_code": failure.get("C", ""),
        "postgresql_error_message": failure.get("M", ""),
        "postgresql_response_size": unit.end - unit.start,
    }
    bound = (asking, question.bind) if question and question.bind else None
    return Message(
        MessageKind.RESPONSE,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=question.key if question else "",
        error=unit.error,
        detail=partial(response_detail, wire, unit, bound, question.columns_at if question else -1),
    )


_EVENTS = {0x41: "NOTIFY", 0x45: "ERROR", 0x4E: "NOTICE", 0x53: "PARAMETER STATUS"}


def _event(unit: Unit, wire: Wire, direction: int) -> Message:
    kind = next(kind for kind in _EVENTS if kind in unit.types)
    fields: dict[str, Value] = {
        "postgresql_command": _EVENTS[kind],
        "postgresql_subject": subject(wire, unit, kind),
        "postgresql_success": not unit.failure,
        "postgresql_error_code": unit.failure.get("C", ""),
        "postgresql_error_message": unit.failure.get("M", ""),
        "postgresql_response_size": unit.end - unit.start,
    }
    return Message(
        MessageKind.EVENT,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        error=unit.error,
        detail=partial(notification_detail, wire, unit),
    )


protocols, probe, dissect = one_protocol(POSTGRESQL, _is_postgresql, _messages)
