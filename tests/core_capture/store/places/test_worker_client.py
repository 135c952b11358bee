"""Requests to a worker that is well, slow, hostile or gone."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store.places import _worker_client
from kubeshark.core_capture.store.places._away import Away
from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.core_capture.store.places._worker_client import WorkerClient
from tests.worker._cluster import in_thread

NAME = "20260314T220000Z-node-1-0001"


class Status(msgspec.Struct):
    node: str


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "pki"
    issue(folder, ["localhost"])
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / f"{NAME}.pcap.zst.age").write_bytes(bytes(range(256)) * 1000)
    (folder / f"{NAME}.idx.age").write_bytes(b"index")
    (folder / "store.json").write_bytes(b"")
    return folder


@pytest.fixture
def client(pki: Path, store: Path) -> Iterator[WorkerClient]:
    with in_thread(store, TlsFiles.in_folder(pki / "localhost")) as worker:
        client = WorkerClient(worker.url, TlsFiles.in_folder(pki / "hub"))
        yield client
        client.close()


@contextmanager
def answering(pki: Path, answer: Callable[[ssl.SSLSocket], None], *, rounds: int = 50) -> Iterator[WorkerClient]:
    """Ask somebody who has a worker's certificate and does as he likes."""
    context = TlsFiles.in_folder(pki / "localhost").context(ssl.Purpose.CLIENT_AUTH)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            for _ in range(rounds):
                raw, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
                    while True:
                        head = b""
                        while b"\r\n\r\n" not in head:
                            piece = connection.recv(4096)
                            if not piece:
                                raise OSError
                            head += piece
                        answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = WorkerClient(f"https://localhost:{listener.getsockname()[1]}", TlsFiles.in_folder(pki / "hub"))
    try:
        yield client
    finally:
        client.close()
        listener.close()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_files_and_ranges(client: WorkerClient, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (store / f"{NAME}.pcap.zst.age").read_bytes()
    listed = client.list()
    assert {name: found.size for name, found in listed.items()} == {
        f"{NAME}.pcap.zst.age": 256_000,
        f"{NAME}.idx.age": 5,
        "store.json": 0,
    }
    assert client.list() is listed  # nothing was sent again
    name, version = f"{NAME}.pcap.zst.age", listed[f"{NAME}.pcap.zst.age"].version
    assert client.get(name, 10, 30, version=version) == (data[10:30], 256_000, version)
    assert client.get(name, 255_990, 999_999).data == data[-10:]
    assert client.get(name, 256_000, 256_010) == (b"", 256_000, version)
    assert client.get("store.json", 0, 10).data == b""
    assert client.head(f"{NAME}.idx.age").size == 5
    monkeypatch.setattr(_worker_client, "MAX_RANGE_BYTES", 1000)  # what is more than a worker gives at once
    before = client.requests.reads
    assert client.get(name, 500, 3700).data == data[500:3700]
    assert client.get(name, 254_999, 999_999).data == data[254_999:]
    assert client.requests.reads - before == 6
    assert client.status(Status).node == "node-1"


def test_what_is_not_there_or_another_by_now(client: WorkerClient, store: Path) -> None:
    for name in (NAME.replace("0001", "0009") + ".idx.age", "../secret", "notes.txt"):
        with pytest.raises(FileNotFoundError):
            client.get(name, 0, 10)
    version = client.list()[f"{NAME}.idx.age"].version
    (store / f"{NAME}.idx.age").write_bytes(b"another")
    with pytest.raises(Changed):
        client.get(f"{NAME}.idx.age", 0, 10, version=version)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (http(b"x" * 200, "206 Partial Content", "content-range: bytes 0-199/500"), "sends more than it was asked for"),
        (http(b"x" * 9, "206 Partial Content", "content-range: bytes 5-13/500"), "another range"),
        (http(b"x" * 10, "206 Partial Content", "content-range: bytes 0-99/500"), "another range"),
        (http(b"x" * 10, "206 Partial Content"), "another range"),
        (http(b"x" * 10), "refuses 2026"),
        (http(b'{"error":"\x1b[31mno\\nway"}', "418 Teapot"), r"refuses 2026.* \(418\)"),
        (http(b"", "302 Found", "location: http://169.254.169.254/"), r"refuses .*302"),
        (b"SSH-2.0-nothing\r\n\r\n", "ends connections unanswered"),
        (b"HTTP/1.1 206 P\r\ncontent-length: 10\r\n\r\nx", "does not answer in time|ends connections unanswered"),
    ],
)
def test_answers_that_are_wrong(pki: Path, sent: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_client, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(_worker_client, "SILENCE_SECONDS", 0.3)
    with (
        answering(pki, lambda connection: connection.sendall(sent)) as client,
        pytest.raises(Away, match=said) as caught,
    ):
        client.get(f"{NAME}.idx.age", 0, 100)
    assert str(caught.value).isprintable()


def test_listings_that_are_wrong(pki: Path) -> None:
    hostile = [{"name": name, "size": 5, "etag": "x"} for name in ("../../etc/passwd", "/a", f"{NAME}.idx.age", "a\n")]
    with answering(pki, lambda c: c.sendall(http(msgspec.json.encode({"files": hostile})))) as client:
        assert list(client.list()) == [f"{NAME}.idx.age"]
    for body in (b"[]", b"{", b"\xff", b"[" * 100_000, b'{"files":[{"name":1}]}'):
        with (
            answering(pki, lambda c, body=body: c.sendall(http(body))) as client,  # type: ignore[misc]
            pytest.raises(Away, match="does not speak the language"),
        ):
            client.list()


def test_who_trickles_is_given_up_in_time(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_client, "REQUEST_SECONDS", 0.8)

    def trickle(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 206 P\r\ncontent-length: 1000\r\ncontent-range: bytes 0-999/1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.1)

    with answering(pki, trickle) as client:
        began = time.monotonic()
        with pytest.raises(Away, match="does not answer in time"):
            client.get(f"{NAME}.idx.age", 0, 1000)
        assert time.monotonic() - began < 50  # a thousand such pauses are a hundred seconds


def test_who_is_busy_is_asked_again(pki: Path) -> None:
    answers = iter([http(b'{"error":"busy"}', "503 Busy"), http(b"{}", "429 Many"), http(b'{"node":"n"}')])
    with answering(pki, lambda connection: connection.sendall(next(answers))) as client:
        assert client.status(Status).node == "n"


def test_who_is_gone_is_not_asked_for_a_while_and_comes_back(pki: Path, store: Path) -> None:
    clock = [0.0]
    with in_thread(store, TlsFiles.in_folder(pki / "localhost")) as worker:
        port = worker.port
    client = WorkerClient(f"https://localhost:{port}", TlsFiles.in_folder(pki / "hub"), clock=lambda: clock[0])
    with pytest.raises(Away, match=f"https://localhost:{port}: cannot be reached"):
        client.list()
    with socket.create_server(("127.0.0.1", port)) as watched:
        watched.settimeout(0.2)
        for _ in range(100):
            with pytest.raises(Away, match="cannot be reached"):
                client.get(f"{NAME}.idx.age", 0, 10)
        with pytest.raises(TimeoutError):
            watched.accept()  # nobody came
    with in_thread(store, TlsFiles.in_folder(pki / "localhost"), port=port):
        clock[0] += _worker_client.AWAY_SECONDS
        assert client.get(f"{NAME}.idx.age", 0, 10).data == b"index"
    client.close()


def test_a_connection_that_ended_meanwhile_is_replaced(pki: Path, store: Path) -> None:
    with in_thread(store, TlsFiles.in_folder(pki / "localhost")) as worker:
        port = worker.port
        client = WorkerClient(worker.url, TlsFiles.in_folder(pki / "hub"))
        assert len(client.list()) == 3
    with in_thread(store, TlsFiles.in_folder(pki / "localhost"), port=port):  # the worker was restarted
        assert client.get(f"{NAME}.idx.age", 0, 10).data == b"index"
    client.close()


def test_a_worker_that_is_somebody_else(pki: Path, store: Path, tmp_path: Path) -> None:
    issue(tmp_path / "other", ["localhost"])
    with in_thread(store, TlsFiles.in_folder(tmp_path / "other" / "localhost")) as worker:
        client = WorkerClient(worker.url, TlsFiles.in_folder(pki / "hub"))
        with pytest.raises(Away, match=r"has a certificate that is not believed \(.*\): see --tls"):
            client.list()
    with in_thread(store, TlsFiles.in_folder(pki / "localhost")) as worker:
        client = WorkerClient(worker.url.replace("localhost", "127.0.0.1"), TlsFiles.in_folder(pki / "hub"))
        with pytest.raises(Away, match="has a certificate that is not believed"):  # by that name nobody knows it
            client.list()
        client = WorkerClient(worker.url, TlsFiles.in_folder(pki / "localhost"))
        with pytest.raises(Away, match="ends connections unanswered: it may not accept our certificate"):
            client.list()
