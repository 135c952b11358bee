"""The control connection of FTP (RFC 959, 2228, 2428, 4217), by port, or anywhere by what both sides say first.

Passwords are never shown. What follows AUTH TLS is handed to TLS; data connections stay what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

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
from kubeshark.pipeline.dissectors._hooks import one_protocol
from kubeshark.pipeline.dissectors._text import text
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.sessions._reply_lines import Line, Reply, is_tls, read_lines, read_replies

__all__ = ["FTP", "dissect", "probe", "protocols"]

PORTS = (21,)
REDACTED = "[redacted]"
MAX_ARGUMENT = 1_000  # characters
PROBE_BYTES = 512

FTP = ProtocolSpec(
    name="ftp",
    abbr="FTP",
    long_name="File Transfer Protocol",
    ports=PORTS,
    priority=8,
    hands_over=("tlsx",),
    background="#4d7c0f",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc959",
    matcher="fifo",
    classifiers=(Classifier("tcp", PORTS),),
    variables={
        "ftp_command": "string",
        "ftp_argument": "string",
        "ftp_user": "string",
        "ftp_status": "int",
        "ftp_reply": "string",
        "ftp_request": "bool",
        "ftp_response": "bool",
        "ftp_request_size": "int",
        "ftp_response_size": "int",
        "ftp_total_size": "int",
        "status_code": "int",
    },
)

_COMMANDS = (
    rb"USER|PASS|ACCT|CWD|XCWD|CDUP|XCUP|SMNT|QUIT|REIN|PORT|PASV|EPRT|EPSV|LPRT|LPSV|TYPE|STRU|MODE|RETR|STOR|STOU|APPE"
    rb"|ALLO|REST|RNFR|RNTO|ABOR|DELE|RMD|XRMD|MKD|XMKD|PWD|XPWD|LIST|NLST|SITE|SYST|STAT|HELP|NOOP|FEAT|OPTS|AUTH|ADAT"
    rb"|PROT|PBSZ|CCC|MIC|CONF|ENC|LANG|MDTM|MLSD|MLST|SIZE|MFMT|MFCT|MFF|HASH|CLNT|HOST|CSID|XCRC|XMD5|XSHA1|XSHA256"
)
_COMMAND = re.compile(rb"(?i)(?:" + _COMMANDS + rb")(?: [^\r\n]*)?\r?\n")
_FIRST = re.compile(rb"(?i)(?:USER [^\r\n]+|(?:AUTH|HOST|OPTS|CLNT) \S[^\r\n]*|FEAT|SYST)\r?\n")
_GREETING = re.compile(rb"(?:120|220|421|530)[ -]")
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,15}(?=[ \t]|\Z)")
_SECRET = ("PASS", "ACCT", "ADAT", "MIC", "CONF", "ENC")
_SITE_SECRET = re.compile(r"(?i)(?:PSWD|PASSWD|CPWD|GPASS|GPASSWD|GRPASS|ADDUSER)(?=\s+\S)")
"""SITE's own commands (of WU-FTPD, Serv-U, glFTPd and others) that carry passwords."""
_TELNET = b"\xff\xf4\xf2\xf1"  # IAC IP, IAC DM: what a terminal sends before ABOR (RFC 959 §4.1.3)


def _is_ftp(stream: Stream) -> bool:
    if stream.transport != "tcp":
        return False
    is_known_port = stream.server.port in PORTS or stream.client.port in PORTS
    if not is_known_port and not any(bytes(side.data[:3]) == b"220" for side in stream.sides):
        return False
    heads = [bytes(side.data[:PROBE_BYTES]) for side in stream.sides]
    asking = _asking(heads)
    client, server = heads[asking], heads[1 - asking]
    if is_known_port:
        if _COMMAND.match(client.lstrip(_TELNET)) or _GREETING.match(server):
            return True
        is_midway = any(side.starts_midway or side.gaps for side in stream.sides)
        return is_midway and bool(_COMMAND.search(client) or re.match(rb"[1-5]\d\d[ -][^\r\n]*\r\n", server))
    if not server.startswith(b"220"):
        return False
    return bool(_FIRST.match(client)) or (not client and b"FTP" in server.partition(b"\n")[0].upper())


def _asking(heads: Sequence[bytes]) -> int:
    """Return which side asks; a capture from the middle may have taken the wrong end for the client."""
    return 1 if _GREETING.match(heads[0]) or (_COMMAND.match(heads[1]) and not _COMMAND.match(heads[0])) else 0


def _dissect(stream: Stream) -> list[Message | Handover]:
    wires = [Wire(side) for side in stream.sides]
    asking = _asking([wire.data[:PROBE_BYTES] for wire in wires])
    client, server = wires[asking], wires[1 - asking]
    lines = list(read_lines(client))
    replies, server_tls = read_replies(server)
    client_end = lines[-1].end if lines else 0
    client_tls = client_end if is_tls(client.data, client_end) else None
    found: list[Message | Handover] = []
    if client.starts_midway and lines and not _COMMAND.match(client.data):
        lines = lines[1:]  # the rest of a command
    user = ""
    for line in lines:
        message = _request(line, asking, user)
        if message:
            user = str(message.fields.get("ftp_user", user))
            found.append(message)
    for number, reply in enumerate(replies):
        is_greeting = not server.starts_midway and _is_greeting(replies, number)
        found.append(_response(reply, 1 - asking, is_greeting=is_greeting))
    if client_tls is not None or server_tls is not None:
        at = [0, 0]
        at[asking] = len(client.data) if client_tls is None else client_tls
        at[1 - asking] = len(server.data) if server_tls is None else server_tls
        first, second = (rest_of(side, start) for side, start in zip(stream.sides, at, strict=True))
        found.append(Handover((first, second), protocol="tlsx"))
    return found


def _is_greeting(replies: Sequence[Reply], number: int) -> bool:
    """Say whether nobody asked for this reply: the first one, and the one behind "ready in n minutes"."""
    return (number == 0 and replies[0].code in (120, 220, 421)) or (number == 1 and replies[0].code == 120)


def _request(line: Line, direction: int, user: str) -> Message | None:
    content = line.text.lstrip(_TELNET).strip()
    if not content:
        return None
    word = _WORD.match(content)
    if word is None:
        error = line.error or f"malformed: no command at {line.start}"
        return Message(MessageKind.EVENT, direction, line.start, line.end, error=error)
    verb = word[0].decode("ascii").upper()
    argument = text(content[word.end() :].strip())[:MAX_ARGUMENT]
    if verb in _SECRET and argument:
        argument = REDACTED
    elif verb == "SITE" and (named := _SITE_SECRET.match(argument)):
        argument = f"{named[0]} {REDACTED}"
    fields: dict[str, Value] = {
        "ftp_command": verb,
        "ftp_argument": argument,
        "ftp_request": True,
        "ftp_request_size": line.end - line.start,
    }
    if verb == "USER":
        user = argument
    if user:
        fields["ftp_user"] = user
    return Message(
        MessageKind.REQUEST,
        direction,
        line.start,
        line.end,
        fields=fields,
        error=line.error,
        detail=partial(_request_detail, verb, argument),
    )


def _request_detail(verb: str, argument: str) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {"command": verb, "argument": argument}


def _response(reply: Reply, direction: int, *, is_greeting: bool) -> Message:
    if not reply.code:
        return Message(MessageKind.EVENT, direction, reply.start, reply.end, error=reply.error)
    fields: dict[str, Value] = {
        "ftp_status": reply.code,
        "status_code": reply.code,
        "ftp_reply": text(reply.lines[0]).strip()[:MAX_ARGUMENT],
        "ftp_response": True,
        "ftp_response_size": reply.end - reply.start,
    }
    return Message(
        MessageKind.EVENT if is_greeting else MessageKind.RESPONSE,
        direction,
        reply.start,
        reply.end,
        fields=fields,
        final=reply.code >= 200,  # 1yz: "expect another reply before proceeding" (RFC 959 §4.2.1)
        error=reply.error,
        detail=partial(_response_detail, reply),
    )


def _response_detail(reply: Reply) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {"status": reply.code, "lines": [text(line) for line in reply.lines]}


protocols, probe, dissect = one_protocol(FTP, _is_ftp, _dissect)
