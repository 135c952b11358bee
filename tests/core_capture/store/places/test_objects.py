"""Object storage as a store's backend: what `_backend.py` promises, from two real servers and from memory."""

from __future__ import annotations

import os
import threading
from contextlib import closing

import obstore
import pytest

from kubeshark.core_capture.store.places import _object_client, _remote
from kubeshark.core_capture.store.places._backend import Changed
from kubeshark.core_capture.store.places._objects import ObjectBackend, open_objects
from kubeshark.core_capture.store.places._spool import spool_path
from kubeshark.errors import StoreError
from tests.core_capture.store._servers import BUCKET, Server


@pytest.fixture(params=["moto", "versitygw", "memory"])
def place(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://{os.urandom(8).hex()}"
    server: Server = request.getfixturevalue(f"{request.param}_server")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in server.environment().items():
        patch.setenv(name, value)
    return f"s3://{BUCKET}/objects-{os.urandom(4).hex()}"


def test_a_file_is_made_and_published(place: str) -> None:
    files = ObjectBackend(place)
    assert files.names() == []
    assert not spool_path(place).exists()  # who reads makes none
    with files.create(".tmp-a") as out:
        out.write(bytes(range(256)) * 100)
    assert files.names() == [".tmp-a"]
    assert ObjectBackend(place).sizes() == {".tmp-a": 25_600}
    files.publish(".tmp-a", "a")
    files.settle()
    assert files.names() == ["a"]
    assert (files.exists("a"), files.exists("b"), files.exists(".tmp-a")) == (True, False, False)
    assert files.size("a") == 25_600
    with closing(files.open("a")) as file:
        assert (file.name, file.size(), file.pread(3, 256), file.pread(9, 25_598)) == (
            "a",
            25_600,
            b"\x00\x01\x02",
            b"\xfe\xff",
        )
        assert file.preads([(2, 1), (1, 255), (2, 25_000)]) == [b"\x01\x02", b"\xff", b"\xa8\xa9"]
    files.delete("a")
    files.delete("a")
    assert files.names() == []
    with pytest.raises(FileNotFoundError):
        files.open("a")
    with pytest.raises(FileNotFoundError):
        files.publish(".tmp-a", "a")
    with pytest.raises(FileNotFoundError):
        files.size("a")


def test_nothing_is_published_over_something_else(place: str) -> None:
    files, other = ObjectBackend(place), ObjectBackend(place)
    for content in (b"one", b"two"):
        with files.create(".tmp-a") as out:
            out.write(content)
        if content == b"one":
            files.publish(".tmp-a", "a")
    with pytest.raises(Changed, match="another process changed a"):
        files.publish(".tmp-a", "a")
    assert other.read("a", 100).data == b"one"
    assert files.exists(".tmp-a")  # nothing is lost
    files.publish(".tmp-a", "a", replacing=True)
    assert other.read("a", 2).data == b"tw"


def test_large_files_go_in_parts(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_object_client, "PART_BYTES", 5 << 20)  # the least that S3 takes
    files = ObjectBackend(place)
    content = os.urandom(1 << 20) * 11
    for name in ("a", "a"):
        with files.create(".tmp-a") as out:
            out.write(content)
        if files.exists(name):
            with pytest.raises(Changed):
                files.publish(".tmp-a", name)
        else:
            before = files.requests.writes
            files.publish(".tmp-a", name)
            assert files.requests.writes - before == 5
    with closing(files.open("a")) as file:
        assert file.size() == len(content)
        assert file.pread(100, 10 << 20) == content[10 << 20 :][:100]


def test_a_version_is_replaced_once(place: str) -> None:
    files, other = ObjectBackend(place), ObjectBackend(place)
    first = files.replace("state", b"1", version="")
    with pytest.raises(Changed):
        other.replace("state", b"x", version="")
    assert files.read("state", 10) == (b"1", first)
    second = files.replace("state", b"2", version=first)
    with pytest.raises(Changed):
        other.replace("state", b"x", version=first)
    assert other.read("state", 10) == (b"2", second)
    other.replace("state", b"3")
    assert files.read("state", 10).data == b"3"
    with pytest.raises(FileNotFoundError):
        files.read("none", 10)


def test_of_many_only_one_replaces(place: str) -> None:
    version = ObjectBackend(place).replace("state", b"0", version="")
    won: list[int] = []

    def replace(number: int) -> None:
        try:
            ObjectBackend(place).replace("state", str(number).encode(), version=version)
        except Changed:
            return
        won.append(number)

    threads = [threading.Thread(target=replace, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert ObjectBackend(place).read("state", 10).data == str(won[0]).encode()


def test_what_is_replaced_is_not_mixed_in(place: str) -> None:
    files = ObjectBackend(place)
    files.replace("a.pcap.zst.age", b"old" * 10_000)
    with closing(files.open("a.pcap.zst.age")) as file:
        assert file.pread(3, 0) == b"old"
        files.replace("a.pcap.zst.age", b"newer" * 10_000)
        with pytest.raises(Changed):
            file.pread(3, 20_000)
        with pytest.raises(Changed):
            file.preads([(3, 20_000)])
        file.renew()
        assert (file.size(), file.pread(5, 20_000)) == (50_000, b"newer")


def test_files_that_come_next_are_fetched_at_once(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ObjectBackend(place)
    names = [f"{number}.idx.age" for number in range(70)]
    for name in names:
        files.replace(name, name.encode() * 10)
    files.names()
    files.prefetch(names)
    before = files.requests
    for name in names:
        with closing(files.open(name)) as file:
            assert file.pread(1000, 0) == name.encode() * 10
    assert (files.requests - before).reads == len(names)
    monkeypatch.setattr(_remote, "_BATCH_BYTES", 10)  # one alone is more: then none is fetched ahead
    files.prefetch(names)
    with closing(files.open(names[0])) as file:
        assert file.pread(7, 0) == b"0.idx.a"


def test_empty_files_and_places_behind_the_end(place: str) -> None:
    files = ObjectBackend(place)
    files.replace("empty", b"")
    assert files.read("empty", 10).data == b""
    with closing(files.open("empty")) as file:
        assert (file.size(), file.pread(10, 0), file.pread(10, 5)) == (0, b"", b"")


def test_only_names_without_slash_count(moto_s3: Server, url: str) -> None:
    for name in ("below/a.idx.age", ".tmp-b"):
        obstore.put(moto_s3.bucket(url.removeprefix(f"s3://{BUCKET}/")), name, b"x")
    assert ObjectBackend(url).names() == []


def test_there_is_a_store_only_where_one_was_made(moto_s3: Server, url: str) -> None:
    with pytest.raises(StoreError, match=f"no store at {url}"):
        open_objects(url, create=False)
    files = open_objects(url, create=True)
    with files.lock(".lock"), pytest.raises(StoreError, match="no store at"):
        open_objects(url, create=False)
    files.replace("store.json", b"{}")
    assert open_objects(url, create=False).names() == [".lock", "store.json"]
    assert not files.contains(spool_path(url))
