"""Requests to object storage when server and network fail: bounded in time, said in a line, carried out once."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeshark.core_capture.store.places import _object_client
from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.errors import StoreError
from tests.core_capture.store._relay import Relay, relay
from tests.core_capture.store._servers import ACCESS, SECRET, Server


@pytest.fixture
def between(moto_s3: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay that the environment points to; what is tried again is tried soon."""
    monkeypatch.setattr(_object_client, "MAX_BACKOFF_SECONDS", 0.2)
    with relay(moto_s3.port) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint)
        yield found


@pytest.fixture
def client(between: Relay, url: str) -> ObjectClient:
    return ObjectClient(url)


def only(number: int, fault: str) -> Callable[[int, str, str], str | None]:
    return lambda at, _method, _path: fault if at == number else None


def always(fault: str) -> Callable[[int, str, str], str | None]:
    return lambda *_: fault


FAULTS = ["500", "503 <Code>SlowDown</Code>", "cut-request", "cut-answer", "slow"]


@pytest.mark.parametrize("fault", [*FAULTS, "half-answer"])
def test_what_fails_once_is_read_again(fault: str, client: ObjectClient, between: Relay) -> None:
    client.put("a", b"0123456789" * 1000)
    between.plan = only(2, fault)
    assert client.get("a", 10, 9_990).data == b"0123456789" * 998
    between.plan = only(len(between.seen) + 1, fault)
    assert client.list()["a"].size == 10_000
    between.plan = only(len(between.seen) + 1, fault)
    assert client.head("a").size == 10_000


@pytest.mark.parametrize("fault", FAULTS)
def test_a_conditional_write_is_carried_out_once(fault: str, client: ObjectClient, between: Relay) -> None:
    between.plan = only(1, fault)
    version = client.put("a", b"one", version="")
    between.plan = only(len(between.seen) + 1, fault)
    later = client.put("a", b"two", version=version)
    assert client.get("a", 0, 10) == (b"two", 3, later)
    for stale in ("", version):
        between.plan = only(len(between.seen) + 1, fault)
        with pytest.raises(Changed):
            client.put("a", b"three", version=stale)
    assert client.get("a", 0, 10).data == b"two"


def test_a_conditional_write_that_arrives_late_changes_nothing(
    client: ObjectClient, between: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_object_client, "REQUEST_SECONDS", 1)
    impatient = ObjectClient(client.url)
    version = client.put("a", b"one", version="")
    between.plan = only(len(between.seen) + 1, "slow 2")
    later = impatient.put("a", b"two", version=version)
    last = client.put("a", b"three", version=later)
    time.sleep(1.5)  # the first try reaches the server now
    assert client.get("a", 0, 10) == (b"three", 5, last)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_arrives_whole_in_the_end(
    fault: str, client: ObjectClient, between: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_object_client, "PART_BYTES", 5 << 20)
    for size in (1 << 20, 11 << 20):
        (tmp_path / "file").write_bytes(os.urandom(1 << 10) * (size >> 10))
        begin = len(between.seen)
        between.plan = lambda at, method, _path, begin=begin: (
            fault if at in (begin + 1, begin + 3, begin + 5) and method != "HEAD" else None
        )
        client.upload(tmp_path / "file", f"f{size}", replacing=False)
        assert client.get(f"f{size}", 0, size).data == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500 <Code>InternalError</Code>", "the server answers 500 Internal Server Error InternalError"),
        ("503 <Code>SlowDown</Code>", "the server answers 503 Service Unavailable SlowDown"),
        ("403 <Code>AccessDenied</Code>", r"access denied at .* \(AccessDenied\): check the credentials"),
        ("403 <Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>SECRETISH</AWSAccessKeyId>", "access denied"),
        ("401", "access denied"),
        ("404 <Code>NoSuchBucket</Code>", "there is no such bucket"),
        ("301 <Code>PermanentRedirect</Code>", "the bucket is in another region"),
        ("400 <Code>ExpiredToken</Code>", "access denied"),
        ("cut-request", "cannot be reached at http://127"),
        ("cut-answer", "cannot be reached at http://127"),
    ],
)
def test_what_keeps_failing_is_said_in_a_line(fault: str, said: str, client: ObjectClient, between: Relay) -> None:
    between.plan = always(fault)
    began = time.monotonic()
    for ask in (
        client.list,
        lambda: client.get("a", 0, 10),
        lambda: client.put("a", b"x"),
        lambda: client.put("a", b"x", version=""),
        lambda: client.delete("a"),
    ):
        with pytest.raises(StoreError, match=said) as caught:
            ask()
        text = str(caught.value)
        assert "\n" not in text
        assert client.url in text
        assert not any(secret in text for secret in (ACCESS, SECRET, "SECRETISH", "Signature=", "127.0.0.1:1 "))
        assert caught.value.__cause__ is None  # nor does a traceback quote the server
    assert time.monotonic() - began < 40


def test_a_server_that_says_nothing_is_left(client: ObjectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_object_client, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(_object_client, "RETRIES", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        for ask in (
            lambda: ObjectClient(client.url).list(),
            lambda: ObjectClient(client.url).put("a", b"", version=""),
        ):
            with pytest.raises(StoreError, match="cannot be reached"):
                ask()
        assert time.monotonic() - began < 20


def test_nobody_listens(url: str, moto_s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint = f"http://127.0.0.1:{gone.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"{url} cannot be reached at {endpoint}: check AWS_ENDPOINT_URL"):
        ObjectClient(url).list()
    assert time.monotonic() - began < 30


def test_an_endpoint_that_is_not_encrypted_must_be_asked_for(
    url: str, moto_s3: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(StoreError, match="is not encrypted: set AWS_ALLOW_HTTP=true"):
        ObjectClient(url).list()


def test_a_bucket_that_is_not_there(moto_s3: Server) -> None:
    client = ObjectClient("s3://no-such-bucket/x")
    for ask in (client.list, lambda: client.get("a", 0, 1), lambda: client.put("a", b"", version="")):
        with pytest.raises(StoreError, match="s3://no-such-bucket/x: there is no such bucket"):
            ask()


def test_requests_are_counted(client: ObjectClient, between: Relay) -> None:
    client.put("a", b"x" * 100, version="")
    client.get("a", 0, 10)
    client.list()
    client.head("a")
    client.delete("a")
    asked = client.requests
    assert (asked.lists, asked.reads, asked.writes, asked.bytes_read, asked.bytes_written) == (1, 2, 2, 10, 100)
    assert asked.total == len(between.seen)
    assert str(asked) == "5 (1 lists, 2 reads of 10 bytes, 2 writes)"
