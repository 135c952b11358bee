"""What MQTT looks like in a list."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.messaging.mqtt import MQTT, dissect
from kubeshark.pipeline.renderers import mqtt

from ..dissectors._streams import tcp
from ._entries import FakeEntry

CONNECT = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c"


def test_row() -> None:
    shown = FakeEntry(MQTT, tuple(dissect(MQTT, [tcp(CONNECT, b"\x20\x02\0\x05", port=1883)])[0]))
    row = mqtt.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["status"]) == ("CONNECT", "c", 5)
    assert all(shown.is_selected_by(row[query]) for query in ("methodQuery", "summaryQuery", "statusQuery"))


def test_topic() -> None:
    shown = FakeEntry(MQTT, tuple(dissect(MQTT, [tcp(b"\x30\x05\0\x01t21", port=1883)])[0]))
    row = mqtt.summarize(shown)
    assert row
    assert (row["method"], row["summary"], row["summaryQuery"]) == ("PUBLISH", "t", 'mqtt_topic == "t"')
