"""Redis streams in, messages out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors._wire import Wire
from kubeshark.pipeline.dissectors.databases import redis
from kubeshark.pipeline.dissectors.databases._redis_commands import inline_arguments, key_of, redacted
from kubeshark.pipeline.dissectors.databases._redis_resp import decoded, read_value, shown

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, Side, tcp

PORT = 6379


def command(*words: bytes | str) -> bytes:
    parts = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def messages(stream: FakeStream) -> list[Message]:
    return found_by(redis, redis.REDIS, stream)


def requests(client: bytes, server: bytes = b"") -> list[Message]:
    return [message for message in messages(tcp(client, server, port=PORT)) if message.direction == 0]


def answers(server: bytes, client: bytes = b"") -> list[Message]:
    return [message for message in messages(tcp(client, server, port=PORT)) if message.direction == 1]


def is_mine(stream: FakeStream) -> bool:
    return redis.probe(redis.REDIS, [stream]) == [Verdict.MINE]


def value_of(wire: bytes) -> Any:
    return decoded(wire)


def test_command_and_answer() -> None:
    wire = command("hset", "stock:17", "count", "12")
    request, response = messages(tcp(wire, b":1\r\n", port=PORT))
    assert (request.kind, response.kind) == (MessageKind.REQUEST, MessageKind.RESPONSE)
    assert request.fields == {
        "redis_type": "HSET",
        "redis_command": "HSET stock:17 count 12",
        "redis_key": "stock:17",
        "redis_request_size": len(wire),
    }
    assert document(request) == {
        "type": "Array",
        "command": "HSET",
        "key": "stock:17",
        "value": "[count, 12]",
        "keyword": "",
    }
    assert response.fields == {"redis_response_size": 4}
    assert document(response) == {"type": "Integer", "command": "", "key": "", "value": "1", "keyword": ""}


def test_error_answer() -> None:
    (response,) = answers(b"-WRONGTYPE Operation against a key\r\n", command("INCR", "a"))
    assert response.fields["redis_error"] == "WRONGTYPE Operation against a key"
    assert document(response)["keyword"] == "WRONGTYPE"
    assert document(response)["type"] == "Error"


@pytest.mark.parametrize(
    ("wire", "kind", "value"),
    [
        (b"+OK\r\n", "Simple String", "OK"),
        (b"$-1\r\n", "Null", "nil"),
        (b"*-1\r\n", "Null", "nil"),
        (b"_\r\n", "Null", "nil"),
        (b"$0\r\n\r\n", "Bulk String", ""),
        (b"$4\r\na\r\nb\r\n", "Bulk String", "a\r\nb"),
        (b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n", "Array", "[[1], x]"),
        (b"%1\r\n+k\r\n:7\r\n", "Map", "{k: 7}"),
        (b"~2\r\n:1\r\n:2\r\n", "Set", "[1, 2]"),
        (b"#t\r\n", "Boolean", "true"),
        (b",1.5\r\n", "Double", "1.5"),
        (
            b"(3492890328409238509324850943850943825024385\r\n",
            "Big Number",
            "3492890328409238509324850943850943825024385",
        ),
        (b"=8\r\ntxt:Some\r\n", "Verbatim", "Some"),
        (b"!9\r\nERR wrong\r\n", "Error", "ERR wrong"),
        (b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", "Bulk String", "v"),
        (b"*2\r\n:1\r\n|1\r\n+ttl\r\n:9\r\n:2\r\n", "Array", "[1, 2]"),
        (b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", "Bulk String", "Hello"),
        (b"*?\r\n:1\r\n:2\r\n.\r\n", "Array", "[1, 2]"),
        (b"%?\r\n+a\r\n:1\r\n.\r\n", "Map", "{a: 1}"),
    ],
    ids=lambda value: value.decode("latin-1").split("\r")[0] if isinstance(value, bytes) else str(value)[:8],
)
def test_types(wire: bytes, kind: str, value: str) -> None:
    first, second = answers(wire + b"+OK\r\n", command("X") + command("Y"))
    assert (first.error, first.end, second.error) == ("", len(wire), "")
    shape = document(first)
    assert (shape["type"], shape["value"]) == (kind, value)


def test_pipeline() -> None:
    wire = command("SET", "a", "1") + command("GET", "a") + command("GET", "b")
    found = messages(tcp(wire, b"+OK\r\n$1\r\n1\r\n$-1\r\n", port=PORT))
    assert [message.kind.name for message in found] == ["REQUEST"] * 3 + ["RESPONSE"] * 3
    assert [message.fields["redis_type"] for message in found[:3]] == ["SET", "GET", "GET"]


@pytest.mark.parametrize(
    ("line", "verb", "key"),
    [
        (b"PING\r\n", "PING", ""),
        (b'set greeting "hello world"\r\n', "SET", "greeting"),
        (b"get greeting\n", "GET", "greeting"),
        (b" \tget greeting\r\n", "GET", "greeting"),
    ],
    ids=["ping", "set", "get", "blanks"],
)
def test_inline(line: bytes, verb: str, key: str) -> None:
    (message,) = requests(b"\r\n" + line)
    assert (message.fields["redis_type"], message.fields["redis_key"], message.error) == (verb, key, "")
    assert document(message)["type"] == "Inline"


def test_inline_arguments() -> None:
    assert inline_arguments(rb"""set "a\x41\n" 'it\'s' plain""") == [b"set", b"aA\n", b"it's", b"plain"]


@pytest.mark.parametrize(
    ("words", "shown_as"),
    [
        (["AUTH", "hunter2"], "AUTH [redacted]"),
        (["AUTH", "ann", "hunter2"], "AUTH ann [redacted]"),
        (["HELLO", "3", "AUTH", "ann", "hunter2", "SETNAME", "x"], "HELLO 3 AUTH ann [redacted] SETNAME x"),
        (["CONFIG", "SET", "requirepass", "hunter2"], "CONFIG SET requirepass [redacted]"),
        (["config", "set", "maxmemory", "1", "masterauth", "hunter2"], "CONFIG set maxmemory 1 masterauth [redacted]"),
        (["ACL", "SETUSER", "ann", "on", ">hunter2", "~*"], "ACL SETUSER ann on >[redacted] ~*"),
        (["MIGRATE", "h", "1", "k", "0", "9", "AUTH", "hunter2"], "MIGRATE h 1 k 0 9 AUTH [redacted]"),
        (["MIGRATE", "h", "1", "k", "0", "9", "AUTH2", "u", "hunter2"], "MIGRATE h 1 k 0 9 AUTH2 u [redacted]"),
        (["SENTINEL", "SET", "m", "auth-pass", "hunter2"], "SENTINEL SET m auth-pass [redacted]"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_secrets(words: list[str], shown_as: str) -> None:
    for wire in (command(*words), " ".join(words).encode() + b"\r\n"):
        (message,) = requests(wire)
        assert message.fields["redis_command"] == shown_as
        assert "hunter2" not in str(document(message))


def test_secrets_of_a_cut_command() -> None:
    (message,) = requests(command("AUTH", "hunter2")[:-4])
    assert message.error.startswith("truncated:")
    assert "hunt" not in str(message.fields) + str(document(message))


def test_secrets_in_an_answer() -> None:
    (message,) = answers(command("requirepass", "hunter2"), command("CONFIG", "GET", "requirepass"))
    assert document(message)["value"] == "[requirepass, [redacted]]"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["EVAL", "return 1", "1", "k"], "k"),
        (["EVAL", "return 1", "0", "x"], ""),
        (["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"], "s"),
        (["OBJECT", "ENCODING", "k"], "k"),
        (["BITOP", "AND", "d", "a"], "d"),
        (["ZUNION", "2", "a", "b"], "a"),
        (["PING", "hello"], ""),
        (["SUBSCRIBE", "news"], "news"),
        (["GET"], ""),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_key(words: list[str], key: str) -> None:
    assert key_of(words[0], words) == key


def test_subscriber() -> None:
    client = command("SUBSCRIBE", "a", "b") + command("PING")
    server = (
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
        b"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nhi\r\n"
        b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    )
    found = answers(server, client)
    assert [message.kind.name for message in found] == ["RESPONSE", "EVENT", "EVENT", "EVENT", "RESPONSE"]
    assert [message.fields.get("redis_push") for message in found] == [None, "subscribe", "message", "pmessage", None]
    assert document(found[2]) == {"type": "Array", "command": "message", "key": "a", "value": "hi", "keyword": ""}


def test_an_answer_that_looks_like_a_message_is_one() -> None:
    (found,) = answers(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n", command("LRANGE", "l", "0", "-1"))
    assert found.kind == MessageKind.RESPONSE


def test_a_subscriber_seen_from_the_middle() -> None:
    server = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    found = messages(tcp(command("PING"), server, port=PORT, midway=True))
    assert [message.kind.name for message in found] == ["REQUEST", "EVENT", "RESPONSE"]


def test_resp3_pushes() -> None:
    client = command("SUBSCRIBE", "a") + command("GET", "k")
    server = (
        b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
        b"$1\r\nv\r\n"
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
    )
    found = answers(server, client)
    assert [message.kind.name for message in found] == ["RESPONSE", "EVENT", "RESPONSE", "EVENT"]
    assert found[1].fields["redis_push"] == "invalidate"
    assert found[3].fields["redis_key"] == "a"


def test_secrets_in_an_answer_of_exec() -> None:
    (message,) = answers(b"*2\r\n+OK\r\n" + command("requirepass", "hunter2"), command("EXEC"))
    assert message.detail
    assert message.detail()[1]["value"] == "[OK, [requirepass, [redacted]]]"


def test_secrets_in_what_monitor_says() -> None:
    line = b'+1699000000.5 [0 127.0.0.1:5] "CONFIG" "SET" "requirepass" "hunter2"\r\n'
    message = answers(b"+OK\r\n" + line, command("MONITOR"))[1]
    shown = '1699000000.5 [0 127.0.0.1:5] "CONFIG" "SET" "requirepass" "[redacted]"'
    assert message.detail
    assert (message.fields["redis_command"], message.detail()[1]["value"]) == (shown, shown)


def test_monitor() -> None:
    line = b'+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n'
    found = answers(b"+OK\r\n" + line, command("MONITOR"))
    assert [message.fields.get("redis_push") for message in found] == [None, "monitor"]


def test_replication() -> None:
    client = command("REPLCONF", "capa", "psync2") + command("PSYNC", "?", "-1") + command("REPLCONF", "ACK", "0")
    rdb = b"REDIS0011\xfa\r\n*\r\n\xff"
    server = (
        b"+OK\r\n\n+FULLRESYNC 8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb 0\r\n"
        + b"$%d\r\n" % len(rdb)
        + rdb
        + command("SELECT", "0")
        + command("SET", "k", "v")
        + command("REPLCONF", "GETACK", "*")
    )
    found = messages(tcp(client, server, port=PORT))
    assert [message.one_way for message in found[:3]] == [False, False, True]
    assert [message.kind.name for message in found[3:]] == ["RESPONSE", "RESPONSE"] + ["EVENT"] * 4
    assert [message.fields.get("redis_type", "") for message in found[6:]] == ["SELECT", "SET", "REPLCONF"]
    assert found[7].fields["redis_key"] == "k"
    assert document(found[5])["value"] == f"{len(rdb) + 5} bytes"
    assert not any(message.error for message in found)


def test_diskless_replication() -> None:
    mark = b"0123456789abcdef0123456789abcdef01234567"
    server = b"+CONTINUE\r\n$EOF:" + mark + b"\r\nREDIS\r\n" + mark + command("PING")
    found = answers(server, command("PSYNC", "?", "-1"))
    assert [message.error for message in found] == ["", "", ""]
    assert found[2].fields["redis_type"] == "PING"


def test_silent_server() -> None:
    client = (
        command("CLIENT", "REPLY", "SKIP")
        + command("SET", "a", "1")
        + command("GET", "a")
        + command("CLIENT", "REPLY", "OFF")
        + command("SET", "a", "2")
        + command("CLIENT", "REPLY", "ON")
        + command("GET", "a")
    )
    assert [message.one_way for message in requests(client)] == [True, True, False, True, True, False, False]


def test_transaction_is_paired_in_order() -> None:
    client = command("MULTI") + command("INCR", "a") + command("EXEC")
    found = answers(b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n", client)
    assert [document(message)["value"] for message in found] == ["OK", "QUEUED", "[1]"]


def test_big_value_is_cut_in_the_document() -> None:
    (found,) = answers(b"$200000\r\n" + b"x" * 200_000 + b"\r\n", command("GET", "big"))
    assert len(document(found)["value"]) == 64 << 10
    assert found.fields["redis_response_size"] == 200_011


def test_long_keys_are_cut_between_characters() -> None:
    found = requests(command("GET", "k" * 100) + command("GET", "\u20ac" * 30))
    assert [message.fields["redis_key"] for message in found] == ["k" * 64, "\u20ac" * 21]


def test_many_arguments() -> None:
    (found,) = requests(command("DEL", *(f"key{n}" for n in range(400))))
    assert document(found)["value"].endswith("key399]")


def test_deep_nesting_stays_flat() -> None:
    deep = b"*1\r\n" * 50_000 + b":1\r\n"
    (found,) = answers(deep, command("EVAL", "x", "0"))
    assert (found.error, found.end) == ("", len(deep))
    document(found)


@pytest.mark.parametrize("cut", range(1, len(command("SET", "key", "value"))))
def test_each_truncation(cut: int) -> None:
    wire = command("SET", "key", "value")
    (message,) = requests(wire[:cut])
    assert message.error.startswith("truncated:")
    assert message.end == cut


def test_malformed_spoils_one_message() -> None:
    found = requests(command("GET", "a") + b"*2\r\n$3\r\nGETX\r\n$1\r\na\r\n" + command("GET", "b"))
    assert [message.error.partition(":")[0] for message in found] == ["", "malformed", ""]
    assert [message.fields["redis_key"] for message in (found[0], found[2])] == ["a", "b"]


def test_gap_in_a_value() -> None:
    head, tail = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\n" + b"x" * 20, b"x" * 30 + b"\r\n"
    wire = head + bytes(10) + tail + command("GET", "b")
    found = messages(tcp(wire, port=PORT, gaps={0: [(len(head), len(head) + 10, 50)]}))
    assert [message.error for message in found] == [f"gap: 50 bytes missing at {len(head)}", ""]
    assert found[1].fields["redis_type"] == "GET"


def test_gap_over_a_header() -> None:
    first, second = command("GET", "a"), command("GET", "b")
    wire = first + bytes(6) + second[6:] + command("GET", "c")
    found = messages(tcp(wire, port=PORT, gaps={0: [(len(first), len(first) + 6, 6)]}))
    assert [message.error.partition(":")[0] for message in found] == ["", "gap", ""]


def test_from_the_middle() -> None:
    stream = tcp(b"ello\r\n" + command("GET", "b"), b"tail\r\n$1\r\nx\r\n", port=PORT, midway=True)
    found = messages(stream)
    assert [(message.direction, message.start, message.error) for message in found] == [(0, 6, ""), (1, 6, "")]


def test_answers_to_what_was_asked_before_the_capture() -> None:
    stream = tcp(
        command("SUBSCRIBE", "a"), b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", port=PORT, midway=True
    )
    client, server = stream.sides
    stream.sides = (
        Side(client.data, starts_midway=True, times=((0, 5),)),
        Side(server.data, starts_midway=True, times=((0, 1), (5, 9))),
    )
    assert [message.kind.name for message in messages(stream)] == ["REQUEST", "RESPONSE", "RESPONSE"]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (command("PING"), b"+PONG\r\n", PORT, True),
        (command("PING"), b"+PONG\r\n", 7777, True),
        (b"PING\r\n", b"+PONG\r\n", PORT, True),
        (b"PING\r\n", b"PONG\r\n", 4222, False),
        (b"", b"+OK\r\n", PORT, True),
        (b"", b"+OK\r\n", 4222, False),
        (b"", b"$5\r\nhello\r\n", 7777, True),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", PORT, False),
        (b"\x16\x03\x01\x02\x00", b"", PORT, False),
        (b"USER ann\r\n", b"+OK POP3 ready\r\n", 110, False),
        (b"get a\r\n", b"END\r\n", 11211, False),
        (b"\0" * 40, b"\0" * 40, PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=lambda value: value.decode("latin-1")[:8] if isinstance(value, bytes) else None,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


def test_probe_of_a_begun_command() -> None:
    assert redis.probe(redis.REDIS, [tcp(b"*2\r\n$", port=7777)]) == [Verdict.NEED_MORE]


CLIENT = (
    command("SET", "key", "some value") + b"PING\r\n" + command("SUBSCRIBE", "a", "b") + command("PSYNC", "?", "-1")
)
SERVER = (
    b"+OK\r\n+PONG\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n%1\r\n+a\r\n:1\r\n|1\r\n+a\r\n:1\r\n_\r\n"
    b"+FULLRESYNC x 0\r\n$3\r\nabc*1\r\n$4\r\nPING\r\n"
)


@given(damaged_streams(CLIENT, SERVER, PORT))
def test_damage(stream: FakeStream) -> None:
    redis.probe(redis.REDIS, [stream])
    assert_sound(redis.dissect(redis.REDIS, [stream])[0], stream)


@given(st.binary(max_size=80))
def test_any_value(wire: bytes) -> None:
    shown(decoded(wire))
    frame = read_value(Wire(tcp(wire).sides[0]), 0)
    assert 0 <= frame.end <= len(wire)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=8))
def test_redaction_keeps_the_count(words: list[str]) -> None:
    assert len(redacted(words[0].upper(), words)) == len(words)
