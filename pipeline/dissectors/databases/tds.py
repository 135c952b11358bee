"""Tabular Data Stream 7.x, the protocol of SQL Server (MS-TDS), on any port, known by content.

An entry is a request message and the server's answer. `_tds_packets` finds messages and hands TLS over, `_tds_document`
reads them, `_tds_values` knows the types.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

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
from kubeshark.pipeline.dissectors.databases._database_stream import Arrival, looks_like_sql
from kubeshark.pipeline.dissectors.databases._tds_document import (
    Version,
    batch_text,
    has_failed,
    is_prelogin,
    login,
    procedure,
    read_answer,
    request_detail,
    response_detail,
)
from kubeshark.pipeline.dissectors.databases._tds_packets import (
    ATTENTION,
    HEADER_BYTES,
    LOGIN7,
    PRELOGIN,
    RPC,
    SQL_BATCH,
    TABULAR,
    TYPES,
    Packets,
    Unit,
    is_packet,
    is_smp,
    payload_of,
    resume,
)

__all__ = ["TDS", "dissect", "probe", "protocols"]

PORT = 1433
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10
MAX_STATEMENTS = 10_000
"""Prepared statements kept of one connection."""
MAX_SUMMARY = 1 << 20
"""Bytes of an answer in which an error, or the handle of a prepared statement, is looked for."""

TDS = ProtocolSpec(
    name="tds",
    abbr="TDS",
    long_name="Tabular Data Stream",
    version="7",
    ports=(PORT,),
    priority=8,
    background="#a4262c",
    foreground="#ffffff",
    reference="https://learn.microsoft.com/openspecs/windows_protocols/ms-tds",
    matcher="fifo",
    hands_over=("tlsx", "tds"),
    classifiers=(Classifier("tcp", (PORT,)),),
    variables={
        "tds_type": "string",
        "tds_query": "string",
        "tds_procedure": "string",
        "tds_database": "string",
        "tds_success": "bool",
        "tds_error_code": "int",
        "tds_error_message": "string",
        "tds_request_size": "int",
        "tds_response_size": "int",
        "tds_total_size": "int",
    },
)


def _is_tds(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    if any(_is_certain(head) for head in heads):
        return True
    if PORT not in (stream.client.port, stream.server.port):
        return False
    if any(is_packet(head, 0) or (head and is_smp(head, 0)) for head in heads):
        return True
    return any(
        resume(head := bytes(side.data[:RESYNC_BYTES]), 0) < len(head)
        for side in stream.sides
        if side.starts_midway or side.gaps
    )


def _is_certain(head: bytes) -> bool:
    """Say whether a client's first message is here, and says what its type promises."""
    if len(head) < HEADER_BYTES + 16 or not is_packet(head, 0) or head[4:6] != b"\0\0":
        return False
    end = min(len(head), int.from_bytes(head[2:4], "big"))
    payload = head[HEADER_BYTES:end]
    if head[0] == PRELOGIN:
        return is_prelogin(payload)
    if head[0] == LOGIN7:
        return len(payload) > 36 and 0x70 <= payload[7] <= 0x75 and int.from_bytes(payload[:4], "little") >= 86
    if head[0] == SQL_BATCH:
        return looks_like_sql(batch_text(payload[: len(payload) & ~1]).encode()[:256])
    return head[0] == RPC and procedure(payload).name.startswith("sp_")


class _Question(Struct):
    """A request's unit with what it means in its connection."""

    unit: Unit
    query: str = ""
    procedure: str = ""
    handle: int = 0
    database: str = ""


def _messages(stream: Stream) -> Iterator[Message | Handover]:
    sides = [Packets(side) for side in stream.sides]
    units = [list(side.units()) for side in sides]
    client = _asking_side(units)
    asking, answering = sides[client].wire, sides[1 - client].wire
    version = _version(asking, units[client])
    questions = [_question(unit, asking) for unit in units[client]]
    answers = units[1 - client]
    pairs = _pair(questions, answers, Arrival(stream), client)
    _name_statements(questions, {question: answers[at] for at, question in pairs.items()}, answering, version)
    for question in questions:
        yield _request(question, asking, client)
    for unit in answers:
        yield _response(unit, answering, version, 1 - client)
    tls = sides[0].tls(), sides[1].tls()
    if tls[0] is not None and tls[1] is not None:
        yield Handover((tls[0], tls[1]), "tlsx")
    for number in sorted(sides[0].sessions | sides[1].sessions):
        yield Handover((sides[0].session(number), sides[1].session(number)), TDS.flag)


def _asking_side(units: Sequence[Sequence[Unit]]) -> int:
    """Return the client's side: a server sends nothing but tabular results."""
    is_server = [bool(side) and all(unit.type in (TABULAR, 0) for unit in side[:8]) for side in units]
    return 1 if is_server[0] and not is_server[1] else 0


def _version(wire: Wire, units: Sequence[Unit]) -> Version:
    found = next((unit for unit in units[:8] if unit.type == LOGIN7), None)
    return Version(found is None or payload_of(wire, found)[7:8] >= b"\x72")


def _question(unit: Unit, wire: Wire) -> _Question:
    question = _Question(unit)
    if unit.type == SQL_BATCH:
        question.query = batch_text(payload_of(wire, unit))
    elif unit.type == RPC:
        called = procedure(payload_of(wire, unit))
        question.procedure, question.query, question.handle = called.name, called.statement, called.handle
    elif unit.type == LOGIN7:
        question.database = login(payload_of(wire, unit)).database
    return question


def _pair(questions: Sequence[_Question], answers: Sequence[Unit], arrival: Arrival, client: int) -> dict[int, int]:
    """Return answer → question, by number: the n-th answer is the oldest waiting question's."""
    events = [(arrival.turn(client, question.unit.start), 0, at) for at, question in enumerate(questions)]
    events += ((arrival.turn(1 - client, unit.start), 1, at) for at, unit in enumerate(answers))
    waiting: deque[int] = deque()
    pairs: dict[int, int] = {}
    for _, side, at in sorted(events):
        if side == 0:
            if not _is_one_way(questions[at].unit):
                waiting.append(at)
        elif waiting:
            pairs[at] = waiting.popleft()
    return pairs


def _is_one_way(unit: Unit) -> bool:
    return unit.type in (ATTENTION, 0)  # what an attention interrupts is answered, not the attention


def _name_statements(questions: Sequence[_Question], answers: Mapping[int, Unit], wire: Wire, version: Version) -> None:
    """Give each question its database, and the statement that a handle stands for; `answers` are by its number."""
    statements: dict[int, str] = {}
    database = ""
    for at, question in enumerate(questions):
        question.query = question.query or statements.get(question.handle, "")
        database = question.database = question.database or database
        if at not in answers or not (_prepares(question) or _changes_database(question)):
            continue
        answer = read_answer(payload_of(wire, answers[at])[:MAX_SUMMARY], version)
        if _prepares(question):
            handle = answer.returned[0]["value"] if answer.returned else None
            if isinstance(handle, int) and len(statements) < MAX_STATEMENTS:
                statements[handle] = question.query
        else:
            database = answer.changes.get("database", "") or database
            if question.unit.type == LOGIN7:
                question.database = database


def _prepares(question: _Question) -> bool:
    return question.procedure in ("sp_prepare", "sp_prepexec")


def _changes_database(question: _Question) -> bool:
    return question.unit.type == LOGIN7 or question.query[:4].upper() == "USE "


def _request(question: _Question, wire: Wire, direction: int) -> Message:
    unit = question.unit
    fields: dict[str, Value] = {
        "tds_type": TYPES.get(unit.type, ""),
        "tds_query": question.query,
        "tds_procedure": question.procedure,
        "tds_database": question.database,
        "tds_request_size": unit.end - unit.start,
    }
    if unit.type == ATTENTION:
        fields["tds_success"] = True  # nobody says otherwise: no failure that a filter should find
    return Message(
        MessageKind.REQUEST,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        one_way=_is_one_way(unit),
        error=unit.error,
        detail=partial(_request_detail, unit, wire, fields),
    )


def _response(unit: Unit, wire: Wire, version: Version, direction: int) -> Message:
    payload = payload_of(wire, unit)
    failed = has_failed(payload, version)
    error: dict[str, Value] = {}
    if failed is not False and not is_prelogin(payload):
        errors = read_answer(payload[:MAX_SUMMARY], version).errors
        failed = bool(errors) or bool(failed)
        error = errors[0] if errors else {}
    fields: dict[str, Value] = {
        "tds_type": TYPES.get(unit.type, ""),
        "tds_success": not failed,
        "tds_error_code": error.get("number", 0),
        "tds_error_message": error.get("message", ""),
        "tds_response_size": unit.end - unit.start,
    }
    return Message(
        MessageKind.RESPONSE,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        error=unit.error,
        detail=partial(_response_detail, unit, wire, version),
    )


def _request_detail(
    unit: Unit, wire: Wire, fields: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return request_detail(unit.type, payload_of(wire, unit), fields)


def _response_detail(unit: Unit, wire: Wire, version: Version) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return response_detail(payload_of(wire, unit), version)


protocols, probe, dissect = one_protocol(TDS, _is_tds, _messages)
