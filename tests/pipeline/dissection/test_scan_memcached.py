"""The memcached scanner against its dissector: text, meta and binary commands, noreply, quiet ones, damage."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection

KEY = b"k" * 250
PLAIN = (
    b"get a:1\r\n",
    b"gets \xc3\xa9 b " + KEY + b"\r\n",
    b"gat 0 a b\r\n",
    b"get \xff\xe9 c\r\n",
    b"get " + b" ".join(b"key:%d" % number for number in range(100)) + b"\r\n",
    b"set a 1 -1 2\r\nhi\r\n",
    b"add a 0 0 0 noreply\r\n\r\n",
    b"cas a 0 10 3 12345678901234567890\r\n\r\n!\r\n",
    b"append noreply 0 0 1 noreply\r\nx\r\n",
    b"delete a\r\n",
    b"delete a noreply\r\n",
    b"incr a 5\r\n",
    b"touch a 60\r\n",
    b"stats\r\n",
    b"stats items\r\n",
    b"version\r\n",
    b"flush_all noreply\r\n",
    b"verbosity 1\r\n",
    b"mg a v k O7\r\n",
    b"ms a 2 T60 c\r\nhi\r\n",
    b"md a qq\r\n",
    b"mn\r\n",
    b"quit\r\n",
)
ODD = (
    b"mg a v q\r\n",
    b"ms a S2 T60\r\nhi\r\n",
    b"get\r\n",
    b"gat 0\r\n",
    b"get  a\r\n",
    b"get a \r\n",
    b"get a\n",
    b"\r\nget a\r\n",
    b"get a\x85b\x0bc\r\n",
    b"get " + KEY + b"k\r\n",
    b"delete noreply\r\n",
    b"set a 0 0 2\r\nhi!\r\n",
    b"set a 0 0\r\n",
    b"set a x 0 1\r\nx\r\n",
    b"stats \xc3\xa9\r\n",
    b"watch fetchers\r\n",
    b"GET a\r\n",
    b"set " + KEY + b"k 0 0 1\r\nx\r\n",
    b"set a 4294967296 0 6\r\nget a\n\r\n",
    b"what\r\n",
)
ANSWERS = (
    b"END\r\n",
    b"VALUE a 0 2\r\nhi\r\nEND\r\n",
    b"VALUE \xff 0 0 7\r\n\r\nVALUE b 1 5\r\nEND\r\n\r\nEND\r\n",
    b"STORED\r\n",
    b"NOT_FOUND\r\n",
    b"DELETED\r\n",
    b"42\r\n",
    b"ERROR\r\n",
    b"CLIENT_ERROR bad \xff\r\n",
    b"VERSION 1.6.21\r\n",
    b"STAT pid 1\r\nSTAT uptime  2 3\r\nEND\r\n",
    b"OK\r\n",
    b"HD t60\r\n",
    b"EN\r\n",
    b"VA 2 kme s2\r\nhi\r\n",
    b"VA 0\r\n\r\n",
    b"MN\r\n",
    b"ME a exp=1\r\n",
)
ODD_ANSWERS = (
    b"CLIENT_ERROR bad command line format\r\n",
    b"CLIENT_ERROR bad data chunk\r\n",
    b"VALUE a 0 2\r\nhi\r\nSTORED\r\n",
    b"VALUE a 0 2\r\nhi\r\nSTAT a 1\r\nEND\r\n",
    b"VALUE a 0 9\r\nhi\r\nEND\r\n",
    b"STAT a 1\r\nEN\r\n",
    b"STAT  1\r\nEND\r\n",
    b"ITEM a [1 b; 2 s]\r\nEND\r\n",
    b"ts=1.0 gid=1 type=item_get\r\n",
    b"42 \r\n",
    b"STORED x\r\n",
    b"CLIENT_ERROR\r\n",
    b"VA x\r\n",
    b"what\r\n",
    b"\r\n",
)


def binary(
    magic: int, opcode: int, key: bytes = b"", extras: bytes = b"", value: bytes = b"", opaque: int = 1
) -> bytes:
    """A packet, of a response with status 0."""
    size = len(key) + len(extras) + len(value)
    return pack(">BBHBBHIIQ", magic, opcode, len(key), len(extras), 0, 0, size, opaque, 9) + extras + key + value


PACKETS = (
    binary(0x80, 0x00, b"a"),
    binary(0x80, 0x01, b"\xff\xc3\xa9", bytes(8), b"hi", 2),
    binary(0x80, 0x05, b"a", bytes(20), b"", 3),
    binary(0x80, 0x0A),
    binary(0x80, 0x08, b"", bytes(4)),
    binary(0x80, 0x08),
    binary(0x80, 0x1D, b"a", bytes(4)),
    binary(0x80, 0x21, b"PLAIN", b"", b"\0user\0secret"),
    binary(0x80, 0x17),
)
ODD_PACKETS = (
    binary(0x80, 0x00),
    binary(0x80, 0x01, b"a"),
    binary(0x80, 0x0D, b"a", b"", b"", 7),
    binary(0x80, 0x10),
    binary(0x80, 0x1F, b"a"),
    binary(0x80, 0x99, b"a"),
)
REPLIES = (
    binary(0x81, 0x00, b"", bytes(4), b"value"),
    binary(0x81, 0x0C, b"a", bytes(4), b"value", 2),
    binary(0x81, 0x05, b"", b"", bytes(8), 3),
    binary(0x81, 0x01)[:7] + b"\x05" + binary(0x81, 0x01)[8:],
    binary(0x81, 0x0A),
)
ODD_REPLIES = (
    binary(0x81, 0x10, b"pid", b"", b"1"),
    binary(0x81, 0x0D, b"a", bytes(4), b"value", 7),
    binary(0x81, 0x01)[:6] + b"\x77\x77" + binary(0x81, 0x01)[8:],
    binary(0x81, 0x00, b"", bytes(3), b"value"),
)
KINDS = {  # what is asked, how much of it is odd; what answers it, how much of that is odd
    "text": ((*PLAIN, *ODD), len(PLAIN), (*ANSWERS, *ODD_ANSWERS), len(ANSWERS)),
    "binary": ((*PACKETS, *ODD_PACKETS), len(PACKETS), (*REPLIES, *ODD_REPLIES), len(REPLIES)),
}


@given(
    st.sampled_from(("text", "text", "binary")),
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 40)), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from((False, False, True)),
    st.none() | st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 255)),
    st.sampled_from(((11211, 40_000), (11211, 40_000), (7000, 40_000), (40_000, 11211))),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    kind: str,
    turns: list[tuple[int, int, int]],
    is_whole: bool,
    is_odd: bool,
    damage: tuple[int, int, int] | None,
    ports: tuple[int, int],
) -> None:
    capture = Capture()
    connection = Connection(capture, *ports)
    if is_whole:
        connection.open()
    asked, commands, answered, answers = KINDS[kind]
    if is_odd:
        commands, answers = len(asked), len(answered)
    for place, (which, told, cut) in enumerate(turns):
        for data, say in ((asked[which % commands], connection.ask), (answered[told % answers], connection.answer)):
            if damage and damage[0] == place and damage[1] < len(data):
                data = data[: damage[1]] + bytes(damage[2:]) + data[damage[1] + 1 :]
            for piece in (data[: cut % len(data)], data[cut % len(data) :]):
                if piece:
                    say(piece)
    assert_scanned_as_dissected(capture.segments())


@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_plain_ones_are_taken(kind: str, is_whole: bool) -> None:
    asked, commands, answered, answers = KINDS[kind]
    capture = Capture()
    connection = Connection(capture, 11211)
    if is_whole:
        connection.open()
    for number in range(max(commands, answers)):
        connection.ask(asked[number % commands]).answer(answered[number % answers])
    assert assert_scanned_as_dissected(capture.segments())["memcached"] >= commands


@pytest.mark.parametrize(("answer", "is_taken"), [(b"END\r\n", True), (b"VERSION 1\r\n", False)])
def test_a_long_first_line_needs_a_telling_answer(answer: bytes, is_taken: bool) -> None:
    """The probe sees 512 bytes."""
    capture = Capture()
    Connection(capture, 11211).open().ask(b"get " + b" ".join([KEY] * 3) + b"\r\n").answer(answer)
    assert (assert_scanned_as_dissected(capture.segments())["memcached"] > 0) is is_taken


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"set a 4294967296 0 6\r\nget a\n\r\n", b"CLIENT_ERROR bad command line format\r\nEND\r\nERROR\r\n"),
        (b"set " + KEY + b"k 0 0 1\r\nx\r\n", b"CLIENT_ERROR bad command line format\r\nERROR\r\n"),
        (b"set a 0 0 3\r\nabcdef\r\n", b"CLIENT_ERROR bad data chunk\r\nERROR\r\n"),
        (b"cas a 0 0 1 7\r\nx\r\n", b"ERROR\r\n"),
        (b"set a 0 0 1 2 3\r\nx\r\n", b"ERROR\r\nERROR\r\n"),
    ],
)
def test_refused_lines(asked: bytes, answered: bytes) -> None:
    capture = Capture()
    Connection(capture, 11211).open().ask(b"mn\r\n" + asked).answer(b"MN\r\n" + answered)
    assert_scanned_as_dissected(capture.segments())
