"""MQTT streams in, messages out."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest
from hypothesis import given

from kubeshark.extension_api import Message, MessageKind, Verdict
from kubeshark.pipeline.dissectors.messaging import mqtt
from kubeshark.pipeline.dissectors.messaging._mqtt_properties import Cursor, Short

from .._damage import assert_sound, damaged_streams, document, found_by, variables
from .._streams import FakeStream, tcp

PORT = 1883


def variable(value: int) -> bytes:
    out = b""
    while True:
        value, byte = value >> 7, value & 0x7F
        out += bytes([byte | (0x80 if value else 0)])
        if not value:
            return out


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([first]) + variable(len(body)) + body


def string(value: bytes) -> bytes:
    return pack(">H", len(value)) + value


def number(value: int) -> bytes:
    return pack(">H", value)


def connect(level: int = 4, *, flags: int = 2, rest: bytes = b"", name: bytes = b"sensor-1") -> bytes:
    protocol = b"MQIsdp" if level & 0x7F == 3 else b"MQTT"
    properties = b"\0" if level == 5 else b""
    return packet(0x10, string(protocol), bytes([level, flags]), number(60), properties, string(name), rest)


CONNACK = packet(0x20, b"\0\0")
PUBACK_7 = packet(0x40, number(7))


def publish(
    topic: bytes, payload: bytes, qos: int = 0, packet_id: int = 7, flags: int = 0, props: bytes = b""
) -> bytes:
    return packet(0x30 | qos << 1 | flags, string(topic), number(packet_id) if qos else b"", props, payload)


def messages(client: bytes, server: bytes = b"") -> list[Message]:
    return found_by(mqtt, mqtt.MQTT, tcp(client, server, port=PORT))


def is_mine(stream: FakeStream) -> bool:
    return mqtt.probe(mqtt.MQTT, [stream]) == [Verdict.MINE]


def pairs(found: list[Message]) -> list[tuple[str, str]]:
    """Return (request, response) types that have equal keys."""
    asked = {message.key: message.fields["mqtt_type"] for message in found if message.kind == MessageKind.REQUEST}
    return [
        (str(asked[message.key]), str(message.fields["mqtt_type"]))
        for message in found
        if message.kind == MessageKind.RESPONSE
    ]


def test_connect() -> None:
    rest = string(b"last/will") + string(b"gone") + string(b"ann") + string(b"hunter2")
    wire = connect(4, flags=0xEE, rest=rest)
    request, response = messages(wire, packet(0x20, b"\x01\x00"))
    assert request.fields == {
        "mqtt_type": "CONNECT",
        "mqtt_version": 4,
        "mqtt_client_id": "sensor-1",
        "mqtt_request": True,
        "mqtt_request_size": len(wire),
    }
    assert document(request) == {
        "type": "CONNECT",
        "packetId": 0,
        "version": 4,
        "clientId": "sensor-1",
        "topic": "",
        "topics": [],
        "qos": 0,
        "retain": False,
        "dup": False,
        "payload": "",
        "properties": {},
        "cleanSession": True,
        "keepAlive": 60,
        "bridge": False,
        "username": "ann",
        "password": "[redacted]",
        "will": {"topic": "last/will", "qos": 1, "retain": True, "payload": "gone", "properties": {}},
    }
    assert document(response) == {
        "type": "CONNACK",
        "packetId": 0,
        "reasonCode": 0,
        "reasonCodes": [0],
        "properties": {},
        "sessionPresent": True,
    }
    assert (request.key, response.key) == ("CONNECT", "CONNECT")


@pytest.mark.parametrize(("level", "version", "bridge"), [(3, 3, False), (4, 4, False), (0x84, 4, True)])
def test_versions(level: int, version: int, bridge: bool) -> None:
    (message,) = messages(connect(level))
    assert (message.fields["mqtt_version"], message.error) == (version, "")
    assert document(message)["bridge"] is bridge


def test_refused() -> None:
    _, response = messages(connect(), packet(0x20, b"\0\x05"))
    assert response.fields["mqtt_reason_code"] == 5


def test_publish_at_most_once() -> None:
    _, message = messages(connect() + publish(b"plant/7", b"21.5", flags=1))
    assert (message.kind, message.one_way, message.error) == (MessageKind.REQUEST, True, "")
    assert message.fields == {
        "mqtt_type": "PUBLISH",
        "mqtt_version": 4,
        "mqtt_client_id": "sensor-1",
        "mqtt_topic": "plant/7",
        "mqtt_qos": 0,
        "mqtt_retain": True,
        "mqtt_request": True,
        "mqtt_request_size": 15,
    }
    assert document(message)["payload"] == "21.5"
    assert variables(message)["request_body"] == "21.5"


def test_server_publishes_unasked() -> None:
    *_, message = messages(connect(), CONNACK + publish(b"plant/7", b"\xff"))
    assert message.kind == MessageKind.EVENT
    assert document(message)["payload"] == "/w=="
    assert document(message)["encoding"] == "base64"
    assert "mqtt_request" not in message.fields


def test_acknowledged_publishes_are_paired_by_sender_and_identifier() -> None:
    client = publish(b"a", b"x", 1) + publish(b"a", b"y", 2, 8) + packet(0x62, number(8)) + PUBACK_7
    server = publish(b"b", b"z", 1) + packet(0x50, number(8)) + packet(0x70, number(8)) + PUBACK_7
    found = messages(connect() + client, CONNACK + server)
    assert pairs(found) == [
        ("PUBLISH", "PUBACK"),
        ("CONNECT", "CONNACK"),
        ("PUBLISH", "PUBREC"),
        ("PUBREL", "PUBCOMP"),
        ("PUBLISH", "PUBACK"),
    ]
    assert [message.key for message in found if message.fields["mqtt_type"] == "PUBACK"] == [
        "server PUBLISH 7",
        "PUBLISH 7",
    ]


def test_subscriptions() -> None:
    client = packet(0x82, number(3), string(b"plant/+"), b"\x01", string(b"#"), b"\x00")
    client += packet(0xA2, number(4), string(b"#"))
    server = packet(0x90, number(3), b"\x01\x80") + packet(0xB0, number(4))
    found = messages(connect() + client, CONNACK + server)
    _, subscribe, unsubscribe, _, granted, _ = found
    assert pairs(found) == [("CONNECT", "CONNACK"), ("SUBSCRIBE", "SUBACK"), ("UNSUBSCRIBE", "UNSUBACK")]
    assert (subscribe.fields["mqtt_topic"], subscribe.fields["mqtt_qos"]) == ("plant/+", 1)
    assert document(subscribe)["topics"] == ["plant/+", "#"]
    assert unsubscribe.fields["mqtt_topic"] == "#"
    assert document(granted)["reasonCodes"] == [1, 128]
    assert granted.fields["mqtt_reason_code"] == 128


def test_ping_and_disconnect() -> None:
    found = messages(connect() + b"\xc0\x00\xe0\x00", CONNACK + b"\xd0\x00")
    assert pairs(found) == [("CONNECT", "CONNACK"), ("PINGREQ", "PINGRESP")]
    assert found[2].one_way


def test_version_5() -> None:
    will = b"\x05\x18" + pack(">I", 9) + string(b"w") + string(b"gone")
    client = connect(5, flags=0x06, rest=will)
    client += publish(b"a", b"x", 1, props=b"\x0b\x23\x00\x05\x26" + string(b"k") + string(b"vv"))
    client += publish(b"", b"y", 0, props=b"\x03\x23\x00\x05")
    client += packet(0x82, number(9), b"\x02\x0b\x01", string(b"a"), b"\x2d")
    server = packet(0x20, b"\x00\x00", b"\x03\x21\x00\x0a") + packet(0x40, number(7), b"\x10")
    server += packet(0x90, number(9), b"\0", b"\x01") + packet(0xE0, b"\x8e\x00")
    found = messages(client, server)
    assert [message.error for message in found] == [""] * len(found)
    will_of = document(found[0])["will"]
    assert (will_of["properties"], will_of["payload"]) == ({"willDelayInterval": 9}, "gone")
    assert document(found[1])["properties"] == {"topicAlias": 5, "userProperties": {"k": "vv"}}
    assert found[2].fields["mqtt_topic"] == "a"
    assert document(found[3])["subscriptions"] == [
        {"topic": "a", "qos": 1, "noLocal": True, "retainAsPublished": True, "retainHandling": 2}
    ]
    assert document(found[4])["properties"] == {"receiveMaximum": 10}
    assert found[5].fields["mqtt_reason_code"] == 0x10
    assert (found[7].kind, found[7].fields["mqtt_reason_code"]) == (MessageKind.EVENT, 0x8E)


def test_authentication_is_redacted() -> None:
    auth = packet(0xF0, b"\x18", variable(9 + 10), b"\x15" + string(b"SCRAM-"), b"\x16" + string(b"hunter2"))
    _, message = messages(connect(5) + auth)
    assert (message.fields["mqtt_type"], message.error) == ("AUTH", "")
    assert document(message)["properties"] == {"authenticationMethod": "SCRAM-", "authenticationData": "[redacted]"}


def test_assigned_client_identifier() -> None:
    properties = b"\x12" + string(b"auto-9")
    found = messages(connect(5, name=b""), packet(0x20, b"\0\0", variable(len(properties)), properties))
    assert found[0].fields["mqtt_client_id"] == "auto-9"


def test_version_without_connect() -> None:
    subscribe = packet(0x82, number(9), b"\x00", string(b"a/b"), b"\x01")
    (message,) = messages(subscribe)
    assert (message.fields["mqtt_version"], message.fields["mqtt_topic"]) == (5, "a/b")
    (message,) = messages(packet(0x82, number(9), string(b"a/b"), b"\x01"))
    assert (message.fields["mqtt_version"], message.fields["mqtt_topic"]) == (4, "a/b")


@pytest.mark.parametrize("cut", range(1, len(publish(b"a/b", b"hello", 1))))
def test_each_truncation(cut: int) -> None:
    *_, message = messages(connect() + publish(b"a/b", b"hello", 1)[:cut])
    assert message.error.startswith("truncated:")
    assert message.fields["mqtt_type"] == "PUBLISH"


def test_malformed_spoils_one_message() -> None:
    wrong = packet(0x30, b"\x00\x50abc")
    found = messages(connect() + wrong + publish(b"b", b"x") + b"\x00\xff\xff" + publish(b"c", b"x") + b"\xc0\x00")
    assert [message.error.partition(":")[0] for message in found] == ["", "malformed", "", "malformed", "", ""]
    assert [message.fields.get("mqtt_topic") for message in found] == [None, None, "b", None, "c", None]


def test_wrong_flags_are_an_error_of_one_packet() -> None:
    subscribe = packet(0x80, number(3), string(b"a"), b"\x01")
    found = messages(connect() + subscribe + b"\xc0\x00" + b"\x36\x06" + string(b"b") + number(7) + b"x" + b"\xc0\x00")
    assert [(message.fields["mqtt_type"], message.error.partition(":")[0]) for message in found] == [
        ("CONNECT", ""),
        ("SUBSCRIBE", "malformed"),
        ("PINGREQ", ""),
        ("PUBLISH", "malformed"),
        ("PINGREQ", ""),
    ]


def test_gap_in_a_payload() -> None:
    head = b"\x30\x69" + string(b"abc") + b"x" * 20
    wire = head + bytes(10) + b"x" * 30 + publish(b"b", b"x")
    stream = tcp(wire, port=PORT, gaps={0: [(len(head), len(head) + 10, 50)]})
    found = found_by(mqtt, mqtt.MQTT, stream)
    assert [message.error for message in found] == [f"gap: 50 bytes missing at {len(head)}", ""]


def test_gap_over_a_header() -> None:
    first, lost, last = publish(b"a", b"x"), publish(b"b", b"y"), publish(b"c", b"z")
    wire = connect() + first + bytes(3) + lost[3:] + last
    start = len(connect() + first)
    found = found_by(mqtt, mqtt.MQTT, tcp(wire, port=PORT, gaps={0: [(start, start + 3, 3)]}))
    assert [message.fields.get("mqtt_topic") for message in found] == [None, "a", None, "c"]


def test_from_the_middle() -> None:
    stream = tcp(b"rest of a payload" + publish(b"b", b"x") + b"\xc0\x00", b"\xd0\x00", port=PORT, midway=True)
    assert is_mine(stream)
    found = found_by(mqtt, mqtt.MQTT, stream)
    assert [(message.start, message.error) for message in found] == [(17, ""), (23, ""), (0, "")]


@pytest.mark.parametrize(
    ("client", "server", "port", "mine"),
    [
        (connect(), b"", 9999, True),
        (connect(3), b"", 9999, True),
        (publish(b"a", b"x"), b"", PORT, True),
        (publish(b"a", b"x"), b"", 9999, False),
        (b"", CONNACK, PORT, True),
        (b"\x16\x03\x01\0\x05hello", b"", 8883, False),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", PORT, False),
        (b"0" * 40, b"", PORT, False),
        (b"\0" * 40, b"", PORT, False),
        (b"", b"", PORT, False),
    ],
    ids=lambda value: value.decode("latin-1")[:8] if isinstance(value, bytes) else None,
)
def test_probe(client: bytes, server: bytes, port: int, mine: bool) -> None:
    assert is_mine(tcp(client, server, port=port)) is mine


@pytest.mark.parametrize("wire", [b"", b"\x80", b"\x80\x80\x80\x80\x01"], ids=["empty", "cut", "too long"])
def test_bad_numbers(wire: bytes) -> None:
    with pytest.raises(Short):
        Cursor(wire).variable()


def of_version(level: int) -> Any:
    new = b"\0" if level == 5 else b""
    client = connect(level, flags=0xEE, rest=new + string(b"w") + string(b"p") + string(b"u") + string(b"pw"))
    client += publish(b"a/b", b"hello", 1, props=b"\x03\x23\x00\x05" if new else b"")
    client += (
        packet(0x82, number(3), new, string(b"#"), b"\x01") + packet(0xA2, number(4), new, string(b"#")) + b"\xe0\0"
    )
    server = (
        packet(0x20, b"\0\0", new)
        + PUBACK_7
        + packet(0x90, number(3), new, b"\x01")
        + publish(b"c", b"d", 0, props=new)
    )
    return damaged_streams(client, server, PORT)


@pytest.mark.parametrize("level", [3, 4, 5])
def test_damage(level: int) -> None:
    @given(of_version(level))
    def check(stream: FakeStream) -> None:
        mqtt.probe(mqtt.MQTT, [stream])
        assert_sound(mqtt.dissect(mqtt.MQTT, [stream])[0], stream)

    check()
