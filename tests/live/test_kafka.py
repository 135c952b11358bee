"""Real Kafka clients and a broker: kcat, and the mock cluster of librdkafka that it can run.

The cluster tells clients the port it listens on; a forwarder between it and the relay writes the relay's port instead,
so that all connections pass the relay.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import pytest

from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import need, running

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LOCALHOST = b"\0\x09127.0.0.1"


class Forwarder:
    """Passes connections on to the cluster; in what it answers, its address becomes that of the relay."""

    def __init__(self, cluster_port: int) -> None:
        self.told_port = 0
        self._cluster_port = cluster_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listener.settimeout(0.05)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._spawn(self._accept)

    def close(self) -> None:
        self._stopping.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        for each in (self._listener, *self._sockets):
            each.close()

    def _spawn(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            cluster = socket.create_connection(("127.0.0.1", self._cluster_port))
            self._sockets += [client, cluster]
            client.settimeout(None)
            real = LOCALHOST + pack(">i", self._cluster_port)
            told = LOCALHOST + pack(">i", self.told_port)
            self._spawn(self._pump, client, cluster, b"", b"")
            self._spawn(self._pump, cluster, client, real, told)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, old: bytes, new: bytes) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data.replace(old, new) if old else data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay() -> Iterator[Relay]:
    cluster = [need("kcat"), "-C", "-t", "idle", "-b", "x", "-d", "mock", "-X", "test.mock.num.brokers=1"]
    with running(cluster) as process:
        assert process.stdout
        for line in process.stdout:
            if found := re.search(rb"bootstrap\.servers=127\.0\.0\.1:(\d+)", line):
                break
        else:
            pytest.skip("this kcat has no mock cluster")
        reader = threading.Thread(target=process.stdout.read, daemon=True)  # or it blocks when the pipe is full
        reader.start()
        forwarder = Forwarder(int(found[1]))
        with contextlib.closing(forwarder):
            relay = Relay(forwarder.port, shown_port=29092)
            forwarder.told_port = relay.port
            yield relay
        process.terminate()
        reader.join(timeout=5)


def kcat(relay: Relay, *options: str, lines: str = "") -> str:
    command = [need("kcat"), "-b", f"127.0.0.1:{relay.port}", "-q", *options]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(entries: list[Entry], name: str) -> list[Entry]:
    return [entry for entry in entries if entry.get("kafka_api_key_name") == name]


def test_producers_and_consumers(relay: Relay) -> None:
    with relay:
        for codec in CODECS:
            text = "".join(f"k{number}:{codec} {number} {'x' * 60}\n" for number in range(20))
            client = ["-X", f"client.id={codec}", "-z", codec]
            kcat(relay, "-P", "-t", "orders", "-K:", "-H", "trace=7", *client, lines=text)
        kcat(relay, "-P", "-t", "orders", "-X", "acks=0", "-X", "client.id=hasty", lines="no answer\n")
        shown = kcat(relay, "-C", "-t", "orders", "-o", "beginning", "-e", "-X", "client.id=reader")
        kcat(relay, "-G", "readers", "-c", "3", "-X", "auto.offset.reset=earliest", "orders")
    entries = relay.entries("kafka")
    assert shown.count("\n") == 20 * len(CODECS) + 1
    assert {entry.error.type for entry in entries if entry.error} <= {"pair-not-found", "connection"}  # clients leave
    assert {"API_VERSIONS", "METADATA", "PRODUCE", "FETCH", "LIST_OFFSETS", "FIND_COORDINATOR"} <= {
        entry.get("kafka_api_key_name") for entry in entries
    }
    assert {"JOIN_GROUP", "SYNC_GROUP", "OFFSET_FETCH"} <= {entry.get("kafka_api_key_name") for entry in entries}
    produced = named(entries, "PRODUCE")
    for codec in CODECS:
        mine = [entry for entry in produced if entry.get("kafka_client_id") == codec]
        lines = [line for entry in mine for line in entry.get("request_body").split("\n")]  # by partition
        assert sorted(lines) == sorted(f"k{number}\t{codec} {number} {'x' * 60}" for number in range(20))
        assert {entry.get("kafka_request_summary") for entry in mine} == {"orders"}
        batch = mine[0].to_dict()["request"]["payload"]["topicData"][0]["partitions"][0]["partitionData"]["records"]
        assert batch["recordBatch"][0]["compression"] == codec
        assert batch["recordBatch"][0]["record"][0]["headers"] == [{"key": "trace", "value": "7"}]
    (hasty,) = [entry for entry in produced if entry.get("kafka_client_id") == "hasty"]
    assert (hasty.exchange.response, hasty.error) == (None, None)
    read = "\n".join(entry.get("response_body") for entry in named(entries, "FETCH"))
    assert all(f"k7\t{codec} 7 " in read for codec in CODECS)


def test_unknown_topic(relay: Relay) -> None:
    with relay:
        kcat(relay, "-L", "-t", "nowhere", "-X", "allow.auto.create.topics=false")
    assert named(relay.entries("kafka"), "METADATA")[-1].get("kafka_topics") == ["nowhere"]
