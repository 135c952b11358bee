"""The WebSocket scanner, behind the HTTP one, against the dissectors: made up, cut anywhere, damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection

ASK = b"GET /live HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n"
GRANT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n%s\r\n"
MASK = b"\x01\x02\x03\x04"
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(payload: bytes, first: int = 0x80 | TEXT, *, is_masked: bool = False) -> bytes:
    size = len(payload)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    if is_masked:
        payload = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
        return bytes((first, length[0] | 0x80)) + length[1:] + MASK + payload
    return bytes((first,)) + length + payload


def talk(
    client: bytes, server: bytes, cuts: Sequence[int] = (), *, headers: bytes = b"", granted: bytes = b""
) -> Counter[str]:
    capture = Capture()
    connection = Connection(capture).open().ask().answer()
    connection.ask(ASK % headers).answer(GRANT % granted)
    for at, cut in enumerate([*cuts, 1 << 30]):
        low = ([0, *cuts])[at]
        for piece, send in ((client[low:cut], connection.ask), (server[low:cut], connection.answer)):
            if piece:
                send(piece)
    return assert_scanned_as_dissected(capture.segments())


def test_plain_messages_are_scanned() -> None:
    client = frame(b"hello", is_masked=True) + frame(b"", 0x80 | PING, is_masked=True)
    server = frame(b"x" * 300) + frame(b"\x03\xe8bye", 0x80 | CLOSE)
    assert talk(client, server) == Counter(http=2, ws=4)


def test_fragments_with_a_ping_between() -> None:
    server = frame(b"ab", TEXT) + frame(b"", 0x80 | PING) + frame(b"cd", 0) + frame(b"", 0x80)
    assert talk(frame(b"\xff", 0x80 | BINARY, is_masked=True), server) == Counter(http=2, ws=3)


@pytest.mark.parametrize(
    ("client", "server"),
    [
        (frame(b"unmasked"), b""),
        (b"", frame(b"masked", is_masked=True)),
        (b"", frame(b"never ends", TEXT)),
        (b"", frame(b"of nothing", 0x80)),
        (b"", b"\x81\x7e\x00\x05short"),
        (b"", frame(b"cut")[:-1]),
        (frame(b"\x10\x0c\0\x04MQTT\4\2\0\0\0\0", 0x80 | BINARY, is_masked=True), b""),
        (b"", frame(b"INFO {}\r\n")),
    ],
)
def test_what_is_odd_is_left_to_the_dissector(client: bytes, server: bytes) -> None:
    assert talk(client, server)["ws"] == 0


def test_other_upgrades_are_left() -> None:
    assert (
        talk(b"", b"", headers=b"Sec-WebSocket-Protocol: mqtt\r\n", granted=b"Sec-WebSocket-Protocol: mqtt\r\n") == {}
    )
    capture = Capture()
    Connection(capture).open().ask(ASK % b"").answer().ask(frame(b"not granted", is_masked=True))
    assert assert_scanned_as_dissected(capture.segments()) == {}


def test_a_switch_without_a_word_after_it() -> None:
    assert talk(b"", b"") == Counter(http=2)


FRAMES = st.builds(
    lambda payload, opcode, fin, rsv, masked: (payload, fin | rsv | opcode, masked),
    st.binary(max_size=140),
    st.sampled_from([0, 1, 1, 1, 2, 2, 3, 8, 9, 10]),
    st.sampled_from([0x80, 0x80, 0x80, 0]),
    st.sampled_from([0, 0, 0, 0x40, 0x20]),
    st.sampled_from([True, True, True, False]),
)


@given(
    st.lists(FRAMES, max_size=4),
    st.lists(FRAMES, max_size=4),
    st.lists(st.integers(1, 400), max_size=2).map(sorted),
    st.integers(0, 300),
    st.integers(0, 255),
    st.booleans(),
)
@example([(b"a", 0x81, True)], [(b"", 1, True), (b"INFO {", 0x80, True)], [], 0, 0, False)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    client: list[tuple[bytes, int, bool]],
    server: list[tuple[bytes, int, bool]],
    cuts: list[int],
    at: int,
    byte: int,
    is_mutated: bool,
) -> None:
    asked = bytearray(b"".join(frame(payload, first, is_masked=right) for payload, first, right in client))
    said = bytearray(b"".join(frame(payload, first, is_masked=not right) for payload, first, right in server))
    if is_mutated:
        for side in (asked, said):
            if at < len(side):
                side[at] = byte
    talk(bytes(asked), bytes(said), cuts)
