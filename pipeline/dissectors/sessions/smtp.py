"""SMTP and LMTP (RFC 5321, 2033), with pipelining (2920), chunks (3030), AUTH (4954) and STARTTLS (3207).

A message is one request: its DATA command and the text behind it; 354 is an interim answer. AUTH takes its answers to
challenges along, and shows none of them. What follows STARTTLS is handed to TLS.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct, field

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
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.sessions._mail import MAX_BODY, read_mail, subject_of, unstuffed
from kubeshark.pipeline.dissectors.sessions._reply_lines import Line, Reply, is_tls, line_at, read_replies

__all__ = ["SMTP", "dissect", "probe", "protocols"]

PORTS = (25, 587, 2525, 24)
SERVER_PORTS = PORTS[:2]  # no client uses these: a capture from the middle took the wrong end for the client
REDACTED = "[redacted]"
MAX_ARGUMENT = 1_000  # characters
MAX_RECIPIENTS = 1_000
MAX_CHALLENGES = 16  # of one AUTH
PROBE_BYTES = 512

SMTP = ProtocolSpec(
    name="smtp",
    abbr="SMTP",
    long_name="Simple Mail Transfer Protocol",
    ports=(25, 587),
    priority=8,
    hands_over=("tlsx",),
    background="#b45309",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc5321",
    matcher="fifo",
    classifiers=(Classifier("tcp", PORTS),),
    variables={
        "smtp_command": "string",
        "smtp_argument": "string",
        "smtp_mail_from": "string",
        "smtp_rcpt_to": "list",
        "smtp_subject": "string",
        "smtp_status": "int",
        "smtp_reply": "string",
        "smtp_request": "bool",
        "smtp_response": "bool",
        "smtp_request_size": "int",
        "smtp_response_size": "int",
        "smtp_total_size": "int",
        "status_code": "int",
        "request_body": "string",
    },
)

_VERB = re.compile(
    rb"(?i)(?:(?:EHLO|HELO|LHLO|VRFY|EXPN|ETRN|BDAT|AUTH|BURL|XCLIENT|XFORWARD) [^\r\n]+|MAIL FROM:[^\r\n]*"
    rb"|RCPT TO:[^\r\n]*|(?:NOOP|HELP)(?: [^\r\n]*)?|(?:EHLO|HELO|LHLO|DATA|RSET|QUIT|STARTTLS|TURN|ATRN) *)\r?\n"
)
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9-]{2,19}(?=[ \t\r\n]|\Z)")
_PATH = re.compile(rb"(?i)(?:FROM|TO):\s*(?:<([^>]*)>?|(\S*))")
_TEXT_END = re.compile(rb"(?:\A|\r?\n)\.\r?\n")
_CHUNK = re.compile(rb"(?i)\s*(\d{1,12})(?:\s+(LAST))?\s*\Z")
_GREETING = re.compile(rb"(?:220|554|421)[ -]")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?= |\Z)")
_INTERIM = (334, 354)
_FIRST = (b"220", b"554", b"421", b"EHLO ", b"HELO ", b"LHLO ")


def _is_smtp(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    is_known_port = stream.server.port in PORTS or stream.client.port in SERVER_PORTS
    if not is_known_port and not any(bytes(side.data[:5]).upper().startswith(_FIRST) for side in stream.sides):
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    client, server = heads[_asking(heads)], heads[1 - _asking(heads)]
    greeting = server.partition(b"\n")[0].upper()
    if is_known_port:
        if _VERB.match(client) or (_GREETING.match(server) and b"FTP" not in greeting):
            return True
        is_midway = any(side.starts_midway or side.gaps for side in stream.sides)
        return is_midway and bool(_VERB.search(client) or re.match(rb"[245]\d\d[ -][^\r\n]*\r\n", server))
    if _GREETING.match(server) and (b"SMTP" in greeting or b"LMTP" in greeting):
        return True
    is_hello = client[:5].upper() in (b"EHLO ", b"HELO ", b"LHLO ") and bool(_VERB.match(client))
    return is_hello and (not server or bool(_GREETING.match(server)))


def _asking(heads: Sequence[bytes]) -> int:
    """Return which side asks; a capture from the middle may have taken the wrong end for the client."""
    return 1 if _GREETING.match(heads[0]) or (_VERB.match(heads[1]) and not _VERB.match(heads[0])) else 0


class _Command(Struct):
    start: int
    end: int
    verb: str
    argument: bytes
    error: str = ""
    content: tuple[int, int] | None = None  # where the message's text lies
    mail_from: str = ""
    rcpt_to: list[str] = field(default_factory=list)
    ends_mail: bool = False  # the last chunk, or DATA
    starts_mail: bool = False  # its content begins with the message's header
    damaged: tuple[int, int, str] | None = None  # content that is not whole: from, to, why
    recipients: list[_Command] = field(default_factory=list)  # RCPT commands before its content
    is_refused: bool = False


def _dissect(stream: Stream) -> list[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    asking = _asking([wire.data[:PROBE_BYTES] for wire in wires])
    client, server = wires[asking], wires[1 - asking]
    reader = _Commands(client, is_ended=stream.sides[asking].ended == "closed")
    commands = list(reader)
    replies, server_tls = read_replies(server)
    has_greeting = bool(replies) and not server.starts_midway and replies[0].code in (220, 421, 554)
    answers = [[reply] for reply in replies]
    if any(command.verb == "LHLO" for command in commands):
        answers[has_greeting:] = _lmtp_answers(commands, replies[has_greeting:])
    finals = [parts[0] for parts in answers[has_greeting:] if parts[0].code not in _INTERIM]
    if any(command.recipients for command in commands):
        _mark_refused(commands, finals, stream.sides[asking], stream.sides[1 - asking])
    found: list[Message | Handover] = []
    for command in commands:
        if command.recipients:
            accepted = [recipient for recipient in command.recipients if not recipient.is_refused]
            command.rcpt_to = [path for recipient in accepted for path in recipient.rcpt_to]
        found.append(_request(command, client, asking))
        if command.damaged:
            start, end, error = command.damaged
            found.append(Message(MessageKind.EVENT, asking, start, end, error=error))
    for number, parts in enumerate(answers):
        found.append(_response(parts, 1 - asking, is_greeting=number == 0 and has_greeting))
    if reader.tls_at is not None or server_tls is not None:
        at = [len(wire.data) for wire in wires]
        at[asking] = at[asking] if reader.tls_at is None else reader.tls_at
        at[1 - asking] = at[1 - asking] if server_tls is None else server_tls
        first, second = (rest_of(side, start) for side, start in zip(stream.sides, at, strict=True))
        found.append(Handover((first, second), protocol="tlsx"))
    return found


class _Commands:
    """Reads what the client sends, up to its FIN if it `is_ended`; `tls_at` is where TLS begins, if it does."""

    def __init__(self, wire: Wire, *, is_ended: bool) -> None:
        self._wire = wire
        self._is_ended = is_ended
        self.tls_at: int | None = None
        self._mail_from = ""
        self._recipients: list[_Command] = []
        self._in_chunks = False

    def __iter__(self) -> Iterator[_Command]:
        wire, data = self._wire, self._wire.data
        at = self._resume(0) if wire.starts_midway and not _VERB.match(data) else 0
        while at < len(data):
            if gap := wire.gap_in(at, at + 1):
                at = self._resume(gap[1])
                continue
            if is_tls(data, at):
                self.tls_at = at
                return
            line = line_at(wire, at)
            if not line.text.strip():
                at = line.end
                continue
            word = _WORD.match(line.text)
            if word is None:
                end = self._resume(at + 1)
                yield _Command(at, end, "", b"", line.error or f"malformed: no command at {at}")
                at = end
                continue
            command = self._command(line, word[0].decode("ascii").upper())
            yield command
            at = command.damaged[1] if command.damaged else command.end

    def _resume(self, at: int) -> int:
        """Return where the next certain command begins, else the end."""
        data = self._wire.data
        while at < len(data):
            if _VERB.match(data, at) and data[max(0, at - 1) : at] in (b"", b"\n", b"\0"):  # NUL: a gap's
                return at
            at = data.find(b"\n", at) + 1 or len(data)
        return len(data)

    def _command(self, line: Line, verb: str) -> _Command:
        argument = line.text[len(verb) :].strip()
        command = _Command(line.start, line.end, verb, argument, line.error)
        if line.error:
            return command
        match verb:
            case "MAIL":
                self._mail_from, self._recipients = _path(argument), []
                command.mail_from = self._mail_from
            case "RCPT":
                command.rcpt_to = [_path(argument)]
                if len(self._recipients) < MAX_RECIPIENTS:
                    self._recipients.append(command)
            case "EHLO" | "HELO" | "LHLO" | "RSET":
                self._end_mail()
            case "AUTH":
                command.end = self._skip_answers(command.end)
            case "DATA":
                self._read_text(command)
            case "BDAT":
                self._read_chunk(command)
        return command

    def _skip_answers(self, at: int) -> int:
        """Return where the next command begins behind AUTH: lines before it answer challenges (RFC 4954 §4)."""
        data = self._wire.data
        for _ in range(MAX_CHALLENGES):
            if at >= len(data) or is_tls(data, at) or _VERB.match(data, at) or self._wire.gap_in(at, at + 1):
                break
            at = line_at(self._wire, at).end
        return at

    def _read_text(self, command: _Command) -> None:
        """Take the message along, unless the client goes on with commands: then DATA was refused."""
        data, start = self._wire.data, command.end
        if start >= len(data) or _VERB.match(data, start):
            return
        found = _TEXT_END.search(data[start : start + 5]) if data[start : start + 1] == b"." else None
        if found:
            end = start + found.end()
        else:
            found = _TEXT_END.search(data, start)
            end = found.end() if found else len(data)
        if gap := self._wire.gap_in(start, end):
            end = min(end, self._resume(gap[1]))  # the message's end may be what was lost
        self._take_mail(command, start, start + found.start() if found and end - start <= 3 else end, is_last=True)
        self._end_content(command, start, end, "" if found else "truncated: the message's end was not captured")

    def _read_chunk(self, command: _Command) -> None:
        size = _CHUNK.match(command.argument)
        if size is None:
            command.error = "malformed: BDAT without a size"
            return
        start = command.end
        end = self._wire.after(start, int(size[1]))
        shown_end = min(end, len(self._wire.data))
        self._take_mail(command, start, shown_end, is_last=bool(size[2]))
        is_cut = end > shown_end
        error = f"truncated: only {shown_end - start} bytes of {int(size[1])} were captured" if is_cut else ""
        self._end_content(command, start, shown_end, error)

    def _take_mail(self, command: _Command, start: int, end: int, *, is_last: bool) -> None:
        command.content, command.ends_mail, command.starts_mail = (start, end), is_last, not self._in_chunks
        command.mail_from, command.recipients = self._mail_from, self._recipients
        self._in_chunks = not is_last
        if is_last:
            self._end_mail()

    def _end_mail(self) -> None:
        self._mail_from, self._recipients, self._in_chunks = "", [], False

    def _end_content(self, command: _Command, start: int, end: int, error: str) -> None:
        """Let the command reach to the end of its content, or leave content apart that is not whole.

        So the command and what it says of the mail can be trusted, whatever the content lost. A client that left
        lost nothing: it said no more.
        """
        if gap := self._wire.gap_in(start, end):
            error = f"gap: {gap[2]} bytes missing at {gap[0]}"
        elif error and self._is_ended:
            command.end = end
            command.error = f"unfinished: the client closed the connection after {end - start} bytes of the message"
            return
        if error and end > start:
            command.damaged, command.content = (start, end, error), None
        else:
            command.end, command.error = end, error


def _path(argument: bytes) -> str:
    found = _PATH.match(argument)
    return text(found[1] if found[1] is not None else found[2])[:MAX_ARGUMENT] if found else ""


def _lmtp_answers(commands: Sequence[_Command], replies: Sequence[Reply]) -> list[list[Reply]]:
    """Put together what answers one command: to a message LMTP replies once a recipient (RFC 2033 §4.2)."""
    asked = iter([command for command in commands if command.verb])
    answers: list[list[Reply]] = []
    accepted = missing = 0
    for reply in replies:
        is_interim = reply.code in _INTERIM
        if missing and not is_interim:
            answers[-1].append(reply)
            missing -= reply.code > 0
            continue
        answers.append([reply])
        missing = 0
        command = next(asked, None) if reply.code and not is_interim else None
        if command is None:
            continue
        if command.verb == "RCPT":
            accepted += reply.code < 300
        elif command.ends_mail:
            missing, accepted = max(accepted - 1, 0), 0
        elif command.verb in ("MAIL", "RSET", "LHLO"):
            accepted = 0
    return answers


def _mark_refused(
    commands: Sequence[_Command], finals: Sequence[Reply], client: StreamSide, server: StreamSide
) -> None:
    """Mark the recipients that the server refused: replies answer commands in their order, as entries are paired."""
    spoken = [(client.packet_at(command.start), 0, at) for at, command in enumerate(commands) if command.verb]
    spoken += [(server.packet_at(reply.start), 1, at) for at, reply in enumerate(finals) if reply.code]
    waiting: deque[_Command] = deque()
    for _, side, at in sorted(spoken):
        if side == 0:
            waiting.append(commands[at])
        elif waiting:
            waiting.popleft().is_refused = finals[at].code >= 300


def _shown_argument(command: _Command) -> str:
    shown = text(command.argument)[:MAX_ARGUMENT]
    if command.verb == "AUTH":
        mechanism, _, initial = shown.partition(" ")
        return f"{mechanism} {REDACTED}" if initial else mechanism
    return shown


def _request(command: _Command, wire: Wire, direction: int) -> Message:
    if not command.verb:
        return Message(MessageKind.EVENT, direction, command.start, command.end, error=command.error)
    fields: dict[str, Value] = {
        "smtp_command": command.verb,
        "smtp_argument": _shown_argument(command),
        "smtp_request": True,
        "smtp_request_size": command.end - command.start,
    }
    if command.mail_from or command.verb == "MAIL":
        fields["smtp_mail_from"] = command.mail_from
    if command.rcpt_to:
        fields["smtp_rcpt_to"] = list(command.rcpt_to)
    if command.content and command.starts_mail:
        start, end = command.content
        subject = subject_of(wire.data[start : min(end, start + MAX_BODY)])
        if subject:
            fields["smtp_subject"] = subject
    return Message(
        MessageKind.REQUEST,
        direction,
        command.start,
        command.end,
        fields=fields,
        error=command.error,
        detail=partial(_request_detail, command, wire),
    )


def _request_detail(command: _Command, wire: Wire) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    headers: dict[str, str | list[str]] = {}
    body = ""
    if command.content:
        start, end = command.content
        content = wire.captured(start, min(end, start + 2 * MAX_BODY))
        if command.verb == "DATA":
            content = unstuffed(re.sub(rb"(?:\A|\r?\n)\.\r?\n\Z", b"", content))
        if command.starts_mail:
            headers, body = read_mail(content)
        else:
            body = text(content[:MAX_BODY])
    document = {
        "command": command.verb,
        "argument": _shown_argument(command),
        "mailFrom": command.mail_from,
        "rcptTo": list(command.rcpt_to),
        "headers": headers,
        "body": body,
    }
    return {"request_body": body}, document


def _response(parts: Sequence[Reply], direction: int, *, is_greeting: bool) -> Message:
    """Make an answer; of several replies to one message the worst is the status."""
    worst = max(parts, key=lambda reply: reply.code)
    start, end = parts[0].start, parts[-1].end
    error = next((reply.error for reply in parts if reply.error), "")
    if not worst.code:
        return Message(MessageKind.EVENT, direction, start, end, error=error)
    shown = text(worst.lines[0]).strip()[:MAX_ARGUMENT]
    if worst.code == 334:
        shown = REDACTED
    fields: dict[str, Value] = {
        "smtp_status": worst.code,
        "status_code": worst.code,
        "smtp_reply": shown,
        "smtp_response": True,
        "smtp_response_size": end - start,
    }
    return Message(
        MessageKind.EVENT if is_greeting else MessageKind.RESPONSE,
        direction,
        start,
        end,
        fields=fields,
        final=worst.code not in _INTERIM,
        error=error,
        detail=partial(_response_detail, worst, parts),
    )


def _response_detail(worst: Reply, parts: Sequence[Reply]) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    if len(parts) > 1:
        lines = [f"{reply.code} {text(line)}" for reply in parts for line in reply.lines]
    else:
        lines = [REDACTED] if worst.code == 334 else [text(line) for line in worst.lines]
    enhanced = _ENHANCED.match(text(worst.lines[0]))
    return {}, {"status": worst.code, "enhanced": enhanced[0] if enhanced else "", "lines": lines}


protocols, probe, dissect = one_protocol(SMTP, _is_smtp, _dissect)
