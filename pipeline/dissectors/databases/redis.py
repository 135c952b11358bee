"""Redis and what speaks like it (Valkey, KeyDB, Sentinel): RESP2, RESP3 and inline commands, on any port by content.

Specification: https://redis.io/docs/latest/develop/reference/protocol-spec/. Answers come in the order of the commands,
except where a command changes the conversation: SUBSCRIBE, MONITOR, PSYNC and CLIENT REPLY. `_Answers` follows those;
what the server sends unasked are events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from kubeshark.extension_api import (
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    StreamSide,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors._columns import Column, Columns, always, sizes, texts
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases._redis_commands import (
    CONFIRMATIONS,
    PUSHES,
    REDACTED,
    SECRET_OPTIONS,
    inline_arguments,
    is_verb,
    key_of,
    monitored,
    redacted,
)
from kubeshark.pipeline.dissectors.databases._redis_resp import KINDS, Frame, decoded, next_value, read_value, shown

__all__ = ["COLUMNS", "REDIS", "dissect", "probe", "protocols"]

PORT = 6379

REDIS = ProtocolSpec(
    name="redis",
    abbr="REDIS",
    long_name="Redis Serialization Protocol",
    version="2",
    ports=(PORT,),
    priority=3,
    background="#b91c1c",
    foreground="#ffffff",
    reference="https://redis.io/docs/latest/develop/reference/protocol-spec/",
    classifiers=(Classifier("tcp", (PORT,)),),
    variables={
        "redis_type": "string",
        "redis_key": "string",
        "redis_command": "string",
        "redis_error": "string",  # an error's text
        "redis_push": "string",  # what the server sent unasked: message, invalidate, monitor, replication ...
        "redis_request_size": "int",
        "redis_response_size": "int",
        "redis_total_size": "int",
    },
)

COLUMNS: Columns = {
    "redis_type": Column(texts(0)),
    "redis_key": Column(texts(1)),
    "redis_command": Column(texts(2)),
    "redis_error": Column(texts(3), ("response",)),
    "redis_push": Column(always("")),  # pushes are left to the dissector
    "redis_request_size": Column(sizes()),
    "redis_response_size": Column(sizes(), ("response",)),
}
"""What the scanner (scan_redis.c) knows."""

MAX_COMMAND = 4096
"""Characters of `redis_command`; the whole of a command is in its document."""
MAX_KEY = 64
"""Bytes of `redis_key`."""
MAX_INLINE = 64 << 10
"""Longest inline command a server takes."""
DOCUMENT_ARGUMENTS = 1_000
DETAIL_BYTES = 1 << 20
"""Bytes of one value that are decoded for its document."""
PROBED = 512

_COMMAND = re.compile(rb"\*[1-9][0-9]{0,6}\r\n\$[1-9][0-9]{0,2}\r\n[A-Za-z]")
_COMMAND_BEGUN = re.compile(rb"\*(?:[1-9][0-9]{0,6}(?:\r(?:\n(?:\$(?:[1-9][0-9]{0,2}(?:\r\n?)?)?)?)?)?)?\Z")
_ANSWER = re.compile(
    rb"\$(?:-1|[0-9]+)\r\n|[*>%~](?:-1|[0-9]+)\r\n(?:[$+:*_,#%-]|\Z)|\+(?:OK|PONG|QUEUED|FULLRESYNC|CONTINUE)\b"
    rb"|:-?[0-9]+\r\n|-[A-Z]{2,}[ \r]|_\r\n|#[tf]\r\n|\*-?[01]\r\n"
)
_SURE_ANSWER = re.compile(rb"\$-1\r\n|[*>%~][1-9][0-9]*\r\n[$+:*%-](?:-1|[0-9]+|[A-Z]+)\r\n|\$[0-9]+\r\n[^\r\n]*\r\n")
_INLINE = re.compile(rb"[ \t]*[A-Za-z][A-Za-z0-9._-]{1,62}(?:[ \t][^\x00-\x08\x0e-\x1f]*)?\r?\n")
_MONITORED = re.compile(rb"\+[0-9]{6,}\.[0-9]+ \[")
_TRANSFER = re.compile(rb"\$(?:EOF:([!-~]{40})|([0-9]{1,18}))\r\n")
_UNANSWERED_MODES = {"OFF", "SKIP"}


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (REDIS,)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:  # noqa: ARG001 - there is only one
    return [_probe(stream) for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:  # noqa: ARG001
    return [list(_messages(stream)) for stream in streams]


def _probe(stream: Stream) -> Verdict:
    if stream.transport != "tcp":
        return Verdict.NOT_MINE
    known_port = PORT in (stream.server.port, stream.client.port)
    heads = [_head(side) for side in stream.sides]
    if any(_COMMAND.match(head) for head in heads):
        return Verdict.MINE
    if known_port and any(_ANSWER.match(head) for head in heads):
        return Verdict.MINE
    if known_port and any(_INLINE.match(head) and is_verb(_word(head)) for head in heads):
        return Verdict.MINE if not any(head.startswith((b"HTTP/", b"SSH-")) for head in heads) else Verdict.NOT_MINE
    if not all(heads) and any(_SURE_ANSWER.match(head) for head in heads):
        return Verdict.MINE  # only the answers were captured
    return Verdict.NEED_MORE if any(_COMMAND_BEGUN.match(head) for head in heads if head) else Verdict.NOT_MINE


def _head(side: StreamSide) -> bytes:
    head = bytes(side.data[:PROBED])
    if (side.starts_midway or side.gaps) and head and not _COMMAND.match(head) and not _ANSWER.match(head):
        found = _COMMAND.search(head)
        return head[found.start() :] if found else head
    return head


def _word(line: bytes) -> str:
    return re.split(rb"[ \t\r\n]", line, maxsplit=1)[0].decode("latin-1").upper()


class _Command(Struct):
    """A command on the wire: the places of its arguments, as far as they were captured."""

    frame: Frame
    arguments: list[str]  # redacted; the first is the verb as sent
    verb: str
    is_inline: bool = False
    channels: int = 0  # answers of a SUBSCRIBE
    is_unanswered: bool = False


def _messages(stream: Stream) -> Iterator[Message]:
    wires = [Wire(side) for side in stream.sides]
    asking = _asking(stream, wires)
    answering = 1 - asking
    commands = list(_commands(wires[asking]))
    mode = _ReplyMode()
    for command in commands:
        command.is_unanswered = mode.is_unanswered(command)
        yield _request(command, wires[asking], asking)
    asked = [command for command in commands if not command.is_unanswered]
    answers = _Answers(asked, stream.sides[asking], stream.sides[answering])
    yield from answers.messages(wires[answering], answering)


def _asking(stream: Stream, wires: Sequence[Wire]) -> int:
    """Return the side that sends commands: the client, unless the port or both sides' bytes say otherwise."""
    if stream.client.port == PORT != stream.server.port:
        return 1
    is_command = [_COMMAND.match(wire.data) is not None for wire in wires]
    client_answers = _ANSWER.match(wires[0].data) is not None
    return 1 if is_command == [False, True] and client_answers and stream.server.port != PORT else 0


class _ReplyMode:
    """Follows CLIENT REPLY and replication: commands to which the server is silent."""

    def __init__(self) -> None:
        self._is_off = False
        self._skips = False
        self._replicates = False

    def is_unanswered(self, command: _Command) -> bool:
        verb, words = command.verb, [word.upper() for word in command.arguments[1:3]]
        if not command.arguments:
            return True
        if verb == "REPLCONF" and (self._replicates or words[:1] == ["ACK"]):
            return True
        if verb == "PSYNC" or verb == "SYNC":
            self._replicates = True
        was_skipped, self._skips = self._skips, False
        if verb == "CLIENT" and words[:1] == ["REPLY"] and len(words) == 2:
            self._is_off = words[1] == "OFF" or (self._is_off and words[1] == "SKIP")
            self._skips = words[1] == "SKIP" and not self._is_off
            return words[1] in _UNANSWERED_MODES
        return self._is_off or was_skipped


def _commands(wire: Wire) -> Iterator[_Command]:
    data, at, size = wire.data, 0, len(wire.data)
    if wire.starts_midway:
        at = _next_command(data, 0)
        if at == size and _INLINE.match(data, 0, MAX_INLINE):
            at = 0
    while at < size:
        if data[at] in b"\r\n":  # servers skip empty lines
            at += 1
            continue
        command = _array_command(wire, at) if data[at] == 0x2A else _inline_command(wire, at)
        if command.frame.error and command.frame.end < size:
            command.frame.end = _next_command(data, max(command.frame.end, at + 1))
        if command.frame.count != 0:  # `*0` is nothing
            yield command
        at = command.frame.end


def _next_command(data: bytes, at: int) -> int:
    found = _COMMAND.search(data, at)
    return found.start() if found else len(data)


def _array_command(wire: Wire, at: int) -> _Command:
    frame = read_value(wire, at)
    raw = [_argument(wire, start, end) for start, end in frame.parts]
    verb = raw[0].upper() if raw else ""
    if not frame.error and frame.count and (not is_verb(verb) or frame.kind != "*"):
        frame.error = f"malformed: no command at {at}"
    return _Command(frame, redacted(verb, raw), verb if is_verb(verb) else "", channels=frame.count - 1)


def _argument(wire: Wire, start: int, end: int) -> str:
    end = min(end, start + MAX_COMMAND)
    return text(wire.captured(start, end) if wire.gaps else wire.data[start:end])


def _inline_command(wire: Wire, at: int) -> _Command:
    data = wire.data
    end = data.find(b"\n", at, at + MAX_INLINE) + 1
    error = ""
    if not end:
        end = min(len(data), at + MAX_INLINE)
        error = f"truncated: only {end - at} bytes were captured" if end == len(data) else f"malformed: a line at {at}"
    if gap := wire.gap_in(at, end):
        error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    words = [text(word) for word in inline_arguments(wire.captured(at, end).rstrip(b"\r\n"))]
    verb = words[0].upper() if words else ""
    if not error and not (is_verb(verb) and _INLINE.match(data, at, end)):
        error = f"malformed: no command at {at}"
    if error and not is_verb(verb):
        verb, words = "", []
    frame = Frame(at, end, "", count=len(words) or -1, error=error)
    return _Command(frame, redacted(verb, words), verb, is_inline=True, channels=len(words) - 1)


def _request(command: _Command, wire: Wire, direction: int) -> Message:
    frame = command.frame
    line = " ".join(command.arguments)
    if command.verb:
        line = command.verb + line[len(command.verb) :]
    fields: dict[str, Value] = {
        "redis_type": command.verb,
        "redis_command": line[:MAX_COMMAND],
        "redis_key": _short(key_of(command.verb, command.arguments)),
        "redis_request_size": frame.end - frame.start,
    }
    return Message(
        MessageKind.REQUEST,
        direction,
        frame.start,
        frame.end,
        fields=fields,
        one_way=command.is_unanswered,
        error=frame.error,
        detail=partial(_request_detail, command, wire),
    )


def _short(key: str) -> str:
    return key[:MAX_KEY] if key.isascii() else key.encode()[:MAX_KEY].decode("utf-8", "ignore")


def _request_detail(command: _Command, wire: Wire) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    frame, arguments = command.frame, command.arguments
    if not command.is_inline and frame.count > len(arguments) and not frame.error:
        value = decoded(wire.data[frame.start : min(frame.end, frame.start + DETAIL_BYTES)])
        if isinstance(value, list):
            arguments = redacted(command.verb, list(map(shown, value[:DOCUMENT_ARGUMENTS])))
    key = key_of(command.verb, arguments)
    rest = arguments[1:]
    if key and arguments[1] == key:
        rest = arguments[2:]
    return {}, {
        "type": "Inline" if command.is_inline else "Array",
        "command": command.verb,
        "key": key,
        "value": rest[0] if len(rest) == 1 else shown(list(rest)) if rest else "",
        "keyword": "",
    }


class _Answers:
    """Reads what the server sends, and says of each value whether it answers a command or comes unasked."""

    def __init__(self, asked: Sequence[_Command], asking: StreamSide, answering: StreamSide) -> None:
        self._asked = asked
        self._asking = asking
        self._answering = answering
        self._next = 0
        self._confirmations = 0  # of a SUBSCRIBE, still to come
        self._follows = answering.starts_midway or any(
            command.verb in ("MONITOR", "PSYNC", "SYNC") or command.verb.endswith("SUBSCRIBE") for command in asked
        )
        self._replicates = False
        self._was_asked = bool(asked)

    def messages(self, wire: Wire, direction: int) -> Iterator[Message]:
        data, at, size = wire.data, 0, len(wire.data)
        if wire.starts_midway:
            at = next_value(data, 0)
            self._replicates = not self._was_asked and _is_replication(wire, at)
        while at < size:
            if data[at] in b"\r\n":  # a master that is busy says so
                at += 1
                continue
            if self._replicates and (transfer := _transfer(wire, at)):
                yield _event(transfer, wire, direction, "replication")
                at = transfer.end
                continue
            frame = read_value(wire, at)
            if frame.error and frame.end < size:
                frame.end = next_value(data, max(frame.end, at + 1))
            yield self._message(frame, wire, direction)
            at = frame.end

    def _message(self, frame: Frame, wire: Wire, direction: int) -> Message:
        push = self._push(frame, wire)
        if push:
            return _event(frame, wire, direction, push)
        command = self._take(frame)
        if command and command.verb in ("PSYNC", "SYNC") and frame.kind in ("+", "$"):
            self._replicates = True
            if frame.kind == "$" and (transfer := _transfer(wire, frame.start)):
                frame.end, frame.error = transfer.end, transfer.error
        return _response(frame, wire, direction)

    def _push(self, frame: Frame, wire: Wire) -> str:
        """Name what a value is that answers nothing, "" for an answer."""
        if self._replicates and frame.kind == "*":
            return "replication"
        if frame.kind == "+":
            is_monitored = (self._follows or not self._was_asked) and _MONITORED.match(wire.data, frame.start)
            return "monitor" if is_monitored else ""
        if frame.kind != ">" and not (frame.kind == "*" and (self._follows or not self._was_asked)):
            return ""
        first = wire.captured(*frame.parts[0]) if frame.parts else b""
        if first in CONFIRMATIONS and frame.count == 3:
            if self._confirmations:
                self._confirmations -= 1
                return text(first)
            waiting = self._peek(frame)
            if waiting and waiting.verb.encode().lower() == first:
                self._confirmations = max(0, waiting.channels - 1)
                return ""
            return text(first)
        if PUSHES.get(first) == frame.count or frame.kind == ">":
            return text(first[:MAX_KEY]) or "push"
        return ""

    def _peek(self, frame: Frame) -> _Command | None:
        """Return the command an answer here would be for: none if that was sent before the capture."""
        if self._next == len(self._asked):
            return None
        command = self._asked[self._next]
        if self._follows and self._answering.time_at(frame.start) < self._asking.time_at(command.frame.start):
            return None
        return command

    def _take(self, frame: Frame) -> _Command | None:
        command = self._peek(frame)
        self._next += command is not None
        return command


def _is_replication(wire: Wire, at: int) -> bool:
    """Say whether a server's array in the middle of a stream is a master's command rather than an answer."""
    if not _COMMAND.match(wire.data, at):
        return False
    frame = read_value(wire, at)
    verb = wire.captured(*frame.parts[0]) if frame.parts else b""
    return verb in (b"PING", b"SELECT", b"SET", b"DEL", b"MULTI", b"REPLCONF", b"PUBLISH")


def _transfer(wire: Wire, at: int) -> Frame | None:
    """Return the place of a database file, sent like a bulk string without the line end behind it (PSYNC)."""
    data = wire.data
    header = _TRANSFER.match(data, at)
    if header is None:
        return None
    if header[1]:
        end = data.find(header[1], header.end())
        end = end + 40 if end >= 0 else len(data) + 1
    else:
        end = wire.after(header.end(), int(header[2]))
    frame = Frame(at, min(end, len(data)), "$", parts=[])
    if gap := wire.gap_in(at, frame.end):
        frame.error = f"gap: {gap[2]} bytes missing at {gap[0]}"
    elif end > len(data):
        frame.error = f"truncated: only {frame.end - at} bytes were captured"
    return frame


def _response(frame: Frame, wire: Wire, direction: int) -> Message:
    fields: dict[str, Value] = {"redis_response_size": frame.end - frame.start}
    if frame.kind in ("-", "!") and frame.parts:
        start, end = frame.parts[0]
        fields["redis_error"] = text(wire.captured(start, min(end, start + MAX_COMMAND)))
    return Message(
        MessageKind.RESPONSE,
        direction,
        frame.start,
        frame.end,
        fields=fields,
        error=frame.error,
        detail=partial(_response_detail, frame, wire),
    )


def _event(frame: Frame, wire: Wire, direction: int, push: str) -> Message:
    arguments = [_argument(wire, start, end) for start, end in frame.parts]
    if push == "monitor":
        arguments = list(map(monitored, arguments))
    verb = arguments[0].upper() if arguments else ""
    fields: dict[str, Value] = {
        "redis_push": push,
        "redis_command": " ".join(arguments)[:MAX_COMMAND],
        "redis_response_size": frame.end - frame.start,
    }
    if push == "replication":
        if is_verb(verb):
            fields["redis_type"] = verb
        fields["redis_key"] = _short(key_of(verb, arguments))
    elif push != "monitor" and len(arguments) > 1:
        fields["redis_key"] = _short(arguments[1])
    return Message(
        MessageKind.EVENT,
        direction,
        frame.start,
        frame.end,
        fields=fields,
        error=frame.error,
        detail=partial(_event_detail, frame, wire, push),
    )


def _response_detail(frame: Frame, wire: Wire) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    value = _without_secrets(decoded(_captured(frame, wire)))
    told = shown(value)
    keyword = told.partition(" ")[0] if frame.kind in ("+", "-", "!") else ""
    return {}, {"type": _kind(frame, wire), "command": "", "key": "", "value": told, "keyword": keyword}


def _event_detail(frame: Frame, wire: Wire, push: str) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document = {"type": _kind(frame, wire), "command": push, "key": "", "value": "", "keyword": ""}
    value = decoded(_captured(frame, wire)) if frame.parts else ""
    if not isinstance(value, list):
        told = shown(value) if frame.parts else f"{frame.end - frame.start} bytes"
        document["value"] = monitored(told) if push == "monitor" else told
        return {}, document
    words = list(map(shown, value))
    if push == "replication" and words:
        document["command"] = words[0].upper()
        document["key"] = key_of(words[0].upper(), words)
    elif len(words) > 2:
        document["key"] = words[1]
    rest = words[2:] if document["key"] else words[1:]
    document["value"] = rest[0] if len(rest) == 1 else shown(list(rest)) if rest else ""
    return {}, document


def _captured(frame: Frame, wire: Wire) -> bytes:
    return wire.data[frame.start : min(frame.end, frame.start + DETAIL_BYTES)]


def _kind(frame: Frame, wire: Wire) -> str:
    head = wire.data[frame.start : frame.start + 4]
    return "Null" if head in (b"$-1\r", b"*-1\r") else KINDS.get(frame.kind, "")


def _without_secrets(value: object) -> object:
    """Hide the passwords in an answer to CONFIG GET, also inside of EXEC: names and values alternate, or are a map."""
    if isinstance(value, dict):
        return {
            key: REDACTED if key in SECRET_OPTIONS and item else _without_secrets(item) for key, item in value.items()
        }
    if isinstance(value, list):
        for at in range(0, len(value) - 1, 2):
            if isinstance(value[at], str) and value[at] in SECRET_OPTIONS and value[at + 1]:
                value[at + 1] = REDACTED
        return list(map(_without_secrets, value))
    return value
