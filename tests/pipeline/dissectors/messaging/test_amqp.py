"""AMQP streams in, messages out."""

from __future__ import annotations

import contextlib
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api import Ending, Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.messaging import amqp
from kubeshark.pipeline.dissectors.messaging._amqp_methods import ANSWERS, METHODS
from kubeshark.pipeline.dissectors.messaging._amqp_values import Cursor, Short

from .._damage import assert_sound, damaged_streams, document, found_by, variables
from .._streams import FakeStream, tcp

PORT = 5672
HELLO = b"AMQP\0\0\x09\x01"
IDS = {method.name: (method.class_id, method.method_id) for method in METHODS.values()}


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(name: str, arguments: bytes = b"", channel: int = 1) -> bytes:
    return frame(1, channel, pack(">HH", *IDS[name]) + arguments)


def short(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def long(value: bytes) -> bytes:
    return pack(">I", len(value)) + value


def content(body: bytes, flags: int = 0, properties: bytes = b"", channel: int = 1, cut: int = 1000) -> bytes:
    header = frame(2, channel, pack(">HHQH", 60, 0, len(body), flags) + properties)
    return header + b"".join(frame(3, channel, body[at : at + cut]) for at in range(0, len(body), cut))


def publish(exchange: bytes, key: bytes, body: bytes, channel: int = 1, **more: Any) -> bytes:
    arguments = b"\0\0" + short(exchange) + short(key) + b"\0"
    return method("basic.publish", arguments, channel) + content(body, channel=channel, **more)


def messages(client: bytes, server: bytes = b"") -> list[Message]:
    return found_by(amqp, amqp.AMQP, tcp(client, server, port=PORT))


def is_mine(stream: FakeStream) -> bool:
    return amqp.probe(amqp.AMQP, [stream]) == [Verdict.MINE]


def test_publish() -> None:
    table = short(b"trace") + b"S" + long(b"t-88")
    properties = short(b"application/json") + long(table) + b"\x02" + short(b"m-5") + pack(">Q", 0) + short(b"stock")
    wire = publish(b"stock", b"item.low", b'{"item":17}', flags=0xB0C8, properties=properties, cut=4)
    (message,) = messages(HELLO + wire)
    assert (message.kind, message.one_way, message.error, message.key) == (MessageKind.REQUEST, True, "", "")
    assert message.fields == {
        "amqp_method": "basic.publish",
        "amqp_summary": "stock",
        "amqp_exchange": "stock",
        "amqp_routing_key": "item.low",
        "amqp_channel": 1,
        "amqp_request": True,
        "amqp_request_length": len(wire),
    }
    assert document(message) == {
        "method": "basic publish",
        "classId": 60,
        "methodId": 40,
        "channel": 1,
        "exchange": "stock",
        "routingKey": "item.low",
        "mandatory": False,
        "immediate": False,
        "body": '{"item":17}',
        "properties": {
            "appId": "stock",
            "contentEncoding": "",
            "contentType": "application/json",
            "correlationId": "",
            "deliveryMode": 2,
            "expiration": "",
            "headers": {"trace": "t-88"},
            "messageId": "m-5",
            "priority": 0,
            "replyTo": "",
            "timestamp": "1970-01-01T00:00:00Z",
            "type": "",
            "userId": "",
        },
    }
    assert variables(message)["request_body"] == '{"item":17}'


def test_deliver_is_an_event() -> None:
    arguments = short(b"ctag") + pack(">Q", 9) + b"\x01" + short(b"ex") + short(b"key")
    (message,) = messages(b"", method("basic.deliver", arguments) + content(b"\xff"))
    assert message.kind == MessageKind.EVENT
    shown = document(message)
    assert (shown["deliveryTag"], shown["redelivered"], shown["consumerTag"]) == (9, True, "ctag")
    assert (shown["body"], shown["encoding"]) == ("/w==", "base64")
    assert "amqp_request" not in message.fields


def test_handshake() -> None:
    client = (
        HELLO
        + method("connection.start-ok", long(b"") + short(b"PLAIN") + long(b"\0ann\0hunter2") + short(b"en_US"), 0)
        + method("connection.tune-ok", pack(">HIH", 2047, 131072, 60), 0)
        + method("connection.open", short(b"/") + b"\0\0", 0)
        + frame(8, 0, b"")
        + method("connection.close-ok", b"", 0)
    )
    server = (
        method("connection.start", b"\0\x09" + long(b"") + long(b"PLAIN") + long(b"en_US"), 0)
        + method("connection.tune", pack(">HIH", 2047, 131072, 60), 0)
        + method("connection.open-ok", b"\0", 0)
        + frame(8, 0, b"")
        + method("connection.close", pack(">H", 320) + short(b"CONNECTION_FORCED") + bytes(4), 0)
    )
    found = messages(client, server)
    assert [message.error for message in found] == [""] * len(found)
    asked = {message.key: message for message in found if message.kind == MessageKind.REQUEST}
    paired = {message.fields["amqp_method"]: asked[message.key] for message in found if message.kind.name == "RESPONSE"}
    assert {name: request.fields["amqp_method"] for name, request in paired.items()} == {
        "connection.start-ok": "connection.start",
        "connection.tune-ok": "connection.tune",
        "connection.open-ok": "connection.open",
        "connection.close-ok": "connection.close",
    }
    assert [request.fields["amqp_summary"] for request in paired.values()] == ["0.9", "2047", "CONNECTION_FORCED", "/"]
    assert found[-1].fields["amqp_reply_code"] == 320
    assert "hunter2" not in str([document(message) for message in found])
    assert document(found[0])["response"] == "[redacted]"


def test_queue_and_get() -> None:
    declare = b"\0\0" + short(b"jobs") + b"\x02" + long(short(b"x-max") + b"I" + pack(">i", -1))
    client = method("queue.declare", declare) + method("basic.get", b"\0\0" + short(b"jobs") + b"\x01") * 2
    server = (
        method("queue.declare-ok", short(b"jobs") + pack(">II", 3, 1))
        + method("basic.get-ok", pack(">Q", 1) + b"\0" + short(b"") + short(b"jobs") + pack(">I", 2))
        + content(b"work")
        + method("basic.get-empty", b"\0")
    )
    found = messages(client, server)
    declared, get, _, told, got, empty = found
    assert document(declared)["arguments"] == {"x-max": -1}
    assert (document(declared)["durable"], document(declared)["noWait"]) == (True, False)
    assert (declared.fields["amqp_queue"], get.fields["amqp_queue"]) == ("jobs", "jobs")
    assert document(told)["messageCount"] == 3
    assert (declared.key, told.key) == ("1 queue.declare", "1 queue.declare")
    assert (get.key, got.key, empty.key) == ("1 basic.get",) * 3
    assert variables(got)["response_body"] == "work"


def declare(channel: int = 1, flags: bytes = b"\1") -> bytes:
    return method("queue.declare", b"\0\0" + short(b"q") + flags + long(b""), channel)


def close(failed: str, name: str = "channel.close", channel: int = 1) -> bytes:
    return method(name, pack(">H", 404) + short(b"NOT_FOUND") + pack(">HH", *IDS[failed]), channel)


def test_a_request_answered_by_closing() -> None:
    first, second, answer, closed = messages(declare() + declare(), close("queue.declare"))
    assert (answer.kind, closed.kind) == (MessageKind.RESPONSE, MessageKind.REQUEST)
    assert (first.one_way, second.one_way, closed.one_way) == (False, False, False)
    assert (first.fields["amqp_reply_code"], closed.fields["amqp_reply_code"]) == (404, 404)
    assert "amqp_reply_code" not in second.fields
    assert (answer.key, answer.direction, answer.start, answer.end) == (first.key, 1, closed.start, closed.end)
    assert answer.fields == {
        "amqp_method": "channel.close",
        "amqp_summary": "NOT_FOUND",
        "amqp_channel": 1,
        "amqp_reply_code": 404,
        "amqp_response": True,
        "amqp_response_length": answer.end - answer.start,
    }
    shown = document(answer)
    assert (shown["method"], shown["replyCode"], shown["replyText"]) == ("channel close", 404, "NOT_FOUND")
    assert (shown["failedClassId"], shown["failedMethodId"]) == IDS["queue.declare"]


def test_what_was_answered_was_not_refused() -> None:
    told = method("queue.declare-ok", short(b"q") + bytes(8))
    found = messages(declare() + declare(2) + declare(), told + close("queue.declare"))
    refused = [message.start for message in found if message.direction == 0 and "amqp_reply_code" in message.fields]
    assert refused == [2 * len(declare())]


def test_a_closed_connection_says_not_which_channel() -> None:
    opened = method("connection.open", short(b"/none") + b"\0\0", 0)
    asked, answer, closed = messages(HELLO + opened, close("connection.open", "connection.close", 0))
    assert (asked.key, answer.key, answer.kind) == ("0 connection.open", "0 connection.open", MessageKind.RESPONSE)
    assert (closed.kind, closed.fields["amqp_method"]) == (MessageKind.REQUEST, "connection.close")
    found = messages(declare(3) + declare(2), close("queue.declare", "connection.close", 0))
    assert [message.key for message in found if message.kind == MessageKind.RESPONSE] == ["2 queue.declare"]


def test_a_refused_publish_stays_one_way() -> None:
    first, second, closed = messages(publish(b"x", b"k", b"1") + publish(b"x", b"k", b"2"), close("basic.publish"))
    assert ("amqp_reply_code" in first.fields, second.fields["amqp_reply_code"], closed.one_way) == (False, 404, False)
    assert (second.one_way, second.key) == (True, "")
    first, second = messages(declare(flags=b"\x11"), close("queue.declare"))
    assert (first.one_way, first.fields["amqp_reply_code"], second.kind) == (True, 404, MessageKind.REQUEST)


def test_a_close_that_fits_nothing() -> None:
    for wire in (close("queue.declare"), close("basic.get", "connection.close", 0), close("queue.declare", channel=2)):
        asked, closed = messages(method("queue.purge", b"\0\0" + short(b"q") + b"\0"), wire)
        assert (asked.key, asked.one_way, "amqp_reply_code" in asked.fields) == ("1 queue.purge", False, False)
        assert closed.kind == MessageKind.REQUEST


@pytest.mark.parametrize(
    ("told", "ended", "is_left"),
    [
        (b"", ("closed", ""), True),
        (b"", ("reset", ""), True),
        (b"", ("", "refused"), True),
        (b"", ("", "closed"), False),  # it may be that nobody captured the answer
        (b"", ("", ""), False),
        (method("connection.close-ok", b"", 0), ("closed", "closed"), False),
    ],
)
def test_hanging_up_answers_a_closed_connection(told: bytes, ended: tuple[Ending, Ending], is_left: bool) -> None:
    wire = method("connection.close", pack(">H", 403) + short(b"ACCESS_REFUSED") + bytes(4), 0)
    found = found_by(amqp, amqp.AMQP, tcp(HELLO + told, wire + close("queue.declare"), port=PORT, ended=ended))
    closes = [message for message in found if message.kind == MessageKind.REQUEST]
    assert [message.one_way for message in closes] == [is_left, False]


def test_without_waiting() -> None:
    (message,) = messages(method("queue.delete", b"\0\0" + short(b"q") + b"\x04"))
    assert message.one_way


def test_channels_interleave() -> None:
    first = method("basic.publish", b"\0\0" + short(b"a") + short(b"k") + b"\0", 1)
    second = publish(b"b", b"k", b"two", channel=2)
    found = messages(first + second + content(b"one", channel=1))
    assert [(variables(message)["request_body"], message.error) for message in found] == [("one", ""), ("two", "")]
    assert found[1].fields["amqp_request_length"] == len(second)


def test_content_that_ends_early() -> None:
    wire = method("basic.publish", b"\0\0" + short(b"a") + short(b"k") + b"\0")
    header = frame(2, 1, pack(">HHQH", 60, 0, 10, 0))
    first, second = messages(wire + header + frame(3, 1, b"12345") + method("tx.commit"))
    assert (first.error, second.error) == ("malformed: its content ends early", "")
    (cut,) = messages(wire + header + frame(3, 1, b"12345"))
    assert cut.error == "truncated: 5 of 10 bytes of its body were captured"


@pytest.mark.parametrize("name", sorted(IDS))
def test_every_method(name: str) -> None:
    sizes = {"o": b"\1", "s": b"\0\1", "l": bytes(4), "L": bytes(8), "S": short(b"x"), "X": long(b"y"), "T": long(b"")}
    arguments = b""
    for at, (kind, _) in enumerate(METHODS[IDS[name]].arguments):
        if kind == "b":
            arguments += b"" if at and METHODS[IDS[name]].arguments[at - 1][0] == "b" else b"\0"
        else:
            arguments += sizes[kind]
    rest = content(b"") if name in ("basic.publish", "basic.return", "basic.deliver", "basic.get-ok") else b""
    for found in (messages(method(name, arguments) + rest), messages(b"", method(name, arguments) + rest)):
        assert [(message.fields["amqp_method"], message.error) for message in found] == [(name, "")]
        document(found[0])


def test_answers_name_methods() -> None:
    assert set(ANSWERS.values()) <= IDS.keys()


TABLE = b"".join(
    short(name) + value
    for name, value in (
        (b"bool", b"t\1"),
        (b"int8", b"b\xff"),
        (b"int16", b"s\xff\xfe"),
        (b"uint32", b"i\xff\xff\xff\xff"),
        (b"int64", b"l" + bytes(8)),
        (b"float", b"f" + pack(">f", 0.5)),
        (b"nan", b"d" + pack(">d", float("nan"))),
        (b"decimal", b"D\x02" + pack(">i", 314)),
        (b"text", b"S" + long(b"x")),
        (b"list", b"A" + long(b"I" + pack(">i", 1) + b"V")),
        (b"table", b"F" + long(short(b"k") + b"t\0")),
        (b"time", b"T" + pack(">Q", 86400)),
        (b"far", b"T" + b"\xff" * 8),
        (b"bytes", b"x" + long(b"\xff")),
    )
)


def test_field_types() -> None:
    (message,) = messages(method("queue.declare", b"\0\0" + short(b"") + b"\0" + long(TABLE)))
    assert document(message)["arguments"] == {
        "bool": True,
        "int8": -1,
        "int16": -2,
        "uint32": 4294967295,
        "int64": 0,
        "float": 0.5,
        "nan": "nan",
        "decimal": "314e-2",
        "text": "x",
        "list": [1, None],
        "table": {"k": False},
        "time": "1970-01-02T00:00:00Z",
        "far": str(2**64 - 1),
        "bytes": "/w==",
    }


def test_deep_tables_are_refused() -> None:
    nested = long(b"")
    for _ in range(40):
        nested = long(short(b"k") + b"F" + nested)
    with pytest.raises(Short):
        Cursor(nested, 0, len(nested)).table(16)


@given(st.binary(max_size=60))
def test_any_table(data: bytes) -> None:
    with contextlib.suppress(Short):
        Cursor(data, 0, len(data)).table(16)


def test_refused_version() -> None:
    asked, told = messages(b"AMQP\x01\x01\x00\x0a", b"AMQP\0\0\x09\x01")
    assert (asked.kind, told.kind, asked.key == told.key) == (MessageKind.REQUEST, MessageKind.RESPONSE, True)
    assert (document(asked)["protocolVersion"], document(told)["protocolVersion"]) == ("0-10", "0-9-1")


def test_version_1_0_is_not_misread() -> None:
    client = b"AMQP\x03\x01\0\0" + b"\0\0\0\x10\2\1\0\0" + bytes(8)
    found = messages(client, client)
    assert {message.fields.get("amqp_method") for message in found} == {None}
    assert [message.fields["amqp_summary"] for message in found] == [
        "AMQP 1.0 with SASL",
        "AMQP 1.0 with SASL: 16 bytes, not dissected",
    ] * 2
    assert is_mine(tcp(client, b"", port=9999))


WIRE = publish(b"ex", b"key", b"hello")


@pytest.mark.parametrize("cut", range(1, len(WIRE)))
def test_each_truncation(cut: int) -> None:
    message = messages(WIRE[:cut])[-1]
    assert message.error.startswith("truncated:")
    assert message.end == cut


def test_malformed_spoils_one_message() -> None:
    wire = publish(b"a", b"k", b"x") + b"\1\0\1\0\0\0\4junk?" + publish(b"b", b"k", b"y")
    found = messages(wire)
    assert [message.error.partition(":")[0] for message in found] == ["", "malformed", ""]


def test_gap_in_a_body() -> None:
    whole = publish(b"a", b"k", b"x" * 100)
    at = len(whole) - 60
    wire = whole[:at] + bytes(10) + whole[at + 50 :] + publish(b"b", b"k", b"y")
    found = found_by(amqp, amqp.AMQP, tcp(wire, port=PORT, gaps={0: [(at, at + 10, 50)]}))
    assert [message.error for message in found] == [f"gap: 50 bytes missing at {at}", ""]
    assert found[0].end == len(whole) - 40


def test_one_error_for_the_rest_of_a_content() -> None:
    rest = b"".join(frame(3, channel, b"x" * 20) for channel in (1, 2) * 10)
    client = b"of a body\xce" + rest + declare() + content(b"y", channel=2)
    found = found_by(amqp, amqp.AMQP, tcp(client, port=PORT, midway=True))
    assert [
        (message.fields["amqp_channel"], message.fields["amqp_method"], bool(message.error)) for message in found
    ] == [
        (1, "", True),
        (2, "", True),
        (1, "queue.declare", False),
        (2, "", True),
    ]
    assert {message.error for message in found if message.error} == {"gap: the method of this content was not captured"}
    assert len(variables(found[0])["request_body"]) == 200


def test_gap_over_a_frame() -> None:
    first, lost, last = publish(b"a", b"k", b"x"), publish(b"b", b"k", b"y"), publish(b"c", b"k", b"z")
    wire = first + bytes(len(lost)) + last
    found = found_by(amqp, amqp.AMQP, tcp(wire, port=PORT, gaps={0: [(len(first), len(first + lost), len(lost))]}))
    assert [message.fields.get("amqp_exchange") for message in found] == ["a", "c"]


def test_from_the_middle() -> None:
    stream = tcp(b"of a body\xce" + publish(b"b", b"k", b"y"), content(b"lost"), port=PORT, midway=True)
    assert is_mine(stream)
    first, orphan = found_by(amqp, amqp.AMQP, stream)
    assert (first.start, first.error) == (10, "")
    assert orphan.error == "gap: the method of this content was not captured"


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (HELLO, b"", 9999, True),
        (b"AMQP is a protocol", b"", PORT, False),
        (b"", method("connection.start", b"\0\x09" + long(b"") * 3, 0), 9999, True),
        (publish(b"a", b"k", b"x"), b"", PORT, True),
        (publish(b"a", b"k", b"x"), b"", 9999, False),
        (b"\x16\x03\x01\0\x05hello", b"", 5671, False),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", PORT, False),
        (b"\x01" * 40, b"\x08" * 40, PORT, False),
        (b"\0" * 40, b"", PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=lambda value: value.decode("latin-1")[:8] if isinstance(value, bytes) else None,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


CLIENT = HELLO + publish(b"ex", b"k", b"hello", cut=2) + method("queue.declare", b"\0\0\1q\0" + long(TABLE))
SERVER = method("connection.start", b"\0\x09" + long(b"") * 3, 0) + method("basic.get-ok", bytes(15)) + content(b"work")


@given(damaged_streams(CLIENT, SERVER, PORT))
def test_damage(stream: FakeStream) -> None:
    amqp.probe(amqp.AMQP, [stream])
    assert_sound(amqp.dissect(amqp.AMQP, [stream])[0], stream, interleaved=True)
