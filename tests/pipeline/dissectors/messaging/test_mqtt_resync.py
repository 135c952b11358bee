"""MQTT goes on behind gaps, damage and the middle of a PUBLISH, and makes up no packets of payloads."""

from __future__ import annotations

from random import Random

import pytest

from kubeshark.extension_api import Message
from kubeshark.pipeline.dissectors.messaging import mqtt

from .._damage import found_by
from .._streams import tcp
from .test_mqtt import CONNACK, PORT, connect, is_mine, number, packet, publish, string

TEXT = b'{"temp": 21.5, "unit": "C", "state": "@0 bjp PUBLISH"}, ' * 20_000
BINARY = Random(7).randbytes(len(TEXT))
PAYLOADS = pytest.mark.parametrize("payload", [TEXT, BINARY], ids=["text", "binary"])


def types(found: list[Message], direction: int = 0) -> list[str]:
    return [str(message.fields["mqtt_type"]) for message in found if message.direction == direction]


@PAYLOADS
def test_a_lost_segment_costs_one_publish(payload: bytes) -> None:
    sent = [publish(b"a/b", payload[at * 4000 : at * 4000 + 4000], 1, at + 1) for at in range(30)]
    client = connect() + b"".join(sent)
    start = len(connect()) + sum(map(len, sent[:9]))
    client = client[:start] + bytes(1400) + client[start + 1400 :]
    stream = tcp(client, CONNACK, port=PORT, gaps={0: [(start, start + 1400, 1400)]})
    found = found_by(mqtt, mqtt.MQTT, stream)
    assert types(found) == ["CONNECT"] + ["PUBLISH"] * 9 + [""] + ["PUBLISH"] * 20
    assert [message.error for message in found if message.error] == [f"gap: 1400 bytes missing at {start}"]


@PAYLOADS
@pytest.mark.parametrize("size", [3_000, 70_000, 900_000])
def test_a_capture_that_begins_inside_a_publish(payload: bytes, size: int) -> None:
    later = [publish(b"a/b", b"x", 1, at + 1) for at in range(20)]
    acknowledged = b"".join(packet(0x40, number(at + 1)) for at in range(20))
    stream = tcp(payload[:size] + b"".join(later), acknowledged, port=PORT, midway=True)
    found = found_by(mqtt, mqtt.MQTT, stream)
    assert types(found) == ["PUBLISH"] * 20
    assert {message.error for message in found} == {""}
    assert found[0].start == size


@PAYLOADS
def test_one_error_for_all_that_is_skipped(payload: bytes) -> None:
    client = connect() + b"\0" + payload[:300_000] + publish(b"a/b", b"x", 1) + publish(b"a/b", b"y", 1)
    found = found_by(mqtt, mqtt.MQTT, tcp(client, port=PORT))
    assert types(found) == ["CONNECT", "", "PUBLISH", "PUBLISH"]
    assert found[1].error == f"malformed: no packet at {len(connect())}"


def test_wrong_fields_before_bytes_that_are_no_packet() -> None:
    wrong = packet(0x62, number(5), b":xx") + TEXT[:5_000]  # looks like a PUBREL, from its first bytes
    client = connect() + wrong + publish(b"a/b", b"x") + b"\xc0\0"
    found = found_by(mqtt, mqtt.MQTT, tcp(client, port=PORT))
    assert types(found) == ["CONNECT", "", "PUBLISH", "PINGREQ"]
    assert found[1].error == f"malformed: fields of PUBREL at {len(connect())}"


@pytest.mark.parametrize(
    "first",
    [
        connect(5),
        packet(0x20, b"\0\0"),
        packet(0x20, b"\0\0\3\x21\0\x0a"),
        packet(0x32, string(b""), number(7), b"\3\x23\0\5", b"alias"),
        packet(0x40, number(7)),
        packet(0x40, number(7), b"\x10"),
        packet(0x62, number(7), b"\x92\0"),
        packet(0x82, number(3), string(b"a/+"), b"\1", string(b"#"), b"\0"),
        packet(0x82, number(3), b"\2\x0b\1", string(b"a/+"), b"\x2d"),
        packet(0xA2, number(3), string(b"#")),
        packet(0x90, number(3), b"\1\x80"),
        packet(0x90, number(3), b"\5\x1f" + string(b"no"), b"\x87"),
        packet(0xB0, number(3)),
        b"\xd0\0",
        b"\xe0\0",
        packet(0xF0, b"\x18\0"),
    ],
    ids=lambda value: value.hex(),
)
def test_every_packet_is_evidence(first: bytes) -> None:
    wire = first + publish(b"a/b", b"x") + publish(b"a/b", b"y")
    found = found_by(mqtt, mqtt.MQTT, tcp(connect() + b"\0no packet" + wire, port=PORT))
    assert found[2].start == len(connect()) + 10
    assert found[2].error == "" or first[:1] in (b"\x32", b"\x82", b"\x90", b"\x20")  # of version 5


@pytest.mark.parametrize(
    "wrong",
    [
        publish(b"a/+", b"x"),
        publish(b"a\x01", b"x"),
        publish(b"\xff", b"x"),
        publish(b"a", b"x", 1, 0),
        packet(0x30, string(b""), b"x"),
        packet(0x40, number(0)),
        packet(0x40, number(7), b"\x55"),
        packet(0x20, b"\2\0"),
        packet(0x82, number(3), string(b"a"), b"\3"),
        packet(0x90, number(3)),
        packet(0xE0, b"\x55"),
    ],
    ids=lambda value: value.hex(),
)
def test_what_is_no_evidence(wrong: bytes) -> None:
    wire = wrong + publish(b"a/b", b"x") + publish(b"a/b", b"y")
    found = found_by(mqtt, mqtt.MQTT, tcp(connect() + b"\0no packet" + wire, port=PORT))
    assert found[2].start == len(connect()) + 10 + len(wrong)


def test_what_follows_may_be_lost_too() -> None:
    wire = connect() + b"\0no packet" + publish(b"a/b", b"x")
    gap = (len(wire), len(wire) + 10, 10)
    found = found_by(mqtt, mqtt.MQTT, tcp(wire + bytes(10), port=PORT, gaps={0: [gap]}))
    assert types(found) == ["CONNECT", "", "PUBLISH", ""]


@PAYLOADS
def test_packets_behind_a_long_rest_are_known(payload: bytes) -> None:
    later = publish(b"a/b", b"x") + publish(b"a/b", b"y")
    assert is_mine(tcp(payload[:30_000] + later, port=PORT, midway=True))
    assert not is_mine(tcp(payload[:30_000] + later, port=PORT))
    assert not is_mine(tcp(payload[:30_000] + later, port=9999, midway=True))
    assert not is_mine(tcp(payload[:30_000], port=PORT, midway=True))
