"""The NATS scanner against its dissector: both sides' operations, verbose and not, errors, other ports, damage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection

LOGINS = (
    b'CONNECT {"verbose":false,"lang":"go","protocol":1}\r\n',
    b'CONNECT {"lang": "python3", "verbose": true, "pass": null} \r\n',
    b"CONNECT {}\r\n",
    b'CONNECT {"name":"","verbose":false,"verbose":1}\r\n',
    b'CONNECT {"name":"' + b"x" * 600 + b'","lang":"c"}\r\n',
)
ODD_LOGINS = (
    b'CONNECT {"verbose":false,}\r\n',
    b'CONNECT {"a":{"verbose":false},"lang":"x"}\r\n',
    b'CONNECT {"name":"\xc3\xa9\\n","verbose":false}\r\n',
    b'CONNECT {"name":01,"verbose":false}\r\n',
    b'CONNECT {"name":1e400,"verbose":false}\r\n',
    b'connect {"verbose":false}\r\n',
)
SAID = (
    b"PUB a.b 2\r\nhi\r\n",
    b"PUB a.\xc3\xa9 reply.\xff 0\r\n\r\n",
    b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    b"HPUB a r 0 0\r\n\r\n",
    b"SUB a.* 1\r\n",
    b"SUB a.*  1\r\n",
    b"SUB a.> workers 2\r\n",
    b"UNSUB 1\r\n",
    b"UNSUB 1 5\r\n",
    b"PING\r\n",
    b"PONG\r\n",
)
ODD_SAID = (
    b"pub a 2\r\nhi\r\n",
    b"PUB a 2 \r\nhi\r\n",
    b"PUB\ta 2\r\nhi\r\n",
    b"PUB a 2\r\nhi!\r\n",
    b"PUB a x\r\n",
    b"PUB 2\r\nhi\r\n",
    b"HPUB a 3 2\r\nhi\r\n",
    b"SUB a\r\n",
    b"SUB a b c d\r\n",
    b"UNSUB\r\n",
    b"UNSUB 1 x\r\n",
    b"RS+ account a\r\n",
    b"\r\nPING\r\n",
    b"PING \r\n",
    b"+OK\r\n",
    b"MSG a 1 2\r\nhi\r\n",
    b'INFO {"server_id":"x"}\r\n',
)
TOLD = (
    b"+OK\r\n",
    b"MSG a.b 1 2\r\nhi\r\n",
    b"MSG a.\xff 1 reply.\xc3\xa9 7\r\n+OK\r\n\r\n\r\n",
    b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    b"HMSG a 1 r 2 2\r\nhi\r\n",
    b"PING\r\n",
    b"PONG\r\n",
    b'INFO {"server_id":"y","ldm":true}\r\n',
)
ODD_TOLD = (
    b"-ERR 'Unknown \xff Protocol'\r\n",
    b"-ERR ''\r\n",
    b"-ERR no quotes\r\n",
    b"MSG a 2\r\nhi\r\n",
    b"MSG a 1 r x 2\r\nhi\r\n",
    b"RMSG acc a 2\r\nhi\r\n",
    b"+OK \r\n",
    b"\x16\x03\x01\0\1a",
    b"PUB a 2\r\nhi\r\n",
)
GREETING = b'INFO {"server_id":"x","max_payload":1048576}\r\n'


@given(
    st.none() | st.sampled_from(LOGINS) | st.sampled_from((*LOGINS, *ODD_LOGINS)),
    st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 40)), max_size=8),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from((False, False, True)),
    st.none() | st.tuples(st.integers(0, 7), st.integers(0, 40), st.integers(0, 255)),
    st.sampled_from(((4222, 40_000), (4222, 40_000), (7000, 40_000), (40_000, 4222))),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    login: bytes | None,
    turns: list[tuple[bool, int, int]],
    begun: tuple[bool, bool],
    is_odd: bool,
    damage: tuple[int, int, int] | None,
    ports: tuple[int, int],
) -> None:
    capture = Capture()
    connection = Connection(capture, *ports)
    is_whole, is_greeted = begun
    if is_whole:
        connection.open()
    if is_greeted:
        connection.answer(GREETING)
    if login:
        connection.ask(login)
    for place, (is_back, which, cut) in enumerate(turns):
        plain, odd = (TOLD, ODD_TOLD) if is_back else (SAID, ODD_SAID)
        choice = (*plain, *odd) if is_odd else plain
        data = choice[which % len(choice)]
        if damage and damage[0] == place and damage[1] < len(data):
            data = data[: damage[1]] + bytes(damage[2:]) + data[damage[1] + 1 :]
        for piece in (data[: cut % len(data)], data[cut % len(data) :]):
            if piece:
                (connection.answer if is_back else connection.ask)(piece)
    assert_scanned_as_dissected(capture.segments())


@pytest.mark.parametrize("login", [*LOGINS, b""])
@pytest.mark.parametrize("error", [b"", b"-ERR 'Stale Connection'\r\n"])
def test_plain_ones_are_taken(login: bytes, error: bytes) -> None:
    """An error in verbose mode answers a line or not, as the time tells: the dissector's."""
    capture = Capture()
    connection = Connection(capture, 4222)
    if login:
        connection.open().answer(GREETING).ask(login)
    for said, told in zip(SAID, [each for each in TOLD if each != b"+OK\r\n"] * 2, strict=False):
        connection.ask(said).answer(told)
    if error:
        connection.answer(error)
    is_verbose = login in (LOGINS[1], LOGINS[2], LOGINS[4])
    assert (assert_scanned_as_dissected(capture.segments())["nats"] > 0) is not (is_verbose and bool(error))
