"""memcached streams in, messages out."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import memcached

from .._damage import assert_sound, damaged_streams, document, found_by
from .._streams import FakeStream, Side, tcp, udp

PORT = 11211
SASL = b"\0ann\0hunter2"


def messages(client: bytes, server: bytes = b"") -> list[Message]:
    return found_by(memcached, memcached.MEMCACHED, tcp(client, server, port=PORT))


def is_mine(stream: FakeStream) -> bool:
    return memcached.probe(memcached.MEMCACHED, [stream]) == [Verdict.MINE]


def packet(
    magic: int, opcode: int, key: bytes = b"", value: bytes = b"", extras: bytes = b"", code: int = 0, opaque: int = 0
) -> bytes:
    sizes = len(extras) + len(key) + len(value)
    return pack(">BBHBBHIIQ", magic, opcode, len(key), len(extras), 0, code, sizes, opaque, 0) + extras + key + value


def request(opcode: int, key: bytes = b"", value: bytes = b"", extras: bytes = b"", opaque: int = 0) -> bytes:
    return packet(0x80, opcode, key, value, extras, 0, opaque)


def answer(
    opcode: int, value: bytes = b"", extras: bytes = b"", code: int = 0, opaque: int = 0, key: bytes = b""
) -> bytes:
    return packet(0x81, opcode, key, value, extras, code, opaque)


def test_set_and_get() -> None:
    client = b"set stock:17 5 60 3\r\na\r\n\r\nget stock:17 b\r\n"
    found = messages(client, b"STORED\r\nVALUE stock:17 5 3\r\na\r\n\r\nEND\r\n")
    assert [message.error for message in found] == [""] * 4
    stored, asked, done, got = found
    assert stored.fields == {
        "memcached_command": "set",
        "memcached_key": "stock:17",
        "memcached_request": True,
        "memcached_request_size": 26,
    }
    assert document(stored) == {
        "command": "set",
        "keys": ["stock:17"],
        "flags": 5,
        "expiration": 60,
        "size": 3,
        "value": "a\r\n",
        "opaque": 0,
        "cas": 0,
        "binary": False,
        "options": [],
    }
    assert document(asked)["keys"] == ["stock:17", "b"]
    assert (done.fields["memcached_status"], done.fields["memcached_success"]) == ("STORED", True)
    assert document(got) == {
        "status": "VALUE",
        "values": [{"key": "stock:17", "flags": 5, "size": 3, "value": "a\r\n"}],
        "message": "",
    }
    assert got.fields["memcached_success"] is True


@pytest.mark.parametrize(
    ("line", "command", "key", "one_way"),
    [
        (b"get a", "get", "a", False),
        (b"gets a b", "gets", "a", False),
        (b"gat 10 a b", "gat", "a", False),
        (b"delete a", "delete", "a", False),
        (b"delete a noreply", "delete", "a", True),
        (b"incr a 5", "incr", "a", False),
        (b"touch a 10", "touch", "a", False),
        (b"stats items", "stats", "", False),
        (b"flush_all 0 noreply", "flush_all", "", True),
        (b"version", "version", "", False),
        (b"verbosity 1", "verbosity", "", False),
        (b"quit", "quit", "", True),
        (b"mg a v t", "mg", "a", False),
        (b"md a", "md", "a", False),
        (b"ma a D5", "ma", "a", False),
        (b"mn", "mn", "", False),
        (b"set a 0 0 1\r\nx", "set", "a", False),
        (b"cas a 0 0 1 99 noreply\r\nx", "cas", "a", True),
        (b"ms a 1 T60\r\nx", "ms", "a", False),
    ],
    ids=lambda value: value.decode().split("\r")[0] if isinstance(value, bytes) else "",
)
def test_requests(line: bytes, command: str, key: str, one_way: bool) -> None:
    found = messages(line + b"\r\nversion\r\n")
    assert [message.error for message in found] == ["", ""]
    assert (found[0].fields["memcached_command"], found[0].fields["memcached_key"]) == (command, key)
    assert found[0].one_way is one_way
    document(found[0])


@pytest.mark.parametrize(
    ("line", "status", "success"),
    [
        (b"END", "END", False),
        (b"NOT_FOUND", "NOT_FOUND", False),
        (b"DELETED", "DELETED", True),
        (b"6", "NUMBER", True),
        (b"VERSION 1.6.18", "VERSION", True),
        (b"ERROR", "ERROR", False),
        (b"SERVER_ERROR object too large for cache", "SERVER_ERROR", False),
        (b"STAT pid 1\r\nSTAT uptime 2\r\nEND", "STAT", True),
        (b"VALUE a 0 1 77\r\nx\r\nVALUE b 0 1 78\r\ny\r\nEND", "VALUE", True),
        (b"HD t30", "HD", True),
        (b"EN", "EN", False),
        (b"VA 2 f7 kname\r\nxy", "VA", True),
        (b"key=a exp=-1\r\nkey=b exp=-1\r\nEND", "STAT", True),
    ],
    ids=lambda value: value.decode().split(" ")[0] if isinstance(value, bytes) else "",
)
def test_answers(line: bytes, status: str, success: bool) -> None:
    found = messages(b"", line + b"\r\nOK\r\n")
    assert [message.error for message in found] == ["", ""]
    assert (found[0].fields["memcached_status"], found[0].fields["memcached_success"]) == (status, success)
    assert found[1].fields["memcached_status"] == "OK"
    document(found[0])


def test_meta_value() -> None:
    (found,) = messages(b"", b"VA 2 f7 kname\r\n\xff\xfe\r\n")
    assert document(found)["values"] == [{"key": "name", "flags": 7, "size": 2, "value": "//4=", "encoding": "base64"}]


def test_watch_tells_unasked() -> None:
    first, second = messages(b"", b"OK\r\nts=1.2 gid=1 type=item_get key=a\r\n")
    assert (first.kind, second.kind) == (MessageKind.RESPONSE, MessageKind.EVENT)


def test_quiet_meta_commands_that_got_no_answer() -> None:
    client = b"mg a k v q\r\nmg b k v q\r\nms c 1 q\r\nx\r\nmn\r\nget d\r\n"
    server = b"VA 1 kb\r\ny\r\nMN\r\nEND\r\n"
    found = messages(client, server)
    asked = [message for message in found if message.direction == 0]
    assert [message.one_way for message in asked] == [True, False, True, False, False]
    by_key = {message.key: message.fields["memcached_command"] for message in asked}
    assert [by_key[message.key] for message in found if message.direction == 1] == ["mg", "mn", "get"]


def test_binary() -> None:
    client = request(0x01, b"key", b"value", pack(">II", 7, 60), opaque=5) + request(0x00, b"key", opaque=6)
    server = answer(0x01, opaque=5) + answer(0x00, b"value", pack(">I", 7), opaque=6)
    stored, asked, done, got = messages(client, server)
    assert (stored.key, done.key, got.key) == ("0x00000005", "0x00000005", "0x00000006")
    assert stored.fields["memcached_command"] == "set"
    assert document(stored) == {
        "command": "set",
        "keys": ["key"],
        "flags": 7,
        "expiration": 60,
        "size": 5,
        "value": "value",
        "opaque": 5,
        "cas": 0,
        "binary": True,
        "options": [],
    }
    assert asked.fields["memcached_key"] == "key"
    assert (done.fields["memcached_status"], done.fields["memcached_success"]) == ("NO_ERROR", True)
    assert document(got)["values"] == [{"key": "", "flags": 7, "size": 5, "value": "value"}]


def test_binary_miss_and_arithmetic() -> None:
    server = answer(0x00, b"Not found", code=1) + answer(0x05, pack(">Q", 42))
    missed, counted = messages(request(0x00, b"k") + request(0x05, b"n", extras=pack(">QQI", 1, 0, 0)), server)[2:]
    assert (missed.fields["memcached_status"], missed.fields["memcached_success"]) == ("KEY_NOT_FOUND", False)
    assert document(missed)["message"] == "Not found"
    assert document(counted)["message"] == "42"


def test_binary_quiet() -> None:
    client = request(0x09, b"a", opaque=1) + request(0x09, b"b", opaque=2) + request(0x0A, opaque=3)
    server = answer(0x09, b"x", pack(">I", 0), opaque=2) + answer(0x0A, opaque=3)
    assert [message.one_way for message in messages(client, server)[:3]] == [True, False, False]


def test_binary_statistics_are_one_answer() -> None:
    server = answer(0x10, b"1", key=b"pid") + answer(0x10, b"2", key=b"uptime") + answer(0x10) + answer(0x0B, b"1.6")
    _, _, stats, version = messages(request(0x10) + request(0x0B), server)
    assert [item["key"] for item in document(stats)["values"]] == ["pid", "uptime"]
    assert document(version)["values"][0]["value"] == "1.6"


def test_sasl_is_redacted() -> None:
    (message,) = messages(request(0x21, b"PLAIN", SASL))
    assert message.fields["memcached_command"] == "sasl_auth"
    assert document(message)["value"] == "[redacted]"
    assert "hunter2" not in str(document(message)) + str(message.fields)


def test_datagrams() -> None:
    frame = pack(">HHHH", 9, 0, 1, 0)
    stream = udp((0, frame + b"get a\r\n"), (1, frame + b"VALUE a 0 1\r\nx\r\nEND\r\n"), port=PORT)
    assert is_mine(stream)
    asked, got = found_by(memcached, memcached.MEMCACHED, stream)
    assert (asked.key, got.key, asked.start, got.datagram) == ("0x0009", "0x0009", 8, 1)
    assert document(got)["values"][0]["value"] == "x"


def test_an_answer_in_several_datagrams() -> None:
    parts = [(1, pack(">HHHH", 9, n, 2, 0) + data) for n, data in enumerate((b"VALUE a 0 9\r\nabc", b"def\r\nEND\r\n"))]
    first, second = found_by(memcached, memcached.MEMCACHED, udp(*parts, port=PORT))
    assert (first.error, first.kind, second.kind) == ("", MessageKind.RESPONSE, MessageKind.EVENT)


@pytest.mark.parametrize("cut", range(1, len(b"set a 0 0 3\r\nabc\r\n")))
def test_each_truncation(cut: int) -> None:
    (message,) = messages(b"set a 0 0 3\r\nabc\r\n"[:cut])
    assert message.error.startswith("truncated:")


@pytest.mark.parametrize("cut", range(1, len(request(0x00, b"key"))))
def test_each_truncation_of_a_packet(cut: int) -> None:
    (message,) = messages(request(0x0B)[:24] + request(0x00, b"key")[:cut])[1:]
    assert message.error.startswith("truncated:")


def test_malformed_spoils_one_message() -> None:
    found = messages(b"get a\r\nset b 0 0 1\r\nxyz\r\nget c\r\n")
    assert [message.error.partition(":")[0] for message in found] == ["", "malformed", ""]


def test_gap_in_a_value() -> None:
    head = b"set a 0 0 100\r\n" + b"x" * 20
    wire = head + bytes(10) + b"x" * 30 + b"\r\nget b\r\n"
    stream = tcp(wire, port=PORT, gaps={0: [(len(head), len(head) + 10, 50)]})
    found = found_by(memcached, memcached.MEMCACHED, stream)
    assert [message.error for message in found] == [f"gap: 50 bytes missing at {len(head)}", ""]


def test_from_the_middle() -> None:
    stream = tcp(b"alue\r\nget b\r\n", b"e\r\nEND\r\nVALUE b 0 1\r\nx\r\nEND\r\n", port=PORT, midway=True)
    assert is_mine(stream)
    found = found_by(memcached, memcached.MEMCACHED, stream)
    assert [(message.direction, message.start) for message in found] == [(0, 6), (1, 3), (1, 8)]
    binary = b"rest" + request(0x00, b"a") + request(0x00, b"b")
    stream = FakeStream(
        server=stream.server,
        sides=(Side(memoryview(binary), starts_midway=True), Side(memoryview(answer(0x00, opaque=1)))),
    )
    assert [message.start for message in found_by(memcached, memcached.MEMCACHED, stream)] == [4, 29, 0]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (b"get a\r\n", b"END\r\n", PORT, True),
        (b"stats\r\n", b"", PORT, True),
        (b"", b"STAT pid 1\r\n", PORT, True),
        (b"set a 0 0 1\r\nx\r\n", b"STORED\r\n", 9999, True),
        (b"get a\r\n", b"VALUE a 0 1\r\n", 9999, True),
        (b"get a\r\n", b"END\r\n", 9999, False),
        (request(0x00, b"a"), answer(0x00), 9999, True),
        (request(0x00, b"a"), b"", PORT, True),
        (request(0x00, b"a"), b"", 9999, False),
        (b"\x80\x2e\x01\x03\x01\x00\x15\0\0\0\x10" + bytes(40), b"", PORT, False),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", PORT, False),
        (b"PING\r\n", b"+PONG\r\n", PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=lambda value: value.decode("latin-1")[:8] if isinstance(value, bytes) else None,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


def test_probe_of_datagrams() -> None:
    assert not is_mine(udp((0, b"get a\r\n"), port=PORT))
    assert not is_mine(udp((0, bytes(40)), port=PORT))
    assert not is_mine(udp((0, pack(">HHHH", 9, 0, 1, 0) + b"get a\r\n"), port=9999))


TEXT = b"set a 0 0 3\r\nabc\r\nmg a v q\r\ncas b 1 2 1 3 noreply\r\nx\r\nmn\r\ngats 1 a b\r\n"
TOLD = b"STORED\r\nVA 1 f1\r\nx\r\nMN\r\nVALUE a 0 3 1\r\nabc\r\nEND\r\nSTAT a 1\r\nEND\r\n"
BINARY = request(0x01, b"k", b"v", bytes(8), 1) + request(0x10) + request(0x21, b"PLAIN", SASL)
ANSWERS = answer(0x01, opaque=1) + answer(0x10, b"1", key=b"pid") + answer(0x10) + answer(0x21, code=0x20)


@pytest.mark.parametrize(("client", "server"), [(TEXT, TOLD), (BINARY, ANSWERS)], ids=["text", "binary"])
def test_damage(client: bytes, server: bytes) -> None:
    @given(damaged_streams(client, server, PORT))
    def check(stream: FakeStream) -> None:
        memcached.probe(memcached.MEMCACHED, [stream])
        assert_sound(memcached.dissect(memcached.MEMCACHED, [stream])[0], stream)

    check()


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=60)), max_size=4), st.booleans())
def test_any_datagrams(payloads: list[tuple[int, bytes]], framed: bool) -> None:
    frame = pack(">HHHH", 9, 0, 1, 0) if framed else b""
    stream = udp(*((way, frame + data) for way, data in payloads), port=PORT)
    memcached.probe(memcached.MEMCACHED, [stream])
    assert_sound(memcached.dissect(memcached.MEMCACHED, [stream])[0], stream)
