"""The Redis scanner against its dissector: pipelines, secrets, keys, text that is none, pushes, damage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection, find


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


PLAIN = (
    (b"PING",),
    (b"get", b"a:1"),
    (b"SET", "clé".encode(), b"\xff\xfe\x00"),
    (b"SET", b"k\xe9y" * 40, "ü".encode() * 2100),
    (b"SET", b"a" * 63 + "ü".encode(), b"v" * 5000),
    (b"MSET", *(b"%d" % number for number in range(600))),
    (b"AUTH", b"secret"),
    (b"AUTH", b"user", b"secret"),
    (b"HELLO", b"3", b"auth", b"user", b"secret", b"SETNAME", b"x"),
    (b"CONFIG", b"GET", b"requirepass"),
    (b"CLIENT", b"SETNAME", b"x"),
    (b"XREAD", b"COUNT", b"2", b"streams", b"s1", b"0"),
    (b"XGROUP", b"CREATE", b"stream", b"group"),
    (b"EVAL", b"return 1", b"1", b"key"),
    (b"EVAL", b"return 1", b"0"),
    (b"ZDIFF", b"2", b"z1", b"z2"),
    (b"JSON.GET", b"doc", b"$"),
    (b"GET",),
)
ODD = (
    (b"CONFIG", b"SET", b"requirepass", b"secret"),
    (b"CLIENT", b"REPLY", b"SKIP"),
    (b"XREAD", "\u017ftreams".encode(), b"STREAMS"),
    (b"ACL", b"SETUSER", b"u", b">secret"),
    (b"SUBSCRIBE", b"news", b"more"),
    (b"MONITOR",),
    (b"", b"a"),
    (b"no verb", b"a"),
)
BENT = (b"PING\r\n", b"\r\n*0\r\n", b"*01\r\n$4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*1\r\n+PING\r\n", b"*-1\r\n")
ANSWERS = (
    b"+OK\r\n",
    b"$-1\r\n",
    b"$5\r\nhello\r\n",
    b"$0\r\n\r\n",
    b":42\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n",
    b"%1\r\n+a\r\n~2\r\n#t\r\n_\r\n",
    b"-ERR wrong \xe9\r\n",
    b"=7\r\ntxt:abc\r\n",
    b",1.5\r\n",
    b"(123456789012345678901\r\n",
    b"*-1\r\n",
    b"*0\r\n",
)
ODD_ANSWERS = (
    b"+1700000000.1 [0 127.0.0.1:1] PING\r\n",
    b":1a\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
    b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
    b"|1\r\n+ttl\r\n:1\r\n+OK\r\n",
    b"!5\r\nERR x\r\n",
    b"*1000000\r\n:1\r\n",
    b"$?\r\n;2\r\nab\r\n;0\r\n",
    b"\r\n",
)
ASKED = [*(command(*words) for words in (*PLAIN, *ODD)), *BENT]
ANSWERED = [*ANSWERS, *ODD_ANSWERS]
TURNS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 40)), min_size=1, max_size=6)
PORTS = ((6379, 40_000), (6379, 40_000), (7000, 40_000), (40_000, 6379))


@given(
    TURNS,
    st.booleans(),
    st.sampled_from((len(PLAIN), len(PLAIN), len(ASKED))),
    st.sampled_from((len(ANSWERS), len(ANSWERS), len(ANSWERED))),
    st.none() | st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 255)),
    st.sampled_from(PORTS),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    turns: list[tuple[int, int, int]],
    is_whole: bool,
    commands: int,
    answers: int,
    damage: tuple[int, int, int] | None,
    ports: tuple[int, int],
) -> None:
    capture = Capture()
    connection = Connection(capture, *ports)
    if is_whole:
        connection.open()
    for number, (asked, answered, cut) in enumerate(turns):
        for data, say in ((ASKED[asked % commands], connection.ask), (ANSWERED[answered % answers], connection.answer)):
            if damage and damage[0] == number and damage[1] < len(data):
                data = data[: damage[1]] + bytes(damage[2:]) + data[damage[1] + 1 :]
            for piece in (data[: cut % len(data)], data[cut % len(data) :]):
                if piece:
                    say(piece)
    assert_scanned_as_dissected(capture.segments())


@pytest.mark.parametrize("is_whole", [True, False])
def test_plain_ones_are_taken(is_whole: bool) -> None:
    """Midway, too: pools keep their connections for days."""
    capture = Capture()
    connection = Connection(capture, 6379)
    if is_whole:
        connection.open()
    for number, words in enumerate(PLAIN):
        connection.ask(command(*words)).answer((b"+OK\r\n", b"-ERR x\r\n", b"*1\r\n$-1\r\n", b":1\r\n")[number % 4])
    assert assert_scanned_as_dissected(capture.segments())["redis"] == len(PLAIN)


def test_secrets_are_in_no_text() -> None:
    capture = Capture()
    connection = Connection(capture, 6379).open()
    for words in PLAIN:
        if words[0] in (b"AUTH", b"HELLO"):
            connection.ask(command(*words)).answer(b"+OK\r\n")
    entries = find(capture, "redis")
    assert [entry.get("redis_command") for entry in entries] == [
        "AUTH [redacted]",
        "AUTH user [redacted]",
        "HELLO 3 auth user [redacted] SETNAME x",
    ]
    assert not any(entry.is_built for entry in entries)
