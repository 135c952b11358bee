"""A real broker (mosquitto) and its clients, in every version."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.extension_api import MessageKind

from ._relay import Relay
from ._servers import free_port, need, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with running([need("mosquitto"), "-c", configuration], port):
        yield port


def client(program: str, port: int, *arguments: str) -> list[str]:
    return [need(program, "mosquitto-clients"), "-h", "127.0.0.1", "-p", str(port), *arguments]


@pytest.mark.parametrize(("version", "number"), [("mqttv31", 3), ("mqttv311", 4), ("mqttv5", 5)])
def test_versions(server: int, version: str, number: int) -> None:
    with Relay(server, shown_port=1883) as relay:
        common = ["-V", version, "-q", "2", "-u", "ann", "-P", "hunter2"]
        will = ["--will-topic", "gone", "--will-payload", "bye"]
        subscriber = subprocess.Popen(
            client("mosquitto_sub", relay.port, *common, "-i", "reader", "-t", "plant/#", "-C", "3", *will),
            stdout=subprocess.PIPE,
        )
        try:
            publish = ["-t", "plant/7", "-l", "-i", "writer"]
            for _ in range(20):  # until the subscriber is there
                try:
                    subprocess.run(
                        client("mosquitto_pub", relay.port, *common, *publish), input=b"1\n2\n", timeout=10, check=True
                    )
                    out, _ = subscriber.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            subscriber.kill()
            subscriber.wait()
    assert out.split()[:2] == [b"1", b"2"]
    entries = relay.entries("mqtt")
    assert {entry.get("mqtt_version") for entry in entries} == {number}
    types = {entry.get("mqtt_type") for entry in entries}
    assert types == {"CONNECT", "SUBSCRIBE", "PUBLISH", "PUBREL", "DISCONNECT"}
    published = [entry for entry in entries if entry.get("mqtt_type") == "PUBLISH"]
    assert {(entry.get("mqtt_topic"), entry.get("mqtt_qos")) for entry in published} == {("plant/7", 2)}
    assert {entry.get("mqtt_client_id") for entry in published} == {"reader", "writer"}
    assert {entry.get("request_body") for entry in published} == {"1", "2"}
    assert published[0].message(MessageKind.RESPONSE)
    connect = next(entry for entry in entries if entry.get("mqtt_client_id") == "reader").to_dict()["request"]
    assert (connect["password"], connect["username"], connect["will"]["payload"]) == ("[redacted]", "ann", "bye")
    assert "hunter2" not in str([entry.to_dict() for entry in entries])
