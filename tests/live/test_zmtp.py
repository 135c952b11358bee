"""Real ZeroMQ sockets (libzmq through pyzmq)."""

from __future__ import annotations

import pytest

from ._relay import Relay
from ._servers import free_port

zmq = pytest.importorskip("zmq", reason="pip install pyzmq")


@pytest.fixture
def context():  # type: ignore[no-untyped-def]  # pyzmq may be missing
    with zmq.Context() as context:
        context.setsockopt(zmq.LINGER, 0)
        context.setsockopt(zmq.RCVTIMEO, 5000)
        yield context


def test_request_and_reply(context) -> None:  # type: ignore[no-untyped-def]
    port = free_port()
    with context.socket(zmq.REP) as reply, context.socket(zmq.REQ) as request:
        reply.bind(f"tcp://127.0.0.1:{port}")
        with Relay(port) as relay:
            request.setsockopt(zmq.IDENTITY, b"worker-7")
            request.connect(f"tcp://127.0.0.1:{relay.port}")
            request.send_multipart([b"Hello", b"x" * 3000])
            assert reply.recv_multipart() == [b"Hello", b"x" * 3000]
            reply.send(b"World")
            assert request.recv() == b"World"
            request.close()
            reply.close()
    entries = relay.entries("zmtp")
    said = [(entry.get("zmtp_type"), entry.get("zmtp_socket_type")) for entry in entries]
    assert sorted(said) == [
        ("GREETING", ""),
        ("GREETING", ""),
        ("MESSAGE", "REP"),
        ("MESSAGE", "REQ"),
        ("READY", "REP"),
        ("READY", "REQ"),
    ]
    asked = next(entry for entry in entries if said[entries.index(entry)] == ("MESSAGE", "REQ"))
    assert (asked.get("zmtp_identity"), asked.get("zmtp_frames")) == ("worker-7", 3)
    assert [len(part["payload"]) for part in asked.to_dict()["event"]["data"]["frames"]] == [0, 5, 3000]
    assert [entry.error for entry in entries] == [None] * len(entries)


def test_subscription(context) -> None:  # type: ignore[no-untyped-def]
    port = free_port()
    with context.socket(zmq.XPUB) as publisher, context.socket(zmq.SUB) as subscriber:
        publisher.bind(f"tcp://127.0.0.1:{port}")
        with Relay(port) as relay:
            subscriber.connect(f"tcp://127.0.0.1:{relay.port}")
            subscriber.subscribe(b"news.")
            assert publisher.recv() == b"\x01news."
            publisher.send_multipart([b"news.today", b"rain"])
            assert subscriber.recv_multipart() == [b"news.today", b"rain"]
            subscriber.close()
            publisher.close()
    entries = relay.entries('zmtp_type in ["SUBSCRIBE", "MESSAGE"]')
    assert [(entry.get("zmtp_type"), entry.get("zmtp_topic")) for entry in entries] == [
        ("SUBSCRIBE", "news."),
        ("MESSAGE", ""),
    ]
