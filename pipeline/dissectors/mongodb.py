"""MongoDB's wire protocol: OP_MSG, OP_COMPRESSED and the older opcodes, on any port, known by content.

Messages pair by requestID and responseTo; what a server sends on unasked (`exhaust`) is an event.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors._database_stream import SHOWN_ITEMS
from kubeshark.pipeline.dissectors._mongodb_bson import Damaged, document_at, elements, scalar
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire

__all__ = ["MONGODB", "dissect", "probe", "protocols"]

PORTS = (27017, 27018, 27019)
HEADER = struct.Struct("<4i")  # messageLength, requestID, responseTo, opCode
MAX_MESSAGE = 48_000_000
"""maxMessageSizeBytes of every server so far."""
MAX_SUMMARY = 1 << 20
"""Bytes of a compressed message that its summary may cost; the command comes first."""
SNAPPY_RATIO = 64
"""A copy of two bytes and its tag give at most 64 bytes."""
PROBE_BYTES = 4096
RESYNC_BYTES = 64 << 10

REPLY, UPDATE, INSERT, QUERY, GET_MORE, DELETE, KILL_CURSORS = 1, 2001, 2002, 2004, 2005, 2006, 2007
COMMAND, COMMAND_REPLY, COMPRESSED, MSG = 2010, 2011, 2012, 2013
OPCODES = {
    REPLY: "OP_REPLY",
    1000: "OP_MSG_LEGACY",
    UPDATE: "OP_UPDATE",
    INSERT: "OP_INSERT",
    QUERY: "OP_QUERY",
    GET_MORE: "OP_GET_MORE",
    DELETE: "OP_DELETE",
    KILL_CURSORS: "OP_KILL_CURSORS",
    COMMAND: "OP_COMMAND",
    COMMAND_REPLY: "OP_COMMANDREPLY",
    COMPRESSED: "OP_COMPRESSED",
    MSG: "OP_MSG",
}
COMPRESSORS = {0: "noop", 1: "snappy", 2: "zlib", 3: "zstd"}
CHECKSUM_PRESENT, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
_LEGACY = {UPDATE: "update", INSERT: "insert", GET_MORE: "getMore", DELETE: "delete", KILL_CURSORS: "killCursors"}
_NAMED = (
    "find insert update delete aggregate count distinct findandmodify mapreduce getmore killcursors create drop"
    " createindexes dropindexes deleteindexes listindexes collmod collstats compact validate reindex converttocapped"
    " clonecollectionascapped geosearch geonear parallelcollectionscan group planclearcache explain"
    " createsearchindexes dropsearchindex updatesearchindex setindexcommitquorum analyze"
)
_ON_COLLECTIONS = frozenset(_NAMED.split())
"""Commands whose first value names a collection, in lower case: servers do not mind."""
_HEADER = re.compile(rb"(?s)(?=.{3}[\0-\x02].{8}(?:\x01\0|[\xd1\xd2\xd4-\xd7\xda-\xdd]\x07)\0\0)")
_NAMESPACE = re.compile(rb"[^\0 \"$*/<>:|?]{1,64}\.[ -~\x80-\xff]{1,255}\0")

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


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (MONGODB,)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
    return [Verdict.MINE if _is_mongodb(stream) else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [list(_messages(stream)) for stream in streams]


def _is_mongodb(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    if any(_is_message(bytes(side.data[:PROBE_BYTES]), 0) for side in stream.sides):
        return True
    if not {stream.client.port, stream.server.port} & set(PORTS):
        return False
    return any(
        _resume(head := bytes(side.data[:RESYNC_BYTES]), 0) < len(head)
        for side in stream.sides
        if side.starts_midway or side.gaps
    )


def _is_message(data: bytes, at: int) -> bool:
    """Say whether a message begins here: a header, and the first fields of its body as its opcode wants them."""
    if len(data) < at + 21:
        return False
    length, _, _, opcode = HEADER.unpack_from(data, at)
    if not 21 <= length <= MAX_MESSAGE or opcode not in OPCODES:
        return False
    body = at + HEADER.size
    first = int.from_bytes(data[body : body + 4], "little")
    if opcode == MSG:
        return not first & 0xFFFC and data[body + 4] <= 1 and _is_document(data, body + 5, at + length)
    if opcode == COMPRESSED:
        return first in OPCODES and first != COMPRESSED and len(data) > body + 8 and data[body + 8] in COMPRESSORS
    if opcode == REPLY:
        return length >= 36 and first < 16 and (length == 36 or _is_document(data, body + 20, at + length))
    if opcode in (QUERY, INSERT):
        return first < 256 and _NAMESPACE.match(data, body + 4) is not None
    if opcode in (UPDATE, GET_MORE, DELETE):
        return first == 0 and _NAMESPACE.match(data, body + 4) is not None
    if opcode == KILL_CURSORS:
        return first == 0 and length == 24 + 8 * int.from_bytes(data[body + 4 : body + 8], "little")
    return opcode in (COMMAND, COMMAND_REPLY) and length > 36


def _is_document(data: bytes, at: int, end: int) -> bool:
    """Say whether a document (or a section of them) that lies inside its message may begin here."""
    if len(data) < at + 4:
        return True
    length = int.from_bytes(data[at : at + 4], "little")
    return 5 <= length <= end - at


def _resume(data: bytes, at: int) -> int:
    return next((match.start() for match in _HEADER.finditer(data, at) if _is_message(data, match.start())), len(data))


@dataclass(slots=True)
class _Unit:
    """One message's place in its side, and its header."""

    start: int
    end: int
    request_id: int = 0
    response_to: int = 0
    opcode: int = 0
    error: str = ""


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    units = [list(_units(wire)) for wire in wires]
    answering = _answering_side(units)
    streaming: set[int] = set()  # answers that said that more would follow
    for direction in (0, 1):
        for unit in units[direction]:
            yield _message(unit, wires[direction], direction, is_answer=direction == answering, streaming=streaming)


def _answering_side(units: Sequence[Sequence[_Unit]]) -> int:
    """Return the side of the server: a capture that begins midway may have guessed wrongly."""
    answers = [sum(unit.response_to != 0 or unit.opcode == REPLY for unit in side[:16]) for side in units]
    return 0 if answers[0] > answers[1] else 1


def _units(wire: Wire) -> Iterator[_Unit]:
    data, at = wire.data, 0
    lost = wire.starts_midway and not _is_message(data, 0)
    while at < len(data):
        if gap := wire.gap_in(at, at + HEADER.size):
            at, lost = gap[1], True
            continue
        if lost:
            at, lost = _resume(data, at), False
            continue
        if at + HEADER.size > len(data):
            yield _Unit(at, len(data), error=f"truncated: {len(data) - at} bytes of a header")
            return
        length, request_id, response_to, opcode = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= MAX_MESSAGE or opcode not in OPCODES:
            end = _resume(data, at + 1)
            yield _Unit(at, end, error=f"malformed: {end - at} bytes at {at} are no message")
            at = end
            continue
        end = wire.after(at, length)
        unit = _Unit(at, min(end, len(data)), request_id & 0xFFFFFFFF, response_to & 0xFFFFFFFF, opcode)
        if gap := wire.gap_in(at, unit.end):
            unit.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif end > len(data):
            unit.error = f"truncated: {end - len(data)} bytes of the message were not captured"
        yield unit
        at = unit.end


@dataclass(slots=True)
class _Summary:
    """What a message says at first sight."""

    opcode: int = 0
    flags: int = 0
    command: str = ""
    database: str = ""
    collection: str = ""
    values: dict[str, Any] = field(default_factory=dict)  # scalars at the top level of the body
    write_error: tuple[int, str] = (0, "")
    error: str = ""


def _message(unit: _Unit, wire: Wire, direction: int, *, is_answer: bool, streaming: set[int]) -> Message:
    body = wire.captured(min(unit.start + HEADER.size, unit.end), unit.end)
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
    return Message(
        kind,
        direction,
        unit.start,
        unit.end,
        fields=fields,
        key=str(unit.response_to if is_answer else unit.request_id),
        one_way=not is_answer and _is_one_way(summary),
        error=unit.error or summary.error,
        detail=partial(_answer_detail if is_answer else _request_detail, unit, wire, fields),
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


def _unwrapped(opcode: int, body: bytes, limit: int) -> tuple[int, bytes, str]:
    """Undo OP_COMPRESSED: return the opcode, the body's first bytes, and what is wrong with it."""
    if opcode != COMPRESSED:
        return opcode, body, ""
    if len(body) < 9:
        return opcode, b"", "truncated: the compressed message ends early"
    original, size, compressor = struct.unpack_from("<iiB", body)
    if original not in OPCODES or original == COMPRESSED or not 0 <= size <= MAX_MESSAGE:
        return opcode, b"", f"malformed: opcode {original} and {size} bytes cannot be compressed"
    try:
        plain = _decompressed(compressor, body[9:], min(size, limit))
    except ValueError as damage:
        return original, b"", f"malformed: {damage}"
    is_short = len(plain) < min(size, limit)
    return original, plain, "truncated: the compressed body ends early" if is_short else ""


def _decompressed(compressor: int, data: bytes, size: int) -> bytes:
    """Return at most `size` bytes; raise ValueError for data that is not what it says."""
    if compressor == 0:
        return data[:size]
    if compressor == 1:
        import cramjam  # few streams need it

        try:
            if cramjam.snappy.decompress_raw_len(data) > min(MAX_MESSAGE, SNAPPY_RATIO * len(data)):
                raise ValueError("snappy data claims more than it can hold")
            return bytes(cramjam.snappy.decompress_raw(data))[:size]
        except cramjam.DecompressionError as damage:
            raise ValueError(f"snappy: {damage}") from None
    if compressor == 2:
        try:
            return zlib.decompressobj().decompress(data, max(size, 1))
        except zlib.error as damage:
            raise ValueError(f"zlib: {damage}") from None
    if compressor == 3:
        import zstandard

        try:
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
            return reader.read(size)
        except zstandard.ZstdError as damage:
            raise ValueError(f"zstd: {damage}") from None
    raise ValueError(f"unknown compressor {compressor}")


def _summary(opcode: int, body: bytes, *, is_answer: bool) -> _Summary:
    opcode, body, error = _unwrapped(opcode, body, MAX_SUMMARY)
    summary = _Summary(opcode, error=error)
    summary.flags = int.from_bytes(body[:4], "little")
    if opcode == MSG:
        at = next((start for kind, start, _ in _sections(body, summary.flags) if kind == 0), -1)
    elif opcode == REPLY:
        at = 20 if len(body) > 20 else -1
    elif opcode in (COMMAND, COMMAND_REPLY):
        at = _legacy_command(summary, body)
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


def _sections(body: bytes, flags: int) -> Iterator[tuple[int, int, int]]:
    """Return (kind, start, end) of OP_MSG's sections; the checksum is none."""
    at, end = 4, len(body) - (4 if flags & CHECKSUM_PRESENT else 0)
    while at + 5 <= end:
        kind = body[at]
        length = int.from_bytes(body[at + 1 : at + 5], "little")
        if kind > 1 or length < 5:
            return
        yield kind, at + 1, min(end, at + 1 + length)
        at += 1 + length


def _legacy_command(summary: _Summary, body: bytes) -> int:
    """Read OP_COMMAND: database, command, then its arguments; return where a document begins."""
    if summary.opcode == COMMAND_REPLY:
        return 0
    database, _, rest = body.partition(b"\0")
    name, _, _ = rest.partition(b"\0")
    summary.database, summary.command, summary.flags = text(database), text(name), 0
    return len(database) + len(name) + 2


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


def _request_detail(
    unit: _Unit, wire: Wire, fields: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document = {
        "opcode": fields["mongodb_opcode"],
        "requestId": unit.request_id,
        "command": fields["mongodb_command"],
        "database": fields["mongodb_database"],
        "collection": fields["mongodb_collection"],
        **_content(unit, wire),
    }
    return {}, document


def _answer_detail(
    unit: _Unit, wire: Wire, fields: Mapping[str, Value]
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document = {
        "ok": fields["mongodb_success"],
        "errorCode": fields["mongodb_error_code"],
        "errorMessage": fields["mongodb_error_message"],
        "codeName": fields["mongodb_error_code_name"],
        "opcode": fields["mongodb_opcode"],
        "requestId": unit.request_id,
        "responseTo": unit.response_to,
        **_content(unit, wire),
    }
    return {}, document


def _content(unit: _Unit, wire: Wire) -> dict[str, Any]:
    """Return flags and documents of any opcode."""
    raw = wire.captured(min(unit.start + HEADER.size, unit.end), unit.end)
    opcode, body, error = _unwrapped(unit.opcode, raw, MAX_MESSAGE)
    flags = int.from_bytes(body[:4], "little")
    content: dict[str, Any] = {"flags": flags, "document": {}}
    if unit.opcode == COMPRESSED and len(raw) > 8:
        content["compressor"] = COMPRESSORS.get(raw[8], str(raw[8]))
    damages = [error] if error else []
    if opcode == MSG:
        content["document"] = _msg_document(body, flags, damages)
    elif opcode == REPLY and len(body) >= 20:
        cursor, start, count = struct.unpack_from("<qii", body, 4)
        found = _documents(body, 20, damages)
        if len(found) == 1 and not cursor:
            content["document"] = found[0]
        else:
            content["document"] = {
                "cursorId": cursor,
                "startingFrom": start,
                "numberReturned": count,
                "documents": found,
            }
    elif opcode in (COMMAND, COMMAND_REPLY):
        at = _legacy_command(_Summary(opcode), body)
        content |= {"flags": 0, "document": next(iter(_documents(body, at, damages)), {})}
    elif opcode == KILL_CURSORS:
        count = min(int.from_bytes(body[4:8], "little"), (len(body) - 8) // 8, SHOWN_ITEMS)
        content["document"] = {"cursors": [struct.unpack_from("<q", body, 8 + 8 * at)[0] for at in range(count)]}
    elif opcode in OPCODES:
        content |= _legacy_document(opcode, body, damages)
    if damages:
        content["comment"] = "; ".join(damages)
    return content


def _msg_document(body: bytes, flags: int, damages: list[str]) -> dict[str, Any]:
    """Return the body of an OP_MSG with its document sequences as arrays, which is what they stand for."""
    document: dict[str, Any] = {}
    sequences: dict[str, Any] = {}
    for kind, start, end in _sections(body, flags):
        if kind == 0:
            document |= next(iter(_documents(body[:end], start, damages)), {})
        else:
            name, _, _ = body[start + 4 : end].partition(b"\0")
            sequences[text(name)] = _documents(body[:end], start + 4 + len(name) + 1, damages)
    return document | sequences


def _legacy_document(opcode: int, body: bytes, damages: list[str]) -> dict[str, Any]:
    namespace, _, _ = body[4:].partition(b"\0")
    at = 4 + len(namespace) + 1
    if opcode == GET_MORE:
        if len(body) < at + 12:
            return {}
        count, cursor = struct.unpack_from("<iq", body, at)
        return {"flags": 0, "document": {"numberToReturn": count, "cursorId": cursor}}
    if opcode == QUERY:
        found = _documents(body, at + 8, damages)
        extra = {"projection": found[1]} if len(found) > 1 else {}
        return {"document": found[0] if found else {}, **extra}
    if opcode == INSERT:
        return {"document": {"documents": _documents(body, at, damages)}}
    found = _documents(body, at + 4, damages)  # flags lie between the namespace and the selector
    content = dict(zip(("q", "u"), found, strict=False))
    return {"flags": int.from_bytes(body[at : at + 4], "little"), "document": content}


def _documents(body: bytes, at: int, damages: list[str]) -> list[dict[str, Any]]:
    """Read documents up to the end, at most SHOWN_ITEMS; damage ends them and is noted."""
    found: list[dict[str, Any]] = []
    while at < len(body) and len(found) < SHOWN_ITEMS:
        try:
            document, at = document_at(body, at, len(body))
        except Damaged as damage:
            damages.append(str(damage))
            if damage.so_far:
                found.append(damage.so_far)
            break
        found.append(document)
    return found
