"""The scanner of TLS says what its dissector says: of made-up, cut and damaged handshakes."""

from __future__ import annotations

import hashlib
from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.core_capture import load_core
from kubeshark.extension_api import Handover
from kubeshark.pipeline import Entry
from kubeshark.pipeline.reading._streams import FlowStream
from kubeshark.pipeline.tables._lazy_entry import LazyEntry
from tests.pipeline._scanned import assert_scanned_as_dissected, entries
from tests.pipeline._traffic import Capture, Connection

RETRY = hashlib.sha256(b"HelloRetryRequest").digest()


def record(body: bytes, kind: int = 22) -> bytes:
    return bytes((kind, 3, 3)) + pack(">H", len(body)) + body


def message(kind: int, body: bytes = b"") -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def extension(number: int, body: bytes) -> bytes:
    return pack(">HH", number, len(body)) + body


def extensions(*each: bytes) -> bytes:
    return pack(">H", len(b"".join(each))) + b"".join(each)


def sni(name: bytes) -> bytes:
    return extension(0, pack(">HBH", len(name) + 3, 0, len(name)) + name)


def alpn(*names: bytes) -> bytes:
    listed = b"".join(bytes((len(name),)) + name for name in names)
    return extension(16, pack(">H", len(listed)) + listed)


def client_hello(rest: bytes = b"", random: bytes = b"r" * 32) -> bytes:
    return message(1, b"\x03\x03" + random + b"\x02id" + b"\0\x04\x13\x01\xc0\x2f" + b"\x01\0" + rest)


def server_hello(rest: bytes = b"", random: bytes = b"s" * 32, version: bytes = b"\x03\x03") -> bytes:
    return message(2, version + random + b"\0" + b"\xc0\x2f\0" + rest)


VERSIONS = extension(43, b"\x02\x03\x04"), extension(43, b"\x03\x04")
OFFER = extensions(sni(b"a.test"), alpn(b"h2", b"http/1.1"), VERSIONS[0])
ASKED = (
    record(client_hello(OFFER)),
    record(client_hello()),
    record(client_hello(extensions(sni(b"caf\xc3\xa9"), sni(b"second")))),
    record(client_hello(extensions(alpn(b"\x0a\x0a", b"h2")))),
    record(client_hello(extensions(extension(0, b""), extension(16, b"\0\0")))),
    record(client_hello(OFFER)[:40]) + record(client_hello(OFFER)[40:]),
    record(message(16, b"key")) + record(b"\x01", 20) + record(b"e" * 40),
    record(b"\x01", 20) + record(b"application", 23),
    record(b"\x02\x28", 21),
    record(b"\x01encrypted", 22),
    record(message(1, b"\x03\x03short")),
    b"\x17\x03\x03\x40\0not whole",
)
ANSWERED = (
    record(server_hello(extensions(alpn(b"h2"), VERSIONS[1]))) + record(b"\x01", 20) + record(b"hidden", 23),
    record(server_hello() + message(11, b"c" * 50) + message(14)) + record(b"\x01", 20) + record(b"e" * 40),
    record(server_hello()) + record(message(11, b"c" * 50)[:20]) + record(message(11, b"c" * 50)[20:] + message(14)),
    record(server_hello(extensions(alpn(b"")))),
    record(server_hello(random=RETRY)),
    record(server_hello(version=b"\x7f\x1c")),
    record(server_hello(extensions(extension(43, b"\x7f\x1c")))),
    record(server_hello(version=b"\x03\x01")),
    record(b"\x02\x28", 21),
    record(message(0)),
    record(b"\0" * 5, 23),
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
)
TURN = st.tuples(st.integers(0, 1), st.integers(0, len(ASKED) - 1), st.integers(0, 150), st.integers(0, 255))


def converse(turns: list[tuple[int, int, int, int]], *, is_whole: bool = True, is_mutated: bool = False) -> Capture:
    """Write a connection; of a turn: whose it is, what is said, where it is cut or a byte is set, and to what."""
    capture = Capture()
    connection = Connection(capture, port=443)
    if is_whole:
        connection.open()
    for side, which, at, byte in turns:
        data = bytearray((ASKED, ANSWERED)[side][which])
        if is_mutated and at < len(data):
            data[at] = byte
        cut = at % len(data)
        for piece in (bytes(data[:cut]), bytes(data[cut:])):
            if piece:
                (connection.answer if side else connection.ask)(piece)
    return capture


@given(st.lists(TURN, min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(turns: list[tuple[int, int, int, int]], begins: bool, is_whole: bool, is_mutated: bool) -> None:
    hello = [(0, 0, 30, 0)] if begins else []
    assert_scanned_as_dissected(converse(hello + turns, is_whole=is_whole, is_mutated=is_mutated).segments())


def test_plain_handshakes_are_taken() -> None:
    for asked in (0, 1):
        for answered in (0, 1, 2, 7):
            turns = [(0, asked, 9, 0), (1, answered, 30, 0), (0, 6, 0, 0), (0, 7, 0, 0), (1, 10, 0, 0)]
            assert assert_scanned_as_dissected(converse(turns).segments())["tlsx"] == 1
    assert assert_scanned_as_dissected(converse([(0, 0, 0, 0)]).segments())["tlsx"] == 1


def handshakes(found: list[Entry]) -> list[bool]:
    """Say of each entry but connections whether it was scanned."""
    return [isinstance(entry, LazyEntry) for entry in found if not entry.id.endswith("conn")]


def test_streams_that_may_be_decrypted_are_dissected() -> None:
    asked: list[FlowStream] = []

    def decrypt(stream: FlowStream) -> Handover | None:
        asked.append(stream)
        return None

    segments = converse([(0, 0, 0, 0), (1, 0, 0, 0)]).segments()
    assert handshakes(entries(segments, load_core())) == [True]
    found = entries(segments, load_core(), decrypt=decrypt)
    assert handshakes(found) == [False]
    assert asked


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 30, 90])
def test_handshakes_are_scanned_however_packets_cut_them(size: int) -> None:
    capture = Capture()
    connection = Connection(capture, port=443).open()
    for data, send in ((ASKED[0] + ASKED[6], connection.ask), (ANSWERED[0], connection.answer)):
        for at in range(0, len(data), size):
            send(data[at : at + size])
    assert assert_scanned_as_dissected(capture.segments())["tlsx"] == 1
