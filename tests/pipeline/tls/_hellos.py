"""Hellos and records made by hand, as RFC 8446 §4.1 and RFC 5246 §7.4.1 lay them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack

__all__ = [
    "CHROME",
    "RANDOM",
    "RETRY",
    "alert",
    "alpn",
    "certificate",
    "client_hello",
    "handshake",
    "key_share",
    "record",
    "server_hello",
    "server_name",
    "vector",
]

RANDOM = bytes(range(32))
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 §4.1.3


def vector(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def numbers(values: Iterable[int]) -> bytes:
    return b"".join(pack(">H", value) for value in values)


def server_name(name: bytes) -> tuple[int, bytes]:
    return 0, vector(2, b"\0" + vector(2, name))


def alpn(*names: bytes) -> tuple[int, bytes]:
    return 16, vector(2, b"".join(vector(1, name) for name in names))


def key_share(*groups: int) -> tuple[int, bytes]:
    return 51, vector(2, b"".join(pack(">H", group) + vector(2, bytes(32)) for group in groups))


def extensions_of(extensions: Sequence[tuple[int, bytes]]) -> bytes:
    return vector(2, b"".join(pack(">H", number) + vector(2, body) for number, body in extensions))


def client_hello(
    suites: Sequence[int] = (0x1301, 0x002F),
    extensions: Sequence[tuple[int, bytes]] = (),
    *,
    version: int = 0x0303,
    random: bytes = RANDOM,
    session: bytes = b"",
    cookie: bytes | None = None,
) -> bytes:
    """The body of a ClientHello; with `cookie` one of DTLS."""
    body = pack(">H", version) + random + vector(1, session)
    body += b"" if cookie is None else vector(1, cookie)
    return body + vector(2, numbers(suites)) + b"\x01\0" + extensions_of(extensions)


def server_hello(
    suite: int = 0x1301,
    extensions: Sequence[tuple[int, bytes]] = (),
    *,
    version: int = 0x0303,
    random: bytes = RANDOM[::-1],
    session: bytes = b"",
) -> bytes:
    body = pack(">H", version) + random + vector(1, session) + pack(">HB", suite, 0)
    return body + (extensions_of(extensions) if extensions else b"")


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(3, body)


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return pack(">BH", kind, version) + vector(2, body)


def alert(level: int, description: int) -> bytes:
    return record(21, bytes([level, description]))


def certificate(*ders: bytes) -> bytes:
    return handshake(11, vector(3, b"".join(vector(3, der) for der in ders)))


CHROME = client_hello(
    [2570, 4865, 4866, 4867, 49195, 49199, 49196, 49200, 52393, 52392, 49171, 49172, 156, 157, 47, 53],
    [
        (0x1A1A, b""),
        (0x001B, b"\x02\0\x02"),
        server_name(b"example.org"),
        key_share(0x0A0A, 29),
        alpn(b"h2", b"http/1.1"),
        (0x4469, b"\0\x03\x02h2"),
        (0x0017, b""),
        (0x0023, b""),
        (0x000D, vector(2, numbers([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]))),
        (0x0005, b"\x01\0\0\0\0"),
        (0x0012, b""),
        (0x000B, b"\x01\0"),
        (0x000A, vector(2, numbers([0x2A2A, 29, 23, 24]))),
        (0x002D, b"\x01\x01"),
        (0x002B, vector(1, numbers([0x3A3A, 0x0304, 0x0303]))),
        (0xFF01, b"\0"),
        (0x0015, bytes(20)),
        (0x4A4A, b"\0"),
    ],
)
"""The example of JA4's description: t13d1516h2_8daaf6152771_e5627efa2ab1."""
