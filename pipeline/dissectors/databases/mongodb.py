"""MongoDB's wire protocol: OP_MSG, OP_COMPRESSED and the older opcodes, on any port, known by content.

Messages pair by requestID and responseTo; what a server sends on unasked (`exhaust`) is an event.
`_mongodb_message` finds messages, `_mongodb_document` builds their documents, `_mongodb_bson` reads BSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
)
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._mongodb_bson import elements, scalar
from kubeshark.pipeline.dissectors.databases._mongodb_document import answer_detail, command_document, request_detail
from kubeshark.pipeline.dissectors.databases._mongodb_message import (
    COMMAND,
    COMMAND_REPLY,
    DELETE,
    GET_MORE,
    INSERT,
    KILL_CURSORS,
    MORE_TO_COME,
    MSG,
    OPCODES,
    QUERY,
    REPLY,
    UPDATE,
    Unit,
    body_of,
    is_message,
    resume,
    sections,
    units,
    unwrapped,
)

__all__ = ["MONGODB", "dissect", "probe", "protocols"]

PORTS = (27017, 27018, 27019)
MAX_SUMMARY = 1 << 20
"""Bytes of a compressed message that its summary may cost; the command comes first."""
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10

_LEGACY = {UPDATE: "update", INSERT: "insert", GET_MORE: "getMore", DELETE: "delete", KILL_CURSORS: "killCursors"}
_NAMED = (
    "find insert update delete aggregate count distinct findandmodify mapreduce getmore killcursors create drop"
    " createindexes dropindexes deleteindexes listindexes collmod collstats compact validate reindex converttocapped"
    " clonecollectionascapped geosearch geonear parallelcollectionscan group planclearcache explain"
    " createsearchindexes dropsearchindex updatesearchindex setindexcommitquorum analyze"
)
_ON_COLLECTIONS = frozenset(_NAMED.split())
"""Commands whose first value names a collection, in lower case: servers do not mind."""

MONGODB = ProtocolSpec(
    name="mongodb",
    abbr="MONGODB",
    long_name="MongoDB Wire Protocol",
    ports=(PORTS[0],),
    priority=6,
    background="#116149",
    foreground="#ffffff",
    reference="https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/",
    matcher="key",
    classifiers=(
        Classifier("tcp", PORTS),
        Classifier("tcp", offset=12, prefix=b"\xdd\x07\0\0"),  # OP_MSG
        Classifier("tcp", offset=12, prefix=b"\xd4\x07\0\0"),  # OP_QUERY: the first message of most connections
    ),
    variables={
        "mongodb_command": "string",
        "mongodb_database": "string",
        "mongodb_collection": "string",
        "mongodb_opcode": "string",
        "mongodb_success": "bool",
        "mongodb_error_code": "int",
        "mongodb_error_message": "string",
        "mongodb_error_code_name": "string",
        "mongodb_request_size": "int",
        "mongodb_response_size": "int",
        "mongodb_total_size": "int",
    },
)


def _is_mongodb(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    if any(is_message(bytes(side.data[:PROBE_BYTES]), 0) for side in stream.sides):
        return True
    if not {stream.client.port, stream.server.port} & set(PORTS):
        return False
    return any(
        resume(head := bytes(side.data[:RESYNC_BYTES]), 0) < len(head)
        for side in stream.sides
        if side.starts_midway or side.gaps
    )


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    found = [list(units(wire)) for wire in wires]
    answering = _answering_side(found)
    streaming: set[int] = set()  # answers that said that more would follow
    for direction in (0, 1):
        for unit in found[direction]:
            yield _message(unit, wires[direction], direction, is_answer=direction == answering, streaming=streaming)


def _answering_side(found: Sequence[Sequence[Unit]]) -> int:
    """Return the side of the server: a capture that begins midway may have guessed wrongly."""
    answers = [sum(unit.response_to != 0 or unit.opcode == REPLY for unit in side[:16]) for side in found]
    return 0 if answers[0] > answers[1] else 1


class _Summary(Struct):
    """What a message says at first sight."""

    opcode: int = 0
    flags: int = 0
    command: str = ""
    database: str = ""
    collection: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # scalars at the top level of the body
    write_error: tuple[int, str] = (0, "")
    error: str = ""


def _message(unit: Unit, wire: Wire, direction: int, *, is_answer: bool, streaming: set[int]) -> Message:
    body = body_of(wire, unit)
    summary = _summary(unit.opcode, body, is_answer=is_answer)
    size = unit.end - unit.start
    fields: dict[str, Value] = {"mongodb_opcode": OPCODES.get(summary.opcode, "")}
    kind = MessageKind.RESPONSE if is_answer else MessageKind.REQUEST
    if is_answer:
        fields |= _outcome(summary) | {"mongodb_response_size": size}
        if unit.response_to in streaming:
            kind = MessageKind.EVENT  # exhaust: the answer to an answer
        if summary.opcode == MSG and summary.flags & MORE_TO_COME:
            streaming.add(unit.request_id)
    else:
        fields |= {
            "mongodb_command": summary.command,
            "mongodb_database": summary.database,
            "mongodb_collection": summary.collection,
            "mongodb_request_size": size,
        }
        if summary.opcode and _is_one_way(summary):
            fields["mongodb_success"] = True  # nobody says otherwise: no failure that a filter should find
    return Message(
        kind,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=str(unit.response_to if is_answer else unit.request_id),
        one_way=not is_answer and _is_one_way(summary),
        error=unit.error or summary.error,
        detail=partial(answer_detail if is_answer else request_detail, unit, wire, fields),
    )


def _is_one_way(summary: _Summary) -> bool:
    if summary.opcode == MSG:
        return bool(summary.flags & MORE_TO_COME)
    return summary.opcode in (INSERT, UPDATE, DELETE, KILL_CURSORS, 0)


def _outcome(summary: _Summary) -> dict[str, Value]:
    """Say how a command ended; one that was carried out with write errors failed too."""
    values = summary.values
    code, message = values.get("code", 0), values.get("errmsg", values.get("$err", ""))
    success = bool(values.get("ok", summary.opcode == REPLY and "$err" not in values))
    if success and summary.write_error != (0, ""):
        success, (code, message) = False, summary.write_error
    return {
        "mongodb_success": success,
        "mongodb_error_code": code if isinstance(code, int) else int(code) if _is_whole(code) else 0,
        "mongodb_error_message": str(message or ""),
        "mongodb_error_code_name": str(values.get("codeName") or ""),
    }


def _is_whole(number: object) -> bool:
    return isinstance(number, float) and number.is_integer()


def _summary(opcode: int, body: bytes, *, is_answer: bool) -> _Summary:
    opcode, body, error = unwrapped(opcode, body, MAX_SUMMARY)
    summary = _Summary(opcode, error=error)
    summary.flags = int.from_bytes(body[:4], "little")
    if opcode == MSG:
        at = next((start for kind, start, _ in sections(body, summary.flags) if kind == 0), -1)
    elif opcode == REPLY:
        at = 20 if len(body) > 20 else -1
    elif opcode in (COMMAND, COMMAND_REPLY):
        database, command, at = command_document(opcode, body)
        summary.database, summary.command, summary.flags = text(database), text(command), 0
    else:
        at = _legacy_request(summary, body)
    if at >= 0:
        _read_top_level(summary, body, at, is_answer=is_answer)
    return summary


def _read_top_level(summary: _Summary, body: bytes, at: int, *, is_answer: bool) -> None:
    values = summary.values
    for name, kind, start, end in elements(body, at, len(body)):
        if not values and not is_answer and not summary.command:
            if name in ("$query", "query") and kind == 0x03:  # older drivers wrap a command with its read preference
                _read_top_level(summary, body, start, is_answer=False)
                return
            summary.command = name
        if is_answer and name in ("writeErrors", "writeConcernError") and kind in (0x03, 0x04):
            summary.write_error = (
                summary.write_error if summary.write_error[0] else _first_error(body, kind, start, end)
            )
        values[name] = scalar(body, kind, start, end)
    if is_answer:
        return
    summary.database = summary.database or str(values.get("$db") or "")
    if not summary.collection:
        field_name = "collection" if summary.command == "getMore" else summary.command
        named = values.get(field_name) if summary.command.lower() in _ON_COLLECTIONS else ""
        summary.collection = named if isinstance(named, str) else ""


def _first_error(body: bytes, kind: int, start: int, end: int) -> tuple[int, str]:
    if kind == 0x04:
        first = next(elements(body, start, end), None)
        if first is None:
            return 0, ""
        start, end = first[2], first[3]
    found = {name: scalar(body, kind, at, stop) for name, kind, at, stop in elements(body, start, end)}
    code = found.get("code")
    return code if isinstance(code, int) else 0, str(found.get("errmsg") or "write error")


def _legacy_request(summary: _Summary, body: bytes) -> int:
    """Read an opcode of before OP_MSG: flags, namespace, …; return where a command's document begins, else -1."""
    summary.command = _LEGACY.get(summary.opcode, "")
    if summary.opcode not in (QUERY, INSERT, UPDATE, DELETE, GET_MORE):
        return -1
    namespace, end, _ = body[4:].partition(b"\0")
    database, _, collection = namespace.partition(b".")
    summary.database, summary.collection = text(database), text(collection)
    if summary.opcode != QUERY or not end:
        return -1
    if collection != b"$cmd":
        summary.command = "find"
        return -1
    summary.collection = ""
    return 4 + len(namespace) + 1 + 8


protocols, probe, dissect = one_protocol(MONGODB, _is_mongodb, _messages)
