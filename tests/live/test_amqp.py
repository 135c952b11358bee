"""A real RabbitMQ and a real client (pika). Slow: the broker takes its time to start."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.extension_api import MessageKind
from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running

pika = pytest.importorskip("pika", reason="pip install pika")

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""What Debian's command of this name starts, which would change to the user rabbitmq first."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    need("rabbitmq-server")
    folder = tmp_path_factory.mktemp("rabbitmq")
    (folder / "plugins").write_text("[].")
    port, names_port = free_port(), free_port()
    settings = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names_port),  # an own one, which ends with the test
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_NODENAME": f"kubeshark{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
    }
    with running([need("epmd", "erlang-base")], names_port, env=settings), running([SERVER], port, env=settings):
        yield port


def names(entries: list[Entry]) -> list[str]:
    return [entry.get("amqp_method") for entry in entries]


def test_exchange_of_messages(server: int) -> None:
    with Relay(server, shown_port=5672) as relay:
        parameters = pika.ConnectionParameters("127.0.0.1", relay.port, blocked_connection_timeout=5)
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.exchange_declare("stock", "topic", arguments={"x-note": "n"})
            channel.queue_declare("jobs", durable=False, arguments={"x-max-length": 10})
            channel.queue_bind("jobs", "stock", "item.*")
            properties = pika.BasicProperties(content_type="text/plain", headers={"trace": "t-88", "n": 7})
            channel.basic_publish("stock", "item.low", b"x" * 200_000, properties)
            with pytest.raises(pika.exceptions.UnroutableError):
                channel.basic_publish("stock", "nobody", b"lost", mandatory=True)
            delivered = next(channel.consume("jobs", inactivity_timeout=5))
            channel.basic_ack(delivered[0].delivery_tag)
            channel.cancel()
            assert channel.basic_get("jobs") == (None, None, None)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker):
                channel.queue_declare("nothing", passive=True)
    entries = relay.entries("amqp")
    found = names(entries)
    assert [entry.error for entry in entries] == [None] * len(entries)
    assert found[:4] == ["connection.start", "connection.tune", "connection.open", "channel.open"]
    assert {
        "exchange.declare",
        "queue.declare",
        "queue.bind",
        "basic.publish",
        "basic.return",
        "basic.deliver",
        "basic.ack",
        "basic.cancel",
        "basic.get",
        "channel.close",
        "connection.close",
    } <= set(found)
    published = entries[found.index("basic.publish")]
    request = published.to_dict()["request"]
    assert (request["exchange"], request["routingKey"], len(request["body"])) == ("stock", "item.low", 200_000)
    assert (request["properties"]["contentType"], request["properties"]["headers"]) == (
        "text/plain",
        {"trace": "t-88", "n": 7},
    )
    delivered = entries[found.index("basic.deliver")]
    assert len(delivered.get("response_body")) == 200_000
    returned = entries[found.index("basic.return")]
    assert (returned.get("amqp_reply_code"), returned.get("response_body")) == (312, "lost")
    closed = entries[found.index("channel.close")]
    assert (closed.get("amqp_reply_code"), closed.message(MessageKind.RESPONSE) is not None) == (404, True)
    assert "guest" not in str(entries[0].to_dict()["response"]["response"])


def test_refused_version(server: int) -> None:
    with Relay(server, shown_port=5672) as relay, socket.create_connection(("127.0.0.1", relay.port), 5) as client:
        client.sendall(b"AMQP\x01\x01\x00\x0a")
        assert client.recv(100) == b"AMQP\x00\x00\x09\x01"
    (entry,) = relay.entries("amqp")
    assert entry.get("amqp_summary") == "AMQP 0-10"
    assert entry.to_dict()["response"]["protocolVersion"] == "0-9-1"
