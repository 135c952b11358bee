"""MongoDB messages as JSON documents: built on demand, whatever the opcode."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from kubeshark.extension_api import Value
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._database_stream import SHOWN_ITEMS
from kubeshark.pipeline.dissectors.databases._mongodb_bson import Damaged, document_at
from kubeshark.pipeline.dissectors.databases._mongodb_message import (
    COMMAND,
    COMMAND_REPLY,
    COMPRESSED,
    COMPRESSORS,
    GET_MORE,
    INSERT,
    KILL_CURSORS,
    MAX_MESSAGE,
    MSG,
    OPCODES,
    QUERY,
    REPLY,
    Unit,
    body_of,
    sections,
    unwrapped,
)

__all__ = ["answer_detail", "command_document", "request_detail"]


def command_document(opcode: int, body: bytes) -> tuple[bytes, bytes, int]:
    """Read OP_COMMAND or its reply: (database, command, where the document of its arguments begins)."""
    if opcode == COMMAND_REPLY:
        return b"", b"", 0
    database, _, rest = body.partition(b"\0")
    name, _, _ = rest.partition(b"\0")
    return database, name, len(database) + len(name) + 2


def request_detail(
    unit: Unit, wire: Wire, fields: Mapping[str, Value]
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


def answer_detail(unit: Unit, wire: Wire, fields: Mapping[str, Value]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
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


def _content(unit: Unit, wire: Wire) -> dict[str, Any]:
    """Return flags and documents of any opcode."""
    raw = body_of(wire, unit)
    opcode, body, error = unwrapped(unit.opcode, raw, MAX_MESSAGE)
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
        _, _, at = command_document(opcode, body)
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
    for kind, start, end in sections(body, flags):
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
