"""ClientHello and ServerHello (RFC 8446 §4.1, RFC 5246 §7.4.1, RFC 6347 §4.2.1, SSL 2.0 §2.5): bytes to fields.

A hello that ends early or contradicts itself keeps what came before; `error` says what is wrong.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct, field

from kubeshark.pipeline.tls._names import is_grease

__all__ = [
    "ALPN",
    "EARLY_DATA",
    "ENCRYPT_THEN_MAC",
    "EXTENDED_MASTER_SECRET",
    "SERVER_NAME",
    "ClientHello",
    "Cursor",
    "CutShort",
    "ServerHello",
    "parse_client_hello",
    "parse_server_hello",
    "parse_ssl2_client_hello",
    "protocol_names",
]

SERVER_NAME, GROUPS, POINT_FORMATS, SIGNATURE_ALGORITHMS, ALPN = 0, 10, 11, 13, 16
ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET, SESSION_TICKET = 22, 23, 35
PRE_SHARED_KEY, EARLY_DATA, VERSIONS, KEY_SHARE = 41, 42, 43, 51
ECH, ESNI = 0xFE0D, 0xFFCE
RETRY_RANDOM = hashlib.sha256(b"HelloRetryRequest").digest()  # RFC 8446 §4.1.3
MAX_EXTENSIONS = 1_000  # a hello of 2**24 bytes could have millions


class CutShort(ValueError):
    """A length reaches beyond what is there."""


class Cursor:
    """Checked reading of TLS presentation language (RFC 8446 §3): no accessor reads outside `data`."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def left(self) -> int:
        return self.end - self.at

    def take(self, count: int) -> bytes:
        if count > self.end - self.at:
            raise CutShort(f"{count} bytes wanted, {self.end - self.at} there")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        """Read a vector whose length has `width` bytes."""
        return self.take(self.number(width))


class ClientHello(Struct):
    version: int = 0  # legacy_version
    random: bytes = b""
    session_id: bytes = b""
    suites: list[int] = field(default_factory=list)
    compressions: bytes = b""
    extensions: list[tuple[int, bytes]] = field(default_factory=list)
    error: str = ""
    is_datagram: bool = False

    def extension(self, number: int) -> bytes | None:
        return next((body for found, body in self.extensions if found == number), None)

    @property
    def sni(self) -> str:
        """The server's name (RFC 6066 §3), "" without one; what is not ASCII is escaped."""
        body = self.extension(SERVER_NAME)
        if not body:
            return ""
        names = Cursor(body, 2)
        try:
            while names.left:
                kind, name = names.number(1), names.vector(2)
                if kind == 0:
                    return name.decode("ascii", "backslashreplace")
        except CutShort:
            pass
        return ""

    @property
    def alpn(self) -> list[str]:
        return protocol_names(self.extension(ALPN))

    @property
    def groups(self) -> list[int]:
        return numbers(self.extension(GROUPS))

    @property
    def point_formats(self) -> bytes:
        body = self.extension(POINT_FORMATS)
        return body[1 : 1 + body[0]] if body else b""

    @property
    def signature_algorithms(self) -> list[int]:
        return numbers(self.extension(SIGNATURE_ALGORITHMS))

    @property
    def versions(self) -> list[int]:
        """Offered in supported_versions, best first; else the legacy one."""
        body = self.extension(VERSIONS)
        offered = [int.from_bytes(body[at : at + 2], "big") for at in range(1, len(body) - 1, 2)] if body else []
        return [version for version in offered if not is_grease(version)] or [self.version]

    @property
    def key_shares(self) -> list[int]:
        body = self.extension(KEY_SHARE)
        shares: list[int] = []
        if body:
            cursor = Cursor(body, 2)
            try:
                while cursor.left:
                    shares.append(cursor.number(2))
                    cursor.vector(2)
            except CutShort:
                pass
        return shares

    @property
    def hidden_name(self) -> str:
        """Say what hides the real server name: "ECH", "ESNI" or ""."""
        kinds = {number for number, _ in self.extensions}
        return "ECH" if ECH in kinds else "ESNI" if ESNI in kinds else ""

    @property
    def resumes(self) -> bool:
        """It offers to resume a session: by a pre-shared key or a ticket."""
        return self.extension(PRE_SHARED_KEY) is not None or bool(self.extension(SESSION_TICKET))

    @property
    def has_early_data(self) -> bool:
        return self.extension(EARLY_DATA) is not None


class ServerHello(Struct):
    legacy_version: int = 0
    random: bytes = b""
    session_id: bytes = b""
    suite: int = 0
    compression: int = 0
    extensions: list[tuple[int, bytes]] = field(default_factory=list)
    error: str = ""

    def extension(self, number: int) -> bytes | None:
        return next((body for found, body in self.extensions if found == number), None)

    @property
    def version(self) -> int:
        """The negotiated one; drafts of TLS 1.3 keep their number (0x7f1c)."""
        body = self.extension(VERSIONS)
        return int.from_bytes(body, "big") if body and len(body) == 2 else self.legacy_version

    @property
    def alpn(self) -> str:
        return next(iter(protocol_names(self.extension(ALPN))), "")

    @property
    def group(self) -> int:
        """Of its key share, 0 without one."""
        return int.from_bytes((self.extension(KEY_SHARE) or b"")[:2], "big")

    @property
    def is_retry(self) -> bool:
        """It is a HelloRetryRequest."""
        return self.random == RETRY_RANDOM

    @property
    def uses_psk(self) -> bool:
        return self.extension(PRE_SHARED_KEY) is not None


def parse_client_hello(body: bytes, *, is_datagram: bool = False) -> ClientHello:
    """Parse the body of a ClientHello, without its handshake header."""
    hello = ClientHello(is_datagram=is_datagram)
    cursor = Cursor(body)
    try:
        hello.version = cursor.number(2)
        hello.random = cursor.take(32)
        hello.session_id = cursor.vector(1)
        if is_datagram:
            cursor.vector(1)  # the cookie
        length = cursor.number(2)
        suites = cursor.data[cursor.at : cursor.at + length]
        hello.suites = [int.from_bytes(suites[at : at + 2], "big") for at in range(0, len(suites) - 1, 2)]
        cursor.take(length)
        hello.compressions = cursor.vector(1)
        _read_extensions(cursor, hello.extensions)
    except CutShort as error:
        hello.error = str(error)
    return hello


def parse_server_hello(body: bytes) -> ServerHello:
    """Parse the body of a ServerHello or HelloRetryRequest, without its handshake header."""
    hello = ServerHello()
    cursor = Cursor(body)
    try:
        hello.legacy_version = cursor.number(2)
        hello.random = cursor.take(32)
        if hello.legacy_version >> 8 == 0x7F and hello.legacy_version < 0x7F16:  # drafts up to 21: no session id
            hello.suite = cursor.number(2)
        else:
            hello.session_id = cursor.vector(1)
            hello.suite = cursor.number(2)
            hello.compression = cursor.number(1)
        _read_extensions(cursor, hello.extensions)
    except CutShort as error:
        hello.error = str(error)
    return hello


def parse_ssl2_client_hello(record: bytes) -> ClientHello | None:
    """Parse an SSL 2.0 CLIENT-HELLO record with its two length bytes (RFC 5246 §E.2); None if it is none."""
    if len(record) < 11 or not record[0] & 0x80 or record[2] != 1 or record[3:5] not in SSL2_VERSIONS:
        return None
    cursor = Cursor(record, 3)
    hello = ClientHello(version=cursor.number(2))
    suites, session, challenge = (cursor.number(2) for _ in range(3))
    declared = ((record[0] & 0x7F) << 8 | record[1]) + 2
    if suites % 3 or not suites or not 16 <= challenge <= 32 or declared != 11 + suites + session + challenge:
        return None
    try:
        specs = cursor.take(suites)
        hello.suites = [int.from_bytes(specs[at + 1 : at + 3], "big") for at in range(0, suites, 3) if not specs[at]]
        hello.session_id = cursor.take(session)
        hello.random = cursor.take(challenge)
    except CutShort as error:
        hello.error = str(error)
    return hello


SSL2_VERSIONS = {b"\0\x02", b"\x03\0", b"\x03\x01", b"\x03\x02", b"\x03\x03"}


def protocol_names(body: bytes | None) -> list[str]:
    """Read an ALPN list (RFC 7301 §3.1)."""
    names: list[str] = []
    if body:
        cursor = Cursor(body, 2)
        try:
            while cursor.left:
                names.append(cursor.vector(1).decode("ascii", "backslashreplace"))
        except CutShort:
            pass
    return names


def numbers(body: bytes | None) -> list[int]:
    """Read a vector of 16-bit numbers with a 16-bit length."""
    if not body:
        return []
    end = min(len(body), 2 + int.from_bytes(body[:2], "big"))
    return [int.from_bytes(body[at : at + 2], "big") for at in range(2, end - 1, 2)]


def _read_extensions(cursor: Cursor, extensions: list[tuple[int, bytes]]) -> None:
    if not cursor.left:
        return  # before TLS 1.2 there may be none
    end = cursor.number(2) + cursor.at
    cut = end > cursor.end
    cursor.end = min(end, cursor.end)
    while cursor.left and len(extensions) < MAX_EXTENSIONS:
        extensions.append((cursor.number(2), cursor.vector(2)))
    if cut:
        raise CutShort("the extensions end early")
