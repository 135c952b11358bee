"""SOCKS 4, 4a and 5 (RFC 1928; user and password: RFC 1929), on any port; what is relayed is handed over.

Version 4 has no RFC: https://www.openssh.com/txt/socks4.protocol, and socks4a.protocol beside it for host names.
A host name is what the client asked for; where the proxy connected to is in its answer. What GSSAPI protects and the
datagrams of UDP ASSOCIATE are not looked into. Passwords are never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

from kubeshark.extension_api import (
    CLIENT,
    SERVER,
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
from kubeshark.pipeline.dissectors.relays._document import detail, document_of

__all__ = ["SOCKS", "dissect", "probe", "protocols"]

PORTS = (1080,)
COMMANDS = {1: "CONNECT", 2: "BIND", 3: "UDP ASSOCIATE", 0xF0: "RESOLVE", 0xF1: "RESOLVE_PTR"}  # the last two: Tor
METHODS = {0: "none", 1: "GSSAPI", 2: "username", 0xFF: "no acceptable methods"}
NO_AUTHENTICATION, USERNAME, NO_METHOD = 0, 2, 0xFF
IPV4, DOMAIN, IPV6 = 1, 3, 4
REPLIES = {
    0: "succeeded",
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
    90: "request granted",
    91: "request rejected or failed",
    92: "request rejected: no identd",
    93: "request rejected: other user id",
}
GRANTED, REPLIES_4 = 90, range(90, 94)
PROBE_BYTES = 512
MAX_NAME = 256  # bytes of a user or host in version 4, with the NUL

SOCKS = ProtocolSpec(
    name="socks",
    abbr="SOCKS",
    long_name="SOCKS proxy protocol",
    version="5",
    ports=PORTS,
    priority=8,
    background="#7c2d12",
    foreground="#ffffff",
    reference="https://www.rfc-editor.org/rfc/rfc1928",
    matcher="key",
    hands_over=("*",),
    classifiers=(
        Classifier("tcp", PORTS),
        *(Classifier("tcp", prefix=bytes((4, command)), side="client") for command in (1, 2)),
        *(Classifier("tcp", prefix=bytes((5, count)), side="client") for count in range(1, 5)),
    ),
    variables={
        "socks_version": "string",
        "socks_type": "string",
        "socks_methods": "list",
        "socks_method": "string",
        "socks_username": "string",
        "socks_command": "string",
        "socks_host": "string",
        "socks_port": "int",
        "socks_bound_host": "string",
        "socks_bound_port": "int",
        "socks_status": "int",
        "socks_status_text": "string",
        "socks_request": "bool",
        "socks_response": "bool",
        "socks_request_size": "int",
        "socks_response_size": "int",
        "socks_total_size": "int",
    },
)


def _dissect(stream: Stream) -> list[Message | Handover]:
    dialogue = _Dialogue(stream)
    is_granted = dialogue.is_granted()
    found: list[Message | Handover] = list(dialogue.messages)
    if is_granted:
        ours, theirs = (rest_of(side, reader.at) for side, reader in zip(stream.sides, dialogue.readers, strict=True))
        if ours.data or theirs.data:
            found.append(Handover((ours, theirs)))
    return found


def _is_socks(stream: Stream) -> bool:
    """Say whether both sides begin as SOCKS does; on its port the client alone will do."""
    if stream.transport != "tcp" or any(side.starts_midway for side in stream.sides if len(side.data)):
        return False
    client, server = (bytes(side.data[:PROBE_BYTES]) for side in stream.sides)
    if not server and stream.server.port not in PORTS:
        return False
    return _begins_4(client, server) if client[:1] == b"\x04" else _begins_5(client, server)


def _begins_4(client: bytes, server: bytes) -> bool:
    is_request = len(client) >= 9 and client[1] in (1, 2) and client[2:4] != b"\0\0" and b"\0" in client[8:]
    return is_request and (not server or (server[0] == 0 and (len(server) < 2 or server[1] in REPLIES_4)))


def _begins_5(client: bytes, server: bytes) -> bool:
    if client[:1] != b"\x05" or len(client) < 2 or not 0 < client[1] <= len(client) - 2:
        return False
    methods = client[2 : 2 + client[1]]
    if len(set(methods)) != len(methods) or NO_METHOD in methods:
        return False
    return not server or (server[0] == 5 and (len(server) < 2 or server[1] in (*methods, NO_METHOD)))


class _Damage(Exception):
    """A message that cannot be read to its end, and why."""


class _Reader:
    """Reads one side from its beginning; never beyond what was captured in one piece."""

    def __init__(self, side: StreamSide) -> None:
        wire = Wire(side)
        self.is_absent = not wire.data  # the capture has the other side alone
        self.end = wire.gaps[0][0] if wire.gaps else len(wire.data)
        self.at = 0
        self._data = wire.data

    def take(self, count: int) -> bytes:
        if self.at + count > self.end:
            raise _Damage(f"truncated: {self.at + count - self.end} bytes of the message were not captured")
        self.at += count
        return self._data[self.at - count : self.at]

    def peek(self) -> int:
        return self._data[self.at]

    def number(self) -> int:
        return self.take(1)[0]

    def port(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def counted(self) -> bytes:
        return self.take(self.number())

    def terminated(self) -> str:
        """Read up to a NUL."""
        end = self._data.find(b"\0", self.at, min(self.end, self.at + MAX_NAME))
        if end < 0:
            raise _Damage(f"malformed: no NUL within {MAX_NAME} bytes of {self.at}")
        return text(self.take(end + 1 - self.at)[:-1])

    def expect(self, version: int) -> None:
        at, found = self.at, self.number()
        if found != version:
            raise _Damage(f"malformed: version {found} at {at}, {version} expected")

    def host(self) -> str:
        kind = self.number()
        if kind == DOMAIN:
            return text(self.counted())
        if kind not in (IPV4, IPV6):
            raise _Damage(f"malformed: address type {kind} at {self.at - 1}")
        return str(ip_address(self.take(4 if kind == IPV4 else 16)))


_Fields = dict[str, Value]
_Read = Callable[[_Reader, _Fields], None]


class _Dialogue:
    """The handshake of one connection, message by message; a side that was not captured at all has agreed."""

    def __init__(self, stream: Stream) -> None:
        self.readers = [_Reader(side) for side in stream.sides]
        self.messages: list[Message] = []
        self._version = "4" if bytes(stream.sides[CLIENT].data[:1]) == b"\x04" else "5"

    def is_granted(self) -> bool:
        """Read the handshake; say whether what comes behind it is relayed."""
        return self._version_4() if self._version == "4" else self._version_5()

    def _version_4(self) -> bool:
        return self._is_connected(self._part(CLIENT, "request", _request_4), _reply_4, GRANTED)

    def _version_5(self) -> bool:
        offer = self._part(CLIENT, "greeting", _offer)
        choice = self._part(SERVER, "greeting", _choice)
        if offer is None or choice is None:
            return False
        method = choice.get("socks_method", METHODS[USERNAME if self._begins_with_credentials() else NO_AUTHENTICATION])
        if method == METHODS[USERNAME]:
            credentials = self._part(CLIENT, "authentication", _credentials)
            verdict = self._part(SERVER, "authentication", _verdict)
            if credentials is None or verdict is None or verdict.get("socks_status"):
                return False
        elif method != METHODS[NO_AUTHENTICATION]:
            return False
        return self._is_connected(self._part(CLIENT, "request", _request_5), _reply_5, 0)

    def _begins_with_credentials(self) -> bool:
        reader = self.readers[CLIENT]
        return reader.at < reader.end and reader.peek() == 1

    def _is_connected(self, asked: _Fields | None, read: _Read, good: int) -> bool:
        """Read the answers: BIND has two, the second when somebody came."""
        if asked is None:
            return False
        for is_last in (False, True) if asked.get("socks_command") == COMMANDS[2] else (True,):
            answer = self._part(SERVER, "request", read, final=is_last)
            if answer is None or answer.get("socks_status", good) != good:
                return False
        return True

    def _part(self, way: int, kind: str, read: _Read, *, final: bool = True) -> _Fields | None:
        """Read one message and return its fields; None where nothing behind it can be read."""
        reader = self.readers[way]
        if reader.at >= reader.end:
            return {} if reader.is_absent else None
        start, error, fields = reader.at, "", _Fields()
        try:
            read(reader, fields)
        except _Damage as damage:
            error, reader.at = str(damage), reader.end
        part = "request" if way == CLIENT else "response"
        document = document_of(fields, "socks")
        self.messages.append(
            Message(
                MessageKind.REQUEST if way == CLIENT else MessageKind.RESPONSE,
                way,
                start,
                reader.at,
                fields={
                    "socks_version": self._version,
                    "socks_type": kind,
                    f"socks_{part}": True,
                    f"socks_{part}_size": reader.at - start,
                    **fields,
                },
                key=kind,
                final=final,
                error=error,
                detail=partial(detail, document),
            )
        )
        return None if error else fields


def _request_4(reader: _Reader, fields: _Fields) -> None:
    reader.expect(4)
    command = reader.number()
    fields["socks_command"] = COMMANDS.get(command, str(command))
    fields["socks_port"] = reader.port()
    address = reader.take(4)
    fields["socks_username"] = reader.terminated()
    is_name = address[:3] == b"\0\0\0" and address[3] != 0  # version 4a
    fields["socks_host"] = reader.terminated() if is_name else str(ip_address(address))


def _reply_4(reader: _Reader, fields: _Fields) -> None:
    reader.expect(0)
    _status(reader, fields)
    fields["socks_bound_port"] = reader.port()
    fields["socks_bound_host"] = str(ip_address(reader.take(4)))


def _offer(reader: _Reader, fields: _Fields) -> None:
    reader.expect(5)
    fields["socks_methods"] = [_method(method) for method in reader.counted()]


def _choice(reader: _Reader, fields: _Fields) -> None:
    reader.expect(5)
    fields["socks_method"] = _method(reader.number())


def _method(number: int) -> str:
    return METHODS.get(number, str(number))


def _credentials(reader: _Reader, fields: _Fields) -> None:
    reader.expect(1)
    fields["socks_username"] = text(reader.counted())
    reader.counted()  # the password


def _verdict(reader: _Reader, fields: _Fields) -> None:
    reader.expect(1)
    status = reader.number()
    fields["socks_status"] = status
    fields["socks_status_text"] = "failure" if status else "success"


def _request_5(reader: _Reader, fields: _Fields) -> None:
    reader.expect(5)
    command = reader.number()
    fields["socks_command"] = COMMANDS.get(command, str(command))
    reader.take(1)  # reserved
    fields["socks_host"] = reader.host()
    fields["socks_port"] = reader.port()


def _reply_5(reader: _Reader, fields: _Fields) -> None:
    reader.expect(5)
    _status(reader, fields)
    reader.take(1)  # reserved
    fields["socks_bound_host"] = reader.host()
    fields["socks_bound_port"] = reader.port()


def _status(reader: _Reader, fields: _Fields) -> None:
    status = reader.number()
    fields["socks_status"] = status
    fields["socks_status_text"] = REPLIES.get(status, "unassigned")


protocols, probe, dissect = one_protocol(SOCKS, _is_socks, _dissect)
