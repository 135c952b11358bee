"""A real Redis server: what it sends is read as the protocol's specification says."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeshark.extension_api import MessageKind
from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", tmp_path]
    with running([need("redis-server"), *options, "--repl-diskless-sync-delay", "0"], port):
        yield port


class Client:
    """Sends commands, and waits until the server has been silent for a moment."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def __call__(self, *words: str, wait: float = 0.04) -> bytes:
        parts = [word.encode() for word in words]
        return self.raw(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts), wait
        )

    def raw(self, data: bytes, wait: float = 0.04) -> bytes:
        self.socket.sendall(data)
        return self.read(wait)

    def read(self, wait: float) -> bytes:
        found = b""
        self.socket.settimeout(wait)
        while True:
            try:
                piece = self.socket.recv(1 << 16)
            except TimeoutError:
                return found
            if not piece:
                return found
            found += piece


def shown(entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(entry.get("redis_type"), entry.get("redis_key"), entry.get("redis_error")) for entry in entries]


def test_commands_and_answers(server: int) -> None:
    with Relay(server, shown_port=6379) as relay:
        client = Client(relay.port)
        client("SET", "greeting", "hello")
        client.raw(b"GET greeting\r\nINCR greeting\r\n")
        client("CONFIG", "SET", "requirepass", "hunter2")
        client("AUTH", "hunter2")
        client("HELLO", "3", "AUTH", "default", "hunter2")
        client("HSET", "h", "a", "1")
        client("HGETALL", "h")
        client("MULTI")
        client("INCR", "n")
        client("EXEC")
        client("SET", "big", "x" * 300_000)
        client("GET", "big", wait=0.3)
        client.socket.close()
    entries = relay.entries("redis")
    assert [entry.error for entry in entries] == [None] * len(entries)
    verbs = "SET GET INCR CONFIG AUTH HELLO HSET HGETALL MULTI INCR EXEC SET GET"
    assert " ".join(kind for kind, _, _ in shown(entries)) == verbs
    assert entries[2].get("redis_error").startswith("ERR value is not an integer")
    assert all(entry.exchange.response for entry in entries)
    assert "hunter2" not in str([entry.to_dict() for entry in entries])
    answer = entries[7].to_dict()["response"]
    assert (answer["type"], answer["value"]) == ("Map", "{a: 1}")
    assert entries[12].size(MessageKind.RESPONSE) == 300_011


@pytest.mark.parametrize("version", ["2", "3"])
def test_subscriber(server: int, version: str) -> None:
    with Relay(server, shown_port=6379) as relay:
        subscriber, publisher = Client(relay.port), Client(relay.port)
        subscriber("HELLO", version)
        subscriber("SUBSCRIBE", "a", "b")
        subscriber("PSUBSCRIBE", "a*")
        publisher("PUBLISH", "a", "hi")
        subscriber("PING")
        subscriber("UNSUBSCRIBE")
        for client in (subscriber, publisher):
            client.socket.close()
    entries = relay.entries("redis")
    pushes = [(entry.get("redis_push"), entry.get("redis_key")) for entry in entries if entry.get("redis_push")]
    assert pushes[:3] == [("subscribe", "b"), ("message", "a"), ("pmessage", "a*")]
    assert [push for push, _ in pushes[3:]] == ["unsubscribe"]
    assert [entry.error for entry in entries] == [None] * len(entries)


def test_monitor_and_replica(server: int) -> None:
    with Relay(server, shown_port=6379) as relay:
        monitor, replica, client = Client(relay.port), Client(relay.port), Client(relay.port)
        monitor("MONITOR")
        replica("REPLCONF", "capa", "eof", "capa", "psync2")
        replica("PSYNC", "?", "-1", wait=0.5)
        end = time.monotonic() + 5
        while b"online" not in client("INFO", "replication") and time.monotonic() < end:
            replica("REPLCONF", "ACK", "0")
        client("SET", "k", "v")
        replica("REPLCONF", "ACK", "1", wait=0.3)
        for each in (monitor, replica, client):
            each.socket.close()
    entries = relay.entries("redis")
    assert [entry.error for entry in entries] == [None] * len(entries)
    assert any(entry.get("redis_push") == "monitor" and "SET" in entry.get("redis_command") for entry in entries)
    replicated = [entry for entry in entries if entry.get("redis_push") == "replication"]
    assert any((entry.get("redis_type"), entry.get("redis_key")) == ("SET", "k") for entry in replicated)
    assert not any(entry.get("redis_push") and entry.exchange.request for entry in entries)
