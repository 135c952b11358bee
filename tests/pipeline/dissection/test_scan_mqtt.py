"""The MQTT scanner against its dissector: every packet type of each version, from both sides, midway, damaged."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline._scanned import assert_scanned_as_dissected
from tests.pipeline._traffic import Capture, Connection
from tests.pipeline.dissectors.messaging.test_mqtt import connect, number, packet, publish, string, variable

ASSIGNED = b"\x12" + string(b"given")
USER = b"\x26" + string(b"k") + string(b"v")
OPENINGS = (
    connect(3),
    connect(4, flags=0xEE, rest=string(b"will") + string(b"gone") + string(b"ann") + string(b"hunter2")),
    connect(0x84),
    connect(5, name=b""),
    connect(5, flags=0x06, rest=b"\x05\x18\0\0\0\x09" + string(b"will") + string(b"gone")),
    connect(4, name=b"\xff" * 1024),
    connect(4, name=b"x" * 1025),
    connect(6),
    connect(0),
)


def plain(version: int) -> tuple[bytes, ...]:
    """Packets that both sides may send."""
    props = b"\0" if version == 5 else b""
    user = variable(len(USER)) + USER if version == 5 else b""
    return (
        publish(b"a/b", b"hi", props=props),
        publish("ü/\u20ac".encode(), b"", props=user, flags=1),
        publish(b"\xff\xe9", b"x" * 200, 1, 7, props=props),
        publish(b"a", b"x", 1, 0, flags=8, props=props),
        publish(b"a/b", b"hi", 2, 9, props=user),
        packet(0x40, number(7)),
        packet(0x40, number(0)),
        packet(0x50, number(9)),
        packet(0x62, number(9)),
        packet(0x70, number(9)),
        packet(0x82, number(1), props, string(b"a/#"), b"\x02", string(b"b"), b"\x00"),
        packet(0x90, number(1), user, b"\x01\x80\x00"),
        packet(0xA2, number(2), props, string(b"a/#")),
        packet(0xB0, number(2), *([props, b"\x11"] if version == 5 else [])),
        packet(0x20, b"\0\0", props),
        packet(0x20, b"\1\5", variable(len(ASSIGNED)) + ASSIGNED if version == 5 else b""),
        b"\xc0\0",
        b"\xd0\0",
        packet(0xE0, b"\x8e\0" if version == 5 else b""),
    )


ODD = (
    packet(0x62, number(9), b"\x92"),
    packet(0x70, number(9), b"\x92\0"),
    publish(b"a", b"x", props=b"\x03\x23\0\1"),
    publish(b"", b"x", props=b"\x03\x23\0\1"),
    publish(b"a\0b", b"x"),
    publish(b"a", b"x", 3),
    packet(0xF0, b"\x18\0"),
    packet(0x82, number(1)),
    packet(0x90, number(1)),
    packet(0xC0, b"x"),
    packet(0x10, b"\0\4MQTT"),
    connect(4, name=b"again"),
    b"\x30\xff\xff\xff\xff\x01",
    b"\x00",
)
TURNS = st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.integers(0, 40)), min_size=1, max_size=7)


@given(
    TURNS,
    st.none() | st.sampled_from(OPENINGS),
    st.sampled_from((4, 5)),
    st.booleans(),
    st.sampled_from((0, 0, len(ODD))),
    st.none() | st.tuples(st.integers(0, 6), st.integers(0, 20), st.integers(0, 255)),
    st.sampled_from(((1883, 40_000), (1883, 40_000), (7000, 40_000), (40_000, 1883))),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up(
    turns: list[tuple[bool, int, int]],
    opening: bytes | None,
    version: int,
    is_whole: bool,
    odd: int,
    damage: tuple[int, int, int] | None,
    ports: tuple[int, int],
) -> None:
    capture = Capture()
    connection = Connection(capture, *ports)
    if is_whole:
        connection.open()
    if opening:
        connection.ask(opening)
    choice = (*plain(version), *ODD[:odd])
    for place, (is_back, which, cut) in enumerate(turns):
        data = choice[which % len(choice)]
        if damage and damage[0] == place and damage[1] < len(data):
            data = data[: damage[1]] + bytes(damage[2:]) + data[damage[1] + 1 :]
        for piece in (data[: cut % len(data)], data[cut % len(data) :]):
            if piece:
                (connection.answer if is_back else connection.ask)(piece)
    assert_scanned_as_dissected(capture.segments())


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("is_whole", [True, False])
def test_plain_ones_are_taken(version: int, is_whole: bool) -> None:
    """Midway, too: devices keep their connections for weeks."""
    capture = Capture()
    connection = Connection(capture, 1883)
    if is_whole:
        connection.open().ask(connect(version)).answer(packet(0x20, b"\0\0"))
    connection.ask(publish(b"a", b"hi", 1, 7, props=b"\0" * (version == 5))).answer(packet(0x40, number(7)))
    connection.answer(publish(b"b", b"hi", 1, 7, props=b"\0" * (version == 5))).ask(packet(0x40, number(7)))
    connection.ask(b"\xc0\0").answer(b"\xd0\0").ask(packet(0xE0, b"\0" * (version == 5)))
    assert assert_scanned_as_dissected(capture.segments())["mqtt"] == 4 + is_whole
