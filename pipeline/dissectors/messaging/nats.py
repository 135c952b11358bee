"""NATS: clients, and the lines that routes and leaf nodes add (https://docs.nats.io/reference/reference-protocols).

Messages need no answer. In verbose mode the server answers each line of the client with +OK or -ERR; PING has PONG on
both sides; what the server tells unasked (INFO, MSG, -ERR) are events. A connection that turns to TLS behind INFO is
handed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from kubeshark.extension_api import (
    Classifier,
    Handover,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    rest_of,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, sizes, texts
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._lines import next_line
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.messaging._payload import payload_of

__all__ = ["COLUMNS", "NATS", "dissect", "probe", "protocols"]

PORT = 4222

NATS = ProtocolSpec(
    name="nats",
    abbr="NATS",
    long_name="NATS",
    ports=(PORT,),
    priority=4,  # before TLS: behind the server's INFO a client may begin with it
    hands_over=("tlsx",),
    background="#0369a1",
    foreground="#ffffff",
    reference="https://docs.nats.io/reference/reference-protocols/nats-protocol",
    matcher="key",
    classifiers=(Classifier("tcp", (PORT,)), Classifier("tcp", prefix=b"INFO {", side="server")),
    variables={
        "nats_type": "string",
        "nats_subject": "string",
        "nats_reply_to": "string",
        "nats_queue_group": "string",
        "nats_error_message": "string",
        "nats_request_size": "int",
        "nats_response_size": "int",
        "nats_total_size": "int",
        "request.headers": "map",
        "response.headers": "map",
        "request_body": "string",
        "request_body_truncated": "bool",
        "response_body": "string",
        "response_body_truncated": "bool",
    },
)

COLUMNS: Columns = {
    "nats_type": Column(texts(0), ("request", "response", "event")),
    "nats_subject": Column(texts(1), ("request", "event")),
    "nats_reply_to": Column(texts(2), ("request", "event")),
    "nats_queue_group": Column(texts(3)),
    "nats_error_message": Column(texts(3), ("event",)),
    "nats_request_size": Column(sizes()),
    "nats_response_size": Column(sizes(), ("response", "event")),
}
"""What the scanner (scan_nats.c) knows."""

MAX_LINE = 64 << 10
"""A control line: 4 KiB by default, INFO and CONNECT with tokens are longer."""
MAX_PAYLOAD = 64 << 20
"""The largest that a server can be told to take."""
MAX_HEADERS = 1_000
PROBED = 512
REDACTED = "[redacted]"
SECRETS = frozenset(("pass", "auth_token", "jwt", "sig", "password", "token"))
_USERINFO = re.compile(r"(?<=//)[^/?#]*(?=@)")
"""User and password of an address (RFC 3986 §3.2.1), or a token: servers hand each other's addresses out."""

_OPERATIONS = rb"INFO|CONNECT|H?PUB|SUB|UNSUB|H?MSG|PING|PONG|\+OK|-ERR|RMSG|LMSG|RS[+-]|LS[+-]|A[+-]"
_OPERATION = re.compile(rb"(" + _OPERATIONS + rb")(?=[ \t\r\n])", re.IGNORECASE)
_LINE = re.compile(
    rb"(?:INFO|CONNECT)[ \t]+\{|(?:PING|PONG|\+OK)[ \t]*\r\n|-ERR '"
    rb"|(?:PUB|MSG|HPUB|HMSG|RMSG|LMSG)[ \t]+[!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+){0,4}[ \t]+[0-9]{1,9}[ \t]*\r\n"
    rb"|(?:SUB|RS\+|LS\+)[ \t]+[!-~]+(?:[ \t]+[!-~]+){1,3}\r\n"
    rb"|UNSUB[ \t]+[!-~]+(?:[ \t]+[0-9]+)?\r\n",
    re.IGNORECASE,
)
_GREETING = re.compile(rb"INFO[ \t]+\{", re.IGNORECASE)
_LOGIN = re.compile(rb"CONNECT[ \t]+\{", re.IGNORECASE)
_OF_A_SERVER = (b'"server_id"', b'"server_name"', b'"max_payload"')
_OF_A_CLIENT = (b'"verbose"', b'"pedantic"', b'"lang"', b'"protocol"')
_TLS = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
_WITH_PAYLOAD = frozenset(("PUB", "HPUB", "MSG", "HMSG", "RMSG", "LMSG"))
_STATUS = re.compile(r"NATS/1\.0(?:[ \t]+([0-9]{3}))?[ \t]*(.*)")
_LIMIT, _SIZE = re.compile("[0-9]{1,18}"), re.compile("[0-9]{1,9}")


class Line(Struct):
    """One operation on the wire; `head` and `body` are where its headers and its payload begin."""

    start: int
    end: int
    type: str = ""
    subject: str = ""
    reply_to: str = ""
    queue_group: str = ""
    sid: str = ""
    text_start: int = 0
    text_end: int = 0  # of what follows the operation on its line
    head: int = 0
    body: int = 0
    payload_end: int = 0
    limit: int = 0  # UNSUB: messages still to come
    message: str = ""
    error: str = ""


def _is_mine(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    for side in stream.sides:
        head = bytes(side.data[:PROBED])
        if _GREETING.match(head) and any(name in head for name in _OF_A_SERVER):
            return True
        if _LOGIN.match(head) and (head.startswith(b"CONNECT {}") or any(name in head for name in _OF_A_CLIENT)):
            return True
    return PORT in (stream.server.port, stream.client.port) and any(map(_begins_with_a_line, stream.sides))


def _begins_with_a_line(side: StreamSide) -> bool:
    head = bytes(side.data[:PROBED])
    at = next_line(head, 0, _LINE, PROBED)
    return at == 0 < len(head) or (at < len(head) and bool(side.starts_midway or side.gaps))


def _messages(stream: Stream) -> Iterator[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    lines: list[list[Line]] = []
    ends: list[int] = []
    for wire in wires:
        found, end = _lines(wire)
        lines.append(found)
        ends.append(end)
    is_verbose = _is_verbose(lines, wires)
    pending = iter([line.start for line in lines[0] if is_verbose and _is_acknowledged(line)])
    for direction, wire in enumerate(wires):
        for line in lines[direction]:
            is_due = line.type in ("+OK", "-ERR") and direction == 1 and _is_due(line, pending, stream.sides)
            yield _message(line, wire, direction, is_verbose=is_verbose, is_answer=is_due)
    if any(end < len(wire.data) for end, wire in zip(ends, wires, strict=True)):
        yield Handover((rest_of(stream.sides[0], ends[0]), rest_of(stream.sides[1], ends[1])), protocol="tlsx")


def _is_verbose(lines: Sequence[Sequence[Line]], wires: Sequence[Wire]) -> bool:
    """Say whether the server acknowledges: the client asks for it, also by saying nothing about it."""
    for line in lines[0]:
        if line.type == "CONNECT" and not line.error:
            options = _json(wires[0].data[line.text_start : line.text_end])
            return options.get("verbose", True) is True
    return any(line.type == "+OK" for line in lines[1])


def _is_acknowledged(line: Line) -> bool:
    return line.type in ("CONNECT", "PUB", "HPUB", "SUB", "UNSUB") and not line.error


def _is_due(line: Line, pending: Iterator[int], sides: Sequence[StreamSide]) -> bool:
    """Say whether a line of the client waits for this answer: it was sent before."""
    if line.type == "+OK":
        next(pending, None)
        return True
    start = next(pending, None)
    return start is not None and sides[0].time_at(start) <= sides[1].time_at(line.start)


def _lines(wire: Wire) -> tuple[list[Line], int]:
    """Read one side up to its end, or to where it turns to TLS."""
    data, at, size = wire.data, 0, len(wire.data)
    found: list[Line] = []
    if wire.starts_midway:
        at = next_line(data, 0, _LINE, MAX_LINE)
    while at < size:
        if data[at] in b"\r\n":
            at += 1
            continue
        if data[at] in b"\x14\x15\x16\x17" and _TLS.match(data, at) and all(line.type == "INFO" for line in found):
            return found, at
        line = _read(wire, at)
        if line.error and line.end < size:
            line.end = next_line(data, max(line.end, at + 1), _LINE, MAX_LINE)
        found.append(line)
        at = line.end
    return found, size


def _read(wire: Wire, at: int) -> Line:
    data, size = wire.data, len(wire.data)
    line = Line(at, min(size, at + MAX_LINE))
    operation = _OPERATION.match(data, at)
    if operation:
        line.type = operation[1].decode("ascii").upper()
    end = data.find(b"\n", at, at + MAX_LINE)
    gap = wire.gap_in(at, end + 1 or line.end) if wire.gaps else None
    if gap:
        line.end, line.error = max(gap[1], at + 1), f"gap: {gap[2]} bytes missing at {gap[0]}"
        return line
    if end < 0:
        is_last = line.end == size
        line.error = f"truncated: only {size - at} bytes were captured" if is_last else f"malformed: a line at {at}"
        return line
    line.end = end + 1
    if operation is None:
        line.error = f"malformed: no operation at {at}"
        return line
    line.text_start, line.text_end = operation.end(), end
    words = [text(word) for word in data[operation.end() : end].split()] if line.type not in ("INFO", "CONNECT") else []
    if line.type in _WITH_PAYLOAD:
        _read_message(line, words, wire)
    elif line.type in ("SUB", "RS+", "LS+"):
        _read_subscription(line, words)
    elif line.type == "UNSUB":
        line.sid = words[0] if words else ""
        line.limit = int(words[1]) if len(words) > 1 and _LIMIT.fullmatch(words[1]) else 0
    elif line.type == "-ERR":
        line.message = text(data[operation.end() : end].strip().strip(b"'"))
    return line


def _read_subscription(line: Line, words: Sequence[str]) -> None:
    if not words or (line.type == "SUB" and len(words) < 2):
        line.error = f"malformed: a subscription at {line.start}"
        return
    if line.type == "SUB":  # SUB <subject> [queue group] <sid>
        line.subject, line.sid = words[0], words[-1]
        line.queue_group = words[1] if len(words) > 2 else ""
    elif line.type == "RS+":  # RS+ <account> <subject> [queue group] [weight]
        line.subject = words[1] if len(words) > 1 else ""
        line.queue_group = words[2] if len(words) > 2 else ""
    else:  # LS+ <subject> [queue group] [weight]
        line.subject, line.queue_group = words[0], words[1] if len(words) > 1 else ""


def _read_message(line: Line, words: list[str], wire: Wire) -> None:
    """Read what is behind a subject: reply subject and sizes, the last of them of headers and payload together."""
    data = wire.data
    has_headers = line.type in ("HPUB", "HMSG")
    sizes = words[-2:] if has_headers else words[-1:]
    least = 1 + len(sizes) + (line.type in ("MSG", "HMSG"))
    if len(words) < least or not all(_SIZE.fullmatch(word) for word in sizes):
        line.error = f"malformed: a message at {line.start}"
        return
    head_size, total = (int(sizes[0]) if has_headers else 0), int(sizes[-1])
    if head_size > total or total > MAX_PAYLOAD:
        line.error = f"malformed: sizes at {line.start}"
        return
    names = words[: -len(sizes)]
    if line.type == "RMSG":  # RMSG <account> <subject> ...
        names = names[1:] or [""]
    elif line.type in ("MSG", "HMSG") and len(names) > 1:
        line.sid = names.pop(1)
    line.subject, line.reply_to = names[0], names[1] if len(names) > 1 else ""
    line.head = line.end
    line.body = min(wire.after(line.head, head_size), len(data))
    end = wire.after(line.head, total)
    line.payload_end = min(end, len(data))
    gap = wire.gap_in(line.start, end + 2) if wire.gaps else None
    if gap:
        line.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    if end + 2 > len(data):
        line.end = len(data)
        line.error = line.error or f"truncated: only {line.end - line.start} bytes were captured"
    elif data[end : end + 2] != b"\r\n" and not gap:
        line.end, line.error = end, f"malformed: no end of a payload at {end}"
    else:
        line.end = end + 2


def _message(line: Line, wire: Wire, direction: int, *, is_verbose: bool, is_answer: bool) -> Message:
    size = line.end - line.start
    named = {
        "nats_subject": line.subject,
        "nats_reply_to": line.reply_to,
        "nats_queue_group": line.queue_group,
        "nats_error_message": line.message,
    }
    fields: dict[str, Value] = {"nats_type": line.type, **{name: value for name, value in named.items() if value}}
    kind, key, one_way = MessageKind.REQUEST, "", True
    if line.type == "PING":
        key, one_way = ("PING of the client", "PING of the server")[direction], False
    elif line.type == "PONG":
        kind, key = MessageKind.RESPONSE, ("PING of the server", "PING of the client")[direction]
    elif is_answer:
        kind = MessageKind.RESPONSE
    elif direction == 1:
        kind = MessageKind.EVENT
    else:
        one_way = not (is_verbose and _is_acknowledged(line))
    fields["nats_request_size" if kind == MessageKind.REQUEST else "nats_response_size"] = size
    return Message(
        kind,
        direction,
        line.start,
        line.end,
        fields=fields,
        key=key,
        one_way=one_way and kind == MessageKind.REQUEST,
        error=line.error,
        detail=partial(_answer if kind == MessageKind.RESPONSE else _detail, line, wire, direction),
    )


def _answer(line: Line, wire: Wire, direction: int) -> tuple[Mapping[str, Value], Mapping[str, Any]]:  # noqa: ARG001
    return {}, {"type": line.type, "payload": "", "error": line.message}


def _detail(line: Line, wire: Wire, direction: int) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    options: dict[str, Any] = {}
    if line.type in ("INFO", "CONNECT"):
        options = _without_secrets(_json(wire.data[line.text_start : line.text_end]))
    elif line.limit:
        options = {"maxMessages": line.limit}
    half: Literal["request", "response"] = "request" if direction == 0 else "response"
    headers: dict[str, list[str]] = {}
    if line.body > line.head:
        headers, status = _headers(wire.captured(line.head, line.body))
        options |= status
    variables, payload = payload_of(wire, line.body, line.payload_end, half) if line.body else ({}, {"payload": ""})
    if headers:
        variables[f"{half}.headers"] = {name.lower(): ",".join(values) for name, values in headers.items()}
    document = {
        "type": line.type,
        "subject": line.subject,
        "replyTo": line.reply_to,
        "queueGroup": line.queue_group,
        "sid": line.sid,
        "size": max(0, line.payload_end - line.body),
        "headers": {name: values[0] if len(values) == 1 else values for name, values in headers.items()},
        **payload,
        "options": options,
    }
    if line.message:
        document["error"] = line.message
    return variables, document


def _headers(block: bytes) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Read `NATS/1.0 [status [description]]` and the header lines below (ADR-4 of NATS)."""
    first, *lines = text(block).split("\r\n")[:MAX_HEADERS]
    headers: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}  # KFL folds names: those that differ in case alone are one, as first spelled
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(spelled.setdefault(name.lower(), name), []).append(value.strip())
    found = _STATUS.fullmatch(first)
    return headers, {"status": found[1], "description": found[2]} if found and found[1] else {}


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)  # strict: neither NaN nor half a surrogate pair gets through
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _without_secrets(options: dict[str, Any]) -> dict[str, Any]:
    return {name: REDACTED if name.lower() in SECRETS and value else _shown(value) for name, value in options.items()}


def _shown(value: object) -> object:
    """Return an option, or a list of addresses, without logins."""
    if isinstance(value, list):
        return [_USERINFO.sub(REDACTED, item) if isinstance(item, str) else item for item in value]
    return _USERINFO.sub(REDACTED, value) if isinstance(value, str) else value


protocols, probe, dissect = one_protocol(NATS, _is_mine, _messages)
