"""A local port that leads to a pod: the way of the API server is a WebSocket, spoken here by a server of the tests."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kubernetes import client
from websockets.sync.server import ServerConnection, serve

from kubeshark.cluster import Cluster, Forward, ready_pod
from kubeshark.errors import ClusterError
from tests.cluster._server import make_pod, set_status

DATA, ERROR = b"\x00", b"\x01"


def shout(connection: ServerConnection) -> None:
    """Speak as a kubelet does: two channels of a port, each begun with its number; then answer in capitals."""
    assert connection.request is not None
    port = int(connection.request.path.rpartition("ports=")[2])
    for channel in (DATA, ERROR):
        connection.send(channel + struct.pack("<H", port))
    for message in connection:
        assert isinstance(message, bytes)
        if message[:1] == DATA:
            connection.send(DATA + message[1:].upper())


@contextmanager
def kubelet() -> Iterator[client.ApiClient]:
    with serve(shout, "127.0.0.1", 0, subprotocols=["v4.channel.k8s.io"]) as server:  # type: ignore[list-item]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        yield client.ApiClient(configuration)
        server.shutdown()
    deadline = time.monotonic() + 60  # the client leaves its sockets to the collector: here, not in another test
    while any(each.name.startswith("Kubernetes port forward") for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    gc.collect()


def ask(url: str, text: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(text)
        got = b""
        while len(got) < len(text):
            got += connection.recv(65_536)
    return got


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_bytes_go_both_ways() -> None:
    said: list[str] = []
    with kubelet() as api, Forward(api, "shark", "front-1", 8080, host="127.0.0.1", port=0, log=said.append) as forward:
        assert ask(forward.url, b"hello") == b"HELLO"
        assert ask(forward.url, b"x" * 300_000) == b"X" * 300_000
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(forward.url, b"many"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert answers == [b"MANY"] * 8
    assert said == []


def test_a_pod_that_is_gone_is_said_and_the_port_stays() -> None:
    said: list[str] = []
    configuration = client.Configuration()
    configuration.host = "http://127.0.0.1:9"
    api = client.ApiClient(configuration)
    with Forward(api, "shark", "front-1", 8080, host="127.0.0.1", port=0, log=said.append) as forward:
        for _ in range(2):
            host, _, port = forward.url.removeprefix("http://").rpartition(":")
            with socket.create_connection((host, int(port)), 10) as connection:
                assert connection.recv(1) == b""
        deadline = time.monotonic() + 60  # said once the connection is closed; of what ends with it nothing is said
        while len(said) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(said) == 2
    assert said[0].startswith("a connection to pod front-1 failed: ")


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ClusterError, match=r"Address already in use.*--proxy-front-port"):
            Forward(client.ApiClient(), "n", "p", 1, host="127.0.0.1", port=taken.getsockname()[1], log=print)


def test_the_pod_is_one_that_is_ready(cluster: Cluster, made_namespace: str) -> None:
    labels = {"kubeshark.io/release": "kubeshark", "app.kubernetes.io/component": "front"}
    with pytest.raises(ClusterError, match="no pod of front is ready"):
        ready_pod(cluster, made_namespace, "kubeshark", "front")
    make_pod(cluster, made_namespace, "front-1", metadata={"labels": labels})
    make_pod(cluster, made_namespace, "front-2", metadata={"labels": labels})
    set_status(cluster, "Pod", made_namespace, "front-2", conditions=[{"type": "Ready", "status": "True"}])
    assert ready_pod(cluster, made_namespace, "kubeshark", "front") == "front-2"
