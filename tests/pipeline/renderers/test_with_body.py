"""Messages of queues, as hostile as they can be, in every renderer that shows their body."""

from __future__ import annotations

from typing import Any

import pytest

from kubeshark.extension_api import Message, Representation, Section
from kubeshark.pipeline.dissectors.messaging import amqp, mqtt, nats
from kubeshark.pipeline.renderers import amqp as amqp_renderer
from kubeshark.pipeline.renderers import mqtt as mqtt_renderer
from kubeshark.pipeline.renderers import nats as nats_renderer
from kubeshark.pipeline.renderers import to_text
from kubeshark.pipeline.renderers._kfl_text import literal

from ..dissectors._streams import tcp
from ..dissectors.messaging import test_amqp, test_mqtt
from ._entries import FakeEntry

EVIL = b'\x1b[2J"\\\xe2\x80\xae'
HEAD = b"NATS/1.0\r\n" + EVIL + b": " + EVIL + b"\r\nA: 1\r\na: 2\r\n\r\n"
HPUB = b"HPUB a" + EVIL.replace(b" ", b"") + b" %d %d\r\n" % (len(HEAD), len(HEAD) + len(EVIL)) + HEAD + EVIL + b"\r\n"
HMSG = HPUB.replace(b"HPUB a", b"HMSG x 1 a")
PROPERTIES = test_amqp.long(
    test_amqp.short(EVIL) + b"F" + test_amqp.long(test_amqp.short(EVIL) + b"d\x7f\xf8" + bytes(6))
)
PUBLISH = test_amqp.publish(EVIL, EVIL, EVIL, flags=0x2000, properties=PROPERTIES)
DELIVER = test_amqp.method("basic.deliver", b"\1c" + bytes(9) + b"\1e\1k") + test_amqp.content(b"\xff\0")
CASES: dict[str, tuple[Any, Any, Any, bytes, bytes]] = {
    "nats": (nats, nats.NATS, nats_renderer, HPUB, b""),
    "nats event": (nats, nats.NATS, nats_renderer, b"", HMSG),
    "mqtt": (mqtt, mqtt.MQTT, mqtt_renderer, test_mqtt.publish(EVIL, EVIL, 1), test_mqtt.PUBACK_7),
    "mqtt event": (mqtt, mqtt.MQTT, mqtt_renderer, b"", test_mqtt.publish(EVIL, b"{}")),
    "mqtt server": (mqtt, mqtt.MQTT, mqtt_renderer, test_mqtt.PUBACK_7, test_mqtt.publish(EVIL, b"\xff", 1)),
    "amqp": (amqp, amqp.AMQP, amqp_renderer, PUBLISH, b""),
    "amqp event": (amqp, amqp.AMQP, amqp_renderer, b"", DELIVER),
    "amqp damaged": (amqp, amqp.AMQP, amqp_renderer, PUBLISH[:-5], b""),
    "amqp 1.0": (amqp, amqp.AMQP, amqp_renderer, b"AMQP\0\1\0\0", b"AMQP\0\1\0\0"),
}


def shown(name: str) -> tuple[FakeEntry, Representation]:
    dissector, spec, renderer, client, server = CASES[name]
    found = dissector.dissect(spec, [tcp(client, server, port=spec.ports[0])])[0]
    entry = FakeEntry(spec, tuple(message for message in found if isinstance(message, Message)))
    representation = renderer.render(entry)
    assert representation
    return entry, representation


def sections(representation: Representation) -> list[Section]:
    return [*representation.request, *representation.response, *representation.event]


@pytest.mark.parametrize("name", CASES)
def test_every_selector_selects(name: str) -> None:
    entry, representation = shown(name)
    for section in sections(representation):
        pairs = [(row.selector, row.value) for row in section.rows if row.selector]
        if section.selector:
            pairs.append((section.selector, section.body))
        for selector, value in pairs:
            assert value is not None
            assert entry.is_selected_by(f"{selector} == {literal(value)}"), selector


@pytest.mark.parametrize("name", CASES)
def test_text_cannot_steer_a_terminal(name: str) -> None:
    _, representation = shown(name)
    text = to_text(representation)
    assert all(character.isprintable() or character == "\n" for character in text), repr(text)


@pytest.mark.parametrize(
    ("name", "encoding", "media_type"),
    [("nats", "", "text/plain"), ("mqtt event", "", "application/json"), ("amqp event", "base64", "text/plain")],
)
def test_body(name: str, encoding: str, media_type: str) -> None:
    _, representation = shown(name)
    body = sections(representation)[-1]
    assert (body.title, body.encoding, body.mime_type) == ("Body", encoding, media_type)
    assert bool(body.selector) == (not encoding)
