"""memcached streams in, messages out."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Datagram, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.databases import _memcached_datagrams, memcached

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


VALUE = b"VALUE a 0 9\r\nabcdefghi\r\nEND\r\n"


def parts(data: bytes, size: int = 8, request_id: int = 9) -> list[tuple[int, bytes]]:
    """An answer in datagrams of `size` bytes each."""
    cuts = range(0, len(data), size)
    frames = [pack(">HHHH", request_id, number, len(cuts), 0) for number in range(len(cuts))]
    return [(1, frame + data[at : at + size]) for frame, at in zip(frames, cuts, strict=True)]


def told(*payloads: tuple[int, bytes]) -> list[Message]:
    stream = udp(*payloads, port=PORT)
    found = list(memcached.dissect(memcached.MEMCACHED, [stream])[0])
    assert_sound(found, stream)
    return [message for message in found if isinstance(message, Message)]


def test_an_answer_in_several_datagrams() -> None:
    first, second, third, fourth = parts(VALUE)
    for order in ((first, second, third, fourth), (third, first, first, fourth, second)):
        (found,) = told(*order)
        assert (found.error, found.kind, found.key) == ("", MessageKind.RESPONSE, "0x0009")
        assert (found.datagram, found.start, found.end) == (order.index(first), 8, 16)
        assert found.fields["memcached_response_size"] == len(VALUE)
        assert document(found)["values"] == [{"key": "a", "flags": 0, "size": 9, "value": "abcdefghi"}]


def test_answers_in_the_same_datagrams() -> None:
    value, end = told(*parts(VALUE + b"END\r\n"))
    assert (value.error, end.fields["memcached_status"], end.error) == ("", "END", "")
    assert (end.datagram, end.start, end.end) == (3, 13, 16), "what of it is where it begins"


def test_an_answer_whose_datagrams_are_not_all_here() -> None:
    first, second, third, fourth = parts(VALUE)
    (found,) = told(first, second, fourth)
    assert found.error == "truncated: 1 of 4 datagrams were not captured"
    assert document(found)["values"] == [{"key": "a", "flags": 0, "size": 9, "value": "abc"}]
    (rest,) = told(third, second)
    assert (rest.kind, rest.fields["memcached_status"], rest.datagram) == (MessageKind.EVENT, "CONTINUATION", 0)
    assert rest.error == "truncated: 2 of 4 datagrams were not captured, among them the first"


def test_a_datagram_that_was_captured_short() -> None:
    stream = udp(*parts(VALUE), port=PORT)
    stream.datagrams = [Datagram(1, at, one.data[:12], cut=at == 1) for at, one in enumerate(stream.datagrams)]
    (found,) = found_by(memcached, memcached.MEMCACHED, stream)
    assert found.error == "truncated: datagram 2 of 4 was not captured whole"


def test_the_next_answer_with_a_request_id_ends_the_last() -> None:
    first, second, *_ = parts(VALUE)
    other = parts(VALUE.replace(b"a 0", b"b 0"))
    cut, whole = told(first, second, *other)
    assert (cut.error, whole.error) == ("truncated: 2 of 4 datagrams were not captured", "")
    asked = (0, pack(">HHHH", 9, 0, 1, 0) + b"get b\r\n")
    found = told(first, second, asked, *other[1:])
    assert [message.fields.get("memcached_status") for message in found] == ["VALUE", None, "CONTINUATION"]


def test_an_answer_that_comes_value_by_value() -> None:
    asked = (0, pack(">HHHH", 9, 0, 1, 0) + b"get a b\r\n")
    one, last = VALUE.removesuffix(b"END\r\n"), VALUE.replace(b"a 0", b"b 0")
    for size in (8, 99):
        _, found, _, cut, _, whole = told(
            asked, *parts(one, size), *parts(last, size), asked, *parts(one, size), asked, *parts(last, size)
        )
        assert (found.error, found.fields["memcached_response_size"]) == ("", len(one + last))
        assert [value["key"] for value in document(found)["values"]] == ["a", "b"]
        assert (cut.error, whole.error) == (f"truncated: only {len(one)} bytes were captured", "")


def test_values_that_wait_for_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    one = VALUE.removesuffix(b"END\r\n")
    monkeypatch.setattr(_memcached_datagrams, "MAX_OPEN", 2)
    found = told(*(part for number in range(4) for part in parts(one, request_id=number)))
    assert [message.key for message in found] == ["0x0000", "0x0001", "0x0002", "0x0003"]
    monkeypatch.setattr(_memcached_datagrams, "MAX_JOINED", 2 * len(one))
    found = told(*parts(one, 99) * 3)
    assert [len(document(message)["values"]) for message in found] == [2, 1]


def test_answers_of_several_requests_at_once() -> None:
    others = parts(VALUE.replace(b"abc", b"ABC"), request_id=10)
    found = told(*(one for both in zip(parts(VALUE), others, strict=True) for one in both))
    assert [document(message)["values"][0]["value"] for message in found] == ["abcdefghi", "ABCdefghi"]
    assert [message.key for message in found] == ["0x0009", "0x000a"]


def test_datagrams_that_wait_for_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memcached_datagrams, "MAX_OPEN", 2)
    found = told(*(parts(VALUE, request_id=number)[0] for number in range(4)))
    assert [message.key for message in found] == ["0x0000", "0x0001", "0x0002", "0x0003"]
    oldest, second = parts(VALUE, request_id=0), parts(VALUE, request_id=1)
    found = told(oldest[0], second[0], parts(VALUE, request_id=2)[0], *second[1:], *oldest[1:])
    assert [message.error for message in found] == [
        "truncated: 3 of 4 datagrams were not captured",
        "",
        "truncated: 3 of 4 datagrams were not captured",
        "truncated: 1 of 4 datagrams were not captured, among them the first",
    ]
    monkeypatch.setattr(_memcached_datagrams, "MAX_JOINED", 20)
    assert [message.error for message in told(*parts(VALUE))] == ["truncated: more than 20 bytes"]


def test_a_request_in_several_datagrams() -> None:
    (found,) = told(*((0, data) for _, data in parts(b"set a 0 0 3\r\nabc\r\n")))
    assert (found.error, document(found)["value"]) == ("", "abc")


LONG = b"k" * 251
BAD_LINE = b"CLIENT_ERROR bad command line format\r\n"
BAD_DATA = b"CLIENT_ERROR bad data chunk\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
ERROR = b"ERROR\r\n"


@pytest.mark.parametrize(
    ("client", "server", "commands"),
    [
        (b"set " + LONG + b" 0 0 1\r\nx\r\n", BAD_LINE + ERROR, ["set", "x"]),
        (b"set " + LONG + b" 0 0 0\r\n\r\n", BAD_LINE + ERROR, ["set", ""]),
        (b"set " + LONG + b" 0 0 5\r\n\0\r\nb\n\r\n", BAD_LINE + ERROR * 3, ["set", "", "b", ""]),
        (b"set " + LONG + b" 0 0 5\r\nget a\r\n", BAD_LINE + b"END\r\n", ["set", "get"]),
        (b"set " + LONG + b" 0 0 1 noreply\r\nx\r\n", ERROR, ["set", "x"]),
        (b"set a x 0 1\r\nx\r\n", BAD_LINE + ERROR, ["set", "x"]),
        (b"set a 0 0\r\nx\r\n", ERROR * 2, ["set", "x"]),
        (b"set a 0 0 1 2 3\r\nx\r\n", ERROR * 2, ["set", "x"]),
        (b"cas a 0 0 1\r\nx\r\n", ERROR * 2, ["cas", "x"]),
        (b"set a 0 0 3\r\nabcdef\r\n", BAD_DATA + ERROR, ["set", "f"]),
        (b"set a 0 0 3\r\nabcde\r\n", BAD_DATA + ERROR, ["set", ""]),
        (b"set a 0 0 5\r\nabc\r\nget x\r\n", BAD_DATA + ERROR, ["set", "t"]),
        (b"set a 0 0 3\r\nabcdef\r\n", BAD_DATA, ["set"]),
        (b"set a 0 0 3\r\nabc\r\n", TOO_LARGE, ["set"]),
        (b"set a 0 0 1\r\nx\r\n", ERROR, ["set"]),
        (b"ms a S2\r\n", BAD_LINE, ["ms"]),
        (b"ms a S2\r\nhi\r\n", BAD_LINE + ERROR, ["ms", "hi"]),
        (b"ms a 2 F-x\r\nhi\r\n", BAD_LINE, ["ms"]),
        (b"ms a 2 E_\r\nhi\r\n", b"CLIENT_ERROR invalid flag\r\n", ["ms"]),
        (b"mg b q\r\nmn\r\nset " + LONG + b" 0 0 1\r\nx\r\n", b"MN\r\n" + BAD_LINE + ERROR, ["mg", "mn", "set", "x"]),
        (b"\r\n", ERROR, [""]),
        (b"\0\r\n", ERROR, [""]),
    ],
)
def test_what_a_server_refuses(client: bytes, server: bytes, commands: list[str]) -> None:
    """As memcached 1.6.18 answers; `version` behind it shows that both are in step."""
    found = messages(client + b"version\r\n", server + b"VERSION 1.6.18\r\n")
    asked = [message for message in found if message.direction == 0]
    assert [message.fields["memcached_command"] for message in asked] == [*commands, "version"]
    answered = sum(not message.one_way for message in asked)
    silent = client.count(b"noreply") + client.count(b" q\r")
    assert answered == len(found) - len(asked) == len(commands) + 1 - silent


def test_a_refused_line_has_no_data() -> None:
    line = b"set " + LONG + b" 7 0 30\r\n"
    refused, data = messages(line + b"version\r\n", BAD_LINE + b"VERSION 1.6.18\r\n")[:2]
    assert (refused.error, refused.end, data.fields["memcached_command"]) == ("", len(line), "version")
    shown = document(refused)
    assert (shown["flags"], shown["size"], shown["value"]) == (7, 30, "")


def test_refusals_are_not_believed_behind_lost_bytes() -> None:
    client = b"set a 0 0 1\r\nx\r\nget b\r\n"
    stream = tcp(client, BAD_LINE + b"END\r\n", port=PORT, midway=True)
    asked = [part for part in found_by(memcached, memcached.MEMCACHED, stream) if part.direction == 0]
    assert [part.fields["memcached_command"] for part in asked] == ["set", "get"]


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


REFUSED = b"set " + LONG + b" 0 0 4\r\n\r\nbc\r\nset a 0 0 3\r\nabcdef\r\nms a S2\r\nset a x 0 1\r\nx\r\nmn\r\n"
REFUSALS = BAD_LINE + ERROR * 3 + BAD_DATA + ERROR + BAD_LINE * 2 + ERROR + b"MN\r\n"


@pytest.mark.parametrize(
    ("client", "server"),
    [(TEXT, TOLD), (BINARY, ANSWERS), (REFUSED, REFUSALS)],
    ids=["text", "binary", "refused"],
)
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


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.binary(max_size=9)),
        max_size=12,
    )
)
def test_any_parts_of_datagrams(payloads: list[tuple[int, int, int, int, bytes]]) -> None:
    told(*((way, pack(">HHHH", name, number, count, 0) + data) for way, name, number, count, data in payloads))
