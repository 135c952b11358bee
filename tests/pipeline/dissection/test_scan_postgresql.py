"""The scanner of PostgreSQL says what its dissector says: of made-up, cut and damaged connections."""

from __future__ import annotations

from struct import pack

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + pack(">I", 4 + len(body)) + body


def startup(parameters: bytes = b"user\0u\0database\0d\0\0") -> bytes:
    return pack(">II", 8 + len(parameters), 3 << 16) + parameters


TLS_REQUEST, GSS_REQUEST = pack(">II", 8, 80877103), pack(">II", 8, 80877104)
PARSE, BIND = message(b"P", b"s1\0SELECT $1\0\0\0"), message(b"B", b"\0s1\0\0\0\0\0\0\0")
DESCRIBE, EXECUTE, SYNC = message(b"D", b"P\0"), message(b"E", b"\0\0\0\0\0"), message(b"S")
BEGIN = message(b"Q", b"BEGIN\0")
READY = message(b"Z", b"I")
WELCOME = message(b"R", bytes(4)) + message(b"S", b"a\0b\0") + message(b"K", bytes(8)) + READY
TAG, ROW, COLUMNS = message(b"C", b"SELECT 1\0"), message(b"D", bytes(2)), message(b"T", bytes(2))
ERROR = message(b"E", b"SERROR\0C42P01\0Mno such table\0\0")

ASKED = (
    BEGIN,
    message(b"Q", b"/* a */ create table t (a int); insert into t values (1)\0"),
    message(b"Q", b"caf\xc3\xa9\0"),
    PARSE + DESCRIBE + SYNC,
    PARSE + BIND + DESCRIBE + EXECUTE + SYNC,
    BIND + EXECUTE + BIND + EXECUTE + SYNC,
    message(b"P", b"\0UPDATE t\0\0\0")
    + message(b"H")
    + message(b"B", b"p\0\0\0\0\0\0\0\0")
    + message(b"E", b"p\0\0\0\0\0"),
    message(b"E", b"p\0\0\0\0\0") + SYNC,
    message(b"D", b"Ss1\0") + SYNC,
    message(b"C", b"Ss1\0") + SYNC,
    SYNC,
    message(b"X"),
    message(b"p", b"secret\0"),
    message(b"B", b"\xe9\0s1\0\0\0\0\0\0\0") + SYNC,
    startup(),
    startup(b"user\0u\0\0"),
    startup(b"client_encoding\0x\0user\0u\0\0"),
    TLS_REQUEST,
    GSS_REQUEST,
    message(b"d", b"1\t2\n") + message(b"c"),
    PARSE + message(b"D", b"Ss1\0") + message(b"H"),
    message(b"C", b"Ss1\0") + message(b"H"),
    message(b"D", b"Pp\0") + SYNC,
    message(b"B", b"p\0nobody\0\0\0\0\0\0\0") + EXECUTE + message(b"H"),
    message(b"H"),
)
ANSWERED = (
    COLUMNS + ROW + ROW + TAG + READY,
    TAG + message(b"C", b"INSERT 0 1\0") + READY,
    ERROR + READY,
    message(b"1") + message(b"t", bytes(2)) + COLUMNS + READY,
    message(b"1") + message(b"2") + COLUMNS + ROW + TAG + READY,
    message(b"2") + TAG + message(b"2") + message(b"C", b"UPDATE 7\0") + READY,
    message(b"2") + TAG + message(b"2") + ERROR + READY,
    message(b"2") + ROW + message(b"s") + TAG + READY,
    message(b"2") + message(b"I") + READY,
    message(b"n") + READY,
    message(b"3") + READY,
    READY,
    message(b"N", b"SNOTICE\0C00000\0Mhi\0\0"),
    WELCOME,
    message(b"R", pack(">I", 5) + b"salt"),
    b"N",
    b"S",
    message(b"A", pack(">I", 1) + b"channel\0payload\0"),
    message(b"G", b"\0\0\0"),
    message(b"E", b"Mold protocol\0"),
    message(b"1") + message(b"t", bytes(2)) + COLUMNS,
    message(b"3"),
    ROW + TAG,
    TAG,
    message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mgoodbye\0\0"),
)


def converse(turns: list[tuple[int, int, int, int]], *, is_whole: bool = True, is_mutated: bool = False) -> Capture:
    """Write a connection; of a turn: whose it is, which message, where to cut it or set a byte, and to what."""
    capture = Capture()
    connection = Connection(capture, port=5432)
    if is_whole:
        connection.open()
    for side, which, at, byte in turns:
        data = bytearray((ASKED, ANSWERED)[side % 2][which % len(ASKED)])
        if is_mutated and at < len(data):
            data[at] = byte
        cut = at % len(data)
        for piece in (bytes(data[:cut]), bytes(data[cut:])):
            if piece:
                (connection.answer if side % 2 else connection.ask)(piece)
    return capture


TURN = st.tuples(st.integers(0, 1), st.integers(0, len(ASKED) - 1), st.integers(0, 60), st.integers(0, 255))
TURNS = st.lists(TURN, min_size=1, max_size=8)
LOGIN = [(0, ASKED.index(startup()), 0, 0), (1, ANSWERED.index(WELCOME), 0, 0)]


@example([(1, 22, 24, 0), (0, 1, 31, 0), (1, 9, 15, 0), (0, 5, 45, 0)], [], True, False)
@given(TURNS, st.sampled_from(([], LOGIN)), st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    turns: list[tuple[int, int, int, int]], before: list[tuple[int, int, int, int]], is_whole: bool, is_mutated: bool
) -> None:
    assert_scanned_as_dissected(converse(before + turns, is_whole=is_whole, is_mutated=is_mutated).segments())


def test_plain_connections_are_taken() -> None:
    pairs = [(0, 0), (1, 0), (3, 3), (4, 4), (5, 5), (4, 2), (9, 10), (10, 11)]
    turns = [turn for asked, answer in pairs for turn in ((0, asked, 7, 0), (1, answer, 9, 0))]
    login = [(0, ASKED.index(TLS_REQUEST), 0, 0), (1, ANSWERED.index(b"N"), 0, 0), *LOGIN]
    counts = assert_scanned_as_dissected(converse([*login, *turns, (0, ASKED.index(message(b"X")), 0, 0)]).segments())
    assert counts["postgresql"] == len(pairs) + 4  # the batch of two, the start, the refused encryption, the end


def test_pooled_connections_are_taken_from_their_middle() -> None:
    """Answers come first to what was asked before the capture."""
    turns = [(1, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0), (0, 5, 0, 0), (1, 5, 0, 0)]
    counts = assert_scanned_as_dissected(converse(turns, is_whole=False).segments())
    assert counts["postgresql"] == 4


def test_more_names_than_the_scanner_keeps_are_the_dissectors() -> None:
    capture = Capture()
    connection = Connection(capture, port=5432).open().ask(startup()).answer(WELCOME)
    for number in range(1200):
        connection.ask(message(b"P", b"s%d\0SELECT %d\0\0\0" % (number, number)) + SYNC)
    assert assert_scanned_as_dissected(capture.segments())["postgresql"] == 0
