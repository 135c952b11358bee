"""QUIC handshakes over UDP, on any port, known by version: one entry a connection, with its ClientHello.

Initial packets are encrypted with keys that anybody can derive (RFC 9001 §5.2). The ClientHello may be spread over
several packets in any order; a Retry or a Version Negotiation makes the client say it again, in the same connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import Struct, field

from kubeshark.extension_api import (
    CLIENT,
    SERVER,
    Classifier,
    Message,
    MessageKind,
    ProtocolSpec,
    Stream,
    Value,
    Verdict,
    hookimpl,
)
from kubeshark.pipeline.dissectors.security._quic_google import GoogleHello, find_chlo, google_version, read_tags
from kubeshark.pipeline.dissectors.security._quic_packet import (
    INITIAL,
    RETRY,
    VERSION_NEGOTIATION,
    InitialKeys,
    LongHeader,
    crypto_frames,
    initial_keys,
    is_known_version,
    read_headers,
    unprotected,
)
from kubeshark.pipeline.tls import (
    CLIENT_HELLO,
    SERVER_HELLO,
    ClientHello,
    ServerHello,
    client_document,
    ja4,
    parse_client_hello,
    parse_server_hello,
    server_document,
)

__all__ = ["QUIC", "dissect", "probe", "protocols"]

PORTS = (443, 80, 8443, 4433)
PROBED_DATAGRAMS = 4
FIXED_BIT = 0xC0  # a long header with it; only behind a handshake may it be missing
LATE = 200
HTTPS = 443
SHORTEST = 21  # bytes of a 1-RTT packet that cannot be told from a stateless reset (RFC 9000 §10.3)
UNSEEN = "no handshake was seen: QUIC by its port and first bytes, of a connection older than the capture"
MAX_CRYPTO = 64 << 10  # bytes of one side's handshake kept; a ClientHello has some 2 KB
MAX_INITIALS = 256  # tried to decrypt in one stream
MAX_CONNECTIONS = 64  # of one pair of ports

QUIC = ProtocolSpec(
    name="quic",
    abbr="QUIC",
    long_name="QUIC",
    ports=(443,),
    layer4="udp",
    priority=8,
    background="#0e7490",
    reference="https://www.rfc-editor.org/rfc/rfc9000",
    matcher="key",
    classifiers=(Classifier("udp", PORTS),),
    variables={
        "quic_info": "string",
        "quic_sni": "string",
        "quic_alpn": "string",
        "quic_version": "int",
        "quic_dcid": "string",
        "quic_ja4": "string",
    },
)

OLDER = replace(QUIC, name="quic-older", macro="quic", priority=LATE, classifiers=(), variables={})
"""The middle of a connection, which port and first bits tell alone: asked when all others declined."""


@hookimpl
def protocols() -> Sequence[ProtocolSpec]:
    return (QUIC, OLDER)


@hookimpl
def probe(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
    is_mine = _goes_on if protocol.name == OLDER.name else _is_quic
    return [Verdict.MINE if is_mine(stream) else Verdict.NOT_MINE for stream in streams]


@hookimpl
def dissect(protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:
    if protocol.name == OLDER.name:
        return [[_older(stream)] for stream in streams]
    return [_Reader(stream).messages() for stream in streams]


def _is_quic(stream: Stream) -> bool:
    if stream.transport != "udp":
        return False
    return any(_begins_quic(bytes(datagram.data)) for datagram in stream.datagrams[:PROBED_DATAGRAMS])


def _goes_on(stream: Stream) -> bool:
    """Say whether this may be the middle of a connection: HTTPS' port, and all with short headers (RFC 9000 §17.3)."""
    if stream.transport != "udp" or HTTPS not in (stream.server.port, stream.client.port):
        return False
    heads = [datagram.data for datagram in stream.datagrams[:PROBED_DATAGRAMS]]
    return bool(heads) and all(len(head) >= SHORTEST and head[0] & 0xC0 == 0x40 for head in heads)


def _begins_quic(data: bytes) -> bool:
    if google_version(data):
        return True
    header = next(read_headers(data), None) if data[:1] >= b"\x80" else None
    if header and header.type != VERSION_NEGOTIATION and data[0] < FIXED_BIT:
        return False
    if header is None:
        return False
    return header.type != VERSION_NEGOTIATION or any(is_known_version(version) for version in header.versions)


class _Crypto(Struct):
    """One side's handshake bytes as they come together."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0

    def add(self, offset: int, data: bytes) -> None:
        if offset + len(data) <= MAX_CRYPTO and self.size + len(data) <= 2 * MAX_CRYPTO:
            self.size += len(data)
            if len(data) > len(self.pieces.get(offset, b"")):
                self.pieces[offset] = data

    def joined(self) -> bytes:
        """Return the bytes from 0 up to the first that is missing."""
        joined = bytearray()
        for offset, data in sorted(self.pieces.items()):
            if offset > len(joined):
                break
            joined += data[len(joined) - offset :]
        return bytes(joined)


class _Half(Struct):
    """What one side said of a connection, and where it began."""

    header: LongHeader
    direction: int
    datagram: int
    end: int
    crypto: _Crypto = field(default_factory=_Crypto)


class _Connection(Struct):
    keys: tuple[InitialKeys, InitialKeys] | None = None
    version: int = 0
    client: _Half | None = None
    server: _Half | None = None
    refusal: _Half | None = None  # Retry or Version Negotiation
    google: tuple[GoogleHello, int, int] | None = None  # hello, datagram, direction
    starts_over: bool = False  # the client is to say its hello again


class _Reader:
    """Reads the datagrams of a stream in order."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._connections: list[_Connection] = []
        self._tries = MAX_INITIALS
        self._other: tuple[LongHeader, int, int] | None = None  # a packet that says it is QUIC, no more

    def messages(self) -> list[Message]:
        for at, datagram in enumerate(self._stream.datagrams):
            data = bytes(datagram.data)
            if not data[:1] >= b"\x80":
                if not self._connections and (hello := find_chlo(data)):
                    self._connections.append(_Connection(google=(hello, at, datagram.direction)))
                continue
            if not self._connections and (hello := find_chlo(data)):
                self._connections.append(_Connection(google=(hello, at, datagram.direction)))
            for header in read_headers(data):
                self._read(data, header, datagram.direction, at)
        found = [message for at, each in enumerate(self._connections) for message in _messages(each, str(at))]
        if not found and self._other:
            found = [_other(*self._other)]
        return found

    def _read(self, data: bytes, header: LongHeader, direction: int, at: int) -> None:
        self._other = self._other or (header, direction, at)
        if header.type in (RETRY, VERSION_NEGOTIATION):
            connection = self._connections[-1] if self._connections else self._new()
            if connection and connection.server is None:
                connection.refusal = _Half(header, direction, at, header.end)
                connection.starts_over = True
        elif header.type == INITIAL and self._tries > 0:
            self._tries -= 1
            self._initial(data, header, direction, at)

    def _new(self) -> _Connection | None:
        if len(self._connections) >= MAX_CONNECTIONS:
            return None
        self._connections.append(_Connection())
        return self._connections[-1]

    def _initial(self, data: bytes, header: LongHeader, direction: int, at: int) -> None:
        connection = self._connections[-1] if self._connections else None
        if connection and connection.keys and connection.version == header.version:
            for side in (CLIENT, SERVER):
                payload = unprotected(data, header, connection.keys[side])
                if payload is not None:
                    _add(connection, side, payload, header, direction, at)
                    return
        keys = initial_keys(header.version, header.dcid)
        payload = unprotected(data, header, keys[CLIENT])
        if payload is None:
            return
        if connection is None or not (connection.starts_over or connection.client is None):
            connection = self._new()
        if connection:
            connection.keys, connection.version = keys, header.version
            connection.starts_over = False
            if connection.client:
                connection.client.crypto = _Crypto()
            _add(connection, CLIENT, payload, header, direction, at)


def _add(connection: _Connection, side: int, payload: bytes, header: LongHeader, direction: int, at: int) -> None:
    half = connection.client if side == CLIENT else connection.server
    if half is None:
        half = _Half(header, direction, at, header.end)
        if side == CLIENT:
            connection.client = half
        else:
            connection.server = half
    for offset, piece in crypto_frames(payload, header.version):
        half.crypto.add(offset, piece)


def _messages(connection: _Connection, key: str) -> list[Message]:
    if connection.google:
        return [_google(*connection.google)]
    found: list[Message] = []
    client, server = connection.client, connection.server
    if client:
        found.append(_request(connection, client, key))
    if server:
        found.append(_response(connection, server, key))
    elif connection.refusal:
        found.append(_refusal(connection.refusal, key))
    return found


def _body(crypto: bytes, kind: int) -> tuple[bytes, str]:
    """Return the body of the handshake message that a side began with, and what is wrong with it."""
    if len(crypto) < 4 or crypto[0] != kind:
        return b"", "truncated: no hello in the Initial packets captured" if not crypto else ""
    size = int.from_bytes(crypto[1:4], "big")
    missing = size + 4 - len(crypto)
    return crypto[4 : 4 + size], f"truncated: {missing} bytes of the hello were not captured" if missing > 0 else ""


def _request(connection: _Connection, half: _Half, key: str) -> Message:
    crypto = half.crypto.joined()
    fields: dict[str, Value] = {
        "quic_info": half.header.type,
        "quic_version": connection.version,
        "quic_dcid": half.header.dcid.hex(),
    }
    if crypto[:4] == b"CHLO":  # Q050: Google's handshake in the IETF's packets
        version = connection.version.to_bytes(4, "big").decode("ascii", "replace")
        google = GoogleHello(version, half.header.dcid, read_tags(crypto), 0)
        fields["quic_sni"] = google.sni
        return _message(MessageKind.REQUEST, half, fields, "", key, partial(_google_document, half.header, google))
    body, error = _body(crypto, CLIENT_HELLO)
    hello = parse_client_hello(body) if body else None
    if hello:
        fields["quic_sni"] = hello.sni
        fields["quic_alpn"] = next(iter(hello.alpn), "")
        fields["quic_ja4"] = ja4(hello, "q")
        if hello.error and not error:
            error = f"malformed: {hello.error}"
    return _message(MessageKind.REQUEST, half, fields, error, key, partial(_request_document, half, hello))


def _response(connection: _Connection, half: _Half, key: str) -> Message:
    body, _ = _body(half.crypto.joined(), SERVER_HELLO)
    hello = parse_server_hello(body) if body else None
    fields: dict[str, Value] = {"quic_info": half.header.type, "quic_version": half.header.version}
    detail = partial(_response_document, half.header, hello, connection.refusal)
    return _message(MessageKind.RESPONSE, half, fields, "", key, detail)


def _refusal(half: _Half, key: str) -> Message:
    fields: dict[str, Value] = {"quic_info": half.header.type, "quic_version": half.header.version}
    detail = partial(_response_document, half.header, None, None)
    return _message(MessageKind.RESPONSE, half, fields, "", key, detail)


def _message(kind: MessageKind, half: _Half, fields: dict[str, Value], error: str, key: str, detail: Any) -> Message:
    start, at = half.header.start, half.datagram
    return Message(kind, half.direction, start, half.end, at, fields, key=key, error=error, detail=detail)


def _google(hello: GoogleHello, at: int, direction: int) -> Message:
    fields: dict[str, Value] = {
        "quic_info": "CHLO",
        "quic_sni": hello.sni,
        "quic_version": int.from_bytes(hello.version.encode("ascii"), "big"),
        "quic_dcid": hello.connection_id.hex(),
    }
    end = hello.start + 4
    detail = partial(_google_document, None, hello)
    return Message(MessageKind.REQUEST, direction, 0, end, at, fields, one_way=True, detail=detail)


def _other(header: LongHeader, direction: int, at: int) -> Message:
    fields: dict[str, Value] = {
        "quic_info": header.type,
        "quic_version": header.version,
        "quic_dcid": header.dcid.hex(),
    }
    error = "malformed: the Initial packet does not decrypt" if header.type == INITIAL else ""
    detail = partial(_header_only, header)
    return Message(MessageKind.EVENT, direction, header.start, header.end, at, fields, error=error, detail=detail)


def _older(stream: Stream) -> Message:
    """Return one event for a connection of which nothing but encrypted packets was captured."""
    first = stream.datagrams[0]
    return Message(
        MessageKind.EVENT,
        first.direction,
        0,
        len(first.data),
        fields={"quic_info": "1-RTT"},
        error=UNSEEN,
        protocol=QUIC.flag,
        detail=partial(_older_document, len(stream.datagrams)),
    )


def _older_document(count: int) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, {"type": "1-RTT", "datagrams": count}


def _header_document(header: LongHeader) -> dict[str, Any]:
    return {
        "type": header.type,
        "version": header.version,
        "dcid": header.dcid.hex(),
        "scid": header.scid.hex(),
        "tokenLength": len(header.token),
    }


def _header_only(header: LongHeader) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    return {}, _header_document(header)


def _request_document(half: _Half, hello: ClientHello | None) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    shown = client_document(hello, "q") if hello else {}
    return {}, _header_document(half.header) | {"clientHello": shown}


def _google_document(header: LongHeader | None, hello: GoogleHello) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    tags = {name: value.decode("utf-8", "backslashreplace") for name, value in hello.tags.items() if len(value) < 256}
    shown = {"sni": hello.sni, "userAgent": hello.agent, "tags": {name: tags.get(name, "") for name in hello.tags}}
    if header:
        return {}, _header_document(header) | {"clientHello": shown}
    document = {"type": "CHLO", "version": hello.version, "dcid": hello.connection_id.hex(), "scid": ""}
    return {}, document | {"tokenLength": 0, "clientHello": shown}


def _response_document(
    header: LongHeader, hello: ServerHello | None, refusal: _Half | None
) -> tuple[Mapping[str, Value], Mapping[str, Any]]:
    document: dict[str, Any] = {
        **_header_document(header),
        "versions": list(header.versions),
        "serverHello": server_document(hello) if hello else {},
    }
    if refusal:
        document["after"] = {"type": refusal.header.type, "versions": list(refusal.header.versions)}
    return {}, document
